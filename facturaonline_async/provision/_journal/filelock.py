"""The lock of a journal: one process at a time works with it.

It is the operating system's lock on a file, taken with `filelock`: it ends with its process, also on ``kill -9``.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

from facturaonline_async._private_files import open_private

__all__ = ["FileLock", "is_locked"]

_TRIES: Final = 5
_PAUSE: Final = 0.01  # seconds
_LONGEST: Final = 4096  # bytes


class FileLock:
    """A lock on a file of its own, and a short text in it. The file stays: removing it would let two processes in.

    Closing the file unlocks it. Nothing else does: an explicit unlock in a forked child would free its parent's lock.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def acquire(self) -> bool:
        """Take the lock, and return whether it was free.

        Raises:
            OSError: the file cannot be made, or files cannot be locked there.

        """
        file = open_private(self._path, os.O_RDWR | os.O_CREAT)
        try:
            if _lock(file):
                self._file = file
        finally:
            if self._file is None:
                os.close(file)
        return self._file is not None

    @property
    def inode(self) -> int:
        """Number of the file that is locked."""
        return os.fstat(self._descriptor).st_ino

    def read(self) -> str:
        """Return the file's text; ``""`` where it is empty, and replacement characters where it is no ASCII."""
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        return os.read(self._descriptor, _LONGEST).decode("ascii", "replace").strip()

    def write(self, text: str) -> None:
        """Replace the file's text, and return when it is on the disk."""
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.write(self._descriptor, text.encode("ascii"))
        os.ftruncate(self._descriptor, len(text))
        os.fsync(self._descriptor)

    @property
    def _descriptor(self) -> int:
        assert self._file is not None  # noqa: S101  # only the holder of the lock may ask
        return self._file

    def close(self) -> None:
        """Release the lock; safe to repeat."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def is_locked(path: Path) -> bool:
    """Return whether a process has the lock on this file now. It works where nothing can be written.

    Raises:
        OSError: the file is there, and cannot be opened, or files cannot be locked there.

    """
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return not _lock(file)
    finally:
        os.close(file)


def _lock(file: int) -> bool:
    """Lock an open file, and return whether it was free. `is_locked` in another process has it for some 20 µs."""
    # Only a journal needs it: its import takes 200 million instructions, as much as a tenth of aiohttp's.
    from filelock import lock_descriptor  # noqa: PLC0415  # see above

    for _ in range(_TRIES - 1):
        if lock_descriptor(file, blocking=False):
            return True
        time.sleep(_PAUSE)
    return lock_descriptor(file, blocking=False)
