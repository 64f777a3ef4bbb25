"""Waiting on the event loop's clock: items that become due one by one, and an event that may end a wait."""

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
"""Seconds. A timer of an event loop may go off a moment early: set anew for that moment, it would go off at once."""


async def is_set_before(event: asyncio.Event, moment: float) -> bool:
    """Wait until an event is set, or until a moment of the loop's clock (inf: none); return whether it is set."""
    with suppress(TimeoutError):
        async with asyncio.timeout_at(moment if moment < math.inf else None):
            await event.wait()
    return event.is_set()


@define(eq=False, repr=False)
class DelayQueue(Generic[T]):
    """Items that each wait for a moment of the loop's clock. One task waits for them; items are hashable."""

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
        """Return the moment for which an item waits."""
        return self._moments[item]

    @property
    def last(self) -> float:
        """The moment when all items are due; 0 if there are none."""
        return max(self._moments.values(), default=0.0)

    def now(self) -> float:
        """Return the moment by which items are due."""
        return asyncio.get_running_loop().time()

    def put(self, item: T, moment: float) -> None:
        """Let an item wait for this moment, instead of another one if it waits already."""
        self._moments[item] = moment
        if moment < self._next:
            self._changed.set()

    def remove(self, item: T) -> None:
        """Take an item out, whether it is due or not."""
        del self._moments[item]

    def clear(self) -> None:
        """Take all items out."""
        self._moments.clear()

    def due(self) -> list[T]:
        """Return the items that are due. They stay in the queue."""
        now = self.now()
        return [item for item, moment in self._moments.items() if moment <= now]

    def shutdown(self) -> None:
        """Let `wait` end as soon as the queue is empty."""
        self._is_shut_down = True
        self._changed.set()

    async def wait(self) -> bool:
        """Wait until an item is due, and return True; False: the queue was shut down, and is empty."""
        while self._moments or not self._is_shut_down:
            self._changed.clear()
            self._next = min(self._moments.values(), default=math.inf)
            if self._next <= (now := self.now()):
                return True
            await is_set_before(self._changed, max(self._next, now + _SHORTEST_WAIT))
        return False
