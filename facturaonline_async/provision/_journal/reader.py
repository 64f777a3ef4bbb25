"""Read a journal, also during a run, without delaying the writer."""

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
from facturaonline_async._messages import message
from facturaonline_async._text import printable
from facturaonline_async.provision._journal.completeness import side_file, wal_size
from facturaonline_async.provision._journal.errors import JournalError
from facturaonline_async.provision._journal.schema import check_journal, damaged, reason_of, unusable
from facturaonline_async.provision._steps import EMPRESAS

__all__ = ["RunInfo", "is_without_wal", "open_to_read", "read_created", "read_host", "read_runs", "safe"]

_TRIES: Final = 5
_NEEDS_TO_WRITE: Final = frozenset({sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY})
_WRITE_VERSION: Final = 18
"""Offset in an SQLite file's header of the byte that holds the journal mode."""
_WAL_MODE: Final = b"\x02"


@frozen(kw_only=True)
class RunInfo:
    """One run that used the journal.

    Attributes:
        number: number of the run, from 1.
        pid: process id.
        began: moment when the run began.
        ended: moment when it ended; None during the run, and after a crash until the next run begins.

    """

    number: int
    pid: int
    began: float
    ended: float | None


@contextmanager
def open_to_read(path: str | os.PathLike[str]) -> Iterator[sqlite3.Connection]:
    """Open a snapshot of a journal for reading; later writes do not show.

    The writer does not wait, but its -wal cannot be moved into the file before the snapshot is closed: keep it open for
    a short time only. Reading works in a folder or on a disk that cannot be written.

    Args:
        path: the journal's file.

    Raises:
        InvalidJournalError: it is not a journal, has another version, or is damaged.
        JournalError: it does not exist, or cannot be read.

    """
    file = Path(path)
    problem: JournalError
    try:
        if not file.exists():
            raise JournalError(message("journal.missing", path=str(path)))
        with _connect(file.resolve()) as connection:
            check_journal(connection, file)
            yield connection
            return
    except OSError as error:
        problem = JournalError(message("journal.cannot_be_read", path=str(path), reason=reason_of(error)))
    except UnicodeDecodeError:  # from an error message of SQLite that quotes a damaged text
        problem = damaged(file, message("journal.not_utf8"))
    except sqlite3.Error as error:
        problem = unusable(file, "journal.cannot_be_read", error)
    raise problem


@contextmanager
def _connect(path: Path) -> Iterator[sqlite3.Connection]:
    """Connect to a journal, or to a copy if SQLite would write beside it."""
    if _is_wal_mode(path) and not side_file(path, "-shm").exists():
        # No process has it open. SQLite would create a -shm and a -wal, which a reader cannot remove.
        with _connect_to_copy(path, always=True) as copy:
            yield copy
        return
    try:
        connection = _begin_reading(f"{path.as_uri()}?mode=ro")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in _NEEDS_TO_WRITE:
            raise
        # SQLite cannot write its -shm, or repair the file after a crash.
        with _connect_to_copy(path) as copy:
            yield copy
        return
    with closing(connection):
        yield connection


def _begin_reading(uri: str) -> sqlite3.Connection:
    """Connect, and begin the read transaction."""
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
    """Connect to a temporary copy of the journal.

    If the file has no side files, it is read in place.

    Args:
        path: the journal's file.
        always: copy it in any case, because a run may begin while the journal is read.

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
            raise OSError(errno.EBUSY, message("journal.being_written"))
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
    """Return whether the file is in WAL mode without its -wal.

    That is so for a copy of the one file, made during a run.

    Args:
        path: the journal's file.

    Raises:
        JournalError: it cannot be read.

    """
    file = Path(path).resolve()
    try:
        return _is_wal_mode(file) and not wal_size(file)
    except OSError as error:
        raise JournalError(message("journal.cannot_be_read", path=str(path), reason=reason_of(error))) from None


def read_host(connection: sqlite3.Connection) -> tuple[str, float]:
    """Return the base URL of the API and the moment when the journal was created."""
    meta = dict(connection.execute("SELECT name, value FROM meta WHERE name IN ('host', 'began')"))
    return safe(meta["host"]), float(meta["began"])


def read_runs(connection: sqlite3.Connection) -> list[RunInfo]:
    """Return all runs that used the journal, oldest first."""
    rows = connection.execute("SELECT pid, began, ended FROM runs ORDER BY id")
    return [
        RunInfo(number=number, pid=pid, began=began, ended=ended) for number, (pid, began, ended) in enumerate(rows, 1)
    ]


def read_created(connection: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """Yield RFC and uid of the companies that the plan created, in its order."""
    yield from connection.execute(
        f"SELECT owner, uid FROM steps WHERE kind = '{EMPRESAS}' AND uid IS NOT NULL AND sends > 0 "  # noqa: S608
        "ORDER BY number, rowid"
    )


def safe(text: str) -> str:
    """Return a text that is safe to display.

    Control characters and everything that looks like a key are removed.
    """
    return redact(printable(text))
