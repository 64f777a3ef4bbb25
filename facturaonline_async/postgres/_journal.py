"""Journal of a run in PostgreSQL: any machine can continue the run.

Problem
    A journal in a file belongs to one disk, and its lock ends with its process. In a database the lock must end without
    a word of the process, because a killed process says none; and a process that was only paused must not go on as if
    nothing had happened. Each intent must be durable before its request's first byte, which costs a sync of the
    server's disk, while many rows write at once. The server may restart in the middle.

Algorithm
    A run is taken for a lease: with a token, and a random text of this take (a promoted standby repeats tokens). It can
    be taken over when it was released, or silent for its lease. Every write checks both in its own transaction, under
    the lock of the run's row, and is a sign of life; without writes there is one in each third of the lease::

        task A ── save(INTENT) ──▶ queue ─┐            ┌─ lock the run's row, compare token and holder
        task B ── save(DONE)   ──▶ queue ─┼─▶ one call ┤  write all steps                        ──▶ futures done
        task C ── save(INTENT) ──▶ queue ─┘            └─ commit (sync)                               └─▶ A and C send

    What is queued during a call goes out in the next one (group commit). A call that failed because the server was away
    is repeated until it answers: it does the same again under the same token.

Invariants, and the test of each (tests/postgres/test_journal.py, unless another file is named)
    - An intent is durable before it is confirmed: `test_a_write_is_synchronous_whatever_the_database_says`.
    - After a take the holder before writes nothing: `test_a_holder_whose_run_was_taken_is_fenced`.
    - A paused holder sends nothing after a take: tests/postgres/test_takeover.py.
    - The same token of another holder does not pass: `test_a_token_that_a_promoted_standby_repeats_is_refused`.
    - Nothing is lost or done twice when the server restarts: tests/postgres/test_takeover.py.
    - After a promotion or a restored backup, a run lists what exists before it creates anything:
      `test_a_new_timeline_fences_the_holder_and_makes_the_next_run_careful`.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import secrets
import socket
import time
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, Final, LiteralString, Self, TypeAlias

import anyio
from attrs import field, frozen

from facturaonline_async._messages import Message, message
from facturaonline_async.errors import NotSentError
from facturaonline_async.postgres._connection import Database, Row, StatementError
from facturaonline_async.postgres._journal_reads import JournalReads, check_owner, read_row
from facturaonline_async.postgres._runs import journal_name
from facturaonline_async.provision._journal.errors import (
    FencedError,
    JournalError,
    JournalInUseError,
)
from facturaonline_async.provision._journal.protocol import Journal
from facturaonline_async.provision._journal.salted import account_mark, make_salt
from facturaonline_async.provision._journal.schema import LATEST
from facturaonline_async.provision._steps import Step

__all__ = ["PostgresJournal", "PostgresJournalStore", "Take", "take_run"]

Key: TypeAlias = tuple[str, str, str]

_BATCH: Final = 1000
"""Maximum number of steps in one call."""

_PATIENCE: Final = 300.0
"""Seconds for which a write is repeated while the server does not answer."""

_CLOSE: Final = 10.0
"""Seconds in which a closing journal writes what is queued. After that its lease must pass."""

_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 2.0
_LOOK: Final = 1.0
"""Seconds between two looks at a run that another process has."""

_DIVIDED: Final = "FO002"
"""Code of the error of a run whose plan is divided into shards: each shard has a journal."""

_FIND: Final = "SELECT salt, account, host, run FROM facturaonline.find_run_v1(%s, %s, %s, %s)"
_TAKE: Final = "SELECT taken, gap, heard, wait FROM facturaonline.take_run_v1(%s, %s, %s, %s, %s)"
_RELEASE: Final = "SELECT facturaonline.release_run_v1(%s, %s)"
_BEAT: Final = "SELECT facturaonline.beat_v1(%s, %s, %s)"
_SAVE: Final = "SELECT facturaonline.save_v1(%s, %s, %s, %s)"
_ADJUST: Final = "SELECT facturaonline.adjust_v1(%s, %s, %s, %s, %s, %s, %s, %s)"
_REPLACE_BASELINE: Final = "SELECT facturaonline.replace_baseline_v1(%s, %s, %s, %s, %s)"
_END_AUDIT: Final = "SELECT facturaonline.end_audit_v1(%s, %s, %s)"
_CLEAR_GAP: Final = "SELECT facturaonline.clear_gap_v1(%s, %s, %s)"
_READ_OPEN_COMPANIES: Final = "SELECT * FROM facturaonline.read_open_companies_v1(%s)"


@frozen
class PostgresJournalStore:
    """Journal of one name in a database; see `JournalStore`.

    Attributes:
        database: The database.
        run: Name of the run.
        lease: Seconds of silence after which another process may take the run.

    """

    database: Database = field(repr=False)
    run: str
    lease: float

    async def open(self, *, account: str, host: str) -> Journal:
        """Take the run of this account and host, or make it.

        If the process that has it is silent, this waits until its lease has passed.

        Args:
            account: Fingerprint of the main keys.
            host: Base URL of the API.

        Raises:
            JournalInUseError: Another process has it, and lives.
            InvalidJournalError: It belongs to another account or host.
            JournalError: The database does not answer.

        """
        problem: Message | str = ""
        try:
            return await self._open(account, host)
        except JournalError:
            raise
        except NotSentError as error:
            if isinstance(error, StatementError) and error.sqlstate == _DIVIDED:
                problem = message("journal.divided")
            else:
                problem = error.args[0]
        raise JournalError(message("journal.cannot_be_opened", path=self.name, reason=str(problem).removesuffix(".")))

    @property
    def name(self) -> str:
        """Name of the journal, for texts."""
        return journal_name(self.run)

    async def _open(self, account: str, host: str) -> Journal:
        while True:
            salt = make_salt()
            [found] = await self.database.query(_FIND, (self.run, salt, account_mark(salt, account), host))
            salt, mark, its_host, run = found
            check_owner(self.name, salt=salt, mark=mark, its_host=its_host, account=account, host=host)
            taken = await take_run(self.database, run, self.lease, self.name)
            if taken is not None:
                return PostgresJournal(self.database, self.name, taken, salt=salt)


async def take_run(database: Database, run: int, lease: float, name: str) -> Take | None:
    """Take a run for this process.

    If the process that has it is silent, this waits until its lease has passed.

    Args:
        database: The database.
        run: Number of the run.
        lease: Seconds of silence after which another process may take the run.
        name: Name of the journal, for texts.

    Returns:
        The take; None if the run was deleted meanwhile.

    Raises:
        JournalInUseError: Another process has it, and lives.
        NotSentError: The database does not answer.

    """
    holder = secrets.token_hex(16)
    try:
        return await _take(database, run, lease, name, holder)
    except BaseException:
        with anyio.CancelScope(shield=True), suppress(NotSentError):  # the take may have been done
            await database.query(_RELEASE, (run, holder))
        raise


async def _take(database: Database, run: int, lease: float, name: str, holder: str) -> Take | None:
    first: float | None = None
    while True:
        arguments = (run, holder, lease, socket.gethostname(), os.getpid())
        [(token, gap, heard, wait)] = await database.query(_TAKE, arguments)
        if token is not None:
            return Take(run, holder, lease, token, message("journal.new_timeline") if gap else "")
        if wait is None:
            return None
        if first is not None and heard != first:
            raise JournalInUseError(message("journal.in_use", path=name))
        first = heard
        await asyncio.sleep(min(wait, _LOOK))


@frozen
class Take:
    """A process has a run.

    Attributes:
        run: Number of the run.
        holder: Random text of this take.
        lease: Seconds of silence after which another process may take the run.
        token: Number of this take of the run.
        gap: Why more may have been sent than the journal records, or ``""``.

    """

    run: int
    holder: str
    lease: float
    token: int
    gap: str


@frozen(eq=False)
class _Job:
    """Statement for the writer, and the future of its result.

    Attributes:
        statement: SQL.
        arguments: Its arguments.
        future: Gets the rows.
        is_write: Whether the first value of the answer says if it was refused.

    """

    statement: LiteralString
    arguments: Sequence[object]
    future: asyncio.Future[list[Row]]
    is_write: bool = True


@frozen(eq=False)
class _Save:
    """Step for the writer, and the future of its write.

    Attributes:
        key: Primary key of the step.
        values: The other values of a row of ``save_v1``.
        future: Done when the step is durable.

    """

    key: Key
    values: tuple[Any, ...]
    future: asyncio.Future[None]


class PostgresJournal(JournalReads):
    """Open journal in a database; see `Journal`.

    `PostgresJournalStore.open` makes it. It has the run until `aclose`, and says so in each third of its lease.

    Attributes:
        name: its name, for texts.
        lease: seconds of silence after which another process may take the run over.
        gap: why more may have been sent than the journal records, or ``""``; see `clear_gap`.

    """

    def __init__(self, database: Database, name: str, take: Take, *, salt: bytes) -> None:
        self.name: str = name
        self.gap: str = take.gap
        self.lease: float | None = take.lease
        self._database = database
        self._take = take
        self._salt = salt
        self._loop = asyncio.get_running_loop()
        self._queue: deque[_Job | _Save] = deque()
        self._in_flight: Sequence[asyncio.Future[Any]] = ()
        self._has_work = asyncio.Event()
        self._is_closed = False
        self._problem: JournalError | None = None
        self._next_beat = self._loop.time() + take.lease / 3
        self._closing: asyncio.Task[None] | None = None
        self._writer = self._loop.create_task(self._write(), name=f"facturaonline-journal {name}")

    # ── Life ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Write what is queued, and release the run, even if the caller is cancelled.

        It takes some seconds if the server does not answer. What could not be written then is an intent for the next
        run, which can begin when the lease has passed. Safe to repeat.
        """
        if self._closing is None:
            self._is_closed = True
            self._has_work.set()
            self._closing = self._loop.create_task(self._close())
        problem: asyncio.CancelledError | None = None
        while not self._closing.done():
            try:
                await asyncio.shield(self._closing)
            except asyncio.CancelledError as cancelled:
                problem = cancelled
        if problem is not None:
            raise problem

    async def _close(self) -> None:
        await asyncio.wait({self._writer}, timeout=_CLOSE)
        self._writer.cancel()
        await asyncio.wait({self._writer})
        with suppress(NotSentError):
            await self._database.query(_RELEASE, (self._take.run, self._take.holder))

    # ── The writer's task ─────────────────────────────────────────────────────────────────────────────────────────────

    async def _write(self) -> None:
        """Send what is queued, call by call, until the journal is closed."""
        try:
            while self._problem is None and (self._queue or not self._is_closed):
                if self._queue:
                    await self._write_next()
                elif not await self._wait_for_work():
                    await self._send(_BEAT, self._arguments(), is_write=True)
        except Exception as error:  # noqa: BLE001  # else the callers would wait for ever
            self._problem = self._unwritable(type(error).__name__)
        finally:
            self._fail(self._problem or JournalError(message("journal.closed", path=self.name)))

    async def _write_next(self) -> None:
        """Send the first job, or all saves before the next job as one call."""
        job = self._queue[0]
        if isinstance(job, _Job):
            self._queue.popleft()
            self._in_flight = [job.future]
            rows = await self._send(job.statement, job.arguments, is_write=job.is_write)
        else:
            saves, rows = self._next_saves(), None
            self._in_flight = [save.future for save in saves]
            written = _encode((*save.key, *save.values) for save in saves)
            await self._send(_SAVE, self._arguments(written), is_write=True)
        self._settle(self._in_flight, rows)

    async def _wait_for_work(self) -> bool:
        """Wait until something is queued; return False if a sign of life is due first."""
        self._has_work.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._next_beat):
                return await self._has_work.wait()
        return False

    def _next_saves(self) -> list[_Save]:
        """Remove the saves for one call from the queue, each step once."""
        saves: dict[Key, _Save] = {}
        while self._queue and len(saves) < _BATCH:
            save = self._queue[0]
            if isinstance(save, _Job) or save.key in saves:
                break
            saves[save.key] = save
            self._queue.popleft()
        return list(saves.values())

    async def _send(self, statement: LiteralString, arguments: Sequence[object], *, is_write: bool) -> list[Row] | None:
        """Run a statement until the server answers, and return the rows.

        None: nothing can be written any more.
        """
        began, pause = self._loop.time(), _FIRST_PAUSE
        while self._problem is None:
            try:
                rows = await self._database.query(statement, arguments)
            except NotSentError as error:
                if not error.is_transient or self._loop.time() - began >= _PATIENCE:
                    self._problem = self._unwritable(str(error))
                    continue
            else:
                self._next_beat = self._loop.time() + self._take.lease / 3
                if not is_write or not rows[0][0]:
                    return rows
                self._problem = self._refusal(rows[0][0])
                continue
            await asyncio.sleep(random.uniform(pause / 2, pause))
            pause = min(2 * pause, _LONGEST_PAUSE)
        return None

    def _settle(self, futures: Iterable[asyncio.Future[Any]], rows: list[Row] | None) -> None:
        """Set the result, or the journal's problem, on futures that still wait."""
        for future in futures:
            if future.done():
                continue
            if self._problem is None:
                future.set_result(rows)
            else:
                future.set_exception(type(self._problem)(self._problem.args[0]))
                future.exception()  # mark it as retrieved: a cancelled caller never awaits it

    def _fail(self, problem: JournalError) -> None:
        """Let everything that is queued or under way fail."""
        self._problem = problem
        self._settle([*self._in_flight, *(each.future for each in self._queue)], None)
        self._queue.clear()

    def _unwritable(self, reason: str) -> JournalError:
        return JournalError(message("journal.cannot_be_written", path=self.name, reason=reason.removesuffix(".")))

    def _refusal(self, code: str) -> FencedError:
        """Return the error of a write that the server refused; see ``beat`` in the schema."""
        if code == "timeline":
            return FencedError(message("journal.restored", path=self.name))
        return FencedError(message("journal.fenced", path=self.name))

    def _arguments(self, *more: object) -> Sequence[object]:
        return self._take.run, self._take.token, self._take.holder, *more

    def _put(self, entry: _Job | _Save) -> None:
        if self._is_closed or self._problem is not None:
            problem = self._problem or JournalError(message("journal.closed", path=self.name))
            entry.future.set_exception(type(problem)(problem.args[0]))
            entry.future.exception()  # mark it as retrieved: not every caller awaits it
            return
        self._queue.append(entry)
        self._has_work.set()

    async def _read(self, statement: LiteralString, *arguments: object) -> list[Row]:
        """Run a statement that only reads, after everything that is queued."""
        future: asyncio.Future[list[Row]] = self._loop.create_future()
        self._put(_Job(statement, (self._take.run, *arguments), future, is_write=False))
        return await future

    async def _change(self, statement: LiteralString, *arguments: object) -> list[Row]:
        """Run a statement that writes, after everything that is queued."""
        future: asyncio.Future[list[Row]] = self._loop.create_future()
        self._put(_Job(statement, self._arguments(*arguments), future))
        return await future

    # ── Statements of a run ───────────────────────────────────────────────────────────────────────────────────────────

    def save(self, *steps: Step) -> asyncio.Future[None]:
        """Queue steps for writing at once; the future is done when all are durable.

        They are written even if the caller is cancelled. At least one step is given.
        """
        saves = [_Save(step.primary_key, _values(step), self._loop.create_future()) for step in steps]
        for save in saves:
            self._put(save)
        return saves[-1].future  # they take effect in their order

    async def adjust(
        self,
        *,
        add: Iterable[Step] = (),
        save: Iterable[Step] = (),
        drop: Iterable[Step] = (),
        baseline: Iterable[tuple[str, str, str, str]] = (),
        forget: Iterable[tuple[str, str, str]] = (),
    ) -> None:
        """Write what changed in the plan; see `Journal.adjust`.

        Each call writes a thousand steps. If the process ends between two of them, the next run writes the rest,
        because nothing was sent.
        """
        parts = (
            (step.primary_key for step in drop),
            forget,
            baseline,
            ((*step.primary_key, *_values(step)) for step in save),
            ((*step.primary_key, step.number, step.state.value) for step in add),
        )
        for place, part in enumerate(parts):
            rows = iter(part)
            while chunk := list(islice(rows, _BATCH)):
                await self._change(_ADJUST, *(_encode(chunk if each == place else ()) for each in range(len(parts))))

    async def replace_baseline(
        self, keys: Iterable[tuple[str, str, str]], baseline: Iterable[tuple[str, str, str, str]]
    ) -> None:
        """Write what exists for some steps; see `Journal.replace_baseline`."""
        await self._change(_REPLACE_BASELINE, _encode(keys), _encode(baseline))

    async def steps_of_row(self, rfc: str) -> list[Step]:
        """Return the steps of a company and its series, in the plan's order."""
        return (await self.steps_of_rows([rfc])).get(rfc, [])

    async def open_companies(self) -> list[Step]:
        """Return the steps of companies whose create may have been done."""
        return list(map(read_row, await self._read(_READ_OPEN_COMPANIES)))

    async def end_audit(self) -> None:
        """Record that the final audit found every company exactly once."""
        await self._change(_END_AUDIT)

    async def clear_gap(self) -> None:
        """Record that lists have shown all earlier creates, and clear `gap`."""
        await self._change(_CLEAR_GAP)
        self.gap = ""


def _values(step: Step) -> tuple[Any, ...]:
    """Return the values of a step after its primary key, in the order of ``save_v1``."""
    return (
        step.number, step.state.value, step.origin.value if step.origin else None, step.uid,
        _seconds_until(step.due), step.sends, step.digest.hex() if step.digest is not None else None,
        _storable(step.reason),
    )  # fmt: skip


def _seconds_until(due: float) -> float | None:
    """Return a moment as seconds from now, because the server has its own clock."""
    return min(due, LATEST) - time.time() if due else None


def _storable(text: str) -> str:
    """Return a text without U+0000 and halves of surrogate pairs."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _encode(rows: Iterable[Sequence[object]]) -> str:
    return _ENCODER.encode(list(rows))


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False)
