"""Callers that want the same thing at the same time: one read for all of them, and turns for those who write."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from facturaonline_async.errors import FacturaOnlineError, NotSentError

__all__ = ["SharedReads", "Turns"]

T = TypeVar("T")


class _Flight:
    """One read under way, and how many wait for it."""

    __slots__ = ("passengers", "task")

    def __init__(self) -> None:
        self.task: asyncio.Task[Any] | None = None
        self.passengers = 0


class SharedReads:
    """Joins reads of the same thing into one.

    A caller is given the answer to a read that **began after the caller asked**, so that nobody is told of a world
    older than the question: whoever comes while a read is under way shares the next one. At any time there is at most
    one read under way for each key, and one batch of callers behind it.
    """

    def __init__(self) -> None:
        self._boarding: dict[Hashable, _Flight] = {}
        self._in_the_air: dict[Hashable, asyncio.Task[Any]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    async def read(self, key: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        """Return what `read` gives, sharing it with all others who ask for `key` in time.

        An error goes to each caller as a copy of its own. A cancelled caller leaves the others undisturbed; when all
        have left, the read is cancelled.
        """
        flight = self._boarding.get(key)
        if flight is None:
            flight = self._boarding[key] = _Flight()
            flight.task = asyncio.create_task(self._fly(key, read))
            self._tasks.add(flight.task)
            flight.task.add_done_callback(self._landed)
        assert flight.task is not None  # noqa: S101  # set in the lines above, before anybody could wait
        flight.passengers += 1
        try:
            await asyncio.wait([flight.task])
        finally:
            flight.passengers -= 1
            if not flight.passengers and not flight.task.done():
                flight.task.cancel()
                if self._boarding.get(key) is flight:
                    del self._boarding[key]
        if flight.task.cancelled():
            raise NotSentError("the session was closed while the call was waiting")
        problem = flight.task.exception()
        if isinstance(problem, FacturaOnlineError):
            raise copy.copy(problem)
        result: T = flight.task.result()
        return result

    async def _fly(self, key: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        while (before := self._in_the_air.get(key)) is not None:
            await asyncio.wait([before])
        del self._boarding[key]
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # a coroutine of a task of ours
        self._in_the_air[key] = task
        try:
            return await read()
        finally:
            del self._in_the_air[key]

    def _landed(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # seen, even if all passengers have left

    async def aclose(self) -> None:
        """Cancel what is under way, and wait until it is gone."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Turns:
    """Lets those with the same key in one at a time, first come, first served. Keys that nobody wants are forgotten."""

    def __init__(self) -> None:
        self._locks: dict[Hashable, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def take(self, key: Hashable) -> AsyncIterator[None]:
        """Wait for the turn, and hold it inside the ``async with``."""
        lock, wanted = self._locks.get(key, (None, 0))
        lock = lock or asyncio.Lock()
        self._locks[key] = lock, wanted + 1
        try:
            async with lock:
                yield
        finally:
            lock, wanted = self._locks.pop(key)
            if wanted > 1:
                self._locks[key] = lock, wanted - 1
