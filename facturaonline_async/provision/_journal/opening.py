"""Opening a journal: that it is ours alone, whose it is, and whether it says all that was sent."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from attrs import frozen

from facturaonline_async._private_files import open_private
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.provision._journal.filelock import FileLock
from facturaonline_async.provision._journal.schema import (
    InvalidJournalError,
    JournalError,
    begin_run,
    check_owner,
    create_tables,
    damaged,
    examine,
    read_meta,
)
from facturaonline_async.provision._journal.seal import Seal, checkpoint, is_wal_whole, side_file, wal_size

__all__ = [
    "InvalidJournalError",
    "JournalError",
    "JournalInUseError",
    "OpenedJournal",
    "identity",
    "leave_wal",
    "open_journal",
    "resolve_path",
    "unusable",
]

_PATIENCE: Final = 5000
"""Milliseconds that the first statements wait for readers."""
_TRIES: Final = 50
_PAUSE: Final = 0.02  # seconds
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class JournalInUseError(JournalError):
    """Another process, or another run of this one, is working with the journal. Wait for it, or stop it."""


@frozen
class OpenedJournal:
    """A journal's file, ours alone.

    Attributes:
        path: the file.
        connection: open for writing.
        lock: taken.
        seal: set.
        salt: for the HMACs of what was sent.
        doubt: why more may have been sent than the journal says, or ``""``.

    """

    path: Path
    connection: sqlite3.Connection
    lock: FileLock
    seal: Seal
    salt: bytes
    doubt: str

    def close(self) -> None:
        """Give everything back."""
        self.connection.close()
        self.lock.close()


def resolve_path(path: str | os.PathLike[str]) -> Path:
    """Return the file itself: one file has one lock, whatever names lead to it."""
    try:
        if str(path):
            return Path(path).resolve()
    except OSError as error:
        raise JournalError(f"the journal {path} cannot be opened: {error.strerror}.") from None
    except (TypeError, ValueError, RuntimeError):
        pass
    raise InvalidInputError(f"journal must be the path of a file, and was {path!r:.200}.", field="journal")


def identity(path: Path) -> tuple[int, int] | None:
    """Return what tells the file from one that takes its place, or None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def unusable(path: Path, what: str, error: sqlite3.Error) -> JournalError:
    """Return the error for a journal that cannot be `what` ("opened", "read")."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    kind = InvalidJournalError if code in _DAMAGED else JournalError
    reason = " ".join(str(error).split())  # of a damaged schema, SQLite shows lines
    return kind(f"the journal {path} cannot be {what}: {reason}.")


def open_journal(path: Path, account: str, host: str) -> OpenedJournal:
    """Lock and open the journal of this account and host, or begin one; `path` is a `resolve_path` one.

    Raises:
        JournalInUseError: another process uses it.
        InvalidJournalError: it is another's, it is no journal, or it is damaged.
        JournalError: it cannot be opened, or not be written.

    """
    lock = FileLock(side_file(path, ".lock"))
    try:
        is_free = lock.acquire()
    except OSError as error:
        raise JournalError(f"the journal {path} cannot be opened: {error.strerror or error}.") from None
    if not is_free:
        raise JournalInUseError(f"another process is working with the journal {path}. Wait for it, or stop it.")
    try:
        return _open_locked(path, lock, account, host)
    except sqlite3.Error as error:
        lock.close()
        raise unusable(path, "opened", error) from None
    except UnicodeDecodeError:  # where SQLite shows what it cannot read
        lock.close()
        raise damaged(path, "a text in it is no UTF-8") from None
    except OSError as error:
        lock.close()
        raise JournalError(f"the journal {path} cannot be opened: {error.strerror or error}.") from None
    except BaseException:
        lock.close()
        raise


def _open_locked(path: Path, lock: FileLock, account: str, host: str) -> OpenedJournal:
    seal = Seal(path, lock)
    _make_file(path)
    if is_new := not path.stat().st_size:
        if wal_size(path):
            raise InvalidJournalError(f"{path} is empty, but its -wal is not: bring back the file that it belongs to.")
        doubt = seal.doubt_of_new()
    else:
        doubt = _check_before_use(path, seal, account, host)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        doubt = _start_run(connection, path, seal, doubt, (account, host) if is_new else None)
        return OpenedJournal(path, connection, lock, seal, read_meta(connection, path)["salt"], doubt)
    except BaseException:
        connection.close()
        raise


def _make_file(path: Path) -> None:
    """Make the file, where it is not there; finish what a crash left of a change of its mode."""
    # It is for its owner's eyes from the first moment; SQLite gives its side files the same rights.
    file = open_private(path, os.O_RDWR | os.O_CREAT)
    try:
        if os.fstat(file).st_nlink > 1:  # with another name it would have another lock
            raise JournalError(f"the journal {path} cannot be opened: it has several names (hard links).")
    finally:
        os.close(file)
    if side_file(path, "-journal").exists():
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()


def _check_before_use(path: Path, seal: Seal, account: str, host: str) -> str:
    """Refuse a journal that cannot be used, without changing it; return why more may have been sent than it says."""
    # Where there is no -wal, SQLite would make one.
    how = "mode=ro" if wal_size(path) else "immutable=1"
    with closing(sqlite3.connect(f"{path.as_uri()}?{how}", uri=True, isolation_level=None)) as connection:
        examine(connection, path)
        check_owner(connection, path, account, host)
        return seal.doubt(connection)


def _start_run(
    connection: sqlite3.Connection, path: Path, seal: Seal, doubt: str, owner: tuple[str, str] | None
) -> str:
    """Make the tables where there are none (`owner` is a new journal's), and begin a run; return what is doubtful."""
    connection.execute(f"PRAGMA busy_timeout = {_PATIENCE}")
    # A journal that has bytes has tables, also after a crash: they are made before there is a -wal.
    if owner is not None:
        create_tables(connection, *owner)
    size = wal_size(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")  # it would take no heed of the seal
    connection.execute("PRAGMA synchronous = FULL")
    seal.break_()
    if not is_wal_whole(connection, size):
        doubt = doubt or "its -wal is not whole"
    doubt = begin_run(connection, doubt)
    connection.execute("PRAGMA busy_timeout = 0")
    checkpoint(connection, seal)
    return doubt


def leave_wal(connection: sqlite3.Connection) -> None:
    """Leave no -wal behind: then the journal can be read where nothing can be written. Readers may keep it there."""
    for _ in range(_TRIES):
        with suppress(sqlite3.OperationalError):
            if connection.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",):
                return
        time.sleep(_PAUSE)
