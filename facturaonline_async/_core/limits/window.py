"""Sliding windows and FIFO queues, one queue per endpoint and key pair."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Iterable
from itertools import takewhile
from typing import Final

from facturaonline_async.config import Rate

__all__ = ["CATCH_UP", "NO_WAITERS", "EndpointQueue", "KeyPairState", "SlidingWindow", "Waiter"]

CATCH_UP: Final = 0.05
"""Tolerated lateness of a start, in seconds: longer than a timer's jitter, shorter than a stall of the event loop.

Within it, the grid of evenly spread starts goes on; beyond it, the grid ends. See `SlidingWindow`.
"""


_FEW: Final = 64
"""Starts that a list keeps as quickly as a deque. A deque takes 600 bytes when it is empty, for each key pair."""


class SlidingWindow:
    """Sliding-window rate limit that spreads starts evenly under load.

    The window never holds more than `calls` starts in any `per` seconds. An idle window allows a burst of `calls`
    starts. A plain sliding window would repeat that burst every `per` seconds, and network delays could make two
    bursts arrive at the server within one window. So once calls have to wait, starts follow a grid with a spacing of
    ``per / calls``. Grid times are absolute, so that a late timer does not lower the rate. The grid ends after a pause.

    Attributes:
        calls: Maximum number of starts in a window.
        per: Length of the window in seconds.
        starts: Times of the starts that the window still counts, oldest first.
        reserved: Number of starts that were granted but whose caller has not resumed yet.
        waiting: Number of calls that wait, for this window or for another limit.

    """

    __slots__ = ("_next_grid_time", "_spacing", "calls", "per", "reserved", "starts", "waiting")

    def __init__(self, rate: Rate) -> None:
        self.calls: int = rate.calls
        self.per: float = rate.per
        self.starts: list[float] | deque[float] = [] if rate.calls <= _FEW else deque()
        self.reserved: int = 0
        self.waiting: int = 0
        self._spacing = rate.per / rate.calls
        self._next_grid_time = 0.0  # 0 while starts are not spread

    def next_start_at(self, now: float) -> float:
        """Return when one more call may start.

        0 means now. Infinity means after a reservation has been committed or cancelled.
        """
        starts = self.starts
        while starts and now - starts[0] >= self.per:
            del starts[0]
        if len(starts) + self.reserved < self.calls:
            if self._next_grid_time <= now:
                return 0.0
            return math.inf if self.reserved else self._next_grid_time
        if self.reserved:
            return math.inf
        return max(starts[0] + self.per, self._next_grid_time, math.nextafter(now, math.inf))

    def next_start_behind(self, ahead: int, now: float) -> float:
        """Return the earliest time at which a call may start behind `ahead` others."""
        self.next_start_at(now)
        paced = self._next_grid_time + ahead * self._spacing if self._next_grid_time > now else 0.0
        behind = ahead - (self.calls - len(self.starts) - self.reserved)  # starts after the window has filled up
        if behind < 0:
            return paced
        spread = (self.starts[0] if self.starts else now) + self.per + behind * self._spacing
        freed = self.starts[behind] + self.per if behind < len(self.starts) else 0.0
        return max(paced, spread, freed)

    def add_waiter(self, now: float) -> None:
        """Count one more waiting call."""
        self.waiting += 1
        self._spread(now)

    def remove_waiter(self) -> None:
        """Count one waiting call less."""
        self.waiting -= 1

    def reserve(self, now: float) -> None:
        """Convert one waiting call into a reservation."""
        self.waiting -= 1
        self.reserved += 1
        self._pace(now)

    def start(self, now: float) -> None:
        """Record a start without a wait."""
        self.starts.append(now)
        if self._next_grid_time or self.waiting:
            self._pace(now)
            self._spread(now)

    def commit(self, now: float) -> None:
        """Convert a reservation into a start at `now`, when the caller resumed."""
        self.reserved -= 1
        self.starts.append(now)
        self._spread(now)

    def cancel(self) -> None:
        """Cancel a reservation and give its capacity to the next call."""
        self.reserved -= 1
        if self._next_grid_time:
            self._next_grid_time -= self._spacing

    def restart(self, started_at: float, now: float) -> None:
        """Move an earlier start to `now`; record a new one if the window dropped it."""
        if self.forget(started_at, now):
            self.starts.append(now)
            self._spread(now)
        else:
            self.start(now)

    def may_restart(self, started_at: float, now: float) -> bool:
        """Return whether an earlier start may be moved to `now`.

        While the window still counts the start, moving it needs no further capacity.
        """
        return now - started_at < self.per or not self.next_start_at(now)

    def forget(self, started_at: float, now: float) -> bool:
        """Remove a start without a request; return whether the window still counted it.

        The start removed is the first one at or after `started_at`.
        """
        if now - started_at >= self.per:
            return False
        for index, start in enumerate(self.starts):
            if start >= started_at:
                del self.starts[index]
                return True
        return False

    def _pace(self, now: float) -> None:
        """Advance the grid by one spacing, or end it after a pause."""
        if self._next_grid_time:
            self._next_grid_time = (
                self._next_grid_time + self._spacing if now - self._next_grid_time <= CATCH_UP else 0.0
            )

    def _spread(self, now: float) -> None:
        """Begin the grid if calls wait behind a full window."""
        if self.waiting and not self.reserved and (start_at := self.next_start_at(now)) > self._next_grid_time:
            self._next_grid_time = start_at


class KeyPairState:
    """State that all queues of one key pair share.

    Attributes:
        name: Fingerprint of the key pair.
        queues: Number of its queues.
        windows: Windows of ``Config.total_rates``.
        held_until: Time before which no call with these keys may start; set by `Scheduler.hold`.
        in_flight: Number of slots that calls with these keys occupy.

    """

    __slots__ = ("held_until", "in_flight", "name", "queues", "windows")

    def __init__(self, name: str, windows: Iterable[SlidingWindow]) -> None:
        self.name: str = name
        self.windows: tuple[SlidingWindow, ...] = tuple(windows)
        self.held_until: float = 0.0
        self.in_flight: int = 0
        self.queues: int = 0


class EndpointQueue:
    """FIFO queue of the calls to one endpoint with one key pair.

    Attributes:
        key_pair: State shared with the other queues of the key pair.
        windows: Windows of the endpoint and of the key pair.
        all_windows: `windows` and those of the host.
        waiters: Waiters by ticket; may hold waiters that were cancelled.
        waiting: Number of waiters that were not cancelled.
        is_unscheduled: Whether the queue is in none of the scheduler's collections.

    """

    __slots__ = ("all_windows", "is_unscheduled", "key_pair", "waiters", "waiting", "windows")

    def __init__(self, key: KeyPairState, windows: Iterable[SlidingWindow], host: Iterable[SlidingWindow]) -> None:
        self.key_pair: KeyPairState = key
        self.windows: tuple[SlidingWindow, ...] = _joined(windows, key.windows)
        self.all_windows: tuple[SlidingWindow, ...] = _joined(self.windows, host)
        self.waiters: deque[Waiter] = NO_WAITERS
        self.waiting: int = 0
        self.is_unscheduled: bool = True

    def next_start_at(self, now: float) -> float:
        """Return when endpoint and key pair allow the next start; 0 means now."""
        latest = self.key_pair.held_until if self.key_pair.held_until > now else 0.0
        for window in self.windows:
            if (start_at := window.next_start_at(now)) > latest:
                latest = start_at
        return latest

    def blocking_window(self, now: float) -> SlidingWindow:
        """Return a window whose reservations block the next call."""
        return next(window for window in self.windows if window.next_start_at(now) == math.inf)

    def seconds_until_start(self, ahead: int, now: float, *, host: Iterable[SlidingWindow] = ()) -> float:
        """Return the least seconds until a call may start behind `ahead` others."""
        windows = (*self.windows, *host)
        return max(
            [0.0, self.key_pair.held_until - now, *(window.next_start_behind(ahead, now) - now for window in windows)]
        )

    def add(self, waiter: Waiter) -> None:
        """Insert a waiter by ticket: at the end, or behind the other restarts."""
        if self.waiters is NO_WAITERS:
            self.waiters = deque()
        if waiter.ticket >= 0:
            self.waiters.append(waiter)
        else:
            self.waiters.insert(sum(1 for _ in takewhile(_is_restart, self.waiters)), waiter)

    def count_restarts(self) -> int:
        """Return the number of waiters that restart a call."""
        return sum(not each.future.done() for each in takewhile(_is_restart, self.waiters))

    def head(self) -> Waiter | None:
        """Return the oldest waiter, or None; drop cancelled ones before it."""
        while self.waiters and self.waiters[0].future.done():
            self.waiters.popleft()
        return self.waiters[0] if self.waiters else None


class Waiter:
    """A caller in a queue.

    Attributes:
        queue: The queue it waits in.
        ticket: Sequence number that orders waiters across queues; negative for a restart.
        future: Completed by the grant, by an error or by cancellation.
        is_granted: Whether a reservation was made for it.
        leased_start: Time of the shared quota's start that it was granted; 0 without a shared quota.

    """

    __slots__ = ("future", "is_granted", "leased_start", "queue", "ticket")

    def __init__(self, queue: EndpointQueue, ticket: int, future: asyncio.Future[None]) -> None:
        self.queue: EndpointQueue = queue
        self.ticket: int = ticket
        self.future: asyncio.Future[None] = future
        self.is_granted: bool = False
        self.leased_start: float = 0.0


NO_WAITERS: Final[deque[Waiter]] = deque(maxlen=0)
"""The waiters of each queue without any: most queues never have one."""


def _joined(windows: Iterable[SlidingWindow], more: Iterable[SlidingWindow]) -> tuple[SlidingWindow, ...]:
    """Return all windows; the same tuple if there are no more."""
    return (*windows, *more) if more else tuple(windows)


def _is_restart(waiter: Waiter) -> bool:
    return waiter.ticket < 0
