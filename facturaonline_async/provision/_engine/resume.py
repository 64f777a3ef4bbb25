"""Resume a run: compare the plan with the journal, and restore earlier steps."""

from __future__ import annotations

import time
from collections.abc import Container, Iterable, Iterator

from attrs import define, field

from facturaonline_async._core.known_companies import normalize_rfc
from facturaonline_async._core.once.pending import PendingCreates
from facturaonline_async._core.once.states import StepState
from facturaonline_async._messages import Message, message
from facturaonline_async.provision._engine import series
from facturaonline_async.provision._engine.inventory import Inventory
from facturaonline_async.provision._engine.row_progress import RowProgress, state
from facturaonline_async.provision._journal.digests import changed_columns, empresa_digest
from facturaonline_async.provision._journal.protocol import Journal
from facturaonline_async.provision._plan.models import PlanError, PlanProblem, PlanRow
from facturaonline_async.provision._report import RunReport
from facturaonline_async.provision._steps import EMPRESAS, SERIES, Step, split_key

__all__ = ["Resumed", "begin", "restore"]

_Baseline = tuple[str, str, str, str]


@define
class Resumed:
    """State that earlier runs left.

    Attributes:
        closed: RFCs of the finished rows; the report counts them already.
        open: rows that earlier runs started and did not finish, by RFC.

    """

    closed: set[str] = field(factory=set)
    open: dict[str, RowProgress] = field(factory=dict)


async def begin(
    journal: Journal,
    plan: Iterable[PlanRow],
    inventory: Inventory,
    *,
    report: RunReport,
    settle: float,
) -> Resumed | None:
    """Write the plan into the journal, and return the state of earlier runs.

    Everything is written in one transaction.

    Nothing is sent before this returns.

    Args:
        journal: the open journal.
        plan: rows of the plan.
        inventory: companies that exist; they are the baseline.
        report: counts the rows that earlier runs finished.
        settle: seconds after which lists certainly show a create that took effect.

    Returns:
        The state of earlier runs; None if the journal is new.

    Raises:
        PlanError: a row that was sent, or may have been sent, has changed or was removed from the plan.
        JournalError: the journal could not be written.

    """
    comparison = _PlanDiff(journal, inventory, report, settle)
    if not await journal.is_empty():
        for row in plan:
            await comparison.compare_row(row)
        await comparison.find_removed()
        await comparison.commit()
        return comparison.resumed
    await journal.adjust(
        add=(step for row in plan for step in RowProgress.of(row, normalize_rfc(row.rfc)).steps),
        baseline=_baseline(inventory, inventory.existing),
    )
    return None


async def restore_open_companies(
    journal: Journal, inventory: Inventory, pending: PendingCreates, settle: float
) -> None:
    """Register companies whose create may have been done with this session.

    It comes first of all: a task of the session that lists now must not create one of them again.

    Args:
        journal: the open journal.
        inventory: gives the keys.
        pending: pending creates of the session.
        settle: seconds after which lists certainly show a create that took effect.

    """
    for step in await journal.open_companies():
        state = StepState.UNKNOWN if step.state is StepState.INTENT else step.state
        pending.restore(inventory.key(step.rfc), settle, state)


async def restore(journal: Journal, progress: RowProgress) -> None:
    """Load the steps of a row, and its baseline, from the journal."""
    known = {step.primary_key: step for step in await journal.steps_of_row(progress.empresa.rfc)}
    progress.empresa = known[progress.empresa.primary_key]
    progress.series = [known[step.primary_key] for step in progress.series]
    progress.is_restored = True
    for step in progress.steps:
        step.earlier, step.is_earlier = step.sends, step.state is StepState.DONE
    if any(not step.may_change for step in progress.series):
        progress.baseline = {}
        for _, kind, natural_key, uid in await journal.baseline(progress.empresa.rfc):
            if kind == SERIES:
                letra, tipo_documento = split_key(natural_key)
                progress.baseline.setdefault((letra, tipo_documento), []).append(uid)


def _baseline(inventory: Inventory, rfcs: Container[str]) -> Iterator[_Baseline]:
    for rfc, uids in inventory.existing.items():
        if rfc in rfcs:
            yield from ((rfc, EMPRESAS, "", uid) for uid in uids)


@define
class _PlanDiff:
    """Difference between plan and journal: changes to write, and changes to refuse."""

    journal: Journal
    inventory: Inventory
    report: RunReport
    settle: float
    resumed: Resumed = field(factory=Resumed, init=False)
    _seen: set[str] = field(factory=set, init=False)
    _add: list[Step] = field(factory=list, init=False)
    _save: list[Step] = field(factory=list, init=False)
    _drop: list[Step] = field(factory=list, init=False)
    _unsent: set[str] = field(factory=set, init=False)  # RFCs whose company was never sent
    _problems: list[PlanProblem] = field(factory=list, init=False)

    async def compare_row(self, row: PlanRow) -> None:
        """Compare one row with its steps in the journal."""
        rfc = normalize_rfc(row.rfc)
        self._seen.add(rfc)
        known = {step.primary_key: step for step in await self.journal.steps_of_row(rfc)}
        progress = RowProgress.of(row, rfc)
        steps = [known.pop(step.primary_key, None) for step in progress.steps]
        self._add += [fresh for fresh, step in zip(progress.steps, steps, strict=True) if step is None]
        recorded = [step for step in steps if step is not None]
        for step in recorded:
            await self._update_step(row, step)
        for step in known.values():
            self._drop_step(step, row.number)
        if steps[0] is None or steps[0].may_change:
            self._unsent.add(rfc)
        # Series that wait for their audit are listed with their company's keys: the row is opened for that.
        is_audited = not (self.report.has_audit and any(step.is_unaudited for step in recorded if not step.is_empresa))
        if len(recorded) == len(steps) and all(step.is_verified for step in recorded) and is_audited:
            self._close_row(recorded)
        elif any(step.state is not StepState.PLANNED for step in recorded):
            progress.empresa, *progress.series = (step or new for step, new in zip(steps, progress.steps, strict=True))
            for step in recorded:
                step.is_earlier = step.state is StepState.DONE
            self.resumed.open[rfc] = progress

    async def _update_step(self, row: PlanRow, step: Step) -> None:
        """Prepare a step of the journal for this run; check that its data are the same."""
        before = step.state, step.number, step.due, step.reason
        if step.may_change:
            step.state, step.reason = StepState.PLANNED, ""
        elif step.digest is not None and (digest := await self._digest(row, step)) not in {step.digest, None}:
            self._add_problem(row.number, step, _changed(step, digest or b""))
        if step.state is StepState.INTENT:
            step.state, step.reason = StepState.UNKNOWN, message("run.ended_before_answer")
        if step.state is StepState.UNKNOWN:
            # Counted from now: the wall clock may have been set since the earlier moment was written.
            step.due = time.time() + self.settle
        step.number = row.number
        if before != (step.state, step.number, step.due, step.reason):
            self._save.append(step)

    async def _digest(self, row: PlanRow, step: Step) -> bytes | None:
        """Return the digest of the plan's data, or None if they cannot be loaded."""
        if not step.is_empresa:
            (wanted,) = (serie for serie in row.series if serie.key == step.serie_key)
            return self.journal.digest(series.digest(wanted))
        try:
            return empresa_digest(self.journal, await row.load())
        except Exception:  # noqa: BLE001  # a finished company's data are not sent again
            return None

    def _drop_step(self, step: Step, number: int) -> None:
        """Drop a serie that was removed from its row, or refuse that if it may exist."""
        if step.may_change:
            self._drop.append(step)
        else:
            self._add_problem(number, step, message("run.serie_removed", rfc=step.rfc, serie=":".join(step.serie_key)))

    def _drop_company(self, rfc: str, steps: list[Step]) -> None:
        """Drop a company that was removed from the plan, or refuse that if it may exist."""
        self._drop += [step for step in steps if step.may_change]
        left = [step for step in steps if not step.may_change]
        if not left:
            return
        series = sum(not step.is_empresa for step in left)
        if series:
            reason = message("run.company_and_series_removed", rfc=rfc, count=series)
        else:
            reason = message("run.company_removed", rfc=rfc)
        self._problems.append(PlanProblem(row=0, column="rfc", reason=reason))

    def _add_problem(self, number: int, step: Step, reason: Message) -> None:
        column = "" if step.is_empresa else "series"
        self._problems.append(PlanProblem(row=number, column=column, reason=reason))

    def _close_row(self, steps: list[Step]) -> None:
        """Count a row that earlier runs finished."""
        empresa, *series = steps
        self.resumed.closed.add(empresa.rfc)
        self.inventory.done[empresa.rfc] = empresa.uid or ""
        if empresa.is_unaudited:
            self.inventory.shows_at = max(self.inventory.shows_at, empresa.due)
        self.report.empresas[state(empresa)] += 1
        self.report.earlier_empresas[state(empresa)] += 1
        for found in (self.report.series, self.report.earlier_series):
            found.update(map(state, series))

    async def find_removed(self) -> None:
        """Find companies of the journal that were removed from the plan."""
        after, is_first = 0, True
        removed: dict[str, list[Step]] = {}
        while after or is_first:
            steps, after = await self.journal.all_steps(after)
            is_first = False
            for step in steps:
                if step.rfc not in self._seen:
                    removed.setdefault(step.rfc, []).append(step)
        for rfc, steps in removed.items():
            self._drop_company(rfc, steps)

    async def commit(self) -> None:
        """Write all changes in one transaction, or refuse the plan.

        Raises:
            PlanError: the plan changed or removed rows that were sent, or may have been.
            JournalError: the journal could not be written.

        """
        if self._problems:
            raise PlanError.of(self._problems)
        await self.journal.adjust(
            add=self._add,
            save=self._save,
            drop=self._drop,
            forget=[(rfc, EMPRESAS, "") for rfc in self._unsent],
            baseline=_baseline(self.inventory, self._unsent),
        )


def _changed(step: Step, digest: bytes) -> Message:
    """Return the problem of a step that was sent with other data than the plan's."""
    if not step.is_empresa:  # only the folio can change: letra and tipo_documento are the key
        return message("run.folio_changed", rfc=step.rfc, serie=":".join(step.serie_key))
    columns = changed_columns(step.digest or b"", digest)
    return message("run.company_changed", rfc=step.rfc, columns=", ".join(columns), count=len(columns))
