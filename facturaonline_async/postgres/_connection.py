"""Connections to PostgreSQL: one round trip for each statement, no session state.

Problem
    The statements must work through pgbouncer in transaction mode, at any default isolation level, and while servers
    restart. A cancelled caller must leave no connection that still reads an answer.

Why no pool of the driver
    psycopg_pool makes broken connections anew in the background, with growing pauses, and a caller waits for that. Here
    the next statement makes it at once, and the second failure is reported at once.

Algorithm
    A statement and its settings are one message of the simple protocol, which the server runs as one transaction::

        SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE; SET LOCAL statement_timeout = 5000; SELECT …

    So there is nothing to roll back after an error, and no setting outlives the transaction. An exchange that was
    interrupted closes its connection.

    ====================================  ===============================================================
    what happened                         what follows
    ====================================  ===============================================================
    connection lost, refused, or closing  all idle connections are closed, and the statement is repeated
                                          once on a new connection
    serialization failure, deadlock       repeated, at most five times
    no answer in time, cancellation       the connection is closed
    an outage                             it also ends the wait of those that have no connection yet
    any other error                       raised
    ====================================  ===============================================================

    Every statement may be repeated without harm.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from os import getpid
from typing import Any, Final, LiteralString, Self, TypeVar

from attrs import frozen

from facturaonline_async._messages import Message, message

try:
    import psycopg
except ModuleNotFoundError as problem:
    raise ModuleNotFoundError(message("postgres.extra_missing"), name="psycopg") from problem
from psycopg import waiting
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus

from facturaonline_async._core.fork_guard import guard
from facturaonline_async._core.logging import LOGGER
from facturaonline_async._secrets import Secret
from facturaonline_async._text import printable
from facturaonline_async.errors import InvalidInputError, NotSentError, SharedUnavailableError
from facturaonline_async.events import OutageEvent

__all__ = ["Database", "Row", "StatementError", "read_url"]

RV = TypeVar("RV")
T = TypeVar("T")
Row = tuple[Any, ...]

_SETTINGS: Final[LiteralString] = (
    "SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE; SET LOCAL statement_timeout = %s; "
)
_INTERVAL: Final = 0.1
"""Seconds between two looks whether the socket was closed."""

_CONFLICTS: Final = frozenset({"40001", "40P01"})
_MAX_CONFLICTS: Final = 5
_OUTAGES: Final = ("08", "57P", "0A000", "25006", "3D000", "53300")
"""Starts of the codes of errors after which another connection may help.

08: connection failures, also those of pgbouncer; 57P: the server shuts down, starts, or ended the connection; 0A000 and
25006: a standby; 3D000: the database is not there yet, or not any more; 53300: too many connections.
"""

_DEFAULTS: Final[dict[str, str | int]] = {
    "application_name": "facturaonline-async",
    "client_encoding": "utf8",
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "target_session_attrs": "primary",
}
"""Settings of a connection, unless the URL has its own.

An idle connection whose server is gone is noticed within half a minute. Of several hosts, the primary is used.
"""


def read_url(url: Secret, timeout: float) -> Secret:
    """Return the connection string of a URL, with the settings that it lacks.

    Args:
        url: ``postgresql://…`` or key=value pairs; empty: the variables ``PG*`` of the environment.
        timeout: Seconds after which unacknowledged data ends a connection.

    Raises:
        InvalidInputError: It cannot be read. The error does not hold the URL, which may have a password.

    """
    given: dict[str, Any] | None = None
    with suppress(psycopg.Error):
        given = dict(conninfo_to_dict(url.reveal()))
    if given is None:
        raise InvalidInputError(message("postgres.invalid_url"), field="url")
    return Secret(make_conninfo("", **{"tcp_user_timeout": int(timeout * 1000), **_DEFAULTS, **given}))


class _Connection(psycopg.AsyncConnection[Row]):
    """Connection without a session's state."""

    async def wait(
        self,
        gen: PQGen[RV],
        interval: float = _INTERVAL,
        timeout: float | None = None,  # noqa: ASYNC109  # as in psycopg
    ) -> RV:
        """Wait for the server, or for cancellation.

        psycopg's own method waits up to ten seconds for a cancelled statement to end.
        """
        del timeout
        return await waiting.wait_async(gen, self.pgconn.socket, interval=interval)

    def fileno(self) -> int:
        """Return the file descriptor of the socket, or -1 if it is closed."""
        return -1 if self.closed else self.pgconn.socket

    @property
    def is_idle(self) -> bool:
        """Whether the next statement may be sent."""
        return self.pgconn.transaction_status == TransactionStatus.IDLE

    async def run(self, text: LiteralString, arguments: Sequence[object]) -> list[Row]:
        """Run statements in one round trip, and return the rows of the last one."""
        cursor = psycopg.AsyncClientCursor(self)
        await cursor.execute(text, arguments)
        while cursor.nextset():
            pass
        return await cursor.fetchall() if cursor.description is not None else []


class StatementError(NotSentError):
    """The server refused a statement, so that nothing may be sent.

    Attributes:
        sqlstate: Code of PostgreSQL's error.

    """

    sqlstate: str = ""


@frozen
class _Failure:
    """Why a statement failed.

    It holds no error of the driver, whose frames hold the password.
    """

    reason: Message
    is_outage: bool
    is_conflict: bool = False
    code: str = ""


class _Slots:
    """Semaphore whose waiters can be given an outage that another one noticed.

    So a server that stands still costs the waiters one time-out together, and not one after the other.

    Args:
        free: Number of connections that may be in use at once.

    """

    def __init__(self, free: int) -> None:
        self.free = free
        self._waiters: deque[asyncio.Future[_Failure | None]] = deque()

    async def acquire(self) -> _Failure | None:
        """Take a slot and return None, or return the failure that ended the wait."""
        if self.free:
            self.free -= 1
            return None
        waiter: asyncio.Future[_Failure | None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.result() is None:
                self.release()
            raise

    def release(self) -> None:
        """Pass the slot on to the first waiter."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self.free += 1

    def fail(self, failure: _Failure) -> None:
        """End all waits."""
        waiters, self._waiters = self._waiters, deque()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(failure)


class Database:
    """Connections of a process to one database.

    It belongs to the event loop and to the process that open it. In a forked child every statement raises
    `NotSentError`.

    Args:
        conninfo: Connection string, from `read_url`.
        connections: Maximum number of connections.
        timeout: Maximum time of a statement in seconds, connecting included, without the wait for a free connection.
        on_event: Called at the begin and at the end of an outage.

    Attributes:
        address: Host and port of the last connection.
        name: Name of the database, as the last connection has it.

    """

    def __init__(
        self,
        conninfo: Secret,
        *,
        connections: int,
        timeout: float,
        on_event: Callable[[OutageEvent], None] | None = None,
    ) -> None:
        self._conninfo = conninfo
        self._timeout = timeout
        self._on_event = on_event
        self._idle: list[_Connection] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._slots = _Slots(connections)
        self.address: str = ""
        self.name: str = ""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = 0
        self._is_open = False
        self._has_answered = self._is_unavailable = False

    def __repr__(self) -> str:
        return f"<Database {'open' if self._is_open else 'closed'}, {len(self._idle)} idle>"

    async def __aenter__(self) -> Self:
        self._loop, self._process, self._is_open = asyncio.get_running_loop(), getpid(), True
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections.

        Statements in the background end first, or after the database's timeout are cancelled. A connection that is in
        use is closed at the end of its statement. In a forked child this closes nothing.
        """
        if self._process != getpid():
            self._is_open = False
            return
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=self._timeout)
            for task in late:
                task.cancel()
        self._is_open = False
        self._slots.fail(_Failure(message("postgres.not_open"), is_outage=False))
        await self._close_idle()

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run statements in a task that outlives its caller; `aclose` waits for it.

        Args:
            work: The statements.

        """
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def query(
        self, statement: LiteralString, arguments: Sequence[object] = (), *, seconds: float | None = None
    ) -> list[Row]:
        """Run statements as one transaction, and return the rows of the last one.

        It costs one round trip. A lost connection is made anew, and the statements are repeated once: they must bear
        it.

        Args:
            statement: SQL with ``%s`` for each argument; several statements are separated by semicolons.
            arguments: The arguments.
            seconds: Maximum time in seconds, in place of the database's.

        Raises:
            SharedUnavailableError: The database cannot be reached. The statements may have been done.
            StatementError: The server refused the statements. Nothing was done.
            NotSentError: The database is not open here.

        """
        self._check_usable()
        seconds = self._timeout if seconds is None else seconds
        result = await self._slots.acquire() or await self._timed(statement, arguments, seconds)
        if isinstance(result, _Failure):  # raised here, so that no error of the driver is its context
            raise self._error(result)
        self._has_answered = True
        if self._is_unavailable:
            self._is_unavailable = False
            self._emit(message("postgres.available_again"), OutageEvent(reason="", is_over=True))
        return result

    async def _timed(
        self, statement: LiteralString, arguments: Sequence[object], seconds: float
    ) -> list[Row] | _Failure:
        """Run statements in the slot that the caller has taken, and release it."""
        try:
            async with asyncio.timeout(seconds):
                result = await self._repeated(_SETTINGS + statement, (int(seconds * 1000), *arguments))
        except TimeoutError:
            result = _Failure(message("postgres.no_answer", seconds=seconds), is_outage=True)
        finally:
            self._slots.release()
        if isinstance(result, _Failure) and result.is_outage:
            self._slots.fail(result)
        return result

    async def _repeated(self, text: LiteralString, arguments: Sequence[object]) -> list[Row] | _Failure:
        outages = conflicts = 0
        while True:
            result = await self._once(text, arguments)
            if not isinstance(result, _Failure):
                return result
            if result.is_outage and not outages:
                outages += 1
                await self._close_idle()
            elif result.is_conflict and conflicts < _MAX_CONFLICTS:
                conflicts += 1
                await asyncio.sleep(random.uniform(0, 0.01 * 2**conflicts))
            else:
                return result

    async def _once(self, text: LiteralString, arguments: Sequence[object]) -> list[Row] | _Failure:
        connection = self._idle.pop() if self._idle else None
        try:
            if connection is None:
                connection = await self._connect()
            return await connection.run(text, arguments)
        except psycopg.Error as error:
            is_lost = connection is None or connection.closed
            return _Failure(
                message("postgres.no_connection" if is_lost else "postgres.failed", reason=self._reason(error)),
                is_outage=is_lost or (error.sqlstate or "").startswith(_OUTAGES),
                is_conflict=error.sqlstate in _CONFLICTS,
                code=error.sqlstate or "",
            )
        finally:
            if connection is not None:
                if self._is_open and connection.is_idle:
                    self._idle.append(connection)
                else:
                    await connection.close()  # at once; it waits for nothing

    async def _connect(self) -> _Connection:
        try:
            connection = await _Connection.connect(self._conninfo.reveal(), autocommit=True, prepare_threshold=None)
        except asyncio.CancelledError as cancelled:
            raise cancelled.with_traceback(None) from None  # psycopg's frames hold the password
        guard(connection)
        self.address = f"{connection.info.host}:{connection.info.port}"
        self.name = connection.info.dbname
        return connection

    async def _close_idle(self) -> None:
        while self._idle:
            await self._idle.pop().close()

    def _emit(self, text: Message, event: OutageEvent) -> None:
        LOGGER.warning("%s", text)
        if self._on_event is not None:
            try:
                self._on_event(event)
            except Exception as error:  # noqa: BLE001  # it is the user's
                LOGGER.error("on_event raised %s", type(error).__name__)  # its text may be secret

    def _check_usable(self) -> None:
        if self._process != getpid() and self._process:
            raise NotSentError(message("postgres.forked"))
        if not self._is_open:
            raise NotSentError(message("postgres.not_open"))
        if asyncio.get_running_loop() is not self._loop:
            raise NotSentError(message("postgres.other_event_loop"))

    def _reason(self, error: psycopg.Error) -> str:
        """Return the first line of an error, without the password and any values."""
        text = error.diag.message_primary or str(error).partition("\n")[0] or message("postgres.unnamed_reason")
        password = conninfo_to_dict(self._conninfo.reveal()).get("password")
        return printable(text.replace(str(password), "***") if password else text)

    def _error(self, failure: _Failure) -> NotSentError:
        """Return the error of a failure; the first one of an outage is logged.

        A database that has never answered has no outage: who opens it gets the error.
        """
        if failure.is_outage:
            if self._has_answered and not self._is_unavailable:
                self._is_unavailable = True
                self._emit(failure.reason, OutageEvent(reason=str(failure.reason), is_over=False))
            return SharedUnavailableError(failure.reason)
        error = StatementError(failure.reason)
        error.sqlstate, error.is_transient = failure.code, failure.is_conflict
        return error
