"""Callers that want the same thing at the same time: one read for all of them, and turns for those who write."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

from facturaonline_async.errors import FacturaOnlineError, NotSentError

__all__ = ["KeyedLock", "SingleFlight"]

T = TypeVar("T")


class _Read:
    """One read under way, and who waits for it."""

    __slots__ = ("task", "waiters")

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self.task = task
        self.waiters: set[asyncio.Future[Any]] = set()


class SingleFlight:
    """Joins reads of the same thing into one.

    A caller is given the answer to a read that **began after the caller asked**, so that nobody is told of a world
    older than the question: whoever comes while a read is under way shares the next one. At any time there is at most
    one read under way for each key, and one batch of callers behind it.
    """

    def __init__(self) -> None:
        self._next_reads: dict[Hashable, _Read] = {}
        self._current_reads: dict[Hashable, _Read] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    async def read(self, key: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        """Return what `read` gives, sharing it with all others who ask for `key` in time.

        An error of ours goes to each caller as a copy of its own. A cancelled caller leaves the others undisturbed;
        when all have left, the read is cancelled.
        """
        flight = self._next_reads.get(key)
        if flight is None:
            flight = _Read(asyncio.create_task(self._run(key, read)))
            self._next_reads[key] = flight
            self._tasks.add(flight.task)
            flight.task.add_done_callback(partial(self._deliver, key, flight))
        seat: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        flight.waiters.add(seat)
        try:
            return await seat
        finally:
            flight.waiters.discard(seat)
            if not flight.waiters:
                flight.task.cancel()
                self._discard(key, flight)

    async def _run(self, key: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        """Wait for the read before this one, and read."""
        # An eager task factory runs this line inside create_task, before the flight is on the list; and callers of the
        # same round of the loop must be able to join.
        await asyncio.sleep(0)
        while (before := self._current_reads.get(key)) is not None:
            await asyncio.wait([before.task])
        self._current_reads[key] = self._next_reads.pop(key)
        try:
            return await read()
        finally:
            del self._current_reads[key]

    def _deliver(self, key: Hashable, flight: _Read, task: asyncio.Task[Any]) -> None:
        """Tell everybody aboard how it went."""
        self._tasks.discard(task)
        self._discard(key, flight)
        problem = (
            NotSentError("the session was closed while the call was waiting") if task.cancelled() else task.exception()
        )
        for seat in flight.waiters:
            if seat.done():
                continue
            if problem is None:
                seat.set_result(task.result())
            else:
                seat.set_exception(copy.copy(problem) if isinstance(problem, FacturaOnlineError) else problem)

    def _discard(self, key: Hashable, flight: _Read) -> None:
        """Let nobody board a flight that will not leave any more."""
        if self._next_reads.get(key) is flight:
            del self._next_reads[key]

    async def aclose(self) -> None:
        """Cancel what is under way, and wait until it is gone."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class KeyedLock:
    """Lets those with the same key in one at a time, first come, first served. Keys that nobody wants are forgotten."""

    def __init__(self) -> None:
        self._locks: dict[Hashable, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def hold(self, key: Hashable) -> AsyncIterator[None]:
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
