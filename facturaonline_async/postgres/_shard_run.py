"""Carry out one shard of a plan, for any engine that runs jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress

from attrs import frozen

from facturaonline_async import bulk
from facturaonline_async._core.known_companies import normalize_rfc
from facturaonline_async._core.logging import LOGGER
from facturaonline_async._messages import message
from facturaonline_async.client import FacturaOnline, engine_of
from facturaonline_async.errors import NotSentError
from facturaonline_async.postgres._postgres import Postgres, check_run, database_of
from facturaonline_async.postgres._runs import journal_name
from facturaonline_async.postgres._shards import ShardedRun, ShardJournal, make_run
from facturaonline_async.provision._engine.background import in_background
from facturaonline_async.provision._engine.recorder import StepEvent
from facturaonline_async.provision._engine.row_progress import RowProgress, outcome
from facturaonline_async.provision._journal.errors import JournalError
from facturaonline_async.provision._journal.protocol import Journal
from facturaonline_async.provision._plan.models import Existing, PlanRow
from facturaonline_async.provision._plan.plan import Plan, check_shard
from facturaonline_async.provision._report import RowOutcome, RunReport
from facturaonline_async.provision._run import Run, running

__all__ = ["RunCancelledError", "ShardReport", "in_run", "run_shard"]

_LOOK = 2.0
"""Seconds between two looks whether the run was cancelled."""
_CONCURRENCY = 32
"""Companies of an earlier attempt whose keys are read at the same time."""


class RunCancelledError(JournalError):
    """The run was cancelled, or deleted. Nothing more is sent."""


@frozen(kw_only=True)
class ShardReport:
    """How an attempt at a shard ended.

    Attributes:
        report: totals of the shard, also of earlier attempts. The audit belongs to the whole run: `audit_run`.
        is_finished: whether each row has an outcome. If not, the attempt was stopped: run the shard again.
        left: number of shards of the run that are not finished. If it is 0, call `audit_run`.

    """

    report: RunReport
    is_finished: bool
    left: int


async def run_shard(
    client: FacturaOnline,
    plan: Plan,
    database: Postgres,
    *,
    run: str,
    shard: int,
    count: int,
    lease: float = 30.0,
    concurrency: int = 128,
    settle: float | None = None,
    existing: Existing = "adopt",
    stopping: asyncio.Event | None = None,
    on_row: Callable[[RowOutcome], Awaitable[None]] | None = None,
    on_event: Callable[[StepEvent], None] | None = None,
) -> ShardReport:
    """Create the companies and series of one shard of a plan, each exactly once.

    It is what a job does, in whichever engine runs the jobs. Call it once for each ``shard`` from 0 to ``count - 1``,
    in any process and order, and again after an error or a stop; call `audit_run` at the end. Nothing is done twice,
    with any engine: a shard has one process at a time, and a process that was silent for its lease sends
    nothing after another one has taken the shard.

    The first call makes the run. Shards that begin within the settle time use one list of the account's companies; it
    distinguishes new companies from old ones, and proves no absence.

    If it is cancelled, requests in flight are recorded as unknown; the next attempt looks for what they created.

    Args:
        client: client with the account's main keys; its session has ``shared=database``.
        plan: the whole plan.
        database: where the journals are.
        run: name of the run, at most 200 bytes.
        shard: number of the shard, from 0.
        count: number of shards.
        lease: seconds of silence after which another process may take the shard; see `Postgres.journal`. Default: 30.
        concurrency: see `facturaonline_async.provision.provision`.
        settle: see `facturaonline_async.provision.provision`.
        existing: see `facturaonline_async.provision.provision`.
        stopping: when it is set, no further create is sent, and the attempt ends. None: it is not stopped.
        on_row: coroutine function that is awaited with each row's outcome, one after the other. A new company's keys
            are in ``outcome.credentials``: they are in no database. A row that is ``ok`` is delivered at least once,
            also if its company was created by an earlier attempt. If it raises, the other rows go on, the exception is
            raised at the end, and the shard is not finished: the next attempt delivers the row again.
        on_event: see `facturaonline_async.provision.provision`.

    Raises:
        InvalidInputError: an argument is invalid, or the session does not share its creates through the database.
        InvalidJournalError: the run has another plan, another number of shards, another account or host.
        JournalInUseError: another process has the shard.
        FencedError: another process has taken the shard over. Nothing more was sent.
        RunCancelledError: the run was cancelled or deleted.
        JournalError: the database does not answer. Nothing more was sent.
        FacturaOnlineError: as of `facturaonline_async.provision.provision`.

    """
    check_shard(shard, count)
    check_run(run, lease)
    joined = await in_run(client, plan, database, run=run, count=count)
    part = plan.shard(shard, count)
    settle = engine_of(client).config.settle if settle is None else settle
    stopping = asyncio.Event() if stopping is None else stopping
    journal = await joined.take(shard, lease)
    async with journal, AsyncExitStack() as stack:
        await _refuse_cancelled(joined)
        rfcs = [normalize_rfc(row.rfc) for row in part]
        if journal.is_begun:
            companies = await joined.list_companies(client, plan)
        else:
            companies = await joined.companies(client, plan, rfcs, seconds=settle)
        attempt = await stack.enter_async_context(
            running(
                client,
                part,
                store=_OpenedStore(journal),
                concurrency=concurrency,
                settle=settle,
                existing=existing,
                audit="later",
                on_event=on_event,
                companies=companies,
            )
        )
        watch = _Watch(joined, attempt, stopping)
        await stack.enter_async_context(in_background(watch.watch()))
        delivery = None if on_row is None else _Delivery(client, journal, on_row, await journal.delivered(), [])
        found: set[str] = set()
        async for row in attempt:
            found.add(row.rfc)
            if delivery is not None:
                await delivery.deliver(row)
        if delivery is not None and not watch.is_stopped:
            await delivery.deliver_earlier([row for row in part if row.rfc not in found], stopping)
        if delivery is not None and delivery.problems:
            raise delivery.problems[0]
        if watch.is_cancelled:
            raise _cancelled(run)
        left = (await joined.state()).left if watch.is_stopped else await journal.finish()
    return ShardReport(report=attempt.report, is_finished=not watch.is_stopped, left=left)


async def in_run(client: FacturaOnline, plan: Plan, database: Postgres, *, run: str, count: int) -> ShardedRun:
    """Return the run, and make it if there is none; see `run_shard`."""
    config = engine_of(client).config
    return await make_run(
        database_of(database),
        run,
        plan=plan,
        count=count,
        account=client.credentials.fingerprint,
        host=config.base_url or "",
    )


def _cancelled(run: str) -> RunCancelledError:
    return RunCancelledError(message("journal.cancelled", path=journal_name(run)))


async def _refuse_cancelled(run: ShardedRun) -> None:
    if (await run.state()).is_cancelled:
        raise _cancelled(run.name)


@frozen
class _OpenedStore:
    """Store of a journal that is open; see `JournalStore`."""

    journal: Journal

    async def open(self, *, account: str, host: str) -> Journal:
        """Return the journal, whose account and host were compared before."""
        del account, host
        return self.journal


class _Watch:
    """Stops an attempt when the caller wants it, or when the run is cancelled.

    Attributes:
        is_stopped: Whether the attempt was stopped.
        is_cancelled: Whether it was stopped because the run was cancelled or deleted.

    """

    def __init__(self, run: ShardedRun, attempt: Run, stopping: asyncio.Event) -> None:
        self.is_stopped = self.is_cancelled = False
        self._run, self._attempt, self._stopping = run, attempt, stopping

    async def watch(self) -> None:
        """Wait, and stop the attempt."""
        while not self._stopping.is_set() and not self.is_cancelled:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK):
                    await self._stopping.wait()
            if not self._stopping.is_set():
                with suppress(NotSentError):  # the journal notices an outage
                    self.is_cancelled = (await self._run.state()).is_cancelled
        self.is_stopped = True
        self._attempt.stop()


@frozen
class _Delivery:
    """Gives outcomes to the program of the user, each at least once."""

    client: FacturaOnline
    journal: ShardJournal
    on_row: Callable[[RowOutcome], Awaitable[None]]
    delivered: set[str]
    problems: list[Exception]

    async def deliver(self, row: RowOutcome) -> None:
        """Deliver an outcome, unless the same one was delivered by an earlier attempt."""
        rfc = normalize_rfc(row.rfc)
        if rfc in self.delivered:
            return
        try:
            await self.on_row(row)
        except Exception as error:  # noqa: BLE001  # it must not stop the other rows
            LOGGER.error("%s", message("run.on_row_failed", type=type(error).__name__))  # its text may be secret
            self.problems.append(error)
            return
        if row.ok:
            await self.journal.deliver(rfc)
            self.delivered.add(rfc)

    async def deliver_earlier(self, rows: list[PlanRow], stopping: asyncio.Event) -> None:
        """Deliver rows that an earlier attempt has finished.

        Their keys are read from the API.
        """
        rows = [row for row in rows if normalize_rfc(row.rfc) not in self.delivered]
        async with bulk.stream(rows, self._read, concurrency=_CONCURRENCY, stop_on=(JournalError,)) as outcomes:
            async for each in outcomes:
                if stopping.is_set():
                    return
                if each.error is None:
                    await self.deliver(each.result())
                else:
                    self.problems.append(each.error)

    async def _read(self, row: PlanRow) -> RowOutcome:
        progress = RowProgress.of(row, normalize_rfc(row.rfc))
        known = {step.primary_key: step for step in await self.journal.steps_of_row(progress.empresa.rfc)}
        progress.empresa = known[progress.empresa.primary_key]
        progress.series = [known[step.primary_key] for step in progress.series]
        for step in progress.steps:
            step.is_earlier = True
        uid = progress.empresa.uid
        assert uid is not None  # noqa: S101  # its row is finished
        empresa = await self.client.empresas.get_verified(uid, rfc=progress.empresa.rfc)
        progress.own = self.client.for_empresa(empresa)
        return outcome(progress)
