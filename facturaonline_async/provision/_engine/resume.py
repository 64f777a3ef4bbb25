"""Resume a run: compare the plan with the journal, and restore earlier steps."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Container, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Final

import anyio.to_thread
from attrs import define, field, frozen

from facturaonline_async._core.batches import in_batches
from facturaonline_async._core.known_companies import normalize_rfc
from facturaonline_async._core.once.pending import PendingCreates
from facturaonline_async._core.once.states import StepState
from facturaonline_async._messages import Message, message
from facturaonline_async.empresas._models import CambiosEmpresa, NuevaEmpresa
from facturaonline_async.provision._engine import series
from facturaonline_async.provision._engine.comparison import Action, choose_action
from facturaonline_async.provision._engine.inventory import Inventory
from facturaonline_async.provision._engine.row_progress import RowProgress, outcome, state
from facturaonline_async.provision._journal.digests import changed_since, gives_data, is_of_equal_data
from facturaonline_async.provision._journal.protocol import Journal, ReadableJournal
from facturaonline_async.provision._plan.file_rows import FileRow, load_data
from facturaonline_async.provision._plan.models import (
    Existing,
    PlanError,
    PlanProblem,
    PlanRow,
    PlanSerie,
    required_uid,
)
from facturaonline_async.provision._report import RunReport
from facturaonline_async.provision._steps import EMPRESAS, SERIES, Origin, Step, split_key

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
    existing: Existing,
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
        existing: what the run does with companies that exist.

    Returns:
        The state of earlier runs; None if the journal is new.

    Raises:
        PlanError: a row that was sent, or may have been sent, has changed or was removed from the plan.
        JournalError: the journal could not be written.

    """
    if not await journal.is_empty():
        difference = PlanDiff(journal, inventory, report, settle, existing)
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
    if _is_begun(progress.steps):
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


def _is_begun(steps: Iterable[Step]) -> bool:
    """Return whether earlier runs sent, tried or adopted one of these steps."""
    return any(step.state is not StepState.PLANNED or step.uid is not None for step in steps)


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
        existing: what the run does with companies that exist, unless their rows say it.
        resumed: state that earlier runs left.

    """

    journal: ReadableJournal
    inventory: Inventory
    report: RunReport
    settle: float
    existing: Existing
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
        data = await self._compare_data(plan, journal)
        same = _Data()
        found = [self._compare_row(row, rfc, journal.get(rfc, ()), data.get(rfc, same)) for rfc, row in plan.items()]
        return [progress for progress in found if progress is not None]

    async def _compare_data(
        self, plan: Mapping[str, PlanRow], journal: Mapping[str, Sequence[Step]]
    ) -> dict[str, _Data]:
        """Compare the plan's data of companies with what earlier runs sent or found.

        The result is by RFC.
        """
        known: list[tuple[Step, FileRow | NuevaEmpresa | CambiosEmpresa | None, bool]] = []
        for step in chain.from_iterable(journal.values()):
            if step.is_empresa and not step.may_change:
                row = plan[step.rfc]
                is_outdated = self._is_outdated(step, row)
                if is_outdated or step.digest is not None:
                    known.append((step, row if isinstance(row, FileRow) else await _load(row), is_outdated))

        def compare() -> dict[str, _Data]:
            """Compare them all; this runs in a thread."""
            return {
                step.rfc: self._compare_company(step, found, is_outdated=is_outdated)
                for step, found, is_outdated in known
            }

        return await anyio.to_thread.run_sync(compare) if known else {}

    def _is_outdated(self, step: Step, row: PlanRow) -> bool:
        """Return whether this run is to update a company that an earlier run only adopted.

        Args:
            step: a company's step that may not change.
            row: its row.

        """
        was_adopted = step.state is StepState.DONE and step.origin is Origin.ADOPTED and not step.sends
        if not was_adopted or step.uid is None or (step.digest is not None and is_of_equal_data(step.digest)):
            return False
        return choose_action(row, (step.uid,), self.existing) is Action.UPDATE

    def _compare_company(
        self, step: Step, found: FileRow | NuevaEmpresa | CambiosEmpresa | None, *, is_outdated: bool
    ) -> _Data:
        """Compare the data of one company. Blocking.

        Data that can no longer be read count as unchanged, because those of a finished company are not sent again. If
        they are to be sent, the row fails.

        Args:
            step: its step.
            found: its data, or the row whose files hold them; None if they cannot be loaded.
            is_outdated: see `_is_outdated`.

        """
        try:
            data = found.read() if isinstance(found, FileRow) else found
        except Exception:  # noqa: BLE001  # see above
            data = None
        if data is None:
            return _Data((), is_outdated)
        changed = changed_since(self.journal, step.digest, data) if step.digest is not None else ()
        return _Data(changed, is_outdated and gives_data(data))

    def _compare_row(self, row: PlanRow, rfc: str, journal: Iterable[Step], data: _Data) -> RowProgress | None:
        """Compare one row with its steps in the journal.

        Return its progress if earlier runs began it and did not finish it.

        Args:
            row: the plan's row.
            rfc: its RFC, normalised.
            journal: its steps in the journal.
            data: how its company's data differ.

        """
        known = {(step.kind, step.natural_key): step for step in journal}
        empresa = known.pop((EMPRESAS, ()), None)
        steps = [empresa, *(known.pop((SERIES, serie.key), None) for serie in row.series)]
        recorded = [step for step in steps if step is not None]
        for step, wanted in zip(steps, (None, *row.series), strict=True):
            if step is not None:
                if not step.may_change and (change := self._change(step, wanted, data.changed)):
                    self._add_problem(row.number, step, change)
                self._update_step(step, row.number, is_outdated=step is empresa and data.is_outdated)
        for step in known.values():
            self._drop_step(step, row.number)
        self._has_unsent |= any(step.may_change for step in recorded)
        if empresa is not None and empresa.uid is not None:
            self._compare_uid(row, empresa)
        if empresa is None or empresa.may_change:
            self._unsent.add(rfc)
        # Series that wait for their audit are listed with their company's keys: the row is opened for that.
        is_audited = not (self.report.has_audit and any(step.is_unaudited for step in recorded if not step.is_empresa))
        if len(recorded) == len(steps) and all(step.is_verified for step in recorded) and is_audited:
            self._close_row(recorded)
            return None
        progress = RowProgress.of(row, rfc)
        self._add += [new for new, step in zip(progress.steps, steps, strict=True) if step is None]
        if not _is_begun(recorded):
            return None
        progress.empresa, *progress.series = (step or new for step, new in zip(steps, progress.steps, strict=True))
        for step in recorded:
            step.is_earlier = step.state is StepState.DONE
        self.resumed.open.count(outcome(progress))
        return progress

    def _compare_uid(self, row: PlanRow, empresa: Step) -> None:
        """Refuse a row whose uid is not that of its company in the journal.

        A step in conflict has no company yet.
        """
        required = required_uid(row)
        if required and empresa.uid != required and empresa.state is not StepState.CONFLICT:
            reason = message("run.uid_changed", rfc=empresa.rfc, uid=required, other=empresa.uid or "")
            self._problems.append(PlanProblem(row=row.number, column="uid", reason=reason))

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
            columns = ", ".join(changed)
            if step.origin is Origin.ADOPTED and not step.sends:
                return message("run.adopted_changed", rfc=step.rfc, columns=columns, count=len(changed))
            return message("run.company_changed", rfc=step.rfc, columns=columns, count=len(changed))
        if step.digest in {None, self.journal.digest(series.digest(wanted))}:
            return None
        # Only the folio can change: letra and tipo_documento are the key.
        return message("run.folio_changed", rfc=step.rfc, serie=":".join(step.serie_key))

    def _update_step(self, step: Step, number: int, *, is_outdated: bool) -> None:
        """Prepare a step of the journal for this run.

        Args:
            step: the step.
            number: number of its row in this run.
            is_outdated: see `_is_outdated`. The step keeps its uid: its series are those of this company.

        """
        before = step.state, step.number, step.due, step.reason
        if step.state is StepState.CONFLICT and not step.sends:
            step.uid = None  # a person decided which company stays
        if step.may_change or is_outdated:
            step.state, step.origin, step.reason = StepState.PLANNED, None, ""
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


@frozen
class _Data:
    """How the plan's data of a company differ from what earlier runs sent or found.

    Attributes:
        changed: columns that have changed since.
        is_outdated: whether this run is to update the company, and no earlier run compared it with the data.

    """

    changed: Sequence[str] = ()
    is_outdated: bool = False


async def _load(row: PlanRow) -> NuevaEmpresa | CambiosEmpresa | None:
    """Return the data of a row, or None if they cannot be loaded."""
    try:
        return await load_data(row)
    except Exception:  # noqa: BLE001  # a finished company's data are not sent again
        return None
