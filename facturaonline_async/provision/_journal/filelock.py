"""File lock of a journal: only one process at a time may use it.

The operating system locks the file, through the package `filelock`. The lock ends with its process, also on
``kill -9``.
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
    """Lock on a file of its own that also holds a short text.

    The file is never removed: that would let two processes in. Only closing the file unlocks it: an explicit unlock in
    a forked child would free its parent's lock.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def acquire(self) -> bool:
        """Acquire the lock without waiting; return whether it was free.

        Raises:
            OSError: the file cannot be created, or the file system does not support locks.

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
        """Inode number of the locked file."""
        return os.fstat(self._descriptor).st_ino

    def read(self) -> str:
        """Return the file's text.

        Bytes that are not ASCII become replacement characters.
        """
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        return os.read(self._descriptor, _LONGEST).decode("ascii", "replace").strip()

    def write(self, text: str) -> None:
        """Replace the file's text durably: it is on the disk when this returns."""
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.write(self._descriptor, text.encode("ascii"))
        os.ftruncate(self._descriptor, len(text))
        os.fsync(self._descriptor)

    @property
    def _descriptor(self) -> int:
        assert self._file is not None  # noqa: S101  # only the holder of the lock may call this
        return self._file

    def close(self) -> None:
        """Release the lock; safe to repeat."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def is_locked(path: Path) -> bool:
    """Return whether a process holds the lock on this file. It needs no write access.

    Raises:
        OSError: the file exists and cannot be opened, or the file system does not support locks.

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
    """Lock an open file; return whether it was free.

    It retries, because `is_locked` in another process holds the lock for some 20 µs.
    """
    # Only a journal needs it: the import takes 200 million instructions, a tenth of aiohttp's.
    from filelock import lock_descriptor  # noqa: PLC0415  # see above

    for _ in range(_TRIES - 1):
        if lock_descriptor(file, blocking=False):
            return True
        time.sleep(_PAUSE)
    return lock_descriptor(file, blocking=False)
