"""The jobs of a run: list of companies, shards, audit."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from attrs import define, field, frozen
from procrastinate import App, BaseRetryStrategy, RetryDecision
from procrastinate.jobs import Job

from facturaonline_async._core.logging import LOGGER
from facturaonline_async._messages import Message, message
from facturaonline_async.client import FacturaOnline, SessionManager, environment_credentials
from facturaonline_async.config import Credentials
from facturaonline_async.errors import FacturaOnlineError, InvalidInputError
from facturaonline_async.postgres import Postgres, RunCancelledError, audit_run, run_shard
from facturaonline_async.postgres._postgres import database_of
from facturaonline_async.postgres._shards import ShardedRun, find_run
from facturaonline_async.procrastinate._app import enqueue_audit, enqueue_shards, task_name
from facturaonline_async.provision import Existing, JournalInUseError, Plan, RowOutcome

__all__ = ["Jobs", "Settings"]

_IN_USE: Final = 5
"""Seconds until a job is tried again whose shard another process has."""
_LONGEST_PAUSE: Final = 300


class _StoppedError(Exception):
    """The worker stops: the job goes back into the queue."""


@frozen
class Settings:
    """Settings of the jobs of a worker; see `Worker`.

    Attributes:
        plans: coroutine function that returns the plan of a run, by the run's name.
        credentials: main keys of the account, or a function that returns them; None: those of the environment.
        on_row: coroutine function that is called with each row's outcome before the row counts as delivered, or None.
        queue: name of the queue.
        concurrency: maximum number of companies of one shard at the same time.
        existing: what a run does with companies that exist.
        lease: seconds for which a worker holds a shard without a heartbeat.

    """

    plans: Callable[[str], Awaitable[Plan]]
    credentials: Credentials | Callable[[], Credentials | Awaitable[Credentials]] | None
    on_row: Callable[[RowOutcome], Awaitable[None]] | None
    queue: str
    concurrency: int
    existing: Existing
    lease: float


class _Retry(BaseRetryStrategy):
    """When a job that raised is tried again.

    Each attempt continues where the one before ended, so that their number has no limit.
    """

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        """Return when the job is tried again.

        None: not before a person enqueues the run again.

        Args:
            exception: what the job raised.
            job: the job.

        """
        if isinstance(exception, InvalidInputError):
            return None
        if isinstance(exception, (_StoppedError, asyncio.CancelledError)):
            return RetryDecision(retry_in={"seconds": 0})
        if isinstance(exception, JournalInUseError):
            return RetryDecision(retry_in={"seconds": _IN_USE})
        return RetryDecision(retry_in={"seconds": min(2 ** min(job.attempts, 10), _LONGEST_PAUSE)})


def _without_foreign_errors(function: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Return a job that raises no errors but those of this library.

    Procrastinate logs what a job raises, with its traceback. The text of an error of the user's program may hold keys.
    """

    @functools.wraps(function)
    async def job(**arguments: Any) -> None:
        try:
            await function(**arguments)
        except (FacturaOnlineError, _StoppedError):
            raise
        except Exception as error:  # noqa: BLE001  # it is replaced
            kind = type(error).__name__
        else:
            return
        raise RuntimeError(message("queue.job_failed", type=kind))  # behind the block: the other one is no context

    return job


@define(eq=False)
class Jobs:
    """Jobs of the runs in one queue, carried out in this process.

    Attributes:
        settings: settings of the jobs.
        app: procrastinate's app.
        session: session of the process; it shares its creates through `pg`.
        pg: the database.
        stopping: set when the jobs have to end.

    """

    settings: Settings
    app: App
    session: SessionManager
    pg: Postgres
    stopping: asyncio.Event
    _running: set[asyncio.Task[Any]] = field(factory=set, init=False)

    def register(self) -> None:
        """Add the tasks to the app."""
        functions: dict[str, Callable[..., Awaitable[None]]] = {
            "list": self.list_companies,
            "shard": self.carry_out,
            "audit": self.audit,
        }
        for kind, function in functions.items():
            self.app.task(name=task_name(kind), queue=self.settings.queue, retry=_Retry())(
                _without_foreign_errors(function)
            )

    def cancel(self) -> None:
        """Cancel the jobs at work, so that they go back into the queue.

        Requests in flight are recorded as unknown.
        """
        for task in self._running:
            task.cancel()

    async def list_companies(self, run: str, count: int) -> None:
        """List the companies that exist, and enqueue the shards.

        Args:
            run: name of the run.
            count: number of shards.

        """
        with self._at_work(run, message("queue.kind_list")):
            client, plan = await self._client(), await self.settings.plans(run)
            if (found := await self._find(client, plan, run, count)) is not None:
                await found.list_companies(client, plan)
                await enqueue_shards(self.app, self.settings.queue, run=run, count=count)

    async def carry_out(self, run: str, shard: int, count: int) -> None:
        """Carry out a shard; the last one enqueues the audit.

        Args:
            run: name of the run.
            shard: number of the shard.
            count: number of shards.

        """
        with self._at_work(run, message("queue.kind_shard", number=shard, last=count - 1)):
            client, plan = await self._client(), await self.settings.plans(run)
            if await self._find(client, plan, run, count) is None:
                return
            report = await run_shard(
                client,
                plan,
                self.pg,
                run=run,
                shard=shard,
                count=count,
                lease=self.settings.lease,
                concurrency=self.settings.concurrency,
                existing=self.settings.existing,
                stopping=self.stopping,
                on_row=self.settings.on_row,
            )
            if not report.is_finished:
                raise _StoppedError
            if not report.left:
                await enqueue_audit(self.app, self.settings.queue, run=run, count=count)

    async def audit(self, run: str, count: int) -> None:
        """Verify that everything exists exactly once.

        Args:
            run: name of the run.
            count: number of shards.

        """
        with self._at_work(run, message("queue.kind_audit")):
            client, plan = await self._client(), await self.settings.plans(run)
            if await self._find(client, plan, run, count) is None:
                return
            differences = await audit_run(
                client, plan, self.pg, run=run, count=count, lease=self.settings.lease, stopping=self.stopping
            )
            if differences is None and self.stopping.is_set():
                raise _StoppedError
            if differences:
                LOGGER.warning("%s", message("queue.differences", run=run, count=len(differences)))

    async def _client(self) -> FacturaOnline:
        found = self.settings.credentials
        if found is None:
            return FacturaOnline(self.session, environment_credentials())
        given = found if isinstance(found, Credentials) else found()
        return FacturaOnline(self.session, await given if inspect.isawaitable(given) else given)

    async def _find(self, client: FacturaOnline, plan: Plan, run: str, count: int) -> ShardedRun | None:
        """Return the run; None if it is cancelled or was deleted."""
        database = database_of(self.pg)
        account, host = client.credentials.fingerprint, self.session.config.base_url or ""
        found = await find_run(database, run, plan=plan, count=count, account=account, host=host)
        if found is None:
            LOGGER.warning("%s", message("queue.run_is_gone", run=run))
            return None
        if (await found.state()).is_cancelled:
            LOGGER.warning("%s", message("queue.run_is_cancelled", run=run))
            return None
        return found

    @contextmanager
    def _at_work(self, run: str, kind: Message) -> Iterator[None]:
        """Log the begin and the end of a job, and let `cancel` reach it."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # a job is one
        if self.stopping.is_set():
            raise _StoppedError
        LOGGER.info("%s", message("queue.begins", kind=kind, run=run))
        self._running.add(task)
        try:
            yield
        except RunCancelledError:
            LOGGER.warning("%s", message("queue.run_is_cancelled", run=run))
        finally:
            self._running.discard(task)
            LOGGER.info("%s", message("queue.ends", kind=kind, run=run))
