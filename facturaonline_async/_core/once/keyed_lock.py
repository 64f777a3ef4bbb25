"""Locks by key, which serialize the writers of one object."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable

__all__ = ["KeyedLock"]


class KeyedLock:
    """FIFO lock per key; the lock of a key without holders and waiters is dropped."""

    def __init__(self) -> None:
        self._locks: dict[Hashable, _Lock] = {}

    def is_held(self, key: Hashable) -> bool:
        """Return whether a task holds the lock of `key`."""
        return key in self._locks

    def hold(self, key: Hashable) -> _Hold:
        """Hold the lock of `key` inside the ``async with``."""
        return _Hold(self._locks, key)


class _Lock(asyncio.Lock):
    """Lock of one key.

    Attributes:
        users: Number of its holders and waiters.

    """

    users: int = 0


class _Hold:
    """Use of the lock of one key; a third of the cost of an asynchronous generator."""

    __slots__ = ("_key", "_lock", "_locks")

    def __init__(self, locks: dict[Hashable, _Lock], key: Hashable) -> None:
        self._locks = locks
        self._key = key

    async def __aenter__(self) -> None:
        self._lock = self._locks.get(self._key) or self._locks.setdefault(self._key, _Lock())
        self._lock.users += 1
        try:
            await self._lock.acquire()
        except BaseException:
            self._leave()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._lock.release()
        self._leave()

    def _leave(self) -> None:
        self._lock.users -= 1
        if not self._lock.users:
            del self._locks[self._key]
