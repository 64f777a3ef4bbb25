"""Reading a journal from outside, also while a run is writing it: nobody waits for a reader."""

from __future__ import annotations

import errno
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from attrs import frozen

from facturaonline_async._core.redaction import redact
from facturaonline_async._text import printable
from facturaonline_async.provision._journal.opening import InvalidJournalError, JournalError, unusable
from facturaonline_async.provision._journal.schema import damaged, examine
from facturaonline_async.provision._journal.seal import side_file, wal_size
from facturaonline_async.provision._journal.writer import COLUMNS, read_step
from facturaonline_async.provision._steps import Step

__all__ = ["RunInfo", "is_without_wal", "open_to_read", "read_host", "read_runs", "read_steps", "safe"]

_TRIES: Final = 5
_NEEDS_TO_WRITE: Final = frozenset({sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY})
_WRITE_VERSION: Final = 18
"""Where SQLite notes in a file's head how it is written."""
_WAL_MODE: Final = b"\x02"


@frozen(kw_only=True)
class RunInfo:
    """A time in which a process worked with the journal.

    Attributes:
        number: 1 for the first.
        pid: of the process.
        began, ended: moments; `ended` is None while it works, and where it was killed and nobody came after it.

    """

    number: int
    pid: int
    began: float
    ended: float | None


@contextmanager
def open_to_read(path: str | os.PathLike[str]) -> Iterator[sqlite3.Connection]:
    """Open a journal for reading, as it is at this moment. Nothing that is written meanwhile shows.

    The writer is not kept waiting, but cannot tidy up its file before this is closed: do not keep it open for long.
    Nothing is written beside it where nothing can be: a folder or a disk that may only be read does.

    Raises:
        InvalidJournalError: it is no journal, is another version's, or is damaged.
        JournalError: it is not there, or may not be read.

    """
    file = Path(path)
    problem: JournalError
    try:
        if not file.exists():
            raise JournalError(f"the journal {path} is not there.")
        with _connect(file.resolve()) as connection:
            examine(connection, file)
            yield connection
            return
    except OSError as error:
        problem = JournalError(f"the journal {path} cannot be read: {error.strerror or error}.")
    except UnicodeDecodeError:  # where SQLite shows what it cannot read
        problem = damaged(file, "a text in it is no UTF-8")
    except sqlite3.Error as error:
        problem = unusable(file, "read", error)
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
            problem = InvalidJournalError(f"{path} is not a journal: give the file that you gave to --journal.")
    raise problem


@contextmanager
def _connect(path: Path) -> Iterator[sqlite3.Connection]:
    """Connect to a journal, and begin to read it."""
    if _is_wal_mode(path) and not side_file(path, "-shm").exists():
        # No process has it open. SQLite would make a -shm and a -wal beside it, and a reader cannot remove them.
        with _connect_to_copy(path, always=True) as copy:
            yield copy
        return
    try:
        connection = _begin_reading(f"{path.as_uri()}?mode=ro")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in _NEEDS_TO_WRITE:
            raise
        # SQLite wants to write beside it, and may not: its -shm, or what a crash left.
        with _connect_to_copy(path) as copy:
            yield copy
        return
    with closing(connection):
        yield connection


def _begin_reading(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    try:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def _connect_to_copy(path: Path, *, always: bool = False) -> Iterator[sqlite3.Connection]:
    """Connect to a copy of the journal in a folder of our own; where nothing stands beside it, read it in its place.

    Args:
        always: make the copy in any case: a run may begin while the journal is read.

    """
    names = [name for name in (path, side_file(path, "-wal"), side_file(path, "-journal")) if _size(name)]
    if names == [path] and not always:
        with closing(_begin_reading(f"{path.as_uri()}?immutable=1")) as connection:
            yield connection
        return
    with tempfile.TemporaryDirectory(prefix="facturaonline-") as folder:
        for _ in range(_TRIES):
            before = [(name.stat().st_mtime_ns, name.stat().st_size) for name in names]
            for name in names:
                Path(folder, name.name).write_bytes(name.read_bytes())
            if before == [(name.stat().st_mtime_ns, name.stat().st_size) for name in names]:
                break
        else:
            raise OSError(errno.EBUSY, "it is being written, and its folder may not be written by this user")
        with closing(_begin_reading(Path(folder, path.name).as_uri())) as connection:
            yield connection


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _is_wal_mode(path: Path) -> bool:
    with path.open("rb") as head:
        head.seek(_WRITE_VERSION)
        return head.read(1) == _WAL_MODE


def is_without_wal(path: str | os.PathLike[str]) -> bool:
    """Return whether this was a journal at work, and lacks what its run wrote last: a copy of the one file, mostly.

    Raises:
        JournalError: it cannot be read.

    """
    file = Path(path).resolve()
    try:
        return _is_wal_mode(file) and not wal_size(file)
    except OSError as error:
        raise JournalError(f"the journal {path} cannot be read: {error.strerror or error}.") from None


def read_host(connection: sqlite3.Connection) -> tuple[str, float]:
    """Return where the journal's steps are, and when it began."""
    meta = dict(connection.execute("SELECT name, value FROM meta WHERE name IN ('host', 'began')"))
    return safe(meta["host"]), float(meta["began"])


def read_runs(connection: sqlite3.Connection) -> list[RunInfo]:
    """Return all times in which somebody worked with the journal, the first one first."""
    rows = connection.execute("SELECT pid, began, ended FROM runs ORDER BY id")
    return [
        RunInfo(number=number, pid=pid, began=began, ended=ended) for number, (pid, began, ended) in enumerate(rows, 1)
    ]


def read_steps(connection: sqlite3.Connection) -> Iterator[tuple[Step, float | None, float | None]]:
    """Give all steps in the plan's order, each with the moments when it began and last changed."""
    columns = ", ".join((*COLUMNS, "began", "changed"))
    for row in connection.execute(f"SELECT {columns} FROM things ORDER BY number, letra <> '', rowid"):  # noqa: S608
        yield read_step(row[:-2]), row[-2], row[-1]


def safe(text: str) -> str:
    """Return a text of the API's as it can be shown: nothing that steers a terminal, nothing that looks like a key."""
    return redact(printable(text))
