"""Resume a run: compare the plan with the journal, and restore earlier steps."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Container, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Final

import anyio.to_thread
from attrs import define, field

from facturaonline_async._core.batches import in_batches
from facturaonline_async._core.known_companies import normalize_rfc
from facturaonline_async._core.once.pending import PendingCreates
from facturaonline_async._core.once.states import StepState
from facturaonline_async._messages import Message, message
from facturaonline_async.empresas._models import CambiosEmpresa, NuevaEmpresa
from facturaonline_async.provision._engine import series
from facturaonline_async.provision._engine.inventory import Inventory
from facturaonline_async.provision._engine.row_progress import RowProgress, outcome, state
from facturaonline_async.provision._journal.digests import changed_since
from facturaonline_async.provision._journal.protocol import Journal, ReadableJournal
from facturaonline_async.provision._plan.file_rows import FileRow, load_data
from facturaonline_async.provision._plan.models import PlanError, PlanProblem, PlanRow, PlanSerie
from facturaonline_async.provision._report import RunReport
from facturaonline_async.provision._steps import EMPRESAS, SERIES, Step, split_key

__all__ = ["PlanDiff", "Resumed", "begin", "compare", "read_baseline", "restore", "restore_open_companies"]

_Baseline = tuple[str, str, str, str]

_ROWS: Final = 50
"""Rows that are compared together: one read of the journal, one call of a thread, and 2 ms of the event loop."""


@define
class Resumed:
    """State that earlier runs left.

    Attributes:
        closed: RFCs of the finished rows; the report counts them already.
        open: totals of the rows that earlier runs started and did not finish, and that this run has not restored.

    """

    closed: set[str] = field(factory=set)
    open: RunReport = field(factory=lambda: RunReport(planned_empresas=0, planned_series=0))


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
    if not await journal.is_empty():
        difference = PlanDiff(journal, inventory, report, settle)
        await compare(difference, plan)
        await difference.commit(journal)
        return difference.resumed
    await journal.adjust(
        add=(step for row in plan for step in RowProgress.of(row, normalize_rfc(row.rfc)).steps),
        baseline=_baseline(inventory, inventory.existing),
    )
    return None


async def compare(
    difference: PlanDiff, plan: Iterable[PlanRow], on_open: Callable[[RowProgress], Awaitable[None]] | None = None
) -> None:
    """Compare a plan with a journal that holds one.

    Args:
        difference: collects what differs.
        plan: rows of the plan.
        on_open: called with each row that earlier runs began and did not finish, with its steps.

    Raises:
        PlanError: a row that was sent, or may have been sent, has changed or was removed from the plan.
        JournalError: the journal could not be read.

    """
    rows = iter(plan)
    while some := list(islice(rows, _ROWS)):
        for progress in await difference.compare(some):
            if on_open is not None:
                await on_open(progress)
    await difference.find_removed()
    difference.check()


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
    for steps in in_batches(await journal.open_companies()):
        for step in steps:
            state = StepState.UNKNOWN if step.state is StepState.INTENT else step.state
            pending.restore(inventory.key(step.rfc), settle, state)
        await asyncio.sleep(0)


async def restore(journal: Journal, progress: RowProgress, resumed: Resumed) -> None:
    """Load the steps of a row, and its baseline, from the journal.

    Args:
        journal: the open journal.
        progress: the row.
        resumed: its `open` counts the row no longer.

    """
    known = {step.primary_key: step for step in await journal.steps_of_row(progress.empresa.rfc)}
    progress.empresa = known[progress.empresa.primary_key]
    progress.series = [known[step.primary_key] for step in progress.series]
    for step in progress.steps:
        step.earlier, step.is_earlier = step.sends, step.state is StepState.DONE
    progress.is_restored = True
    if any(step.state is not StepState.PLANNED for step in progress.steps):
        resumed.open.count(outcome(progress), -1)
    await read_baseline(journal, progress)


async def read_baseline(journal: ReadableJournal, progress: RowProgress) -> None:
    """Load the baseline of a row's series, if one of them may have been sent.

    Args:
        journal: the journal.
        progress: the row, with its steps.

    """
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
class PlanDiff:
    """Difference between plan and journal: changes to write, and changes to refuse.

    Attributes:
        journal: the journal; it is only read.
        inventory: learns the companies that earlier runs finished.
        report: counts the rows that earlier runs finished.
        settle: seconds after which lists certainly show a create that took effect.
        resumed: state that earlier runs left.

    """

    journal: ReadableJournal
    inventory: Inventory
    report: RunReport
    settle: float
    resumed: Resumed = field(factory=Resumed, init=False)
    _seen: set[str] = field(factory=set, init=False)
    _add: list[Step] = field(factory=list, init=False)
    _save: list[Step] = field(factory=list, init=False)
    _drop: list[Step] = field(factory=list, init=False)
    _unsent: set[str] = field(factory=set, init=False)  # RFCs whose company was never sent
    _has_unsent: bool = field(default=False, init=False)
    _problems: list[PlanProblem] = field(factory=list, init=False)

    @property
    def is_sent(self) -> bool:
        """Whether earlier runs sent, or found, every company and serie of the plan.

        A run then sends no other values than those that were sent: `check` compares them.
        """
        return not (self._add or self._has_unsent)

    async def compare(self, rows: Sequence[PlanRow]) -> list[RowProgress]:
        """Compare some rows with their steps in the journal.

        Args:
            rows: rows of the plan.

        Returns:
            The rows that earlier runs began and did not finish.

        """
        plan = {normalize_rfc(row.rfc): row for row in rows}
        self._seen.update(plan)
        journal = await self.journal.steps_of_rows(list(plan))
        changed = await self._changed_companies(plan, journal)
        found = [self._compare_row(row, rfc, journal.get(rfc, ()), changed.get(rfc, ())) for rfc, row in plan.items()]
        return [progress for progress in found if progress is not None]

    async def _changed_companies(
        self, plan: Mapping[str, PlanRow], journal: Mapping[str, Sequence[Step]]
    ) -> dict[str, list[str]]:
        """Return the columns in which companies have changed since they were sent.

        The result is by RFC. A company whose files can no longer be read counts as unchanged: its data are not sent
        again.
        """
        sent: dict[str, tuple[FileRow | NuevaEmpresa | CambiosEmpresa, bytes]] = {}
        for step in chain.from_iterable(journal.values()):
            if step.is_empresa and not step.may_change and step.digest is not None:
                row = plan[step.rfc]
                found = row if isinstance(row, FileRow) else await _load(row)
                if found is not None:
                    sent[step.rfc] = found, step.digest

        def compare() -> dict[str, list[str]]:
            """Compare them all; this runs in a thread."""
            return {rfc: self._changed_columns(found, digest) for rfc, (found, digest) in sent.items()}

        return await anyio.to_thread.run_sync(compare) if sent else {}

    def _changed_columns(self, found: FileRow | NuevaEmpresa | CambiosEmpresa, digest: bytes) -> list[str]:
        """Return the columns of a company that have changed since it was sent. Blocking.

        Args:
            found: its data, or the row whose files hold them.
            digest: digest of the data that were sent.

        """
        try:
            return changed_since(self.journal, digest, found.read() if isinstance(found, FileRow) else found)
        except Exception:  # noqa: BLE001  # a finished company's data are not sent again
            return []

    def _compare_row(
        self, row: PlanRow, rfc: str, journal: Iterable[Step], changed: Sequence[str]
    ) -> RowProgress | None:
        """Compare one row with its steps in the journal.

        Return its progress if earlier runs began it and did not finish it.

        Args:
            row: the plan's row.
            rfc: its RFC, normalised.
            journal: its steps in the journal.
            changed: columns of its company that have changed since it was sent.

        """
        known = {(step.kind, step.natural_key): step for step in journal}
        empresa = known.pop((EMPRESAS, ()), None)
        steps = [empresa, *(known.pop((SERIES, serie.key), None) for serie in row.series)]
        recorded = [step for step in steps if step is not None]
        self._has_unsent |= any(step.may_change for step in recorded)
        for step, wanted in zip(steps, (None, *row.series), strict=True):
            if step is not None:
                if not step.may_change and (change := self._change(step, wanted, changed)):
                    self._add_problem(row.number, step, change)
                self._update_step(step, row.number)
        for step in known.values():
            self._drop_step(step, row.number)
        if empresa is None or empresa.may_change:
            self._unsent.add(rfc)
        # Series that wait for their audit are listed with their company's keys: the row is opened for that.
        is_audited = not (self.report.has_audit and any(step.is_unaudited for step in recorded if not step.is_empresa))
        if len(recorded) == len(steps) and all(step.is_verified for step in recorded) and is_audited:
            self._close_row(recorded)
            return None
        progress = RowProgress.of(row, rfc)
        self._add += [new for new, step in zip(progress.steps, steps, strict=True) if step is None]
        if not any(step.state is not StepState.PLANNED for step in recorded):
            return None
        progress.empresa, *progress.series = (step or new for step, new in zip(steps, progress.steps, strict=True))
        for step in recorded:
            step.is_earlier = step.state is StepState.DONE
        self.resumed.open.count(outcome(progress))
        return progress

    def _change(self, step: Step, wanted: PlanSerie | None, changed: Sequence[str]) -> Message | None:
        """Return how a step that was sent differs from the plan, or None.

        Args:
            step: a step of the journal.
            wanted: the plan's serie; None for a company.
            changed: changed columns of the company.

        """
        if wanted is None:
            if not changed:
                return None
            return message("run.company_changed", rfc=step.rfc, columns=", ".join(changed), count=len(changed))
        if step.digest in {None, self.journal.digest(series.digest(wanted))}:
            return None
        # Only the folio can change: letra and tipo_documento are the key.
        return message("run.folio_changed", rfc=step.rfc, serie=":".join(step.serie_key))

    def _update_step(self, step: Step, number: int) -> None:
        """Prepare a step of the journal for this run, in which its row has this number."""
        before = step.state, step.number, step.due, step.reason
        if step.may_change:
            step.state, step.reason = StepState.PLANNED, ""
        if step.state is StepState.INTENT:
            step.state, step.reason = StepState.UNKNOWN, message("run.ended_before_answer")
        if step.state is StepState.UNKNOWN:
            # Counted from now: the wall clock may have been set since the earlier moment was written.
            step.due = time.time() + self.settle
        step.number = number
        if before != (step.state, step.number, step.due, step.reason):
            self._save.append(step)

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
        empresa, *others = steps
        self.resumed.closed.add(empresa.rfc)
        self.inventory.done[empresa.rfc] = empresa.uid or ""
        if empresa.is_unaudited:
            self.inventory.shows_at = max(self.inventory.shows_at, empresa.due)
        for counts in (self.report.empresas, self.report.earlier_empresas):
            counts[state(empresa)] += 1
        states = [state(serie) for serie in others]
        for counts in (self.report.series, self.report.earlier_series):
            for each in states:
                counts[each] += 1

    async def find_removed(self) -> None:
        """Find companies of the journal that were removed from the plan."""
        after, is_first = 0, True
        while after or is_first:
            rfcs, after = await self.journal.owners(after)
            is_first = False
            if removed := [rfc for rfc in rfcs if rfc not in self._seen]:
                for rfc, steps in (await self.journal.steps_of_rows(removed)).items():
                    self._drop_company(rfc, steps)
                self._seen.update(removed)

    def check(self) -> None:
        """Refuse a plan whose changes are too late.

        Raises:
            PlanError: the plan changed or removed rows that were sent, or may have been.

        """
        if self._problems:
            raise PlanError.of(self._problems)

    async def commit(self, journal: Journal) -> None:
        """Write all changes in one transaction.

        Args:
            journal: the open journal.

        Raises:
            JournalError: the journal could not be written.

        """
        await journal.adjust(
            add=self._add,
            save=self._save,
            drop=self._drop,
            forget=[(rfc, EMPRESAS, "") for rfc in self._unsent],
            baseline=_baseline(self.inventory, self._unsent),
        )


async def _load(row: PlanRow) -> NuevaEmpresa | CambiosEmpresa | None:
    """Return the data of a row, or None if they cannot be loaded."""
    try:
        return await load_data(row)
    except Exception:  # noqa: BLE001  # a finished company's data are not sent again
        return None
