"""The seal of a journal: whether it is the file that the last run wrote, with all that the run wrote.

The problem: what a run writes stands in the -wal first. A journal without its -wal, a copy, or a backup that was
restored looks sound, and says PLANNED where a create was sent. A second create would be a duplicate.

No database can know what it has lost, so a second file says it: the lock beside the journal. Both hold the same mark, a
random text, together with the numbers of the two files (inodes) in the journal's copy of it::

    run at work    journal  …without the mark…      -wal  mark, and all that was written since      lock  mark
    checkpoint     lock  broken ──▶ -wal moves into the journal ──▶ a new mark: lock first, then -wal
    run over       journal  …all…, mark             no -wal                                          lock  mark

Invariants:

1. While a run is at work, the journal's own file never holds the mark of the lock: only the -wal does. Without its
   -wal it has no seal.
2. Once a run is over, the journal's own file holds the mark, which was written last: with the mark, it holds all.
3. A copy of both files has other inodes; a journal alone that was set back has the mark of an earlier moment, and so
   has a lock alone; a journal without its lock has none.
4. A -wal with bytes that SQLite does not take (cut off, or damaged) is not whole. SQLite says nothing of it.

Whatever is interrupted between two of these steps leaves no seal. A journal without a seal costs a wait (`hold`), so
that any doubt may count against it. What no file can tell: that a whole disk was set back to an earlier moment, or
that the bytes of both files were (copies of both written into them, so that their inodes stay). The times of a file
would tell the second, but not on every file system, and not of the lock: it is written after the journal's last word.
"""

from __future__ import annotations

import secrets
import sqlite3
from pathlib import Path
from typing import Final

from facturaonline_async.provision._journal.filelock import FileLock

__all__ = ["Seal", "checkpoint", "is_wal_whole", "side_file", "wal_size"]

_BROKEN: Final = "broken"
_WAL_HEADER: Final = 32
_FRAME_HEADER: Final = 24


def side_file(path: Path, suffix: str) -> Path:
    """Return the file that stands beside a journal, such as its ``-wal``."""
    return path.with_name(f"{path.name}{suffix}")


class Seal:
    """The mark that a journal and its lock have in common.

    Args:
        path: the journal's file.
        lock: taken by this process.

    """

    def __init__(self, path: Path, lock: FileLock) -> None:
        self._path = path
        self._lock = lock

    def doubt(self, connection: sqlite3.Connection) -> str:
        """Return why this is perhaps not all that the last run wrote, or ``""``. `connection` may be read-only."""
        found = connection.execute("SELECT value FROM meta WHERE name = 'mark'").fetchone()
        mark = self._lock.read()
        if not mark or mark == _BROKEN or found is None or found[0] != self._bound(mark):
            return "it may be a copy, an earlier state, or without its -wal"
        return ""

    def doubt_of_new(self) -> str:
        """Return why something may have been sent although there is no journal, or ``""``."""
        return "a journal of this name was here before, and is gone" if self._lock.read() else ""

    def break_(self) -> None:
        """Take the mark from the lock, before the -wal moves into the journal."""
        self._lock.write(_BROKEN)

    def renew(self, connection: sqlite3.Connection) -> None:
        """Set a new mark, after the -wal was moved."""
        mark = secrets.token_hex(16)
        self._lock.write(mark)
        self._put(connection, mark)

    def prepare(self, connection: sqlite3.Connection) -> str:
        """Write a new mark into the journal only, inside its last transaction, and return it for `finish`."""
        mark = secrets.token_hex(16)
        self._put(connection, mark)
        return mark

    def finish(self, mark: str) -> None:
        """Set the seal of a run that is over: its last transaction is in the journal, or in the -wal."""
        self._lock.write(mark)

    def _put(self, connection: sqlite3.Connection, mark: str) -> None:
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('mark', ?)", (self._bound(mark),))

    def _bound(self, mark: str) -> str:
        """Bind a mark to the two files: a copy of both has other numbers."""
        return f"{mark} {self._path.stat().st_ino} {self._lock.inode}"


def wal_size(path: Path) -> int:
    """Return how many bytes the journal's -wal has; 0 where there is none."""
    try:
        return side_file(path, "-wal").stat().st_size
    except OSError:
        return 0


def is_wal_whole(connection: sqlite3.Connection, size: int) -> bool:
    """Move the -wal into the journal, and return whether all `size` bytes that it had were taken."""
    (page_size,) = connection.execute("PRAGMA page_size").fetchone()
    _, frames, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    return size == (_WAL_HEADER + frames * (_FRAME_HEADER + page_size) if frames > 0 else 0)


def checkpoint(connection: sqlite3.Connection, seal: Seal) -> bool:
    """Move the -wal into the journal, set a new seal, and return whether the -wal is empty.

    It waits for no reader: then the -wal keeps what it has, and nothing is lost.
    """
    seal.break_()
    (is_busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    seal.renew(connection)
    return not is_busy
