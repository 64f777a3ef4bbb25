"""Completeness of a journal: whether it holds all that its last run wrote.

The problem: SQLite writes into the -wal first. A journal without its -wal, a copy, or a restored backup looks sound,
and records PLANNED although a create was sent. Sending it again would make a duplicate.

A database cannot detect that it lost its last writes, so a second file records it: the lock beside the journal. Both
hold the same mark, a random text. The journal's copy of the mark also holds the inode numbers of the two files::

    during a run   journal  …without the mark…      -wal  mark, and all that was written since      lock  mark
    checkpoint     lock  broken ──▶ -wal moves into the journal ──▶ a new mark: lock first, then -wal
    after a run    journal  …all…, mark             no -wal                                          lock  mark

Invariants:

1. During a run, the journal's own file never holds the mark of the lock: only the -wal does. Without its -wal, the
   journal has no valid mark.
2. After a run, the journal's own file holds the mark, which was written last: a file with the mark is complete.
3. A copy of both files has other inodes. A restored journal, or a restored lock, has an earlier mark than the other
   file. A journal without its lock has no valid mark.
4. A -wal with bytes that SQLite ignores (truncated or damaged) is not whole. SQLite does not report that.

An interruption between any two of these steps leaves no valid mark. That only costs a wait (`settle_wait`), so that
every uncertain case may count as incomplete. Not detectable: a whole disk that was restored to an earlier moment, and
copies of both files written into the existing ones, which keep their inodes. File times would show the second case, but
not on every file system, and not for the lock, which is written after the journal's last transaction.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from pathlib import Path
from typing import Final

from facturaonline_async._messages import message
from facturaonline_async.provision._journal.filelock import FileLock

__all__ = ["Completeness", "checkpoint", "merge_wal", "side_file", "wal_size"]

_BROKEN: Final = "broken"
_WAL_HEADER: Final = 32
_FRAME_HEADER: Final = 24


def side_file(path: Path, suffix: str) -> Path:
    """Return the path of a file beside a journal, such as its ``-wal``."""
    return path.with_name(f"{path.name}{suffix}")


class Completeness:
    """Mark that a journal and its lock share.

    Only the process that holds the lock uses it.

    Args:
        path: the journal's file.
        lock: its lock, acquired by this process.

    """

    def __init__(self, path: Path, lock: FileLock) -> None:
        self._path = path
        self._lock = lock

    def gap(self, connection: sqlite3.Connection) -> str:
        """Return why the journal may be incomplete, or ``""``.

        `connection` may be read-only.
        """
        found = connection.execute("SELECT value FROM meta WHERE name = 'mark'").fetchone()
        mark = self._lock.read()
        if not mark or mark == _BROKEN or found is None or found[0] != self._bound(mark):
            return message("journal.no_valid_mark")
        return ""

    def gap_of_new(self) -> str:
        """Return why creates may have been sent although the journal is new, or ``""``."""
        return message("journal.earlier_removed") if self._lock.read() else ""

    def invalidate(self) -> None:
        """Remove the mark from the lock, before the -wal moves into the journal."""
        self._lock.write(_BROKEN)

    def renew(self, connection: sqlite3.Connection) -> None:
        """Set a new mark, after the -wal was moved into the journal."""
        mark = secrets.token_hex(16)
        self._lock.write(mark)
        self._put(connection, mark)

    def prepare(self, connection: sqlite3.Connection) -> str:
        """Write a new mark into the journal only, and return it for `finish`.

        It is part of the last transaction.
        """
        mark = secrets.token_hex(16)
        self._put(connection, mark)
        return mark

    def finish(self, mark: str) -> None:
        """Set the mark at the end of a run.

        The last transaction is in the journal or in its -wal.
        """
        self._lock.write(mark)

    def _put(self, connection: sqlite3.Connection, mark: str) -> None:
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('mark', ?)", (self._bound(mark),))

    def _bound(self, mark: str) -> str:
        """Bind a mark to the inodes of the two files, which a copy of both does not have."""
        return f"{mark} {self._path.stat().st_ino} {self._lock.inode}"


def wal_size(path: str | os.PathLike[str]) -> int:
    """Return the size of the journal's -wal in bytes; 0 if there is none."""
    try:
        return os.stat(f"{path}-wal").st_size  # noqa: PTH116  # after each transaction: a tenth of the time of a `Path`
    except OSError:
        return 0


def merge_wal(connection: sqlite3.Connection, size: int) -> bool:
    """Move the -wal into the journal; return whether all its bytes were valid."""
    (page_size,) = connection.execute("PRAGMA page_size").fetchone()
    _, frames, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    return size == (_WAL_HEADER + frames * (_FRAME_HEADER + page_size) if frames > 0 else 0)


def checkpoint(connection: sqlite3.Connection, completeness: Completeness) -> bool:
    """Move the -wal into the journal, and set a new mark.

    Return whether the -wal is empty.

    It does not wait for readers. If one is in the way, the -wal keeps its content, and nothing is lost.
    """
    completeness.invalidate()
    (is_busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    completeness.renew(connection)
    return not is_busy
