"""Run a plan: create what does not exist yet, exactly once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Container, Generator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Literal

from attrs import define, field, frozen

from facturaonline_async import bulk
from facturaonline_async._core.batches import in_batches
from facturaonline_async._core.engine import Engine
from facturaonline_async._core.known_companies import normalize_rfc
from facturaonline_async._core.once.states import StepState
from facturaonline_async._core.shared import check_settle, grace_of
from facturaonline_async._messages import code_of, message
from facturaonline_async._validators import check_seconds
from facturaonline_async.client import FacturaOnline, engine_of
from facturaonline_async.errors import InvalidInputError, SharedUnavailableError
from facturaonline_async.provision._engine import resume
from facturaonline_async.provision._engine.audit import Audit
from facturaonline_async.provision._engine.background import in_background
from facturaonline_async.provision._engine.creator import Creator
from facturaonline_async.provision._engine.empresas import EmpresaSteps
from facturaonline_async.provision._engine.inventory import CompanyList, Inventory
from facturaonline_async.provision._engine.recorder import Recorder, StepEvent
from facturaonline_async.provision._engine.resume import Resumed
from facturaonline_async.provision._engine.row_progress import RowProgress, outcome
from facturaonline_async.provision._engine.series import SerieSteps
from facturaonline_async.provision._engine.settle_wait import SettleWait
from facturaonline_async.provision._engine.step_store import stopped
from facturaonline_async.provision._engine.waiting_rows import WaitingRows
from facturaonline_async.provision._engine.worker import Worker
from facturaonline_async.provision._journal.errors import JournalError
from facturaonline_async.provision._journal.protocol import JournalStore
from facturaonline_async.provision._journal.writer import SqliteJournalStore
from facturaonline_async.provision._plan.models import EXISTING, Existing
from facturaonline_async.provision._plan.plan import Plan
from facturaonline_async.provision._progress import Progress
from facturaonline_async.provision._report import RowOutcome, RunReport
from facturaonline_async.provision._steps import NOT_TRIED
from facturaonline_async.sello._check_in_thread import import_check

__all__ = ["Run", "journal_store", "provision", "running", "survey"]

_LOOKAHEAD = 4
"""Maximum number of rows that are prepared or wait for the start of their first call.

A further row begins when there are fewer. So the limiter always has a call to start, and rows in progress are
finished before many others begin.
"""

_CLOSED_AT_ONCE = 500
"""Finished rows that are skipped between two checkpoints of the event loop: about half a millisecond."""

_TICK = 10
"""Interval of `RunReport.throughput`, in seconds."""


@asynccontextmanager
async def provision(
    client: FacturaOnline,
    plan: Plan,
    *,
    journal: str | os.PathLike[str] | JournalStore | None = None,
    concurrency: int = 128,
    settle: float | None = None,
    existing: Existing = "adopt",
    audit: bool = True,
    on_event: Callable[[StepEvent], None] | None = None,
) -> AsyncIterator[Run]:
    """Create the companies and series of a plan, each exactly once.

    Iterate over the `Run` that the block gives to receive the outcome of each row as soon as it is final.

    ::

        async with provision(client, plan, journal="run.sqlite") as run:
            async for outcome in run:
                print(outcome.rfc, outcome.state)
        print(run.report.is_complete)

    **A row.** Before a company is created, its data and certificates are checked in a thread, one company at a time
    (`Config.check_sello`). Its series are created with its own keys, as soon as the company is readable. A company or
    serie that exists is adopted; if it exists several times, the outcome is a conflict for a person to decide. A failed
    row does not stop the others. If the API refuses the main keys, no further company is tried.

    **An unknown outcome.** If the answer to a create is lost, the run lists what exists after `settle` seconds, and
    repeats the create only if lists do not show it. Other rows continue meanwhile.

    **Several processes.** If the session has a service that several processes share (`SessionManager`), every create is
    recorded there, too, so that no other process makes the same company or serie. While that service does not answer,
    no row fails: the rows in progress ask again after pauses of up to 30 s, and no further row begins, until it answers
    or the run is stopped.

    **The audit.** A server or a load balancer may execute a POST twice and answer it once. So each company's series are
    listed again `settle` seconds after its last create, and all companies at the end. A run that creates something
    therefore ends `settle` seconds after its last create; the outcomes of the rows do not wait for it. See
    `RunReport.audit`.

    **Resuming.** With a journal, a run can be resumed, also after a crash: give the same plan and the same journal.
    Finished steps are not repeated; ``existing="update"`` updates companies that earlier runs only adopted. Rows that
    failed or were not tried may be corrected, and new rows may be added. If the block is left early or cancelled,
    requests in flight are recorded as unknown. If the journal cannot prove what was sent (it is a copy, or its -wal is
    missing), the run waits `settle` seconds before the first row; `Run.caution` says so. Without a journal, wait
    `settle` seconds before you start again: creates that the API's lists do not show yet would be repeated.

    Args:
        client: client with the account's main keys.
        plan: the companies and series that should exist.
        journal: where each create is recorded before it is sent: the path of an SQLite file, or a `JournalStore`.
            The file is created if it does not exist, readable by its owner only. A journal holds no payload and no
            secret. None: no journal.
        concurrency: maximum number of rows in progress at a time. Fewer are in progress while fewer keep the rate
            limiter busy: a row begins when less than four others wait for the start of their first call. So the rows
            in progress follow rate times latency: at 10 creates a second and 6 s for a row, about 60. Default: 128.
        settle: seconds after which the API's lists certainly show a create that took effect; None: ``Config.settle``.
        existing: what to do with a company that exists: "adopt" does not change it, "update" changes it to the plan's
            data, "fail" makes the row fail. A row of the plan may override it.
        audit: whether to run the final audit. It costs one call for each company whose series were created (two, if
            an earlier run ended before its audit), and the pages of one list of companies. False also skips the wait;
            duplicates that the server made remain unnoticed then.
        on_event: called in the event loop for each change of a step. Exceptions that it raises are logged.

    Yields:
        The run, to iterate over.

    Raises:
        InvalidInputError: an argument is invalid.
        JournalInUseError: another process, or another run, uses the journal.
        FencedError: another process has taken over the journal, which several machines can reach, because this
            process was silent for too long. Nothing more was sent.
        InvalidJournalError: the journal belongs to another account or host, is not a journal, or is damaged.
        JournalError: the journal cannot be opened or written. If it is raised during the run, nothing more was sent,
            and the run can be resumed.
        PlanError: the plan changed a row that was sent or adopted, or may have been sent, or its uid contradicts the
            journal.
        FacturaOnlineError: the existing companies could not be listed, or the service that processes share does not
            answer. Nothing was created.

    """
    store = None if journal is None else journal_store(journal)
    async with running(
        client,
        plan,
        store=store,
        concurrency=concurrency,
        settle=settle,
        existing=existing,
        audit="run" if audit else "none",
        on_event=on_event,
    ) as run:
        yield run


@asynccontextmanager
async def running(
    client: FacturaOnline,
    plan: Plan,
    *,
    store: JournalStore | None,
    concurrency: int,
    settle: float | None,
    existing: Existing,
    audit: Literal["run", "later", "none"],
    on_event: Callable[[StepEvent], None] | None,
    companies: CompanyList | None = None,
    on_listed: Callable[[Mapping[str, tuple[str, ...]]], None] | None = None,
) -> AsyncIterator[Run]:
    """Run a plan; see `provision`.

    Args:
        client: see `provision`.
        plan: see `provision`.
        store: opens the journal; None: no journal.
        concurrency: see `provision`.
        settle: see `provision`.
        existing: see `provision`.
        audit: "run": at the end of this run; "later": by another process, so that the journal keeps what waits for it.
        on_event: see `provision`.
        companies: list that this run uses in place of its own; None: it reads one.
        on_listed: called with the uids of the plan's companies that exist, by RFC, before anything is written or sent.
            An error that it raises ends the run.

    Yields:
        The run.

    Raises:
        FacturaOnlineError: see `provision`.

    """
    engine = engine_of(client)
    settle = _check(engine, existing, settle)
    engine.start()
    clock = asyncio.get_running_loop().time
    began = clock()
    rfcs, planned_series = await survey(plan)
    report = RunReport(planned_empresas=len(plan), planned_series=planned_series, has_audit=audit == "run")
    async with AsyncExitStack() as stack:
        recorder, pending, stopping = Recorder(None, on_event, audit != "none"), engine.pending, asyncio.Event()
        inventory = Inventory(client.empresas, client.credentials.fingerprint)
        listed = None if companies is None else companies.subscription
        creator = Creator(engine.locks, pending, recorder, settle, stopping, engine.shared_creates, listed)
        await stack.enter_async_context(creator.subscribed())
        # The first list, the import of the checks and the opening of the journal take their time side by side. The list
        # may be older than the journal's opening: it decides nothing about a step that the journal records as sent.
        listing = await stack.enter_async_context(in_background(_list(inventory, rfcs, companies)))
        if engine.config.check_sello:
            await stack.enter_async_context(in_background(import_check()))
        if on_listed is not None:
            await listing
            on_listed(inventory.existing)
        opened = None
        if store is not None:
            opened = await store.open(account=client.credentials.fingerprint, host=engine.config.base_url or "")
            stack.push_async_callback(opened.aclose)
            if opened.lease is not None and opened.lease < (grace := grace_of(engine.config)):
                raise InvalidInputError(
                    message("journal.lease_below_grace", lease=opened.lease, grace=grace), field="journal"
                )
            recorder.journal = opened
            await resume.restore_open_companies(opened, inventory, pending, settle)
        settle_wait = SettleWait(opened, inventory, settle, stopping) if opened is not None else None
        try:
            await listing
        finally:
            del listing  # breaks the cycle between the error and this frame
        resumed = None
        if opened is not None:
            resumed = await resume.begin(opened, plan, inventory, report=report, settle=settle, existing=existing)
        worker = await stack.enter_async_context(Worker())
        empresas = EmpresaSteps(
            client, inventory, creator, recorder, settle, worker, engine.config.check_sello, existing
        )
        run = Run(
            report=report,
            plan=plan,
            resumed=resumed,
            recorder=recorder,
            stopping=stopping,
            companies=empresas,
            series=SerieSteps(creator, recorder, pending, settle),
            waiting=WaitingRows(empresas, client.empresas, recorder, pending, settle),
            final_audit=Audit(inventory, recorder, settle, stopping) if audit == "run" else None,
            settle_wait=settle_wait,
        )
        try:
            async with run.working(concurrency):
                yield run
        finally:
            report.seconds = clock() - began
            run.count_rest()
            run.progress.enter("ended")


def _check(engine: Engine, existing: Existing, settle: float | None) -> float:
    """Refuse invalid arguments, and return the settle time of the run.

    Raises:
        InvalidInputError: see `provision`.

    """
    if existing not in EXISTING:
        raise InvalidInputError(message("run.invalid_existing", value=f"{existing!r:.40}"), field="existing")
    check_seconds("settle", settle)
    settle = engine.config.settle if settle is None else settle
    if engine.shared_creates is not None:
        check_settle(engine.config, settle)
    return settle


async def _list(inventory: Inventory, rfcs: Container[str], companies: CompanyList | None) -> None:
    """Let the inventory know which companies of the plan exist."""
    if companies is None:
        await inventory.read(rfcs)
    else:
        inventory.existing = {rfc: uids for rfc, uids in companies.existing.items() if rfc in rfcs}


async def survey(plan: Plan) -> tuple[set[str], int]:
    """Return the RFCs of the plan, and the number of its series.

    Args:
        plan: the plan.

    """
    rfcs: set[str] = set()
    for rows in in_batches(plan):
        rfcs.update(normalize_rfc(row.rfc) for row in rows)
        await asyncio.sleep(0)
    return rfcs, plan.series_count


def journal_store(journal: str | os.PathLike[str] | JournalStore) -> JournalStore:
    """Return the store of a journal.

    Args:
        journal: path of its file, or the store itself.

    Raises:
        InvalidInputError: this is neither a path nor a store.

    """
    if isinstance(journal, (str, os.PathLike)):
        return SqliteJournalStore(journal)
    if not hasattr(journal, "open"):
        raise InvalidInputError(message("journal.not_a_path", value=f"{journal!r:.200}"), field="journal")
    return journal


@define(eq=False, kw_only=True)
class Run:
    """Run in progress: iterate over it for the outcomes, then read `report`.

    It lives inside the ``async with`` block of `provision`, which makes it.

    Attributes:
        report: totals so far; final when the block has ended.
        progress: the same figures with rate and estimated time, for followers in other tasks.

    """

    report: RunReport
    progress: Progress = field(init=False)
    _plan: Plan = field(alias="plan")
    _resumed: Resumed | None = field(alias="resumed")
    _recorder: Recorder = field(alias="recorder")
    _stopping: asyncio.Event = field(alias="stopping")
    _companies: EmpresaSteps = field(alias="companies")
    _series: SerieSteps = field(alias="series")
    _waiting: WaitingRows = field(alias="waiting")
    _audit: Audit | None = field(alias="final_audit")
    _settle_wait: SettleWait | None = field(alias="settle_wait")
    _open: int = field(default=0, init=False)
    _not_started: int = field(default=0, init=False)  # rows without their first start
    _in_progress: int = field(default=0, init=False)  # rows that are processed at this moment
    _idle: asyncio.Event = field(factory=asyncio.Event, init=False)
    _audit_task: asyncio.Task[None] | None = field(default=None, init=False)
    _not_counted: set[RowProgress] = field(factory=set, init=False)
    _problem: Exception | None = field(default=None, init=False)
    _outcomes: AsyncIterator[bulk.Outcome[RowProgress, RowOutcome | None]] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.progress = Progress(self.report, asyncio.get_running_loop().time, lambda: self.audit_wait)

    @property
    def audit_wait(self) -> float:
        """Seconds until the audit can end; 0 if there is nothing to audit."""
        return self._audit.wait if self._audit is not None else 0.0

    @property
    def caution(self) -> str:
        """Warning that the journal may be incomplete, or ``""``.

        The run waits `settle` seconds before its first row then.
        """
        return self._settle_wait.caution if self._settle_wait is not None else ""

    def stop(self) -> Awaitable[None]:
        """Stop the run: send no further create.

        Requests in flight are waited for; then the iteration ends. The run stops at once, also if the result is not
        awaited. Await it before the session is closed, in any task: it is done when no create is in flight, and the
        journal holds all outcomes. Cancelling that wait changes nothing; a run that is cancelled then records its
        requests in flight as unknown.

        Returns:
            An object to await, any number of times.

        """
        self._stopping.set()
        self._waiting.release()
        self.progress.enter("stopping")
        return _Idle(self)

    async def wait_until_idle(self) -> None:
        """Wait until no row is processed."""
        while self._in_progress:
            await self._idle.wait()

    async def __aiter__(self) -> AsyncIterator[RowOutcome]:
        clock = asyncio.get_running_loop().time
        began = clock()
        async for each in self._outcomes:
            if (row := each.result()) is not None:
                self._not_counted.discard(each.item)
                self.progress.add(row)
                done = [row.state, *(serie.state for serie in row.series)]
                self.report.throughput[int(clock() - began) // _TICK] += sum(state.is_there for state in done)
                yield row
        if self._audit is not None and self._audit_task is not None and not self._stopping.is_set():
            self.progress.enter("auditing")
            self.report.audit = await self._audit.finish(self._audit_task)

    # ── Rows ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    @asynccontextmanager
    async def working(self, concurrency: int) -> AsyncIterator[None]:
        """Process the rows while the ``async with`` block runs.

        Args:
            concurrency: maximum number of rows in progress at a time.

        """
        tasks = [asyncio.create_task(self._watch_waiting())]
        if self._audit is not None:
            self._audit_task = asyncio.create_task(self._audit.run())
            tasks.append(self._audit_task)
        try:
            async with bulk.stream(
                self._rows(), self._process_row, concurrency=concurrency, stop_on=(JournalError,)
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
        except Exception as error:  # noqa: BLE001  # else the waiting rows would wait for ever
            self._problem = error
            self._waiting.notify()

    async def _rows(self) -> AsyncGenerator[RowProgress, None]:
        """Yield the rows to process.

        Waiting rows that are ready again come before the plan's next row.
        """
        for position, row in enumerate(self._plan, 1):
            rfc = normalize_rfc(row.rfc)
            if self._resumed is not None and rfc in self._resumed.closed:
                if not position % _CLOSED_AT_ONCE:
                    await asyncio.sleep(0)
                continue
            if self.caution and self._settle_wait is not None:
                rfcs, _ = await survey(self._plan)
                await self._settle_wait.wait(rfcs)
            for progress in self._ready_rows():
                yield progress
            while (self._not_started >= _LOOKAHEAD or self._waiting.is_paused) and not self._stopping.is_set():
                await self._waiting.wait()
                for progress in self._ready_rows():
                    yield progress
            if self._stopping.is_set():
                break
            self._open += 1
            self._not_started += 1
            self._not_counted.add(progress := RowProgress.of(row, rfc))
            progress.on_start = self._count_start
            yield progress
        while self._open:
            for progress in self._ready_rows():
                yield progress
            if self._open:
                await self._waiting.wait()

    def _count_start(self) -> None:
        self._not_started -= 1
        self._waiting.notify()

    def _ready_rows(self) -> list[RowProgress]:
        if self._problem is not None:
            raise self._problem
        return self._waiting.take_ready()

    async def _process_row(self, progress: RowProgress) -> RowOutcome | None:
        self._in_progress += 1
        try:
            return await self._process(progress)
        finally:
            self._in_progress -= 1
            if not self._in_progress:
                self._idle.set()
                self._idle.clear()

    async def _process(self, progress: RowProgress) -> RowOutcome | None:
        """Advance a row as far as possible; return its outcome, or None if it has to wait."""
        if not self._stopping.is_set():
            await self._restore(progress)
            try:
                await self._companies.ensure(progress)
                await self._companies.connect(progress)
            except JournalError:
                raise
            except SharedUnavailableError:
                progress.is_paused = True
            except Exception as error:  # noqa: BLE001  # a faulty row must not stop the others
                await self._companies.record_failure(progress, error)
            progress.started()
            if progress.empresa.state is StepState.DONE and not progress.is_paused:
                await self._series.advance(progress)
            progress.is_new = False
        if self._stopping.is_set():
            _explain_unsent(progress)
        elif self._is_waiting(progress):
            return None
        await self._mark_failed(progress)
        self._open -= 1
        self._waiting.notify()
        if self._audit is not None:
            self._audit.add(progress)
        return outcome(progress)

    def _is_waiting(self, progress: RowProgress) -> bool:
        """Queue a row that has to wait; return whether it does.

        Further rows may begin as soon as the shared service is back.
        """
        was_paused = self._waiting.is_paused
        is_waiting = self._waiting.put(progress)
        if was_paused and not self._waiting.is_paused:
            self._waiting.notify()
        return is_waiting

    async def _restore(self, progress: RowProgress) -> None:
        """Load what earlier runs left of a row that this run has not processed."""
        progress.is_unread = progress.is_paused = False
        journal = self._recorder.journal
        if progress.is_new and self._resumed is not None and journal is not None:
            await resume.restore(journal, progress, self._resumed)
        if progress.is_new:
            await self._companies.recheck(progress)

    async def _mark_failed(self, progress: RowProgress) -> None:
        """Record as FAILED the steps that could not be sent.

        This run does not try them again.
        """
        failed = [
            step
            for step in progress.steps
            if step.state is StepState.PLANNED and step.reason and not code_of(step.reason).startswith(NOT_TRIED)
        ]
        for step in failed:
            step.state = StepState.FAILED
        await self._recorder.save(*failed)

    def count_rest(self) -> None:
        """Count the rows that a stopped or cancelled run did not finish or never started."""
        for progress in sorted(self._not_counted, key=lambda progress: progress.row.number):
            if self._resumed is None or progress.is_restored:
                _explain_unsent(progress)
                self.progress.add(outcome(progress))
        if self._resumed is not None:
            self.report.count_all(self._resumed.open)
        self.report.add_not_begun()


@frozen
class _Idle(Awaitable[None]):
    """The moment at which a stopped run processes no row."""

    _run: Run

    def __await__(self) -> Generator[Any, Any, None]:
        return self._run.wait_until_idle().__await__()


def _explain_unsent(progress: RowProgress) -> None:
    """Give the reason to the steps that a stopped run leaves unsent."""
    for step in [progress.empresa] if progress.empresa.state is not StepState.DONE else progress.series:
        if step.state is StepState.PLANNED and (progress.is_paused or not step.reason):
            step.reason = stopped(step.sends)
