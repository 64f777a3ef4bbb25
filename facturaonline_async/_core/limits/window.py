"""What binds the calls of one endpoint and key pair: windows of time, a hold, and who waits in which order."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Iterable
from itertools import takewhile
from typing import Final

from facturaonline_async.config import Rate

__all__ = ["CATCH_UP", "EndpointQueue", "KeyPairState", "SlidingWindow", "Waiter"]

CATCH_UP: Final = 0.05
"""Seconds by which a start may be late and the next one still be in time: more than a timer, less than a stall."""


class SlidingWindow:
    """Never more than `calls` starts in any `per` seconds, evenly spread once calls have to wait.

    A window by itself lets through what it holds at once, and again when its time is over. A server sees calls arrive
    sooner or later, so that two such bursts may meet in one window. So the starts that follow a full window keep the
    distance that the rate gives them, as on a grid: a timer that is late slows nothing down. After a pause the window
    again lets through at once what it holds.

    Attributes:
        calls: starts in a window, at most.
        per: its length in seconds.
        log: moments of the starts that the window still holds, oldest first.
        promised: starts that were granted and are yet to come.
        waiting: calls that wait, for this window or for something else.

    """

    __slots__ = ("_next_slot", "_spacing", "calls", "per", "reserved", "starts", "waiting")

    def __init__(self, rate: Rate) -> None:
        self.calls: int = rate.calls
        self.per: float = rate.per
        self.starts: deque[float] = deque()
        self.reserved: int = 0
        self.waiting: int = 0
        self._spacing = rate.per / rate.calls
        self._next_slot = 0.0  # of the next start; 0 while starts need no spreading

    def next_start_at(self, now: float) -> float:
        """Return when one more call may start: 0 for now, infinity where promises must be kept or broken first."""
        log = self.starts
        while log and now - log[0] >= self.per:
            log.popleft()
        if len(log) + self.reserved < self.calls:
            if self._next_slot <= now:
                return 0.0
            return math.inf if self.reserved else self._next_slot
        if self.reserved:
            return math.inf
        return max(log[0] + self.per, self._next_slot, math.nextafter(now, math.inf))

    def next_start_behind(self, ahead: int, now: float) -> float:
        """Return the soonest that a call may start behind so many others."""
        self.next_start_at(now)
        paced = self._next_slot + ahead * self._spacing if self._next_slot > now else 0.0
        behind = ahead - (self.calls - len(self.starts) - self.reserved)  # how many starts after the window is full
        if behind < 0:
            return paced
        spread = (self.starts[0] if self.starts else now) + self.per + behind * self._spacing
        freed = self.starts[behind] + self.per if behind < len(self.starts) else 0.0
        return max(paced, spread, freed)

    def add_waiter(self, now: float) -> None:
        """Let one more call wait."""
        self.waiting += 1
        self._spread(now)

    def remove_waiter(self) -> None:
        """Forget a call that waited, and waits no more."""
        self.waiting -= 1

    def reserve(self, now: float) -> None:
        """Grant a call that waited a start that is yet to come."""
        self.waiting -= 1
        self.reserved += 1
        self._pace(now)

    def start(self, now: float) -> None:
        """Start at once."""
        self.starts.append(now)
        if self._next_slot or self.waiting:
            self._pace(now)
            self._spread(now)

    def commit(self, now: float) -> None:
        """Turn a promise into a start, at the time that it really is."""
        self.reserved -= 1
        self.starts.append(now)
        self._spread(now)

    def cancel(self) -> None:
        """Take a promise back."""
        self.reserved -= 1
        if self._next_slot:
            self._next_slot -= self._spacing

    def restart(self, began: float, now: float) -> None:
        """Move a start to now; of one that `holds` no more, make a new one."""
        if self.forget(began, now):
            self.starts.append(now)
            self._spread(now)
        else:
            self.start(now)

    def may_restart(self, began: float, now: float) -> bool:
        """Whether a start may be moved to now: always while the window still counts it, for it leaves its own room."""
        return now - began < self.per or not self.next_start_at(now)

    def forget(self, began: float, now: float) -> bool:
        """Take back a start that no request followed, and return whether the window still held it.

        It is the first one that the log shows from `began` on.
        """
        if now - began >= self.per:
            return False
        for index, start in enumerate(self.starts):
            if start >= began:
                del self.starts[index]
                return True
        return False

    def _pace(self, now: float) -> None:
        """Move on to the next place of the grid; after a pause there is none, until starts have to wait again."""
        if self._next_slot:
            self._next_slot = self._next_slot + self._spacing if now - self._next_slot <= CATCH_UP else 0.0

    def _spread(self, now: float) -> None:
        """Begin the grid where calls wait behind a full window."""
        if self.waiting and not self.reserved and (opens := self.next_start_at(now)) > self._next_slot:
            self._next_slot = opens


class KeyPairState:
    """What the queues of one key pair share."""

    __slots__ = ("held_until", "in_flight", "name", "windows")

    def __init__(self, name: str, rates: Iterable[Rate]) -> None:
        self.name: str = name
        self.windows: tuple[SlidingWindow, ...] = tuple(SlidingWindow(rate) for rate in rates)
        self.held_until: float = 0.0
        self.in_flight: int = 0


class EndpointQueue:
    """One endpoint of one key pair."""

    __slots__ = ("all_windows", "is_unscheduled", "key_pair", "waiters", "waiting", "windows")

    def __init__(self, key: KeyPairState, rates: Iterable[Rate], host: Iterable[SlidingWindow]) -> None:
        self.key_pair: KeyPairState = key
        self.windows: tuple[SlidingWindow, ...] = (*(SlidingWindow(rate) for rate in rates), *key.windows)
        self.all_windows: tuple[SlidingWindow, ...] = (*self.windows, *host)
        self.waiters: deque[Waiter] = deque()  # by turn
        self.waiting: int = 0
        self.is_unscheduled: bool = True  # in none of the places where queues wait

    def next_start_at(self, now: float) -> float:
        """Return when the next call may start, as far as this queue and its key decide: 0 for now."""
        latest = self.key_pair.held_until if self.key_pair.held_until > now else 0.0
        for window in self.windows:
            if (opens := window.next_start_at(now)) > latest:
                latest = opens
        return latest

    def blocking_window(self, now: float) -> SlidingWindow:
        """Return a window whose promises must be kept or broken before the next call may start."""
        return next(window for window in self.windows if window.next_start_at(now) == math.inf)

    def seconds_until_start(self, ahead: int, now: float, *, host: Iterable[SlidingWindow] = ()) -> float:
        """Return the seconds after which a call may start, at the soonest, behind so many others of this queue."""
        windows = (*self.windows, *host)
        return max(
            [0.0, self.key_pair.held_until - now, *(window.next_start_behind(ahead, now) - now for window in windows)]
        )

    def add(self, waiter: Waiter) -> None:
        """Queue up by turn: at the end, or behind those who start again."""
        if waiter.turn >= 0:
            self.waiters.append(waiter)
        else:
            self.waiters.insert(sum(1 for _ in takewhile(_is_restart, self.waiters)), waiter)

    def count_restarts(self) -> int:
        """Return how many wait to start again."""
        return sum(not each.future.done() for each in takewhile(_is_restart, self.waiters))

    def head(self) -> Waiter | None:
        """Return who has waited longest, dropping those who left."""
        while self.waiters and self.waiters[0].future.done():
            self.waiters.popleft()
        return self.waiters[0] if self.waiters else None


class Waiter:
    """One caller in a queue, known by the number that it drew: below 0 when it has started before."""

    __slots__ = ("future", "is_granted", "queue", "turn")

    def __init__(self, queue: EndpointQueue, turn: int, future: asyncio.Future[None]) -> None:
        self.queue: EndpointQueue = queue
        self.turn: int = turn
        self.future: asyncio.Future[None] = future
        self.is_granted: bool = False


def _is_restart(waiter: Waiter) -> bool:
    return waiter.turn < 0
