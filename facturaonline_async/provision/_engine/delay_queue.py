"""Delay queue on the event loop's clock, and a wait for an event with a deadline."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from contextlib import suppress
from heapq import heappop, heappush
from itertools import count
from typing import Final, Generic, TypeVar

from attrs import define, field

__all__ = ["DelayQueue", "is_set_before"]

T = TypeVar("T")

_AT_ONCE: Final = 256
"""Items that are handled between two checkpoints of the event loop. After an outage thousands may be due."""
_SHORTEST_WAIT: Final = 0.001
"""Shortest timer, in seconds. A loop's timer may fire a moment early; a new one for that moment fires at once."""


async def is_set_before(event: asyncio.Event, moment: float) -> bool:
    """Wait for an event or a deadline; return whether the event is set.

    Args:
        event: the event.
        moment: deadline on the loop's clock; inf: no deadline.

    """
    with suppress(TimeoutError):
        async with asyncio.timeout_at(moment if moment < math.inf else None):
            await event.wait()
    return event.is_set()


@define(eq=False, repr=False)
class DelayQueue(Generic[T]):
    """Queue of hashable items, each due at a moment of the loop's clock.

    One task waits for them.
    """

    #: Moment and arrival of each item.
    _places: dict[T, tuple[float, int]] = field(factory=dict, init=False)
    #: Places of the items by moment. That of a moved or removed item stays until it comes first.
    _heap: list[tuple[float, int, T]] = field(factory=list, init=False)
    _arrivals: Iterator[int] = field(factory=count, init=False)
    _next: float = field(default=math.inf, init=False)  # the moment for which the timer is set
    _changed: asyncio.Event = field(factory=asyncio.Event, init=False)
    _is_shut_down: bool = field(default=False, init=False)

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[T]:
        return iter(self._places)

    def __contains__(self, item: T) -> bool:
        return item in self._places

    def __getitem__(self, item: T) -> float:
        """Return the moment at which an item is due."""
        return self._places[item][0]

    @property
    def last(self) -> float:
        """Moment at which the last item is due; 0 if the queue is empty."""
        return max(self._places.values(), default=(0.0,))[0]

    def now(self) -> float:
        """Return the current moment of the loop's clock."""
        return asyncio.get_running_loop().time()

    def put(self, item: T, moment: float) -> None:
        """Add an item, or move an item of the queue, to this moment."""
        place = self._places[item] = moment, next(self._arrivals)
        heappush(self._heap, (*place, item))
        if moment < self._next:
            self._changed.set()

    def remove(self, item: T) -> None:
        """Remove an item, due or not."""
        del self._places[item]

    def clear(self) -> None:
        """Remove all items."""
        self._places.clear()
        self._heap.clear()

    def due(self, limit: int = _AT_ONCE) -> list[T]:
        """Return items that are due, the earliest first, without removing them.

        Args:
            limit: maximum number of items; the others are due as well.

        """
        now = self.now()
        found: list[tuple[float, int, T]] = []
        for _ in range(limit):
            if not self._heap or self._heap[0][0] > now:
                break
            if self._is_current(place := heappop(self._heap)):
                found.append(place)
        for place in found:
            heappush(self._heap, place)
        return [item for _, _, item in found]

    def _is_current(self, place: tuple[float, int, T]) -> bool:
        """Return whether the item has this place: it was not moved or removed."""
        return self._places.get(place[2]) == place[:2]

    def shutdown(self) -> None:
        """Make `wait` return False as soon as the queue is empty."""
        self._is_shut_down = True
        self._changed.set()

    async def wait(self) -> bool:
        """Wait until an item is due; return False if the queue is shut down and empty."""
        while self._places or not self._is_shut_down:
            for number in count(1):
                if not self._heap or self._is_current(self._heap[0]):
                    break
                heappop(self._heap)
                if not number % _AT_ONCE:
                    await asyncio.sleep(0)
            self._changed.clear()
            self._next = self._heap[0][0] if self._heap else math.inf
            if self._next <= (now := self.now()):
                return True
            await is_set_before(self._changed, max(self._next, now + _SHORTEST_WAIT))
        return False
