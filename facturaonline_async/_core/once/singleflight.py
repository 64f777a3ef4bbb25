"""Callers that want the same thing at the same time: one read for all of them, and turns for those who write."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

from facturaonline_async.errors import FacturaOnlineError, NotSentError

__all__ = ["SharedReads", "Turns"]

T = TypeVar("T")


class _Flight:
    """One read under way, and who waits for it."""

    __slots__ = ("passengers", "task")

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self.task = task
        self.passengers: set[asyncio.Future[Any]] = set()


class SharedReads:
    """Joins reads of the same thing into one.

    A caller is given the answer to a read that **began after the caller asked**, so that nobody is told of a world
    older than the question: whoever comes while a read is under way shares the next one. At any time there is at most
    one read under way for each key, and one batch of callers behind it.
    """

    def __init__(self) -> None:
        self._boarding: dict[Hashable, _Flight] = {}
        self._in_the_air: dict[Hashable, _Flight] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    async def read(self, key: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        """Return what `read` gives, sharing it with all others who ask for `key` in time.

        An error of ours goes to each caller as a copy of its own. A cancelled caller leaves the others undisturbed;
        when all have left, the read is cancelled.
        """
        flight = self._boarding.get(key)
        if flight is None:
            flight = _Flight(asyncio.create_task(self._fly(key, read)))
            self._boarding[key] = flight
            self._tasks.add(flight.task)
            flight.task.add_done_callback(partial(self._land, key, flight))
        seat: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        flight.passengers.add(seat)
        try:
            return await seat
        finally:
            flight.passengers.discard(seat)
            if not flight.passengers:
                flight.task.cancel()
                self._leave_the_gate(key, flight)

    async def _fly(self, key: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        """Wait for the read before this one, and read."""
        # An eager task factory runs this line inside create_task, before the flight is on the list; and callers of the
        # same round of the loop must be able to join.
        await asyncio.sleep(0)
        while (before := self._in_the_air.get(key)) is not None:
            await asyncio.wait([before.task])
        self._in_the_air[key] = self._boarding.pop(key)
        try:
            return await read()
        finally:
            del self._in_the_air[key]

    def _land(self, key: Hashable, flight: _Flight, task: asyncio.Task[Any]) -> None:
        """Tell everybody aboard how it went."""
        self._tasks.discard(task)
        self._leave_the_gate(key, flight)
        problem = (
            NotSentError("the session was closed while the call was waiting") if task.cancelled() else task.exception()
        )
        for seat in flight.passengers:
            if seat.done():
                continue
            if problem is None:
                seat.set_result(task.result())
            else:
                seat.set_exception(copy.copy(problem) if isinstance(problem, FacturaOnlineError) else problem)

    def _leave_the_gate(self, key: Hashable, flight: _Flight) -> None:
        """Let nobody board a flight that will not leave any more."""
        if self._boarding.get(key) is flight:
            del self._boarding[key]

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
