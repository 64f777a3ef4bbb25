"""Locks by key, which serialize the writers of one object."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable

__all__ = ["KeyedLock"]


class KeyedLock:
    """FIFO lock per key; the lock of a key without holders and waiters is dropped."""

    def __init__(self) -> None:
        self._locks: dict[Hashable, deque[asyncio.Future[None]]] = {}  # the waiters of each key that is held

    def is_held(self, key: Hashable) -> bool:
        """Return whether a task holds the lock of `key`."""
        return key in self._locks

    def hold(self, key: Hashable) -> _Hold:
        """Hold the lock of `key` inside the ``async with``."""
        return _Hold(self._locks, key)


class _Hold:
    """Use of the lock of one key.

    Without waiters it costs a fraction of an `asyncio.Lock`.
    """

    __slots__ = ("_key", "_locks")

    def __init__(self, locks: dict[Hashable, deque[asyncio.Future[None]]], key: Hashable) -> None:
        self._locks = locks
        self._key = key

    async def __aenter__(self) -> None:
        waiters = self._locks.get(self._key)
        if waiters is None:
            self._locks[self._key] = deque()
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiters.append(future)
        try:
            await future
        except BaseException:
            if future.done() and not future.cancelled():  # the lock was handed over at the same moment
                self._release()
            elif future in waiters:
                waiters.remove(future)
            raise

    async def __aexit__(self, *_: object) -> None:
        self._release()

    def _release(self) -> None:
        """Hand the lock over to the oldest waiter, or drop it."""
        waiters = self._locks[self._key]
        while waiters:
            if not (future := waiters.popleft()).done():
                future.set_result(None)
                return
        del self._locks[self._key]
