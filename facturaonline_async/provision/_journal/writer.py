"""The journal of a run: what was intended, before it was sent; what was done, before anybody heard of it.

SQLite in a thread of its own. Whatever was asked for while it was writing is written together, with one sync to the
disk: many thousand durable records a second. It holds no payload, no answer and no secret, only what a person may read:
RFCs, letras, uids, phases, reasons; and salted HMACs of what was sent, to tell whether a plan was changed.

What is written stands in the -wal first. It is moved into the journal's own file when the plan was committed, whenever
it has grown, and when the journal is closed; `seal` says how a journal without its -wal is known.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import anyio
import anyio.to_thread
from attrs import frozen

from facturaonline_async.provision._journal.opening import (
    JournalError,
    OpenedJournal,
    identity,
    leave_wal,
    open_journal,
    resolve_path,
)
from facturaonline_async.provision._journal.schema import LATEST
from facturaonline_async.provision._journal.seal import checkpoint, wal_size
from facturaonline_async.provision._steps import Origin, Step, StepState

__all__ = ["COLUMNS", "Journal", "JournalError", "read_step"]

T = TypeVar("T")

_BATCH: Final = 2000
_WAL_BYTES: Final = 4 << 20
"""A -wal that has grown by so much is moved into the journal."""
#: What a row of steps is read by.
COLUMNS: Final = (
    "number", "rfc", "letra", "tipo_documento", "phase", "how", "uid", "due", "sends", "digest", "reason",
)  # fmt: skip
_SAVE: Final = """
UPDATE things SET number=?, phase=?, how=?, uid=?, due=?, sends=?, digest=?, reason=?,
    began=CASE WHEN ?='intent' THEN coalesce(began, ?) ELSE began END,
    changed=CASE WHEN phase<>? OR changed IS NULL THEN ? ELSE changed END
WHERE rfc=? AND letra=? AND tipo_documento=?
"""


@frozen
class _Job:
    """Something for the writer to do, and who waits for it."""

    execute: Callable[[sqlite3.Connection], Any]
    future: asyncio.Future[Any]


class Journal:
    """An open journal. Make it with `open`; ``async with`` closes it.

    Attributes:
        path: the file.
        doubt: why more may have been sent than the journal says, or ``""``; see `settle_doubt`.

    """

    def __init__(self, found: OpenedJournal) -> None:
        self.path: Path = found.path
        self.doubt: str = found.doubt
        self._connection = found.connection
        self._lock = found.lock
        self._seal = found.seal
        self._checkpoint_at = _WAL_BYTES
        self._salt = found.salt
        self._identity = identity(found.path)
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._problem: JournalError | None = None
        self._is_closed = False
        self._thread = threading.Thread(target=self._write, name="facturaonline-journal", daemon=True)
        self._thread.start()

    # ── Life ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    @classmethod
    async def open(cls, path: str | os.PathLike[str], *, account: str, host: str) -> Self:
        """Open the journal of this account and host, or begin one.

        Raises:
            InvalidInputError: this is no path.
            JournalInUseError: another process uses it.
            InvalidJournalError: it belongs to another account or host, is no journal, or is damaged.
            JournalError: it cannot be opened, or not be written.

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
        """Write what is left, and give the file back; both come about also if this is cancelled. Safe to repeat."""
        self._is_closed = True
        self._jobs.put(None)
        with anyio.CancelScope(shield=True):  # also where the caller is being cancelled, nothing is lost
            await anyio.to_thread.run_sync(self._thread.join)

    def _write(self) -> None:
        """Do what is ordered, many orders in one transaction."""
        with closing(self._lock), closing(self._connection) as connection:
            is_open = True
            while is_open:
                batch = [self._jobs.get()]
                while len(batch) < _BATCH and batch[-1] is not None:
                    try:
                        batch.append(self._jobs.get_nowait())
                    except queue.Empty:
                        break
                if batch[-1] is None:
                    is_open = False
                    batch.pop()
                jobs = [job for job in batch if job is not None]
                if jobs:
                    self._deliver(jobs, *self._execute(connection, jobs))
            self._finish(connection)

    def _execute(self, connection: sqlite3.Connection, jobs: Sequence[_Job]) -> tuple[list[Any], JournalError | None]:
        if self._problem is not None:
            return [], self._problem
        try:
            connection.execute("BEGIN IMMEDIATE")
            results = [job.execute(connection) for job in jobs]
            connection.execute("COMMIT")
            if identity(self.path) != self._identity:
                raise OSError("the file was removed or replaced")  # noqa: TRY301
            self._checkpoint_if_due(connection)
        except Exception as error:  # noqa: BLE001  # sqlite3.Error; or a plan's rows that cannot be read
            self._problem = JournalError(f"the journal {self.path} cannot be written: {error}. Nothing more is sent.")
            return [], self._problem
        return results, None

    def _checkpoint_if_due(self, connection: sqlite3.Connection) -> None:
        """Move the -wal into the journal, where that was asked for or the -wal has grown."""
        if (size := wal_size(self.path)) >= self._checkpoint_at:
            # A reader may be in the way: then later.
            is_done = checkpoint(connection, self._seal)
            self._checkpoint_at = _WAL_BYTES if is_done else size + _WAL_BYTES

    def _deliver(self, jobs: Sequence[_Job], results: Sequence[Any], problem: JournalError | None) -> None:
        def deliver() -> None:
            for place, job in enumerate(jobs):
                if job.future.done():
                    continue
                if problem is None:
                    job.future.set_result(results[place])
                else:
                    job.future.set_exception(JournalError(str(problem)))
                    job.future.exception()  # whoever was cancelled does not ask for it

        try:
            self._loop.call_soon_threadsafe(deliver)
        except RuntimeError:  # the loop is closed: nobody waits any more
            return

    def _finish(self, connection: sqlite3.Connection) -> None:
        if self._problem is not None:
            return
        with suppress(sqlite3.Error, OSError):  # what is not sealed is still whole
            self._seal.break_()
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("UPDATE runs SET ended = ? WHERE ended IS NULL", (time.time(),))
            mark = self._seal.prepare(connection)
            connection.execute("COMMIT")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            leave_wal(connection)
            self._seal.finish(mark)

    def _submit(self, execute: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """Hand the work over at once; whoever awaits the future knows that it is on the disk."""
        future: asyncio.Future[T] = self._loop.create_future()
        if self._is_closed:
            future.set_exception(JournalError(f"the journal {self.path} is closed."))
            future.exception()  # whoever only hands something over does not ask for it
        else:
            self._jobs.put(_Job(execute, future))
        return future

    # ── What a run asks for ───────────────────────────────────────────────────────────────────────────────────────────

    def digest(self, payload: bytes) -> bytes:
        """Return the salted HMAC by which a payload is known again, and by nothing else."""
        return hmac.digest(self._salt, payload, "sha256")[:16]

    def save(self, step: Step) -> asyncio.Future[None]:
        """Write how far a step has come. It is handed over at once, also if the caller is then cancelled."""
        values = _values(step)

        def execute(connection: sqlite3.Connection) -> None:
            connection.execute(_SAVE, values)

        return self._submit(execute)

    async def checkpoint(self) -> None:
        """Let the journal's own file have all that was written so far, if no reader is in the way."""

        def execute(_: sqlite3.Connection) -> None:
            self._checkpoint_at = 0  # the writer's own, once this is committed

        await self._submit(execute)

    async def settle_doubt(self) -> None:
        """Write down that all that may have been sent by earlier runs was listed by now."""

        def execute(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM meta WHERE name = 'doubt'")

        await self._submit(execute)
        self.doubt = ""

    async def is_empty(self) -> bool:
        """Return whether there is no plan in it yet."""
        return await self._submit(lambda connection: not connection.execute("SELECT 1 FROM things LIMIT 1").fetchall())

    async def steps_of_row(self, rfc: str) -> list[Step]:
        """Return a company and its series, in the plan's order."""
        return await self._submit(lambda connection: _read_steps(connection, "WHERE rfc = ? ORDER BY rowid", (rfc,)))

    async def adjust(
        self,
        *,
        add: Iterable[Step] = (),
        save: Iterable[Step] = (),
        drop: Iterable[Step] = (),
        baseline: Iterable[tuple[str, str, str, str]] = (),
        forget: Iterable[tuple[str, str, str]] = (),
    ) -> None:
        """Bring plan and baseline up to date, in one transaction. The iterables are taken by the writer, one by one.

        Args:
            add: new steps.
            save: steps that changed.
            drop: steps that the plan does not name any more.
            baseline: (rfc, letra, tipo_documento, uid) of what exists.
            forget: (rfc, letra, tipo_documento) whose earlier baseline does not count any more.

        """

        def execute(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "DELETE FROM things WHERE rfc = ? AND letra = ? AND tipo_documento = ?", (step.name for step in drop)
            )
            connection.executemany("DELETE FROM baseline WHERE rfc = ? AND letra = ? AND tipo_documento = ?", forget)
            connection.executemany("INSERT OR IGNORE INTO baseline VALUES (?, ?, ?, ?)", baseline)
            connection.executemany(_SAVE, map(_values, save))
            connection.executemany(
                "INSERT INTO things (rfc, letra, tipo_documento, number, phase, due, sends, reason) "
                "VALUES (?, ?, ?, ?, ?, 0, 0, '')",
                ((*step.name, step.number, step.phase.value) for step in add),
            )

        await self._submit(execute)

    async def end_audit(self) -> None:
        """Write down that every company was seen to be there once."""
        statement = "UPDATE things SET due = 0 WHERE letra = '' AND phase = 'done' AND due > 0"
        await self._submit(lambda connection: connection.execute(statement).rowcount)

    async def baseline(self, rfc: str | None = None) -> list[tuple[str, str, str, str]]:
        """Return what existed: of one company and its series, or (None) of all companies."""
        where, values = ("letra = ''", ()) if rfc is None else ("rfc = ?", (rfc,))

        def execute(connection: sqlite3.Connection) -> list[tuple[str, str, str, str]]:
            return connection.execute(
                f"SELECT rfc, letra, tipo_documento, uid FROM baseline WHERE {where}",  # noqa: S608
                values,
            ).fetchall()

        return await self._submit(execute)

    async def all_steps(self, after: int = 0, limit: int = 1000) -> tuple[list[Step], int]:
        """Return steps in the order of the plan, some at a time, and what to ask with for more (0: the end)."""

        def execute(connection: sqlite3.Connection) -> tuple[list[Step], int]:
            steps = _read_steps(connection, "WHERE rowid > ? ORDER BY rowid LIMIT ?", (after, limit))
            if len(steps) < limit:
                return steps, 0
            last = connection.execute(
                "SELECT rowid FROM things WHERE rfc = ? AND letra = ? AND tipo_documento = ?", steps[-1].name
            ).fetchone()
            return steps, int(last[0])

        return await self._submit(execute)


def _values(step: Step) -> tuple[object, ...]:
    """Return what `_SAVE` takes."""
    now = time.time()
    phase = step.phase.value
    return (
        step.number, phase, step.how.value if step.how else None, step.uid, min(step.due, LATEST), step.sends,
        step.digest,
        step.reason, phase, now, phase, now, *step.name,
    )  # fmt: skip


def _read_steps(connection: sqlite3.Connection, where: str, values: Sequence[object]) -> list[Step]:
    rows = connection.execute(f"SELECT {', '.join(COLUMNS)} FROM things {where}", values)  # noqa: S608
    return [read_step(row) for row in rows]


def read_step(row: Sequence[Any]) -> Step:
    """Return the step of a row: its `COLUMNS`."""
    values = dict(zip(COLUMNS, row, strict=True))
    values["phase"] = StepState(values["phase"])
    values["how"] = Origin(values["how"]) if values["how"] else None
    return Step(**values)


def _close_abandoned(opening: asyncio.Future[OpenedJournal]) -> None:
    """Give back what was opened for somebody who does not want it any more."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
