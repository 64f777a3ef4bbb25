"""The run: what the plan asks for and is not there is created, many companies at a time, and each exactly once."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from attrs import define, field

from facturaonline_async import bulk
from facturaonline_async.client import FacturaOnline, engine_of
from facturaonline_async.empresas._models import normalize_rfc
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.provision._engine import resume
from facturaonline_async.provision._engine.audit import Audit
from facturaonline_async.provision._engine.create import Sender, stopped
from facturaonline_async.provision._engine.empresas import EmpresaSteps
from facturaonline_async.provision._engine.inventory import Inventory
from facturaonline_async.provision._engine.recorder import Recorder, StepEvent
from facturaonline_async.provision._engine.resume import Resumed
from facturaonline_async.provision._engine.row import RowProgress, outcome
from facturaonline_async.provision._engine.series import SerieSteps
from facturaonline_async.provision._engine.settle_wait import SettleWait
from facturaonline_async.provision._engine.waiting import WaitingRows
from facturaonline_async.provision._journal.writer import Journal, JournalError
from facturaonline_async.provision._plan.models import Existing
from facturaonline_async.provision._plan.plan import Plan
from facturaonline_async.provision._report import RowOutcome, RunReport
from facturaonline_async.provision._steps import NOT_TRIED, StepState
from facturaonline_async.sello._check_in_thread import check_in_thread

__all__ = ["Run", "provision"]

_TICK = 10
"""Seconds that `RunReport.pace` counts together."""


@asynccontextmanager
async def provision(
    client: FacturaOnline,
    plan: Plan,
    *,
    journal: str | os.PathLike[str] | None = None,
    concurrency: int = 32,
    settle: float | None = None,
    existing: Existing = "adopt",
    audit: bool = True,
    on_event: Callable[[StepEvent], None] | None = None,
) -> AsyncIterator[Run]:
    """Make real what a plan asks for: each company and each serie exactly once. Give the rows' outcomes as they settle.

    ::

        async with provision(client, plan, journal="run.sqlite") as run:
            async for outcome in run:
                print(outcome.rfc, outcome.state)
        print(run.report.is_complete)

    Before a company is created, its data and certificates are checked (`Config.check_sello`), in a thread, one at a
    time. Its series are created with its own keys, as soon as it is readable. What exists is adopted; where one of the
    plan's exists several times, that is a conflict, for a person to decide. A create whose outcome nobody knows is
    looked for when `settle` is over, and repeated only if it has not shown up; other rows go on meanwhile. A row's
    failure is its outcome, and stops no other row; if the API refuses the main keys, no further company is tried.

    When `settle` is over after a company's last create, its series are listed once more, and at the very end all
    companies: a server or a balancer may do a POST twice that it answers once. So a run that creates something ends
    `settle` seconds after its last create; the rows' outcomes do not wait for that. See `RunReport.audit`.

    With a journal the run can be taken up again, also after a crash: give the same plan and the same journal. What is
    done is not touched again; rows that failed or were not tried may have been corrected, and new ones added. Leaving
    the block early, or being cancelled, writes down what was in flight as unknown. Where a journal does not prove what
    was sent (it is a copy, or its -wal is missing), the run waits until `settle` is over before it begins a row, and
    `Run.caution` says so. Without a journal, whoever starts again must wait until `settle` is over: what the
    API's lists do not show yet would be created again.

    Args:
        client: with the account's main keys.
        plan: what should exist.
        journal: a file (SQLite) where everything is written down before it is sent; made if it is not there, for its
            owner's eyes alone. It holds no payload and no secret.
        concurrency: rows worked on at once, at most.
        settle: seconds after which a create must have shown up in the API's lists, if it was done; default:
            ``Config.settle``.
        existing: what to do with a company that exists: leave it as it is ("adopt"), change it to what the plan says
            ("update"), or "fail". A row of the plan may say it for itself.
        audit: look once more at what was created, as said above. It costs one call for each company whose series
            were created (two, where an earlier run was ended before its last looks), and the pages of one list of
            companies. False skips it, and the wait: then duplicates of the server's making go unseen.
        on_event: called with every step of a company or serie, in the event loop. What it raises is logged.

    Raises:
        InvalidInputError: an argument cannot be what it was.
        JournalInUseError: another process, or another run, works with the journal.
        InvalidJournalError: it belongs to another account or host, is no journal, or is damaged.
        JournalError: it cannot be opened, or not be written. When it is raised on the way, nothing more was sent; the
            run can be taken up again.
        PlanError: the plan has changed where something was sent, or may have been.
        FacturaOnlineError: the companies that exist already could not be listed. Nothing was created.

    """
    if existing not in {"adopt", "update", "fail"}:
        raise InvalidInputError(
            f'existing must be "adopt", "update" or "fail", and was {existing!r:.40}.', field="existing"
        )
    if settle is not None and not (isinstance(settle, (int, float)) and 0 <= settle < math.inf):
        raise InvalidInputError(
            f"settle must be a number of seconds from 0 up, and was {settle!r:.40}.", field="settle"
        )
    engine = engine_of(client)
    settle = engine.config.settle if settle is None else settle
    clock = asyncio.get_running_loop().time
    began = clock()
    report = RunReport(planned_empresas=len(plan), planned_series=plan.series_count, has_audit=audit)
    async with AsyncExitStack() as stack:
        opened = None
        if journal is not None:
            opened = await stack.enter_async_context(
                await Journal.open(journal, account=client.credentials.fingerprint, host=engine.config.base_url or "")
            )
        sender = Sender(engine, Recorder(opened, on_event), settle)
        stack.enter_context(engine.pending.subscribe(sender.others))
        inventory = Inventory(client)
        settle_wait = SettleWait(opened, inventory, settle, sender.stopping) if opened is not None else None
        await inventory.read({normalize_rfc(row.rfc) for row in plan})
        resumed = await resume.begin(opened, plan, inventory, report, settle) if opened is not None else None
        check_sello = check_in_thread if engine.config.check_sello else None
        run = Run(report, plan, resumed, EmpresaSteps(inventory, sender, check_sello, existing), settle, settle_wait)
        try:
            async with run.working(concurrency):
                yield run
        finally:
            report.seconds = clock() - began
            run.count_rest()


@define(eq=False)
class Run:
    """A run under way: iterate over it for the outcomes, and look at `report` when it is done."""

    report: RunReport
    _plan: Plan = field(alias="plan")
    _resumed: Resumed | None = field(alias="resumed")
    _companies: EmpresaSteps = field(alias="companies")
    _settle: float = field(alias="settle")
    _settle_wait: SettleWait | None = field(alias="settle_wait")
    _series: SerieSteps = field(init=False)
    _waiting: WaitingRows = field(init=False)
    _open: int = field(default=0, init=False)
    _audit: Audit | None = field(init=False)
    _audit_task: asyncio.Task[None] | None = field(default=None, init=False)
    _started: set[str] = field(factory=set, init=False)
    _not_counted: set[RowProgress] = field(factory=set, init=False)
    _problem: Exception | None = field(default=None, init=False)
    _outcomes: AsyncIterator[bulk.Outcome[RowProgress, RowOutcome | None]] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._series = SerieSteps(self._sender)
        self._waiting = WaitingRows(self._companies, self._settle)
        self._audit = Audit(self._companies.inventory, self._sender) if self.report.has_audit else None

    @property
    def audit_wait(self) -> float:
        """Seconds until the last look at what was created so far; 0: there is none."""
        return self._audit.wait if self._audit is not None else 0.0

    @property
    def _sender(self) -> Sender:
        return self._companies.sender

    @property
    def caution(self) -> str:
        """Why nothing is created for the settle time, or ``""``: the journal does not prove what was sent before."""
        return self._settle_wait.caution if self._settle_wait is not None else ""

    def stop(self) -> None:
        """Send nothing more, and begin no further row. What is in flight is waited for, and then the outcomes end."""
        self._sender.stopping.set()
        self._waiting.release()

    async def __aiter__(self) -> AsyncIterator[RowOutcome]:
        clock = asyncio.get_running_loop().time
        began = clock()
        async for each in self._outcomes:
            if (row := each.result()) is not None:
                self._not_counted.discard(each.item)
                self.report.add(row)
                done = [row.state, *(serie.state for serie in row.series)]
                self.report.pace[int(clock() - began) // _TICK] += sum(state.is_there for state in done)
                yield row
        if self._audit is not None and self._audit_task is not None and not self._sender.stopping.is_set():
            self.report.audit = await self._audit.finish(self._audit_task)

    # ── Rows, and those that go on ────────────────────────────────────────────────────────────────────────────────────

    @asynccontextmanager
    async def working(self, concurrency: int) -> AsyncIterator[None]:
        """Work on the rows inside the ``async with``."""
        tasks = [asyncio.create_task(self._watch_waiting())]
        if self._audit is not None:
            self._audit_task = asyncio.create_task(self._audit.run())
            tasks.append(self._audit_task)
        try:
            async with bulk.stream(
                self._rows(), self._process, concurrency=concurrency, stop_on=(JournalError,)
            ) as outcomes:
                self._outcomes = outcomes
                yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _watch_waiting(self) -> None:
        try:
            await self._waiting.watch()
        except Exception as error:  # noqa: BLE001  # the rows that wait would wait for ever
            self._problem = error
            self._waiting.has_news.set()

    async def _rows(self) -> AsyncGenerator[RowProgress, None]:
        """Give the plan's rows, but first those that can go on; at the end wait for these."""
        for row in self._plan:
            rfc = normalize_rfc(row.rfc)
            if self._resumed is not None and rfc in self._resumed.closed:
                continue
            if self.caution and self._settle_wait is not None:
                await self._settle_wait.wait({normalize_rfc(each.rfc) for each in self._plan})
            for progress in self._ready_rows():
                yield progress
            if self._sender.stopping.is_set():
                break
            self._open += 1
            self._started.add(rfc)
            self._not_counted.add(progress := RowProgress.of(row, rfc))
            yield progress
        while self._open:
            for progress in self._ready_rows():
                yield progress
            if self._open:
                await self._waiting.has_news.wait()
                self._waiting.has_news.clear()

    def _ready_rows(self) -> list[RowProgress]:
        if self._problem is not None:
            raise self._problem
        rows = list(self._waiting.ready)
        self._waiting.ready.clear()
        return rows

    async def _process(self, progress: RowProgress) -> RowOutcome | None:
        """Bring a row as far as it goes now. Return its outcome, or None if it waits for something to show up."""
        if not self._sender.stopping.is_set():
            await self._advance(progress)
        if self._sender.stopping.is_set():
            _explain_unsent(progress)
        elif self._waiting.put(progress):
            return None
        await self._mark_failed(progress)
        self._open -= 1
        self._waiting.has_news.set()
        if self._audit is not None:
            self._audit.add(progress)
        else:
            await self._skip_audit(progress)
        return outcome(progress)

    async def _skip_audit(self, progress: RowProgress) -> None:
        """Write down that nothing of the row waits for a last look."""
        for step in progress.steps:
            if step.is_unaudited:
                step.due = 0.0
                await self._sender.recorder.write(step)

    async def _advance(self, progress: RowProgress) -> None:
        journal = self._sender.recorder.journal
        if progress.is_new and self._resumed is not None and journal is not None:
            await resume.restore(journal, progress)
        progress.is_unread = False
        await self._companies.advance(progress)
        if progress.empresa.phase is StepState.DONE:
            is_due = 0 < progress.due <= asyncio.get_running_loop().time()
            await self._series.advance(progress, is_due=is_due)
            if is_due and not progress.failed_lists:
                progress.due = 0.0
        progress.is_new = False

    async def _mark_failed(self, progress: RowProgress) -> None:
        """Write down as failed what was tried, and could not be sent: this run does not try it again."""
        for step in progress.steps:
            if step.phase is StepState.PLANNED and step.reason and not step.reason.startswith(NOT_TRIED):
                step.phase = StepState.FAILED
                await self._sender.recorder.save(step)

    def count_rest(self) -> None:
        """Count what a run that was stopped or left has not: rows under way, and rows that were never begun."""
        for progress in sorted(self._not_counted, key=lambda progress: progress.row.number):
            if self._resumed is not None and not progress.is_restored:
                self._started.discard(progress.empresa.rfc)
            else:
                _explain_unsent(progress)
                self.report.add(outcome(progress))
        for rfc, progress in self._resumed.open.items() if self._resumed is not None else ():
            if rfc not in self._started:
                self.report.count(outcome(progress))
        self.report.add_not_begun()


def _explain_unsent(progress: RowProgress) -> None:
    """Give the reason to what a run that was stopped leaves unsent."""
    for step in [progress.empresa] if progress.empresa.phase is not StepState.DONE else progress.series:
        if step.phase is StepState.PLANNED and not step.reason:
            step.reason = stopped(step)
