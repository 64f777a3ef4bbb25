"""The jobs of a run, and procrastinate's connection to PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from facturaonline_async._messages import message

try:
    import procrastinate
except ModuleNotFoundError as problem:
    raise ModuleNotFoundError(message("queue.extra_missing"), name="procrastinate") from problem
import psycopg
from procrastinate import exceptions, jobs, manager, utils
from psycopg.rows import TupleRow

from facturaonline_async._core.fork_guard import guard
from facturaonline_async._secrets import Secret
from facturaonline_async.postgres._connection import read_url

__all__ = [
    "QUEUE",
    "JobManager",
    "cancel_jobs",
    "enqueue_audit",
    "enqueue_list",
    "enqueue_shards",
    "make_app",
    "task_name",
]

QUEUE: Final = "facturaonline"
"""Name of the queue, unless the caller gives another one."""

_TIMEOUT: Final = 10.0
_CONNECTIONS: Final = 4
_REPEATS: Final = 30
_PAUSE: Final = 1.0
_IS_OURS: Final = """
    SELECT id FROM procrastinate_jobs WHERE id = %(job_id)s AND status = 'doing' AND worker_id = %(worker_id)s
"""


class _Connection(psycopg.AsyncConnection[TupleRow]):
    """Connection that a forked child does not touch."""

    def fileno(self) -> int:
        """Return the file descriptor of the socket, or -1 if it is closed."""
        return -1 if self.closed else self.pgconn.socket


async def _guard(connection: Any) -> None:
    guard(connection)


class _Connector(procrastinate.PsycopgConnector):
    """Connections of procrastinate; those that listen may have another URL.

    Statements work through pgbouncer in transaction mode. LISTEN does not: where the first URL is that of pgbouncer,
    the second one names PostgreSQL itself.

    Args:
        conninfo: Connection string.
        listen: Connection string of connections that listen.

    """

    def __init__(self, conninfo: Secret, listen: Secret) -> None:
        super().__init__(
            conninfo=conninfo.reveal(),
            connection_class=_Connection,
            kwargs={"prepare_threshold": None},
            configure=_guard,
            min_size=1,
            max_size=_CONNECTIONS,
        )
        self._listen = listen

    @asynccontextmanager
    async def _get_standalone_connection(self) -> AsyncIterator[psycopg.AsyncConnection[TupleRow]]:
        async with await _connect(self._listen) as connection:
            guard(connection)
            yield connection


async def _connect(url: Secret) -> _Connection:
    """Return a new connection.

    No frame of an error holds the password.

    Args:
        url: connection string.

    Raises:
        ConnectorException: there is no connection; its text is the class of psycopg's error.

    """
    try:
        return await _Connection.connect(url.reveal(), autocommit=True, prepare_threshold=None)
    except psycopg.Error as error:
        kind = type(error).__name__
    except asyncio.CancelledError as cancelled:
        raise cancelled.with_traceback(None) from None  # psycopg's frames hold the password
    raise exceptions.ConnectorException(kind)


class JobManager(manager.JobManager):
    """Job manager whose workers end only jobs that are still theirs.

    A worker that was paused may wake when another one has its job. It must not change the other one's job.
    """

    async def retry_job(self, job: jobs.Job, *given: Any, **more: Any) -> None:
        """Put a job back into the queue, if this worker has it."""
        if await self._is_ours(job):
            await super().retry_job(job, *given, **more)

    async def finish_job(self, job: jobs.Job, *given: Any, **more: Any) -> None:
        """Record the end of a job, if this worker has it."""
        if await self._is_ours(job):
            await super().finish_job(job, *given, **more)

    async def requeue(self, job: jobs.Job) -> None:
        """Put a job back into the queue whose worker is silent."""
        assert job.id is not None  # noqa: S101  # it was read
        await self.retry_job_by_id_async(job.id, retry_at=utils.utcnow())

    async def _is_ours(self, job: jobs.Job) -> bool:
        """Return whether this worker still has the job; wait while the server is away."""
        for left in reversed(range(_REPEATS)):
            try:
                rows = await self.connector.execute_query_all_async(_IS_OURS, job_id=job.id, worker_id=job.worker_id)
            except exceptions.ConnectorException:
                if not left:
                    raise
                await asyncio.sleep(_PAUSE)
            else:
                return bool(rows)
        return False


def make_app(url: Secret, listen: Secret | None = None) -> procrastinate.App:
    """Return an app without tasks; it is opened with ``async with app.open_async()``.

    Args:
        url: URL of the database; empty: the variables ``PG*`` of the environment.
        listen: URL of the same database for connections that listen; None: `url`.

    Raises:
        InvalidInputError: a URL cannot be read.

    """
    conninfo = read_url(url, _TIMEOUT)
    connector = _Connector(conninfo, conninfo if listen is None else read_url(listen, _TIMEOUT))
    app = procrastinate.App(connector=connector)
    app.job_manager = JobManager(connector)
    return app


def task_name(kind: str) -> str:
    """Return the name of a task: of the list, of a shard or of the audit of a run."""
    return f"facturaonline.{kind}"


async def enqueue_list(app: procrastinate.App, queue: str, *, run: str, count: int) -> None:
    """Enqueue the list of companies of a run; its end enqueues the shards."""
    await _enqueue(app, queue, "list", f"{run} list", run=run, count=count)


async def enqueue_shards(app: procrastinate.App, queue: str, *, run: str, count: int) -> None:
    """Enqueue all shards of a run that are not in the queue yet."""
    for shard in range(count):
        await _enqueue(app, queue, "shard", f"{run} shard {shard}", run=run, shard=shard, count=count)


async def enqueue_audit(app: procrastinate.App, queue: str, *, run: str, count: int) -> None:
    """Enqueue the audit of a run."""
    await _enqueue(app, queue, "audit", f"{run} audit", run=run, count=count)


async def cancel_jobs(app: procrastinate.App, *, run: str) -> None:
    """Remove the jobs of a run that no worker has begun."""
    for kind in ("list", "shard", "audit"):
        for job in await app.job_manager.list_jobs_async(task=task_name(kind), status=jobs.Status.TODO.value):
            if job.task_kwargs.get("run") == run and job.id is not None:
                await app.job_manager.cancel_job_by_id_async(job.id, delete_job=True)


async def _enqueue(app: procrastinate.App, queue: str, kind: str, lock: str, **arguments: Any) -> None:
    """Enqueue a job, unless one like it waits in the queue.

    Two like it do not run at the same time.
    """
    lock = f"facturaonline {lock}"
    task = app.configure_task(task_name(kind), queue=queue, lock=lock, queueing_lock=lock)
    try:
        await task.defer_async(**arguments)
    except exceptions.AlreadyEnqueued:
        return
