"""Journal of a run: an SQLite file that says what was sent.

Problem
    A run must be able to end at any moment, also by ``kill -9`` or a full disk, and the next run must know what may
    have been sent. So an intent is durable before its request's first byte, and a result before it is reported. Many
    rows write at the same time, and the disk confirms one write after the other. Copies of the file, a lost -wal, a
    second process and a changed plan must be noticed. No secret may be written.

Why no library
    The standard library's sqlite3 gives transactions and a file that survives. Asynchronous wrappers give each
    statement its own transaction, or its own hop between threads: 4,300 durable records a second were measured with
    one, 111,000 with jobs that share a transaction. None knows about copies and lost -wal files.

Algorithm
    One thread owns the connection. Jobs that arrive while it writes share the next transaction and its one sync to the
    disk (group commit)::

        task A ── save(INTENT) ──▶ queue ─┐
        task B ── save(DONE)   ──▶ queue ─┼─▶ writer's thread: BEGIN, all jobs, COMMIT (sync) ──▶ futures done
        task C ── steps_of_row ──▶ queue ─┘                                                       └─▶ A sends

    SQLite writes into the -wal first. The -wal is moved into the journal's own file after the plan was committed, when
    it has grown, and when the journal is closed. `completeness` explains how a journal without its -wal is detected.

Invariants, and the test of each (tests/provision/journal, unless another file is named)
    - What was saved is there after a kill: `test_a_saved_step_survives_a_kill`,
      `test_after_a_crash_at_any_point_the_next_run_creates_everything_once` (tests/provision/test_crash_points.py).
    - Jobs that wait together cost one sync: `test_jobs_queued_together_are_written_in_one_transaction`.
    - A cancelled caller loses no record: `test_a_cancelled_save_is_still_written`,
      `test_a_loop_that_closes_before_its_journal_loses_no_step`.
    - After a failed write nothing more is sent: `test_a_full_disk_stops_the_run_and_loses_nothing`,
      `test_a_failed_write_stops_the_run`.
    - One run at a time writes: `test_a_second_process_is_refused_until_the_first_has_ended`,
      `test_a_second_run_of_the_same_process_is_refused_too`.
    - A journal that may lack records is detected: `test_a_changed_journal_of_a_killed_run_is_incomplete`,
      `test_a_run_with_a_copied_journal_creates_no_duplicate`.
    - A damaged file is refused and not changed:
      `test_a_damaged_journal_raises_invalid_journal_error_and_is_not_changed`.
    - No file of a journal holds a secret: `test_no_file_of_a_journal_contains_a_secret`. It holds RFCs, letras, uids,
      states, reasons, and salted hashes of the payloads.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final, Self, TypeAlias, TypeVar

import anyio
from attrs import frozen

from facturaonline_async._core.once.states import Origin, StepState
from facturaonline_async._messages import message
from facturaonline_async.provision._journal.completeness import checkpoint, wal_size
from facturaonline_async.provision._journal.errors import JournalError
from facturaonline_async.provision._journal.opening import (
    OpenedJournal,
    disable_wal,
    identity,
    open_journal,
    resolve_path,
)
from facturaonline_async.provision._journal.protocol import Journal
from facturaonline_async.provision._journal.salted import salted_hash
from facturaonline_async.provision._journal.schema import LATEST
from facturaonline_async.provision._steps import Step, split_key

__all__ = [
    "COLUMNS",
    "SqliteJournal",
    "SqliteJournalStore",
    "read_step",
    "select_baseline",
    "select_is_empty",
    "select_owners",
    "select_steps_of_rows",
]

T = TypeVar("T")

_BATCH: Final = 2000
_WAL_BYTES: Final = 4 << 20
"""Growth of the -wal, in bytes, after which it is moved into the journal."""
#: Columns of a step, in the order that `read_step` expects.
COLUMNS: Final = (
    "number", "owner", "kind", "natural_key", "state", "origin", "uid", "due", "sends", "digest", "reason",
)  # fmt: skip
_SAVE: Final = """
UPDATE steps SET number=?, state=?, origin=?, uid=?, due=?, sends=?, digest=?, reason=?,
    began=CASE WHEN ?='intent' THEN coalesce(began, ?) ELSE began END,
    changed=CASE WHEN state<>? OR changed IS NULL THEN ? ELSE changed END
WHERE owner=? AND kind=? AND natural_key=?
"""


#: Statements for the writer's thread, and the future of their result.
_Job: TypeAlias = tuple[Callable[[sqlite3.Cursor], Any], asyncio.Future[Any]]


@frozen
class SqliteJournalStore:
    """Journal in an SQLite file, for one process at a time; see `JournalStore`.

    Attributes:
        path: the file.

    """

    path: str | os.PathLike[str]

    async def open(self, *, account: str, host: str) -> Journal:
        """Open the file as the journal of this account and host; see `SqliteJournal.open`."""
        return await SqliteJournal.open(self.path, account=account, host=host)


class SqliteJournal:
    """Open journal in an SQLite file, made with `open`; see `Journal`.

    It owns the file, its lock and the writer's thread until `aclose`.

    Attributes:
        path: the file.
        name: its path, for texts.
        lease: None: the file's lock keeps other processes away.
        gap: why more may have been sent than the journal records, or ``""``; see `clear_gap`.

    """

    lease: float | None = None

    def __init__(self, found: OpenedJournal) -> None:
        self.path: Path = found.path
        self.name: str = str(found.path)
        self.gap: str = found.gap
        self._connection = found.connection
        self._lock = found.lock
        self._completeness = found.completeness
        self._checkpoint_at = _WAL_BYTES
        self._salt = found.salt
        self._identity = identity(self.name)
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._problem: JournalError | None = None
        self._is_closed = False
        self._thread = threading.Thread(target=self._write, name="facturaonline-journal", daemon=True)
        self._thread.start()

    # ── Life ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    @classmethod
    async def open(cls, path: str | os.PathLike[str], *, account: str, host: str) -> Self:
        """Open the journal of this account and host, or create one.

        Args:
            path: the file.
            account: fingerprint of the main keys.
            host: base URL of the API.

        Raises:
            InvalidInputError: this is not a path.
            JournalInUseError: another process uses it.
            InvalidJournalError: it belongs to another account or host, is not a journal, or is damaged.
            JournalError: it cannot be opened or written.

        """
        opening = asyncio.ensure_future(asyncio.to_thread(open_journal, resolve_path(path), account, host))
        try:
            return cls(await asyncio.shield(opening))
        except asyncio.CancelledError:
            opening.add_done_callback(_close_abandoned)
            raise

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Write the remaining jobs and close the file, even if the caller is cancelled.

        Cancelling, however often, does not shorten it. Safe to repeat.
        """
        self._is_closed = True
        self._jobs.put(None)
        # A future and no task: `asyncio.run` cancels all tasks at its end, and the thread would die with the process.
        closing = self._loop.run_in_executor(None, self._thread.join)
        problem: asyncio.CancelledError | None = None
        with anyio.CancelScope(shield=True):  # a cancelled scope would cancel again and again
            while not closing.done():
                try:
                    await asyncio.shield(closing)
                except asyncio.CancelledError as cancelled:
                    problem = cancelled
        if problem is not None:
            raise problem

    def _write(self) -> None:
        """Execute the jobs, many in one transaction. This is the writer's thread."""
        with closing(self._lock), closing(self._connection) as connection:
            cursor = connection.cursor()  # one for all statements: making it takes as long as a statement
            is_open = True
            while is_open:
                batch = [self._jobs.get()]
                while len(batch) < _BATCH and batch[-1] is not None and not self._jobs.empty():
                    batch.append(self._jobs.get())  # this thread alone takes jobs
                if batch[-1] is None:
                    is_open = False
                    batch.pop()
                jobs = [job for job in batch if job is not None]
                if jobs:
                    self._deliver(jobs, *self._execute(cursor, jobs))
            self._finish(connection)

    def _execute(self, cursor: sqlite3.Cursor, jobs: Sequence[_Job]) -> tuple[list[Any], JournalError | None]:
        """Execute the jobs in one transaction; return their results, or the error."""
        if self._problem is not None:
            return [], self._problem
        try:
            cursor.execute("BEGIN IMMEDIATE")
            results = [execute(cursor) for execute, _ in jobs]
            cursor.execute("COMMIT")
            if identity(self.name) != self._identity:
                raise JournalError(message("journal.replaced"))  # noqa: TRY301
            self._checkpoint_if_due(cursor.connection)
        except Exception as error:  # noqa: BLE001  # sqlite3.Error, or rows of a plan that cannot be read
            reason = error.args[0] if isinstance(error, JournalError) else str(error)
            self._problem = JournalError(message("journal.cannot_be_written", path=str(self.path), reason=reason))
            return [], self._problem
        return results, None

    def _checkpoint_if_due(self, connection: sqlite3.Connection) -> None:
        """Move the -wal into the journal if `checkpoint` was called or the -wal has grown."""
        if (size := wal_size(self.name)) >= self._checkpoint_at:
            # If a reader is in the way, try again later.
            is_done = checkpoint(connection, self._completeness)
            self._checkpoint_at = _WAL_BYTES if is_done else size + _WAL_BYTES

    def _deliver(self, jobs: Sequence[_Job], results: Sequence[Any], problem: JournalError | None) -> None:
        """Set the results, or the error, on the futures in the event loop."""

        def deliver() -> None:
            """Set the futures; it runs in the event loop."""
            for place, (_, future) in enumerate(jobs):
                if future.done():
                    continue
                if problem is None:
                    future.set_result(results[place])
                else:
                    future.set_exception(JournalError(problem.args[0]))
                    future.exception()  # mark it as retrieved: a cancelled caller never awaits it

        try:
            self._loop.call_soon_threadsafe(deliver)
        except RuntimeError:  # the loop is closed, so that no task waits
            return

    def _finish(self, connection: sqlite3.Connection) -> None:
        """Record the end of the run, empty the -wal and set the mark."""
        if self._problem is not None:
            return
        with suppress(sqlite3.Error, OSError):  # the journal is intact without a mark
            self._completeness.invalidate()
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("UPDATE runs SET ended = ? WHERE ended IS NULL", (time.time(),))
            mark = self._completeness.prepare(connection)
            connection.execute("COMMIT")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            disable_wal(connection)
            self._completeness.finish(mark)

    def _submit(self, execute: Callable[[sqlite3.Cursor], T]) -> asyncio.Future[T]:
        """Queue statements for the writer's thread.

        When the future is done, they are on the disk.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        if self._is_closed:
            future.set_exception(JournalError(message("journal.closed", path=str(self.path))))
            future.exception()  # mark it as retrieved: not every caller awaits it
        else:
            self._jobs.put((execute, future))
        return future

    # ── Statements of a run ───────────────────────────────────────────────────────────────────────────────────────────

    def digest(self, payload: bytes) -> bytes:
        """Return the salted hash of a payload: 16 bytes."""
        return salted_hash(self._salt, payload)

    def save(self, *steps: Step) -> asyncio.Future[None]:
        """Queue steps for writing at once; the future is done when all are on the disk.

        They are written even if the caller is cancelled.
        """
        values = [_values(step) for step in steps]

        def execute(cursor: sqlite3.Cursor) -> None:
            """Write the steps."""
            cursor.executemany(_SAVE, values)

        return self._submit(execute)

    async def clear_gap(self) -> None:
        """Record that lists have shown all earlier creates, and clear `gap`."""

        def execute(cursor: sqlite3.Cursor) -> None:
            """Delete the recorded gap."""
            cursor.execute("DELETE FROM meta WHERE name = 'gap'")

        await self._submit(execute)
        self.gap = ""

    async def is_empty(self) -> bool:
        """Return whether the journal holds no plan yet."""
        return await self._submit(select_is_empty)

    async def steps_of_row(self, rfc: str) -> list[Step]:
        """Return the steps of a company and its series, in the plan's order."""
        return (await self.steps_of_rows([rfc])).get(rfc, [])

    async def steps_of_rows(self, rfcs: Sequence[str]) -> dict[str, list[Step]]:
        """Return the steps of several companies and their series, in the plan's order.

        Args:
            rfcs: the companies' RFCs, at most some hundred. An RFC without steps is missing from the result.

        """
        return await self._submit(lambda cursor: select_steps_of_rows(cursor, rfcs))

    async def open_companies(self) -> list[Step]:
        """Return the steps of companies whose create may have been done."""
        states = StepState.INTENT.value, StepState.UNKNOWN.value, StepState.UNRESOLVED.value
        where = "WHERE kind = 'empresas' AND state IN (?, ?, ?)"
        return await self._submit(lambda cursor: _read_steps(cursor, where, states))

    async def adjust(
        self,
        *,
        add: Iterable[Step] = (),
        save: Iterable[Step] = (),
        drop: Iterable[Step] = (),
        baseline: Iterable[tuple[str, str, str, str]] = (),
        forget: Iterable[tuple[str, str, str]] = (),
    ) -> None:
        """Write what changed in the plan in one transaction; see `Journal.adjust`.

        The writer's thread consumes the iterables. Afterwards it moves the -wal into the journal's own file, if no
        reader is in the way.
        """

        def execute(cursor: sqlite3.Cursor) -> None:
            """Apply all changes."""
            cursor.executemany(
                "DELETE FROM steps WHERE owner = ? AND kind = ? AND natural_key = ?",
                (step.primary_key for step in drop),
            )
            _replace_baseline(cursor, forget, baseline)
            cursor.executemany(_SAVE, map(_values, save))
            cursor.executemany(
                "INSERT INTO steps (owner, kind, natural_key, number, state, due, sends, reason) "
                "VALUES (?, ?, ?, ?, ?, 0, 0, '')",
                ((*step.primary_key, step.number, step.state.value) for step in add),
            )
            self._checkpoint_at = 0  # read by the writer's thread after the commit

        await self._submit(execute)

    async def replace_baseline(
        self, keys: Iterable[tuple[str, str, str]], baseline: Iterable[tuple[str, str, str, str]]
    ) -> None:
        """Write what exists for some steps; see `Journal.replace_baseline`."""
        await self._submit(lambda cursor: _replace_baseline(cursor, keys, baseline))

    async def end_audit(self) -> None:
        """Record that the final audit found every company exactly once."""
        statement = "UPDATE steps SET due = 0 WHERE kind = 'empresas' AND state = 'done' AND due > 0"
        await self._submit(lambda cursor: cursor.execute(statement).rowcount)

    async def baseline(self, rfc: str | None = None) -> list[tuple[str, str, str, str]]:
        """Return the baseline of one company and its series, or of all companies."""
        return await self._submit(lambda cursor: select_baseline(cursor, rfc))

    async def owners(self, after: int = 0, limit: int = 1000) -> tuple[list[str], int]:
        """Return the RFCs of a page of steps, and the cursor of the next page.

        The RFCs are in the plan's order; the cursor is 0 after the last page.
        """
        return await self._submit(lambda cursor: select_owners(cursor, after, limit))


def select_is_empty(cursor: sqlite3.Cursor) -> bool:
    """Return whether the journal holds no plan yet."""
    return not cursor.execute("SELECT 1 FROM steps LIMIT 1").fetchall()


def select_steps_of_rows(cursor: sqlite3.Cursor, rfcs: Sequence[str]) -> dict[str, list[Step]]:
    """Return the steps of several companies; see `SqliteJournal.steps_of_rows`."""
    found: dict[str, list[Step]] = {}
    for step in _read_steps(cursor, f"WHERE owner IN ({', '.join('?' * len(rfcs))}) ORDER BY rowid", rfcs):
        found.setdefault(step.owner, []).append(step)
    return found


def select_baseline(cursor: sqlite3.Cursor, rfc: str | None) -> list[tuple[str, str, str, str]]:
    """Return the baseline of one company and its series, or of all companies."""
    where, values = ("kind = 'empresas'", ()) if rfc is None else ("owner = ?", (rfc,))
    statement = f"SELECT owner, kind, natural_key, uid FROM baseline WHERE {where}"  # noqa: S608
    return cursor.execute(statement, values).fetchall()


def select_owners(cursor: sqlite3.Cursor, after: int, limit: int) -> tuple[list[str], int]:
    """Return the companies of a page of steps; see `SqliteJournal.owners`."""
    statement = "SELECT owner, rowid FROM steps WHERE rowid > ? ORDER BY rowid LIMIT ?"
    rows = cursor.execute(statement, (after, limit)).fetchall()
    return list(dict.fromkeys(owner for owner, _ in rows)), rows[-1][1] if len(rows) == limit else 0


def _replace_baseline(
    cursor: sqlite3.Cursor,
    keys: Iterable[tuple[str, str, str]],
    baseline: Iterable[tuple[str, str, str, str]],
) -> None:
    cursor.executemany("DELETE FROM baseline WHERE owner = ? AND kind = ? AND natural_key = ?", keys)
    cursor.executemany("INSERT OR IGNORE INTO baseline VALUES (?, ?, ?, ?)", baseline)


def _values(step: Step) -> tuple[object, ...]:
    """Return the parameters of `_SAVE`."""
    now, state = time.time(), str(step.state)
    return (
        step.number, state, str(step.origin) if step.origin else None, step.uid, min(step.due, LATEST), step.sends,
        step.digest, step.reason, state, now, state, now, *step.primary_key,
    )  # fmt: skip


def _read_steps(cursor: sqlite3.Cursor, where: str, values: Sequence[object]) -> list[Step]:
    rows = cursor.execute(f"SELECT {', '.join(COLUMNS)} FROM steps {where}", values)  # noqa: S608
    return [read_step(row) for row in rows]


_STATES: Final = {state.value: state for state in StepState}
_ORIGINS: Final = {None: None} | {origin.value: origin for origin in Origin}


def read_step(row: Sequence[Any]) -> Step:
    """Return the step of a database row with the values of `COLUMNS`."""
    number, owner, kind, natural_key, state, origin, uid, due, sends, digest, reason = row
    return Step(
        number=number,
        owner=owner,
        kind=kind,
        natural_key=split_key(natural_key),
        state=_STATES[state],
        origin=_ORIGINS[origin],
        uid=uid,
        due=due,
        sends=sends,
        digest=digest,
        reason=reason,
    )


def _close_abandoned(opening: asyncio.Future[OpenedJournal]) -> None:
    """Close a journal whose opening was cancelled."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
