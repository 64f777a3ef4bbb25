"""Delay queue on the event loop's clock, and a wait for an event with a deadline."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, Generic, TypeVar

from attrs import define, field

__all__ = ["DelayQueue", "is_set_before"]

T = TypeVar("T")

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

    _moments: dict[T, float] = field(factory=dict, init=False)
    _next: float = field(default=math.inf, init=False)  # the moment for which the timer is set
    _changed: asyncio.Event = field(factory=asyncio.Event, init=False)
    _is_shut_down: bool = field(default=False, init=False)

    def __len__(self) -> int:
        return len(self._moments)

    def __iter__(self) -> Iterator[T]:
        return iter(self._moments)

    def __contains__(self, item: T) -> bool:
        return item in self._moments

    def __getitem__(self, item: T) -> float:
        """Return the moment at which an item is due."""
        return self._moments[item]

    @property
    def last(self) -> float:
        """Moment at which the last item is due; 0 if the queue is empty."""
        return max(self._moments.values(), default=0.0)

    def now(self) -> float:
        """Return the current moment of the loop's clock."""
        return asyncio.get_running_loop().time()

    def put(self, item: T, moment: float) -> None:
        """Add an item, or move an item of the queue, to this moment."""
        self._moments[item] = moment
        if moment < self._next:
            self._changed.set()

    def remove(self, item: T) -> None:
        """Remove an item, due or not."""
        del self._moments[item]

    def clear(self) -> None:
        """Remove all items."""
        self._moments.clear()

    def due(self) -> list[T]:
        """Return the items that are due, without removing them."""
        now = self.now()
        return [item for item, moment in self._moments.items() if moment <= now]

    def shutdown(self) -> None:
        """Make `wait` return False as soon as the queue is empty."""
        self._is_shut_down = True
        self._changed.set()

    async def wait(self) -> bool:
        """Wait until an item is due; return False if the queue is shut down and empty."""
        while self._moments or not self._is_shut_down:
            self._changed.clear()
            self._next = min(self._moments.values(), default=math.inf)
            if self._next <= (now := self.now()):
                return True
            await is_set_before(self._changed, max(self._next, now + _SHORTEST_WAIT))
        return False
