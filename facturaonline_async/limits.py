"""When a call may start: never too many in any window of time, never too many at once, first come, first served.

Why not one of the libraries there are: measured, they let late arrivals overtake, lose the slots of cancelled waiters,
wake a timer for each of thousands of waiters, or deadlock when the head of the queue is cancelled.

How it works. Each pair of endpoint and key pair has a *lane*: a queue behind that lane's own windows. A window is a log
of the last start times, so that no trick of phase lets more through. Lanes whose turn it could be compete, oldest
waiter first, for what all of them share: the totals of their key pair, those of the host, and the places in flight.
A lane that must wait for a time stands in one heap behind one timer, however many waiters it has. A grant counts as a
*promise* until its caller runs again, and only then as a start: a stalled event loop cannot bunch two windows together.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from heapq import heappop, heappush
from itertools import count
from typing import Final, Protocol

from facturaonline_async.config import Rate
from facturaonline_async.errors import InvalidInputError, LimiterWaitError

__all__ = ["LocalLimiter", "RateLimiter"]

_SWEEP_FROM: Final = 64
_SPARE_DEAD: Final = 32


class RateLimiter(Protocol):
    """What a `SessionManager` asks of a limiter. Keys are fingerprints of key pairs, never the pairs.

    A limiter may also have a coroutine ``aclose()``; the session never calls it, for a limiter may serve several.
    """

    async def acquire(self, endpoint: str, key: str, *, max_wait: float | None = None) -> None:
        """Wait until a call to the endpoint may start, at most `max_wait` seconds (None: as long as it takes).

        Cancelling the wait must lose no capacity.

        Raises:
            LimiterWaitError: it would take longer.

        """

    async def hold(self, key: str, seconds: float) -> None:
        """Let no call with this key start for so many seconds from now. Holds do not add up: the longest counts."""


class _Window:
    """Never more than `calls` starts in any `per` seconds."""

    __slots__ = ("calls", "log", "per", "promised")

    def __init__(self, rate: Rate) -> None:
        self.calls = rate.calls
        self.per = rate.per
        self.log: deque[float] = deque()
        self.promised = 0

    def opens(self, now: float) -> float:
        """Return when one more call may start: 0 for now, infinity where promises must be kept first."""
        log = self.log
        while log and log[0] + self.per <= now:
            log.popleft()
        if len(log) + self.promised < self.calls:
            return 0.0
        return log[0] + self.per if log else math.inf

    def opens_after(self, ahead: int, now: float) -> float:
        """Return the soonest that a call may start behind so many others."""
        if self.opens(now) == 0.0 and ahead + 1 <= self.calls - len(self.log) - self.promised:
            return 0.0
        needed = ahead + 1 - (self.calls - len(self.log) - self.promised)
        if needed <= len(self.log):
            return self.log[needed - 1] + self.per
        return (self.log[0] if self.log else now) + self.per * (1 + (needed - 1) // self.calls)


class _Key:
    """What the lanes of one key pair share."""

    __slots__ = ("crowded", "held_until", "name", "taken", "windows")

    def __init__(self, name: str, rates: Iterable[Rate]) -> None:
        self.name = name
        self.windows = tuple(_Window(rate) for rate in rates)
        self.held_until = 0.0
        self.taken = 0
        self.crowded: list[_Lane] = []  # lanes that wait for one of the key's places


class _Lane:
    """One endpoint of one key pair."""

    __slots__ = ("is_idle", "key", "live", "queue", "windows")

    def __init__(self, key: _Key, rates: Iterable[Rate]) -> None:
        self.key = key
        self.windows = (*(_Window(rate) for rate in rates), *key.windows)
        self.queue: deque[_Waiter] = deque()
        self.live = 0
        self.is_idle = True  # in none of the places where lanes wait

    def opens(self, now: float) -> float:
        """Return when the next call may start, as far as this lane and its key decide: 0 for now."""
        latest = self.key.held_until if self.key.held_until > now else 0.0
        for window in self.windows:
            opens = window.opens(now)
            latest = max(latest, opens)
        return latest

    def head(self) -> _Waiter | None:
        """Return who has waited longest, dropping those who left."""
        while self.queue and self.queue[0].future.done():
            self.queue.popleft()
        return self.queue[0] if self.queue else None


class _Waiter:
    __slots__ = ("future", "is_granted", "lane", "turn")

    def __init__(self, lane: _Lane, turn: int, future: asyncio.Future[None]) -> None:
        self.lane = lane
        self.turn = turn
        self.future = future
        self.is_granted = False


class LocalLimiter:
    """The limiter of one process, and the gate. Nothing to start or to close; idle keys are forgotten.

    Args:
        rates: limits of each endpoint, for each key.
        endpoint_rates: limits of single endpoints, by name, instead of `rates`.
        total_rates: limits of all endpoints of a key together.
        host_rates: limits of all calls.
        concurrency: calls in flight at once, at most; each `acquire` then takes a place, which `release` gives back.
        concurrency_per_key: the same for one key.

    """

    def __init__(
        self,
        *,
        rates: Iterable[Rate] = (),
        endpoint_rates: Mapping[str, Iterable[Rate]] | None = None,
        total_rates: Iterable[Rate] = (),
        host_rates: Iterable[Rate] = (),
        concurrency: int | None = None,
        concurrency_per_key: int | None = None,
    ) -> None:
        self._rates = tuple(rates)
        self._endpoint_rates = {name: tuple(each) for name, each in (endpoint_rates or {}).items()}
        self._total_rates = tuple(total_rates)
        self._host = tuple(_Window(rate) for rate in host_rates)
        self._place = 0 if concurrency is None and concurrency_per_key is None else 1  # what an acquire takes
        self._places = math.inf if concurrency is None else concurrency
        self._places_per_key = math.inf if concurrency_per_key is None else concurrency_per_key
        self._taken = 0
        self._keys: dict[str, _Key] = {}
        self._lanes: dict[tuple[str, str], _Lane] = {}
        self._sweep_at = _SWEEP_FROM
        self._turns: Iterator[int] = count()
        self._waiting = 0
        self._promised = 0
        self._ready: list[tuple[int, _Lane]] = []  # by turn: lanes that wait for the host or a place
        self._timed: list[tuple[float, int, _Lane]] = []  # by time: lanes that wait for a window or a hold
        self._parked: list[_Lane] = []  # lanes that wait for promises to be kept
        self._deadlines: list[tuple[float, int, _Waiter]] = []
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<LocalLimiter: {self._waiting} waiting, {self._taken} in flight, {len(self._lanes)} lanes>"

    async def acquire(self, endpoint: str, key: str, *, max_wait: float | None = None) -> None:
        """Wait for a start (and a place). See `RateLimiter.acquire`."""
        loop = asyncio.get_running_loop()
        if not self.take(endpoint, key, loop.time()):
            await self._wait(self._lanes[endpoint, key], loop, max_wait)

    def take(self, endpoint: str, key: str, now: float) -> bool:
        """Take a start (and a place) if there is one at once: what `acquire` does first, without a coroutine."""
        lane = self._lanes.get((endpoint, key)) or self._new_lane(endpoint, key, now)
        if self._waiting and self._timed and self._timed[0][0] <= now:
            self._pump(asyncio.get_running_loop())  # who is due goes before who comes
        if (
            self._ready
            or self._taken >= self._places
            or lane.key.taken >= self._places_per_key
            or lane.opens(now)
            or (self._host and self._host_opens(now))
        ):
            return False
        self._taken += self._place
        lane.key.taken += self._place
        for window in lane.windows:
            window.log.append(now)
        for window in self._host:
            window.log.append(now)
        return True

    def release(self, key: str) -> None:
        """Give back the place that an `acquire` with this key took."""
        holder = self._keys[key]
        holder.taken -= 1
        self._taken -= 1
        if self._waiting:
            self._uncrowd(holder)
            self._pump(asyncio.get_running_loop())

    async def hold(self, key: str, seconds: float) -> None:
        """Let no call with this key start for so many seconds. See `RateLimiter.hold`."""
        if not 0 <= seconds < math.inf:
            raise InvalidInputError(f"seconds must be a number from 0 up, and was {seconds!r}.", field="seconds")
        now = asyncio.get_running_loop().time()
        holder = self._keys.get(key) or self._new_key(key)
        holder.held_until = max(holder.held_until, now + seconds)

    # ── Waiting ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _host_opens(self, now: float) -> float:
        return max((window.opens(now) for window in self._host), default=0.0)

    async def _wait(self, lane: _Lane, loop: asyncio.AbstractEventLoop, max_wait: float | None) -> None:
        waiter = _Waiter(lane, next(self._turns), loop.create_future())
        if max_wait is not None:
            self._set_deadline(waiter, loop.time(), max_wait)
        lane.queue.append(waiter)
        lane.live += 1
        self._waiting += 1
        if lane.is_idle:
            self._make_ready(lane)
        self._pump(loop)
        try:
            await waiter.future
        except BaseException:
            if waiter.is_granted:
                self._leave(waiter, loop)  # cancelled between the grant and this line
            else:
                self._forget(waiter)
            raise
        self._start(waiter, loop)

    def _set_deadline(self, waiter: _Waiter, now: float, max_wait: float) -> None:
        """Refuse at once what would surely take too long, and note until when to wait otherwise."""
        lane = waiter.lane
        soonest = max([lane.key.held_until, now, *(window.opens_after(lane.live, now) for window in lane.windows)])
        if soonest - now > max_wait:
            raise LimiterWaitError(
                f"the call would wait {soonest - now:.1f} s for its turn, longer than max_wait={max_wait:g} s allows"
            )
        heappush(self._deadlines, (now + max_wait, waiter.turn, waiter))

    def _start(self, waiter: _Waiter, loop: asyncio.AbstractEventLoop) -> None:
        """Turn the promise into a start, at the time that it really is."""
        now = loop.time()
        for window in self._windows_of(waiter.lane):
            window.promised -= 1
            window.log.append(now)
        self._keep_promise(loop)

    def _leave(self, waiter: _Waiter, loop: asyncio.AbstractEventLoop) -> None:
        """Give back what was promised to a caller who is gone."""
        lane = waiter.lane
        for window in self._windows_of(lane):
            window.promised -= 1
        lane.key.taken -= self._place
        self._taken -= self._place
        self._uncrowd(lane.key)
        self._keep_promise(loop)

    def _keep_promise(self, loop: asyncio.AbstractEventLoop) -> None:
        self._promised -= 1
        if not self._promised and self._waiting:
            while self._parked:
                self._make_ready(self._parked.pop())
            self._pump(loop)

    def _forget(self, waiter: _Waiter) -> None:
        """Take a caller who left the queue out of all counts."""
        lane = waiter.lane
        lane.live -= 1
        self._waiting -= 1
        if not self._waiting:
            self._rest()
        elif len(lane.queue) > 2 * lane.live + _SPARE_DEAD:
            lane.queue = deque(each for each in lane.queue if not each.future.done())

    def _rest(self) -> None:
        """Nobody waits any more: drop what was kept for waiters, the timer first."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        places = ([lane for _, lane in self._ready], [lane for _, _, lane in self._timed], self._parked)
        crowded = (key.crowded for key in self._keys.values())
        for lanes in (*places, *crowded):
            for lane in lanes:
                lane.queue.clear()
                lane.is_idle = True
        for key in self._keys.values():
            key.crowded.clear()
        self._ready, self._timed, self._parked, self._deadlines = [], [], [], []

    # ── Granting ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _pump(self, loop: asyncio.AbstractEventLoop) -> None:
        """Grant all that may start now, oldest first, and set the timer for what comes next."""
        now = loop.time()
        while self._timed and self._timed[0][0] <= now:
            self._make_ready(heappop(self._timed)[2])
        host_opens = 0.0
        while self._ready and self._taken < self._places:
            host_opens = self._host_opens(now)
            if host_opens:
                break
            self._serve(*heappop(self._ready), now)
        self._fail_late(now)  # last: who is served in the very moment of the deadline is served
        self._set_timer(loop, host_opens)

    def _serve(self, turn: int, lane: _Lane, now: float) -> None:
        """Grant the lane's oldest waiter, or put the lane where it must wait."""
        lane.is_idle = True
        if (waiter := lane.head()) is None:
            return
        if waiter.turn != turn:  # an older one left: queue up again by the right turn
            self._make_ready(lane)
            return
        lane.is_idle = False
        if opens := lane.opens(now):
            if opens == math.inf:
                self._parked.append(lane)
            else:
                heappush(self._timed, (opens, turn, lane))
        elif lane.key.taken >= self._places_per_key:
            lane.key.crowded.append(lane)
        else:
            self._grant(waiter)
            lane.is_idle = True
            if lane.head() is not None:
                self._make_ready(lane)

    def _grant(self, waiter: _Waiter) -> None:
        lane = waiter.lane
        lane.queue.popleft()
        lane.live -= 1
        self._waiting -= 1
        self._promised += 1
        self._taken += self._place
        lane.key.taken += self._place
        for window in self._windows_of(lane):
            window.promised += 1
        waiter.is_granted = True
        waiter.future.set_result(None)

    def _make_ready(self, lane: _Lane) -> None:
        waiter = lane.head()
        lane.is_idle = waiter is None
        if waiter is not None:
            heappush(self._ready, (waiter.turn, lane))

    def _uncrowd(self, key: _Key) -> None:
        while key.crowded:
            self._make_ready(key.crowded.pop())

    def _fail_late(self, now: float) -> None:
        """Tell those who have waited as long as they would."""
        while self._deadlines and (self._deadlines[0][0] <= now or self._deadlines[0][2].future.done()):
            future = heappop(self._deadlines)[2].future
            if not future.done():
                future.set_exception(LimiterWaitError("the call waited max_wait seconds, and its turn did not come"))

    def _set_timer(self, loop: asyncio.AbstractEventLoop, host_opens: float) -> None:
        whens = [heap[0][0] for heap in (self._timed, self._deadlines) if heap]
        if 0 < host_opens < math.inf:
            whens.append(host_opens)
        if self._timer is not None:
            if whens and self._timer.when() == min(whens):
                return
            self._timer.cancel()
        self._timer = loop.call_at(min(whens), self._on_timer, loop) if whens else None

    def _on_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        self._pump(loop)

    # ── Keys and lanes ────────────────────────────────────────────────────────────────────────────────────────────────

    def _windows_of(self, lane: _Lane) -> Iterator[_Window]:
        yield from lane.windows
        yield from self._host

    def _new_lane(self, endpoint: str, key: str, now: float) -> _Lane:
        if len(self._lanes) >= self._sweep_at:
            self._sweep(now)
        holder = self._keys.get(key) or self._new_key(key)
        lane = _Lane(holder, self._endpoint_rates.get(endpoint, self._rates))
        self._lanes[endpoint, key] = lane
        return lane

    def _new_key(self, name: str) -> _Key:
        key = self._keys[name] = _Key(name, self._total_rates)
        return key

    def _sweep(self, now: float) -> None:
        """Forget lanes and keys that limit nothing any more, whenever their number has doubled."""

        def is_spent(windows: Iterable[_Window]) -> bool:
            return not any(window.opens(now) or window.log or window.promised for window in windows)

        self._lanes = {
            name: lane
            for name, lane in self._lanes.items()
            if lane.queue or not lane.is_idle or not is_spent(lane.windows)
        }
        used = {lane.key.name for lane in self._lanes.values()}
        self._keys = {
            name: key
            for name, key in self._keys.items()
            if name in used or key.taken or key.held_until > now or not is_spent(key.windows)
        }
        self._sweep_at = max(_SWEEP_FROM, 2 * len(self._lanes))
