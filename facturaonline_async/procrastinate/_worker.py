"""Process that carries out the jobs of runs.

Problem
    A job of a queue is carried out at least once, by any process, and its process may end at any moment.
    Procrastinate's worker ends without an error when PostgreSQL goes away. A job of a killed process stays with it. A
    long shard must not delay the search for such jobs.

Algorithm
    One process does three things side by side::

        procrastinate's worker, begun again whenever it ends ──▶ jobs: list ─▶ shards ─▶ audit
        rescue, in each interval of the heartbeat            ──▶ jobs of silent workers go back into the queue
        SIGTERM or SIGINT                                    ──▶ shards end, and their jobs go back into the queue

    A job that is carried out twice does no harm: `run_shard` and `audit_run` see to that. So a job may be put back at
    any moment. A worker changes only the jobs that it still has.
"""

from __future__ import annotations

import asyncio
import math
import random
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from os import getpid
from typing import Any, Final

from procrastinate import App

from facturaonline_async._core.logging import LOGGER
from facturaonline_async._messages import message
from facturaonline_async._secrets import Secret
from facturaonline_async._validators import type_name
from facturaonline_async.client import SessionManager
from facturaonline_async.config import Config, Credentials
from facturaonline_async.errors import InvalidInputError, NotSentError, SharedUnavailableError
from facturaonline_async.postgres import Postgres
from facturaonline_async.postgres._postgres import check_run, database_of, url_of
from facturaonline_async.procrastinate._app import QUEUE, JobManager, make_app
from facturaonline_async.procrastinate._jobs import Jobs, Settings
from facturaonline_async.procrastinate._schema import check_queue
from facturaonline_async.provision import Existing, Plan, RowOutcome

__all__ = ["Worker"]

_POLL: Final = 2.0
"""Seconds between two looks for jobs. Notices of new jobs make it shorter, where LISTEN works."""
_RESTART: Final = 1.0
"""Seconds until procrastinate's worker is begun again."""


class Worker:
    """Carries out the shards of runs in this process, until SIGTERM or SIGINT.

    Start the same worker on any number of machines: ``facturaonline worker MODULE:WORKER``, or ``await worker.run()``.
    It opens its own session, which shares quota and creates with all other processes through the database.

    ::

        worker = Worker(Config(base_url=SANDBOX, host_rates=Rate(10, 1)), plans=folder_plans("/srv/plans"))

    Nothing is done twice if a worker is killed, paused or cut off from the database: after `stalled_after` its jobs are
    carried out by another one.

    Args:
        config: settings of the session; it has a ``base_url``.
        plans: coroutine function that returns the plan of a run, such as `folder_plans`. It is called for each job.
        database: URL of the database; see `Postgres`. It may be that of pgbouncer in transaction mode.
        listen: URL of the same database for notices of new jobs, which do not pass pgbouncer. Default: `database`;
            without notices, a job begins within two seconds.
        credentials: the account's main keys, or a function or coroutine function that returns them and is called for
            each job. None: ``FACTURAONLINE_API_KEY`` and ``FACTURAONLINE_SECRET_KEY`` of the environment.
        on_row: coroutine function that is awaited with each row's outcome and the new company's keys; see `run_shard`.
        queue: name of procrastinate's queue. Default: ``"facturaonline"``.
        jobs: maximum number of jobs at a time. Default: 1.
        concurrency: see `facturaonline_async.provision.provision`.
        existing: see `facturaonline_async.provision.provision`.
        lease: seconds of silence after which another process may take a shard. Default: 30.
        heartbeat: seconds between two signs of life of the worker. Default: 10.
        stalled_after: seconds of silence after which its jobs go back into the queue. Default: 30.
        stop_within: seconds for which a worker that is stopped waits for requests in flight. After that they are
            recorded as unknown. Default: 20.

    Raises:
        InvalidInputError: an argument is invalid.

    """

    def __init__(
        self,
        config: Config,
        *,
        plans: Callable[[str], Awaitable[Plan]],
        database: str | Secret | None = None,
        listen: str | Secret | None = None,
        credentials: Credentials | Callable[[], Credentials | Awaitable[Credentials]] | None = None,
        on_row: Callable[[RowOutcome], Awaitable[None]] | None = None,
        queue: str = QUEUE,
        jobs: int = 1,
        concurrency: int = 128,
        existing: Existing = "adopt",
        lease: float = 30.0,
        heartbeat: float = 10.0,
        stalled_after: float = 30.0,
        stop_within: float = 20.0,
    ) -> None:
        self._database = None if database is None else Secret(database)  # no frame of a traceback holds the text
        self._listen = None if listen is None else Secret(listen)
        del database, listen
        _check_functions(plans, credentials, on_row)
        _check_times(heartbeat=heartbeat, stalled_after=stalled_after, stop_within=stop_within)
        check_run("-", lease)
        if isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1:
            text = message("values.not_positive_int", name="jobs", value=f"{jobs!r:.40}")
            raise InvalidInputError(text, field="jobs")
        if config.base_url is None:
            raise InvalidInputError(message("values.config_without_base_url"), field="config")
        self._config = config
        self._settings = Settings(plans, credentials, on_row, queue, concurrency, existing, lease)
        self._count = jobs
        self._heartbeat = heartbeat
        self._stalled_after = stalled_after
        self._stop_within = stop_within
        self._process = 0
        self._stopping = asyncio.Event()
        self._jobs: Jobs | None = None

    def __repr__(self) -> str:
        return f"<Worker: {'at work' if vars(self).get('_process') else 'not at work'}>"

    def stop(self) -> None:
        """Stop the jobs at work, and begin none. Call it in the event loop.

        `run` returns when they have ended and are back in the queue. Before `run`, it ends the next one at once.

        The second call does not wait for requests in flight.
        """
        self._check_process()
        if self._stopping.is_set():
            self._cancel_jobs()
        self._stopping.set()

    async def run(self) -> None:
        """Carry out jobs until SIGTERM, SIGINT or `stop`.

        The main thread of a process handles the signals. If it is cancelled, it stops in the same way as by `stop`, and
        at the second time as by a second `stop`.
        While the database does not answer, it waits.

        Raises:
            InvalidInputError: no database is named, or it lacks tables.
            NotSentError: the worker is at work already, or the process was forked.

        """
        self._check_process()
        if self._process:
            raise NotSentError(message("queue.running"))
        self._process = getpid()
        try:
            app = make_app(url_of(self._database), self._listen)
            with self._signals():
                async with AsyncExitStack() as stack:
                    if (pg := await self._opened(stack)) is None:
                        return
                    await check_queue(database_of(pg))
                    session = await stack.enter_async_context(SessionManager(self._config, shared=pg))
                    self._jobs = Jobs(self._settings, app, session, pg, self._stopping)
                    self._jobs.register()
                    await stack.enter_async_context(app.open_async())
                    await self._serve(app)
        finally:
            self._process, self._jobs, self._stopping = 0, None, asyncio.Event()

    # ── Life ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _opened(self, stack: AsyncExitStack) -> Postgres | None:
        """Return the open database as soon as it answers.

        None: the worker is stopped before.
        """
        while not self._stopping.is_set():
            try:
                return await stack.enter_async_context(Postgres(self._database))
            except SharedUnavailableError as error:
                LOGGER.warning("%s", message("queue.waits", reason=str(error)))
            await self._pause()
        return None

    async def _pause(self) -> None:
        """Wait for a moment, or until the worker is stopped."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_RESTART):
                await self._stopping.wait()

    async def _serve(self, app: App) -> None:
        """Run procrastinate's worker and the rescue until the worker is stopped."""
        rescue = asyncio.create_task(self._rescue(app))
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            while not self._stopping.is_set():
                working = asyncio.create_task(self._work(app))
                try:
                    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
                except asyncio.CancelledError:
                    self._stopping.set()
                    await self._end(working)
                    raise
                if self._stopping.is_set():
                    await self._end(working)
                    return
                if not working.cancelled() and (error := working.exception()) is not None:
                    reason = f"{type(error).__name__}"
                else:
                    reason = message("queue.ended_by_itself")
                LOGGER.warning("%s", message("queue.lost", reason=reason))
                await self._pause()
        finally:
            for task in (rescue, stopping):
                task.cancel()
            await asyncio.wait({rescue, stopping})

    async def _work(self, app: App) -> None:
        await app.run_worker_async(
            queues=[self._settings.queue],
            concurrency=self._count,
            fetch_job_polling_interval=_POLL,
            install_signal_handlers=False,
            delete_jobs="successful",
            update_heartbeat_interval=self._heartbeat,
            stalled_worker_timeout=self._stalled_after,
        )

    async def _end(self, working: asyncio.Task[None]) -> None:
        """End procrastinate's worker.

        It waits until each job has ended and is back in the queue. If it is cancelled meanwhile, it cancels the jobs,
        and does not wait for requests in flight.
        """
        LOGGER.info("%s", message("queue.stopping", seconds=self._stop_within))
        later = asyncio.get_running_loop().call_later(self._stop_within, self._cancel_jobs)
        working.cancel()
        is_cancelled = False
        while not working.done():
            try:
                await asyncio.wait({working})
            except asyncio.CancelledError:  # jobs that stay behind would go on without a session
                is_cancelled = True
                self._cancel_jobs()
        later.cancel()
        if is_cancelled:
            raise asyncio.CancelledError

    def _cancel_jobs(self) -> None:
        if self._jobs is not None:
            self._jobs.cancel()

    async def _rescue(self, app: App) -> None:
        """Put jobs of silent workers back into the queue, again and again.

        It is no job: a long shard would keep it waiting.
        """
        while True:
            await asyncio.sleep(self._heartbeat * random.uniform(0.8, 1.2))
            with suppress(Exception):  # the database is away; the next look finds the same
                manager = app.job_manager
                assert isinstance(manager, JobManager)  # noqa: S101  # make_app has set it
                stalled = await manager.get_stalled_jobs(
                    queue=self._settings.queue, seconds_since_heartbeat=self._stalled_after
                )
                for job in stalled:
                    LOGGER.warning("%s", message("queue.rescued", job=job.call_string))
                    await manager.requeue(job)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Let SIGTERM and SIGINT stop the worker inside the block, in the main thread."""
        loop = asyncio.get_running_loop()
        taken: list[tuple[signal.Signals, Any]] = []
        try:
            with suppress(NotImplementedError, ValueError, RuntimeError):
                for number in (signal.SIGTERM, signal.SIGINT):
                    before = signal.getsignal(number)
                    loop.add_signal_handler(number, self.stop)
                    taken.append((number, before))
            yield
        finally:
            for number, before in taken:
                loop.remove_signal_handler(number)
                signal.signal(number, before)

    def _check_process(self) -> None:
        if self._process and self._process != getpid():
            raise NotSentError(message("queue.forked"))


def _check_functions(plans: object, credentials: object, on_row: object) -> None:
    if not callable(plans):
        raise InvalidInputError(message("queue.invalid_plans", kind=type_name(plans)), field="plans")
    if not (credentials is None or isinstance(credentials, Credentials) or callable(credentials)):
        text = message("queue.invalid_credentials", kind=type_name(credentials))
        raise InvalidInputError(text, field="credentials")
    if not (on_row is None or callable(on_row)):
        raise InvalidInputError(message("queue.invalid_on_row", kind=type_name(on_row)), field="on_row")


def _check_times(*, heartbeat: float, stalled_after: float, stop_within: float) -> None:
    given = {"heartbeat": heartbeat, "stalled_after": stalled_after, "stop_within": stop_within}
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
            reason = message("values.not_positive", name=name, value=f"{value!r:.40}")
            raise InvalidInputError(reason, field=name)
    if stalled_after < 2 * heartbeat:
        text = message("queue.stalled_below_heartbeat", heartbeat=heartbeat, stalled_after=stalled_after)
        raise InvalidInputError(text, field="stalled_after")
