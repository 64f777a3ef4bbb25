"""Windows and queues of calls whose starts several processes share."""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Iterable
from typing import Final

from facturaonline_async._core.limits.quota import HORIZON, LARGEST_BURST, Lease, Window, burst_of, make_window
from facturaonline_async._core.limits.window import EndpointQueue, KeyPairState, SlidingWindow
from facturaonline_async.config import Rate

__all__ = ["LeasingQueue", "SharedWindow"]

_LEADS: Final = (HORIZON / 4, HORIZON / 2)
"""Shortest and longest time before the next start at which the service gets the question for it, in seconds.

So the way to the service costs no capacity. The time is random, because the first of several processes gets the start.
"""

_SHORTEST_WAIT: Final = 0.001
"""Shortest pause between two leases of a window that has no start left, in seconds."""

_SLOW: Final = 0.25
"""Seconds after which an answer may be older than its starts allow, because the event loop stood still."""


class SharedWindow(SlidingWindow):
    """Local copy of a window that several processes share.

    It bounds the starts of this process, and says when the next lease is worthwhile.

    Args:
        name: Identifies the limit in all processes.
        rate: The limit.

    Attributes:
        shared: The window that all processes share.
        asked: Number of starts that leases under way ask for.
        most_asked: Maximum of `asked`. More leases at once would only wait for each other in the service.
        closed_until: Time before which the service gives no start.
        is_contended: Whether the last lease got fewer starts than wanted because of this window. Then one lease at a
            time asks.

    """

    __slots__ = ("asked", "closed_until", "is_contended", "most_asked", "shared")

    def __init__(self, name: str, rate: Rate) -> None:
        super().__init__(rate)
        self.shared: Window = make_window(name, rate)
        self.asked: int = 0
        self.most_asked: int = max(1, min(LARGEST_BURST, burst_of(rate)))
        self.closed_until: float = 0.0
        self.is_contended: bool = False

    def next_ask_at(self, now: float) -> float:
        """Return when to ask for one more start.

        0 means now. Infinity means after a lease under way has been answered.
        """
        if self.asked >= (1 if self.is_contended else self.most_asked):
            return math.inf
        start_at = self.next_start_at(now)
        return max(start_at, self.closed_until) if self.closed_until > now else start_at


class LeasingQueue(EndpointQueue):
    """Queue of calls that start when the shared quota lets them.

    Attributes:
        shared_windows: Windows that a lease names, each once, in the order of their names.
        starts: Times of the starts in hand, soonest first.
        slots: Number of slots that are reserved for starts in hand, or for those that a lease under way asks for.
        is_asking: Whether a lease is under way.

    """

    __slots__ = ("_asks_again_at", "_is_slow", "_windows", "is_asking", "shared_windows", "slots", "starts")

    def __init__(self, key: KeyPairState, windows: Iterable[SlidingWindow], host: Iterable[SlidingWindow]) -> None:
        super().__init__(key, windows, host)
        self._windows = [window for window in self.all_windows if isinstance(window, SharedWindow)]
        by_name = {window.shared.name: window.shared for window in self._windows}
        self.shared_windows: tuple[Window, ...] = tuple(by_name[name] for name in sorted(by_name))
        self.starts: deque[float] = deque()
        self.slots: int = 0
        self.is_asking: bool = False
        self._asks_again_at = 0.0
        self._is_slow = False

    # ── Asking ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def next_start_at(self, now: float) -> float:
        """Return when the queue may ask for a start; 0 means now."""
        at = max(self.key_pair.held_until, self._asks_again_at)
        return max(at if at > now else 0.0, *(window.next_ask_at(now) for window in self._windows))

    def blocking_window(self, now: float) -> SlidingWindow:
        """Return a window whose reservations or leases block the next call."""
        return next(window for window in self._windows if window.next_ask_at(now) == math.inf)

    def ask(self, slots: int) -> int:
        """Begin a lease, and return how many starts to ask for.

        It is one start or more. The caller reserves a slot for each.

        Args:
            slots: Number of free slots, one or more.

        """
        wanted = min(slots, self.waiting, *(window.most_asked - window.asked for window in self._windows))
        for window in self._windows:
            window.asked += wanted
        self.is_asking = True
        return wanted

    def end_lease(self, wanted: int) -> None:
        """End a lease, whether it was answered or not."""
        for window in self._windows:
            window.asked -= wanted
        self.is_asking = False

    def receive(self, lease: Lease, wanted: int, *, asked_at: float, now: float) -> None:
        """Take the starts of a lease, and record what blocks more of them.

        The starts of a slow answer are dropped once: this process may have stood still with the answer unread, and its
        late starts would meet those of other processes.

        Args:
            lease: The answer.
            wanted: Number of starts that was asked for.
            asked_at: Time of the question.
            now: Time of the answer.

        """
        is_dropped = now - asked_at > _SLOW and not self._is_slow
        self._is_slow = is_dropped
        if not is_dropped:
            self.starts.extend(now + start for start in lease.starts)
        blocking = [window for window in self._windows if window.shared.name == lease.blocked_by]
        for window in self._windows:
            window.is_contended = window in blocking
        if len(lease.starts) >= wanted:
            return
        pause = lease.retry_in
        if pause > HORIZON:
            pause -= random.uniform(*_LEADS) + now - asked_at
        until = now + max(pause, _SHORTEST_WAIT)
        if lease.blocked_by == self.key_pair.name:
            self.key_pair.held_until = max(self.key_pair.held_until, now + lease.retry_in)
            return
        for window in blocking:
            window.closed_until = until
        if not blocking:
            self._asks_again_at = until

    # ── Starting ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def next_leased_start(self, now: float) -> float | None:
        """Return when the next start in hand may be used, or None without one.

        Starts that would be used too late are dropped.
        """
        bound = max(now, self.key_pair.held_until, *(window.next_start_at(now) for window in self._windows))
        if bound == math.inf:
            bound = now + _SHORTEST_WAIT  # a reservation is committed or cancelled by then
        while self.starts and bound - self.starts[0] > HORIZON:
            self.starts.popleft()
        return max(bound, self.starts[0]) if self.starts else None

    def excess_slots(self) -> int:
        """Return how many reserved slots no waiter or no start needs."""
        return self.slots - min(self.slots, self.waiting, self.slots if self.is_asking else len(self.starts))
