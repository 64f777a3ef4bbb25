"""Open a journal: lock it, check its owner, and detect lost writes."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from attrs import frozen

from facturaonline_async._messages import message
from facturaonline_async._private_files import open_private
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.provision._journal.completeness import Completeness, checkpoint, merge_wal, side_file, wal_size
from facturaonline_async.provision._journal.errors import InvalidJournalError, JournalError, JournalInUseError
from facturaonline_async.provision._journal.filelock import FileLock
from facturaonline_async.provision._journal.schema import (
    begin_run,
    check_journal,
    check_owner,
    create_tables,
    damaged,
    read_meta,
    reason_of,
    unusable,
)

__all__ = [
    "OpenedJournal",
    "disable_wal",
    "identity",
    "open_journal",
    "resolve_path",
]

_PATIENCE: Final = 5000
"""Time that the first statements wait for readers, in milliseconds."""
_TRIES: Final = 50
_PAUSE: Final = 0.02  # seconds


@frozen
class OpenedJournal:
    """Open and locked journal.

    Attributes:
        path: the file.
        connection: SQLite connection, open for writing.
        lock: the lock, acquired.
        completeness: the mark that proves that the file is complete.
        salt: salt of the digests.
        gap: why more may have been sent than the journal records, or ``""``.

    """

    path: Path
    connection: sqlite3.Connection
    lock: FileLock
    completeness: Completeness
    salt: bytes
    gap: str

    def close(self) -> None:
        """Close the connection and release the lock."""
        self.connection.close()
        self.lock.close()


def resolve_path(path: str | os.PathLike[str]) -> Path:
    """Return the path of the file itself, without links: one file has one lock.

    Raises:
        InvalidInputError: this is not a path.
        JournalError: the path cannot be resolved.

    """
    try:
        if str(path):
            return Path(path).resolve()
    except OSError as error:
        raise JournalError(message("journal.cannot_be_opened", path=str(path), reason=reason_of(error))) from None
    except (TypeError, ValueError, RuntimeError):
        pass
    raise InvalidInputError(message("journal.not_a_path", value=f"{path!r:.200}"), field="journal")


def identity(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    """Return device and inode of the file, or None if it does not exist.

    They show whether the file was replaced.
    """
    try:
        found = os.stat(path)  # noqa: PTH116  # after each transaction: half the time of a `Path`
    except OSError:
        return None
    return found.st_dev, found.st_ino


def open_journal(path: Path, account: str, host: str) -> OpenedJournal:
    """Lock and open the journal of this account and host, or create one.

    Args:
        path: the file, from `resolve_path`.
        account: fingerprint of the main keys.
        host: base URL of the API.

    Raises:
        JournalInUseError: another process uses it.
        InvalidJournalError: it belongs to another account or host, is not a journal, or is damaged.
        JournalError: it cannot be opened or written.

    """
    lock = FileLock(side_file(path, ".lock"))
    try:
        is_free = lock.acquire()
    except OSError as error:
        raise JournalError(message("journal.cannot_be_opened", path=str(path), reason=reason_of(error))) from None
    if not is_free:
        raise JournalInUseError(message("journal.in_use", path=str(path)))
    try:
        return _open_locked(path, lock, account, host)
    except sqlite3.Error as error:
        lock.close()
        raise unusable(path, "journal.cannot_be_opened", error) from None
    except UnicodeDecodeError:  # from an error message of SQLite that quotes a damaged text
        lock.close()
        raise damaged(path, message("journal.not_utf8")) from None
    except OSError as error:
        lock.close()
        raise JournalError(message("journal.cannot_be_opened", path=str(path), reason=reason_of(error))) from None
    except BaseException:
        lock.close()
        raise


def _open_locked(path: Path, lock: FileLock, account: str, host: str) -> OpenedJournal:
    """Open the journal; the caller holds its lock."""
    completeness = Completeness(path, lock)
    _make_file(path)
    if is_new := not path.stat().st_size:
        if wal_size(path):
            raise InvalidJournalError(message("journal.empty_beside_wal", path=str(path)))
        gap = completeness.gap_of_new()
    else:
        gap = _check_before_use(path, completeness, account, host)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        gap = _start_run(connection, path, completeness, gap, (account, host) if is_new else None)
        return OpenedJournal(path, connection, lock, completeness, read_meta(connection, path)["salt"], gap)
    except BaseException:
        connection.close()
        raise


def _make_file(path: Path) -> None:
    """Create the file if it does not exist.

    Also finish a change of its journal mode that a crash interrupted.
    """
    # Only its owner may read it, from the first moment; SQLite gives its side files the same mode.
    file = open_private(path, os.O_RDWR | os.O_CREAT)
    try:
        if os.fstat(file).st_nlink > 1:  # another name would have another lock
            raise JournalError(message("journal.hard_links", path=str(path)))
    finally:
        os.close(file)
    if side_file(path, "-journal").exists():
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()


def _check_before_use(path: Path, completeness: Completeness, account: str, host: str) -> str:
    """Check a journal without changing it; return why it may be incomplete, or ``""``."""
    # Without a -wal, SQLite would create one.
    how = "mode=ro" if wal_size(path) else "immutable=1"
    with closing(sqlite3.connect(f"{path.as_uri()}?{how}", uri=True, isolation_level=None)) as connection:
        check_journal(connection, path, with_indexes=True)
        check_owner(connection, path, account, host)
        return completeness.gap(connection)


def _start_run(
    connection: sqlite3.Connection, path: Path, completeness: Completeness, gap: str, owner: tuple[str, str] | None
) -> str:
    """Begin a run, and create the tables of a new journal.

    Return why the journal may be incomplete, or ``""``.

    Args:
        connection: open for writing.
        path: the journal's file.
        completeness: its mark.
        gap: why it may be incomplete, as known so far.
        owner: account and host of a new journal; None: the tables exist.

    """
    connection.execute(f"PRAGMA busy_timeout = {_PATIENCE}")
    # A file that is not empty has tables, also after a crash: they are created before there is a -wal.
    if owner is not None:
        create_tables(connection, *owner)
    size = wal_size(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")  # automatic checkpoints would keep the mark
    connection.execute("PRAGMA synchronous = FULL")
    completeness.invalidate()
    if not merge_wal(connection, size):
        gap = gap or message("journal.torn_wal")
    gap = begin_run(connection, gap)
    connection.execute("PRAGMA busy_timeout = 0")
    checkpoint(connection, completeness)
    return gap


def disable_wal(connection: sqlite3.Connection) -> None:
    """Remove the -wal, so that the journal can be read without write access.

    Readers may keep it there.
    """
    for _ in range(_TRIES):
        with suppress(sqlite3.OperationalError):
            if connection.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",):
                return
        time.sleep(_PAUSE)
