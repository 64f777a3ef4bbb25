"""One process at a time: a lock on a file that dies with its holder."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from facturaonline_async._private_files import open_private

try:
    from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN, flock
except ImportError:  # pragma: no cover  # Windows: it has no shared locks, so that a look is a lock for a moment
    from msvcrt import LK_NBLCK, LK_UNLCK, locking  # type: ignore[attr-defined]

    def _lock(file: int) -> None:
        locking(file, LK_NBLCK, 1)

    def _look(file: int) -> None:
        locking(file, LK_NBLCK, 1)
        locking(file, LK_UNLCK, 1)

else:

    def _lock(file: int) -> None:
        """Lock an open file, or raise `OSError` at once."""
        flock(file, LOCK_EX | LOCK_NB)

    def _look(file: int) -> None:
        """Raise `OSError` if somebody has locked an open file. Any number may look at the same time."""
        flock(file, LOCK_SH | LOCK_NB)
        flock(file, LOCK_UN)


__all__ = ["FileLock", "is_taken"]

_TRIES: Final = 50
_PAUSE: Final = 0.02  # seconds
_LONGEST: Final = 4096  # bytes


class FileLock:
    """A lock on a file of its own, and a few words in it. The file stays: to remove it would let two in."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def take(self) -> bool:
        """Take the lock, and return whether it was free.

        It waits a moment (a second at most) for those who only look at it, and for no other.

        Raises:
            OSError: the file cannot be made, or files cannot be locked there.

        """
        file = open_private(self._path, os.O_RDWR | os.O_CREAT)
        try:
            for _ in range(_TRIES):
                if not _is_refused(_lock, file):
                    self._file = file
                    return True
                if _is_refused(_look, file):
                    return False
                time.sleep(_PAUSE)  # whoever it was, it only looked
            return False
        finally:
            if self._file is None:
                os.close(file)

    @property
    def inode(self) -> int:
        """Number of the file that is locked."""
        return os.fstat(self._taken).st_ino

    def read(self) -> str:
        """Return what the file says; ``""`` where it says nothing, or what no text is."""
        os.lseek(self._taken, 0, os.SEEK_SET)
        return os.read(self._taken, _LONGEST).decode("ascii", "replace").strip()

    def write(self, text: str) -> None:
        """Let the file say this and nothing else, on the disk when this returns."""
        os.lseek(self._taken, 0, os.SEEK_SET)
        os.write(self._taken, f"{text}\n".encode("ascii"))
        os.ftruncate(self._taken, len(text) + 1)
        os.fsync(self._taken)

    @property
    def _taken(self) -> int:
        assert self._file is not None  # noqa: S101  # only who has the lock may ask
        return self._file

    def close(self) -> None:
        """Give the lock back; safe to repeat."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def is_taken(path: Path) -> bool:
    """Return whether a process has the lock on this file now. Whoever wants it is not kept from it.

    Raises:
        OSError: the file is there, and cannot be opened, or files cannot be locked there.

    """
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return _is_refused(_look, file)
    finally:
        os.close(file)


def _is_refused(work: Callable[[int], None], file: int) -> bool:
    """Try it, and return whether another process's lock is in the way."""
    try:
        work(file)
    except OSError as error:
        if error.errno in {errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK}:
            return True
        raise
    return False
