"""What a journal says of a plan: what is done, what may have been sent, and whether the plan is still the same."""

from __future__ import annotations

import time
from collections.abc import Container, Iterable, Iterator

from attrs import define, field

from facturaonline_async.client import engine_of
from facturaonline_async.empresas._models import normalize_rfc
from facturaonline_async.provision._engine import series
from facturaonline_async.provision._engine.inventory import Inventory
from facturaonline_async.provision._engine.row import RowProgress, state
from facturaonline_async.provision._journal.digests import changed_columns, empresa_digest
from facturaonline_async.provision._journal.writer import Journal
from facturaonline_async.provision._plan.models import PlanError, PlanProblem, PlanRow
from facturaonline_async.provision._report import RunReport
from facturaonline_async.provision._steps import Step, StepState

__all__ = ["Resumed", "begin", "recall"]

_Baseline = tuple[str, str, str, str]


@define
class Resumed:
    """What earlier runs have left.

    Attributes:
        closed: RFCs of the rows with nothing left to do, which are counted in the report.
        open: rows with something left to do that earlier runs have begun, by RFC.

    """

    closed: set[str] = field(factory=set)
    open: dict[str, RowProgress] = field(factory=dict)


async def begin(
    journal: Journal, plan: Iterable[PlanRow], account: Inventory, report: RunReport, settle: float
) -> Resumed | None:
    """Bring a journal and a plan together, in one transaction, and return what earlier runs have left.

    None: the journal is new. Nothing has been sent before this returns.

    Raises:
        PlanError: what was sent, or may have been, has changed or is not in the plan any more.
        JournalError: it cannot be written.

    """
    comparison = _PlanDiff(journal, account, report, settle)
    if not await journal.is_empty():
        for row in plan:
            await comparison.look_at(row)
        await comparison.look_for_vanished()
        await comparison.commit()
        await journal.checkpoint()
        return comparison.resumed
    await journal.adjust(
        add=(thing for row in plan for thing in RowProgress.of(row, normalize_rfc(row.rfc)).things),
        baseline=_baseline(account, account.existing),
    )
    await journal.checkpoint()
    return None


async def recall(journal: Journal, work: RowProgress) -> None:
    """Tell a row how far its things came in earlier runs."""
    known = {thing.name: thing for thing in await journal.of_row(work.empresa.rfc)}
    work.empresa = known[work.empresa.name]
    work.series = [known[thing.name] for thing in work.series]
    work.is_recalled = True
    for thing in work.things:
        thing.earlier, thing.is_earlier = thing.sends, thing.phase is StepState.DONE
    if any(not thing.may_change for thing in work.series):
        work.before = {}
        for _, letra, tipo_documento, uid in await journal.baseline(work.empresa.rfc):
            work.before.setdefault((letra, tipo_documento), []).append(uid)


def _baseline(account: Inventory, rfcs: Container[str]) -> Iterator[_Baseline]:
    for rfc, uids in account.existing.items():
        if rfc in rfcs:
            yield from ((rfc, "", "", uid) for uid in uids)


@define
class _PlanDiff:
    """What must be changed in the journal, and what must not be changed in the plan."""

    journal: Journal
    account: Inventory
    report: RunReport
    settle: float
    resumed: Resumed = field(factory=Resumed, init=False)
    _seen: set[str] = field(factory=set, init=False)
    _add: list[Step] = field(factory=list, init=False)
    _save: list[Step] = field(factory=list, init=False)
    _drop: list[Step] = field(factory=list, init=False)
    _fresh: set[str] = field(factory=set, init=False)  # RFCs whose company nobody has sent
    _problems: list[PlanProblem] = field(factory=list, init=False)

    async def look_at(self, row: PlanRow) -> None:
        """Compare one row with what the journal knows of it."""
        rfc = normalize_rfc(row.rfc)
        self._seen.add(rfc)
        known = {thing.name: thing for thing in await self.journal.of_row(rfc)}
        work = RowProgress.of(row, rfc)
        things = [known.pop(thing.name, None) for thing in work.things]
        self._add += [fresh for fresh, thing in zip(work.things, things, strict=True) if thing is None]
        there = [thing for thing in things if thing is not None]
        for thing in there:
            await self._bring_up_to_date(row, thing)
        for thing in known.values():
            self._leave_out(thing, row.number)
        if things[0] is None or things[0].may_change:
            self._fresh.add(rfc)
        # Series that still wait for their last look are listed with their company's keys: the row is opened for that.
        is_audited = not (self.report.has_audit and any(thing.is_unaudited for thing in there if not thing.is_empresa))
        if len(there) == len(things) and all(thing.is_seen for thing in there) and is_audited:
            self._close(there)
        elif any(thing.phase is not StepState.PLANNED for thing in there):
            work.empresa, *work.series = (thing or new for thing, new in zip(things, work.things, strict=True))
            for thing in there:
                thing.is_earlier = thing.phase is StepState.DONE
            self.resumed.open[rfc] = work

    async def _bring_up_to_date(self, row: PlanRow, thing: Step) -> None:
        before = thing.phase, thing.number, thing.due, thing.reason
        if thing.may_change:
            thing.phase, thing.reason = StepState.PLANNED, ""
        elif thing.digest is not None and (digest := await self._digest(row, thing)) not in {thing.digest, None}:
            columns = changed_columns(thing.digest, digest or b"") if thing.is_empresa else []
            # Of a serie only the folio can change: letra and tipo_documento are its key.
            serie = "" if thing.is_empresa else f"serie {':'.join(thing.key)}: "
            what = " and ".join(columns) if columns else "data" if thing.is_empresa else "folio"
            verb = "have" if len(columns) > 1 else "has"
            remedy = "restore the old value, or use a new journal"
            self._problem(row.number, thing, f"{serie}its {what} {verb} changed since it was sent: {remedy}")
        if thing.phase is StepState.INTENT:
            thing.phase, thing.reason = StepState.UNKNOWN, "the run ended before there was an answer"
        if thing.phase is StepState.UNKNOWN:
            # From now on: the clock by which the earlier moment was told may have been set since.
            thing.due = time.time() + self.settle
        if thing.is_empresa and thing.phase in {StepState.UNKNOWN, StepState.UNRESOLVED}:
            key, is_sure = self.account.key(thing.rfc), thing.phase is StepState.UNRESOLVED
            engine_of(self.account.client).pending.restore(key, self.settle, is_sure=is_sure)
        thing.number = row.number
        if before != (thing.phase, thing.number, thing.due, thing.reason):
            self._save.append(thing)

    async def _digest(self, row: PlanRow, thing: Step) -> bytes | None:
        """Return by what the plan's own thing is known, or None where that cannot be had any more."""
        if not thing.is_empresa:
            (wanted,) = (serie for serie in row.series if serie.key == thing.key)
            return self.journal.digest(series.digest(wanted))
        try:
            return empresa_digest(self.journal, await row.load())
        except Exception:  # noqa: BLE001  # whatever is wrong with it, nothing is sent of what is done
            return None

    def _leave_out(self, thing: Step, number: int) -> None:
        """Forget what the plan does not name any more, if it was never there."""
        if thing.may_change:
            self._drop.append(thing)
        else:
            what = f"its serie {':'.join(thing.key)}" if not thing.is_empresa else f"the company {thing.rfc}"
            self._problem(number, thing, f"{what} is not in the plan any more, and may exist: put it back")

    def _leave_company_out(self, rfc: str, things: list[Step]) -> None:
        """Forget a company that the plan does not name any more, or say in one line what of it may exist."""
        self._drop += [thing for thing in things if thing.may_change]
        left = [thing for thing in things if not thing.may_change]
        if not left:
            return
        series = sum(not thing.is_empresa for thing in left)
        also = f" and its {series} series" if series else ""
        reason = f"{rfc}: the company{also} {'were' if series else 'was'} removed from the plan, but may exist"
        self._problems.append(PlanProblem(row=0, column="rfc", reason=f"{reason}: put the row back"))

    def _problem(self, number: int, thing: Step, reason: str) -> None:
        column = "" if thing.is_empresa else "series"
        self._problems.append(PlanProblem(row=number, column=column, reason=f"{thing.rfc}: {reason}"))

    def _close(self, things: list[Step]) -> None:
        empresa, *series = things
        self.resumed.closed.add(empresa.rfc)
        self.account.done[empresa.rfc] = empresa.uid or ""
        if empresa.is_unaudited:
            self.account.shows_at = max(self.account.shows_at, empresa.due)
        self.report.empresas[state(empresa)] += 1
        self.report.earlier_empresas[state(empresa)] += 1
        for found in (self.report.series, self.report.earlier_series):
            found.update(map(state, series))

    async def look_for_vanished(self) -> None:
        """Find companies of the journal that the plan does not name any more."""
        after, is_first = 0, True
        vanished: dict[str, list[Step]] = {}
        while after or is_first:
            things, after = await self.journal.all_things(after)
            is_first = False
            for thing in things:
                if thing.rfc not in self._seen:
                    vanished.setdefault(thing.rfc, []).append(thing)
        for rfc, things in vanished.items():
            self._leave_company_out(rfc, things)

    async def commit(self) -> None:
        """Refuse a plan that is another one, or write all changes down."""
        if self._problems:
            raise PlanError.of(self._problems)
        await self.journal.adjust(
            add=self._add,
            save=self._save,
            drop=self._drop,
            forget=[(rfc, "", "") for rfc in self._fresh],
            baseline=_baseline(self.account, self._fresh),
        )
