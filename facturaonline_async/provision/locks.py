"""One process at a time: a lock on a file that dies with its holder."""

from __future__ import annotations

import errno
import os
from pathlib import Path

try:
    from fcntl import LOCK_EX, LOCK_NB, flock
except ImportError:  # pragma: no cover  # Windows
    from msvcrt import LK_NBLCK, locking  # type: ignore[attr-defined]

    def _lock(file: int) -> None:
        locking(file, LK_NBLCK, 1)

else:

    def _lock(file: int) -> None:
        """Lock an open file, or raise `OSError` at once."""
        flock(file, LOCK_EX | LOCK_NB)


__all__ = ["FileLock"]


class FileLock:
    """A lock on a file of its own. The file stays: to remove it would let two in."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def take(self) -> bool:
        """Take the lock, and return whether it was free.

        Raises:
            OSError: the file cannot be made, or files cannot be locked there.

        """
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(file)
        except OSError as error:
            os.close(file)
            if error.errno in {errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK}:
                return False
            raise
        self._file = file
        return True

    def close(self) -> None:
        """Give the lock back; safe to repeat."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
