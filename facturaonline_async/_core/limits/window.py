"""What binds the calls of one endpoint and key pair: windows of time, a hold, and who waits in which order."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Iterable
from itertools import takewhile
from typing import Final

from facturaonline_async.config import Rate

__all__ = ["CATCH_UP", "Key", "Lane", "Waiter", "Window"]

CATCH_UP: Final = 0.05
"""Seconds by which a start may be late and the next one still be in time: more than a timer, less than a stall."""


class Window:
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

    __slots__ = ("_due", "_spacing", "calls", "log", "per", "promised", "waiting")

    def __init__(self, rate: Rate) -> None:
        self.calls: int = rate.calls
        self.per: float = rate.per
        self.log: deque[float] = deque()
        self.promised: int = 0
        self.waiting: int = 0
        self._spacing = rate.per / rate.calls
        self._due = 0.0  # of the next start; 0 while starts need no spreading

    def opens(self, now: float) -> float:
        """Return when one more call may start: 0 for now, infinity where promises must be kept or broken first."""
        log = self.log
        while log and now - log[0] >= self.per:
            log.popleft()
        if len(log) + self.promised < self.calls:
            if self._due <= now:
                return 0.0
            return math.inf if self.promised else self._due
        if self.promised:
            return math.inf
        return max(log[0] + self.per, self._due, math.nextafter(now, math.inf))

    def opens_after(self, ahead: int, now: float) -> float:
        """Return the soonest that a call may start behind so many others."""
        self.opens(now)
        paced = self._due + ahead * self._spacing if self._due > now else 0.0
        behind = ahead - (self.calls - len(self.log) - self.promised)  # how many starts after the window is full
        if behind < 0:
            return paced
        spread = (self.log[0] if self.log else now) + self.per + behind * self._spacing
        freed = self.log[behind] + self.per if behind < len(self.log) else 0.0
        return max(paced, spread, freed)

    def wait(self, now: float) -> None:
        """Let one more call wait."""
        self.waiting += 1
        self._spread(now)

    def leave(self) -> None:
        """Forget a call that waited, and waits no more."""
        self.waiting -= 1

    def promise(self, now: float) -> None:
        """Grant a call that waited a start that is yet to come."""
        self.waiting -= 1
        self.promised += 1
        self._pace(now)

    def start(self, now: float) -> None:
        """Start at once."""
        self.log.append(now)
        if self._due or self.waiting:
            self._pace(now)
            self._spread(now)

    def keep(self, now: float) -> None:
        """Turn a promise into a start, at the time that it really is."""
        self.promised -= 1
        self.log.append(now)
        self._spread(now)

    def break_promise(self) -> None:
        """Take a promise back."""
        self.promised -= 1
        if self._due:
            self._due -= self._spacing

    def restart(self, began: float, now: float) -> None:
        """Move a start to now; of one that `holds` no more, make a new one."""
        if self.forget(began, now):
            self.log.append(now)
            self._spread(now)
        else:
            self.start(now)

    def may_restart(self, began: float, now: float) -> bool:
        """Whether a start may be moved to now: always while the window still counts it, for it leaves its own room."""
        return now - began < self.per or not self.opens(now)

    def forget(self, began: float, now: float) -> bool:
        """Take back a start that no request followed, and return whether the window still held it.

        It is the first one that the log shows from `began` on.
        """
        if now - began >= self.per:
            return False
        for index, start in enumerate(self.log):
            if start >= began:
                del self.log[index]
                return True
        return False

    def _pace(self, now: float) -> None:
        """Move on to the next place of the grid; after a pause there is none, until starts have to wait again."""
        if self._due:
            self._due = self._due + self._spacing if now - self._due <= CATCH_UP else 0.0

    def _spread(self, now: float) -> None:
        """Begin the grid where calls wait behind a full window."""
        if self.waiting and not self.promised and (opens := self.opens(now)) > self._due:
            self._due = opens


class Key:
    """What the lanes of one key pair share."""

    __slots__ = ("held_until", "name", "taken", "windows")

    def __init__(self, name: str, rates: Iterable[Rate]) -> None:
        self.name: str = name
        self.windows: tuple[Window, ...] = tuple(Window(rate) for rate in rates)
        self.held_until: float = 0.0
        self.taken: int = 0


class Lane:
    """One endpoint of one key pair."""

    __slots__ = ("all_windows", "is_idle", "key", "live", "queue", "windows")

    def __init__(self, key: Key, rates: Iterable[Rate], host: Iterable[Window]) -> None:
        self.key: Key = key
        self.windows: tuple[Window, ...] = (*(Window(rate) for rate in rates), *key.windows)
        self.all_windows: tuple[Window, ...] = (*self.windows, *host)
        self.queue: deque[Waiter] = deque()  # by turn
        self.live: int = 0
        self.is_idle: bool = True  # in none of the places where lanes wait

    def opens(self, now: float) -> float:
        """Return when the next call may start, as far as this lane and its key decide: 0 for now."""
        latest = self.key.held_until if self.key.held_until > now else 0.0
        for window in self.windows:
            if (opens := window.opens(now)) > latest:
                latest = opens
        return latest

    def promising(self, now: float) -> Window:
        """Return a window whose promises must be kept or broken before the next call may start."""
        return next(window for window in self.windows if window.opens(now) == math.inf)

    def opens_in(self, ahead: int, now: float, *, host: Iterable[Window] = ()) -> float:
        """Return the seconds after which a call may start, at the soonest, behind so many others of this lane."""
        windows = (*self.windows, *host)
        return max([0.0, self.key.held_until - now, *(window.opens_after(ahead, now) - now for window in windows)])

    def add(self, waiter: Waiter) -> None:
        """Queue up by turn: at the end, or behind those who start again."""
        if waiter.turn >= 0:
            self.queue.append(waiter)
        else:
            self.queue.insert(sum(1 for _ in takewhile(_is_late, self.queue)), waiter)

    def late(self) -> int:
        """Return how many wait to start again."""
        return sum(not each.future.done() for each in takewhile(_is_late, self.queue))

    def head(self) -> Waiter | None:
        """Return who has waited longest, dropping those who left."""
        while self.queue and self.queue[0].future.done():
            self.queue.popleft()
        return self.queue[0] if self.queue else None


class Waiter:
    """One caller in a lane, known by the number that it drew: below 0 when it has started before."""

    __slots__ = ("future", "is_granted", "lane", "turn")

    def __init__(self, lane: Lane, turn: int, future: asyncio.Future[None]) -> None:
        self.lane: Lane = lane
        self.turn: int = turn
        self.future: asyncio.Future[None] = future
        self.is_granted: bool = False


def _is_late(waiter: Waiter) -> bool:
    return waiter.turn < 0
