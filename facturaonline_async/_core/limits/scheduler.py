"""Gate: when a call may start. Never too many in any window of time, never too many at once, first come, first served.

Why not one of the libraries there are: measured, they let late arrivals overtake, lose the slots of cancelled waiters,
wake a timer for each of thousands of waiters, or deadlock when the head of the queue is cancelled.

How it works. Each pair of endpoint and key pair has a *lane*: a queue behind that lane's own windows. A window is a log
of the last start times, so that no trick of phase lets more through; the starts that follow a full one are spread over
its time, so that a server does not see two bursts meet. Lanes whose turn it could be compete, oldest waiter first, for
what all of them share: the totals of their key pair, those of the host, and the places in flight.
A lane that must wait for a time stands in one heap behind one timer, however many waiters it has. A grant counts as a
*promise* until its caller runs again, and only then as a start: a stalled event loop cannot bunch two windows together.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Final

from facturaonline_async._core.limits.window import Key, Lane, Waiter, Window
from facturaonline_async.config import Config
from facturaonline_async.errors import InvalidInputError, LimiterWaitError, NotSentError

__all__ = ["Gate"]

_SWEEP_FROM: Final = 64
_SWEEP_EVERY: Final = 60.0
_SPARE_DEAD: Final = 32


class Gate:
    """Lets calls start: never too many in any window of time, never too many at once, first come, first served.

    Nothing to start; idle keys are forgotten.

    Args:
        config: its rates, and its concurrency. Each `acquire` takes a place until `release`.

    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._host = tuple(Window(rate) for rate in config.host_rates)
        self._places = config.concurrency
        self._places_per_key = config.concurrency_per_key
        self._taken = 0
        self._keys: dict[str, Key] = {}
        self._lanes: dict[tuple[str, str], Lane] = {}
        self._sweep_at = _SWEEP_FROM
        self._sweep_due = math.inf
        self._turns: Iterator[int] = count()
        self._late_turns: Iterator[int] = count(-(2**62))  # of calls that start again: before all others
        self._waiting = 0
        self._ready: list[tuple[int, Lane]] = []  # by turn: lanes that wait for the host or a place
        self._timed: list[tuple[float, int, Lane]] = []  # by time: lanes that wait for a window or a hold
        self._parked: dict[Window, list[Lane]] = {}  # lanes that wait for a window's promises to be kept or broken
        self._crowded: dict[Key, list[Lane]] = {}  # lanes that wait for a place of their key
        self._deadlines: list[tuple[float, int, Waiter]] = []
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Gate: {self._waiting} waiting, {self._taken} in flight, {len(self._lanes)} lanes>"

    async def acquire(self, endpoint: str, key: str, *, max_wait: float | None = None) -> float:
        """Wait for a start and a place, and return the moment of the start.

        Raises:
            LimiterWaitError: it would take longer than `max_wait` seconds.
            NotSentError: the gate was closed.

        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        if self.take(endpoint, key, loop):
            return began
        return await self._wait(self._lanes[endpoint, key], loop, max_wait)

    async def renew(self, endpoint: str, key: str, began: float, *, max_wait: float | None = None) -> float:
        """Start again a call whose request did not follow its start in time, and return the moment of the new start.

        While the windows count the old start, it is moved. Else the call waits at the head of its lane, before all who
        have not started yet, and others have its place meanwhile. However this ends, the place is its own again, and
        `release` gives it back.

        Raises:
            LimiterWaitError, NotSentError: as `acquire` does.

        """
        loop, holder = asyncio.get_running_loop(), self._keys[key]
        now = loop.time()
        lane = self._lanes.get((endpoint, key)) or self._new_lane(endpoint, key, now)
        if holder.held_until <= now and all(window.may_restart(began, now) for window in lane.all_windows):
            for window in lane.all_windows:
                window.restart(began, now)
            return now
        for window in lane.all_windows:
            window.forget(began, now)
        holder.taken -= 1
        self._taken -= 1
        self._uncrowd(holder)
        try:
            return await self._wait(lane, loop, max_wait, is_late=True)
        except BaseException:
            holder.taken += 1
            self._taken += 1
            raise

    def take(self, endpoint: str, key: str, loop: asyncio.AbstractEventLoop) -> bool:
        """Take a start and a place if there is one at once: what `acquire` does first, without a coroutine."""
        now = loop.time()
        lane = self._lanes.get((endpoint, key)) or self._new_lane(endpoint, key, now)
        if self._waiting:
            if self._timed and self._timed[0][0] <= now:
                self._pump(loop)  # who is due goes before who comes
            if self._ready or self._parked or lane.live:
                return False
        holder = lane.key
        if self._taken >= self._places or holder.taken >= self._places_per_key or holder.held_until > now:
            return False
        for window in lane.all_windows:
            if window.opens(now):
                return False
        for window in lane.all_windows:
            window.start(now)
        holder.taken += 1
        self._taken += 1
        if now >= self._sweep_due:
            self._sweep(now)
        return True

    def release(self, key: str) -> None:
        """Give back the place that an `acquire` with this key took."""
        holder = self._keys[key]
        holder.taken -= 1
        self._taken -= 1
        if self._waiting:
            self._uncrowd(holder)
            self._pump(asyncio.get_running_loop())

    def hold(self, key: str, seconds: float) -> None:
        """Let no call with this key start for so many seconds from now; the longest hold counts."""
        if not 0 <= seconds < math.inf:
            raise InvalidInputError(f"seconds must be a number from 0 up, and was {seconds!r}.", field="seconds")
        now = asyncio.get_running_loop().time()
        holder = self._keys.get(key) or self._new_key(key, now)
        holder.held_until = max(holder.held_until, now + seconds)

    def is_held(self, key: str) -> bool:
        """Whether calls with this key are held."""
        holder = self._keys.get(key)
        return holder is not None and holder.held_until > asyncio.get_running_loop().time()

    def close(self) -> None:
        """Tell everybody who waits that it was for nothing."""
        for lane in self._lanes.values():
            for waiter in lane.queue:
                if not waiter.future.done():
                    waiter.future.set_exception(NotSentError("the session was closed while the call was waiting"))

    # ── Waiting ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _wait(
        self, lane: Lane, loop: asyncio.AbstractEventLoop, max_wait: float | None, *, is_late: bool = False
    ) -> float:
        now = loop.time()
        waiter = Waiter(lane, next(self._late_turns if is_late else self._turns), loop.create_future())
        if max_wait is not None:
            self._set_deadline(waiter, now, max_wait, lane.late() if is_late else lane.live)
        for window in lane.all_windows:
            window.wait(now)
        lane.add(waiter)
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
        return self._start(waiter, loop)

    def _set_deadline(self, waiter: Waiter, now: float, max_wait: float, ahead: int) -> None:
        """Refuse at once what would take too long as things stand, and note until when to wait otherwise."""
        left = waiter.lane.opens_in(ahead, now)
        if left > max_wait:
            raise LimiterWaitError(
                f"the call would wait {left:.1f} s for its turn, longer than max_wait={max_wait:g} s allows",
                retry_after=left,
            )
        heappush(self._deadlines, (now + max_wait, waiter.turn, waiter))

    def _start(self, waiter: Waiter, loop: asyncio.AbstractEventLoop) -> float:
        """Turn the promise into a start."""
        now = loop.time()
        for window in waiter.lane.all_windows:
            window.keep(now)
        if self._waiting and self._settle(waiter.lane, now):
            self._pump(loop)
        return now

    def _leave(self, waiter: Waiter, loop: asyncio.AbstractEventLoop) -> None:
        """Give back what was promised to a caller who is gone."""
        lane = waiter.lane
        for window in lane.all_windows:
            window.break_promise()
        lane.key.taken -= 1
        self._taken -= 1
        if self._waiting:
            self._uncrowd(lane.key)
            self._settle(lane, loop.time())
            self._pump(loop)

    def _settle(self, lane: Lane, now: float) -> bool:
        """Wake lanes that waited for a promise of this lane, kept or broken by now; return whether any may go on."""
        may_go_on = bool(self._ready) and self._taken < self._places and self._host_opens(now) < math.inf
        if self._parked:
            for window in lane.windows:
                if window in self._parked and window.opens(now) < math.inf:
                    may_go_on = True
                    for each in self._parked.pop(window):
                        self._make_ready(each)
        return may_go_on

    def _forget(self, waiter: Waiter) -> None:
        """Take a caller who left the queue out of all counts."""
        lane = waiter.lane
        for window in lane.all_windows:
            window.leave()
        lane.live -= 1
        self._waiting -= 1
        if not self._waiting:
            self._rest()
            return
        if len(lane.queue) > 2 * lane.live + _SPARE_DEAD:
            lane.queue = deque(each for each in lane.queue if not each.future.done())
        if len(self._deadlines) > 2 * self._waiting + _SPARE_DEAD:
            self._deadlines = [each for each in self._deadlines if not each[2].future.done()]
            heapify(self._deadlines)

    def _rest(self) -> None:
        """Nobody waits any more: drop what was kept for waiters, the timer first."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        ready, timed = [lane for _, lane in self._ready], [lane for _, _, lane in self._timed]
        for lanes in (ready, timed, *self._parked.values(), *self._crowded.values()):
            for lane in lanes:
                lane.queue.clear()
                lane.is_idle = True
        self._ready, self._timed, self._parked, self._crowded, self._deadlines = [], [], {}, {}, []

    # ── Granting ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _pump(self, loop: asyncio.AbstractEventLoop) -> None:
        """Grant all that may start now, oldest first, and set the timer for what comes next."""
        now = loop.time()
        while self._timed and self._timed[0][0] <= now:
            self._make_ready(heappop(self._timed)[2])
        while self._ready and self._taken < self._places and not self._host_opens(now):
            self._serve(*heappop(self._ready), now)
        if not self._waiting:
            self._rest()
            return
        host_opens = self._host_opens(now)
        self._fail_late(now)  # last: who is served in the very moment of the deadline is served
        self._set_timer(loop, host_opens)

    def _serve(self, turn: int, lane: Lane, now: float) -> None:
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
                self._parked.setdefault(lane.promising(now), []).append(lane)
            else:
                heappush(self._timed, (opens, turn, lane))
        elif lane.key.taken >= self._places_per_key:
            self._crowded.setdefault(lane.key, []).append(lane)
        else:
            self._grant(waiter, now)
            self._make_ready(lane)

    def _grant(self, waiter: Waiter, now: float) -> None:
        lane = waiter.lane
        lane.queue.popleft()
        lane.live -= 1
        self._waiting -= 1
        self._taken += 1
        lane.key.taken += 1
        for window in lane.all_windows:
            window.promise(now)
        waiter.is_granted = True
        waiter.future.set_result(None)

    def _make_ready(self, lane: Lane) -> None:
        waiter = lane.head()
        lane.is_idle = waiter is None
        if waiter is not None:
            heappush(self._ready, (waiter.turn, lane))

    def _uncrowd(self, key: Key) -> None:
        for lane in self._crowded.pop(key, ()):
            self._make_ready(lane)

    def _fail_late(self, now: float) -> None:
        """Tell those who have waited as long as they would."""
        while self._deadlines and (self._deadlines[0][0] <= now or self._deadlines[0][2].future.done()):
            waiter = heappop(self._deadlines)[2]
            if not waiter.future.done():
                waiter.future.set_exception(
                    LimiterWaitError(
                        "the call waited max_wait seconds, and its turn did not come",
                        retry_after=waiter.lane.opens_in(0, now, host=self._host) or 1.0,
                    )
                )

    def _set_timer(self, loop: asyncio.AbstractEventLoop, host_opens: float) -> None:
        whens = [heap[0][0] for heap in (self._timed, self._deadlines) if heap]
        if 0 < host_opens < math.inf and self._taken < self._places:
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

    def _host_opens(self, now: float) -> float:
        return max((window.opens(now) for window in self._host), default=0.0)

    def _new_lane(self, endpoint: str, key: str, now: float) -> Lane:
        holder = self._keys.get(key) or self._new_key(key, now)
        lane = Lane(holder, self._config.endpoint_rates.get(endpoint, self._config.rates), self._host)
        self._lanes[endpoint, key] = lane
        return lane

    def _new_key(self, name: str, now: float) -> Key:
        if len(self._keys) >= self._sweep_at:
            self._sweep(now)
        if len(self._keys) == _SWEEP_FROM:
            self._sweep_due = now + _SWEEP_EVERY
        key = self._keys[name] = Key(name, self._config.total_rates)
        return key

    def _sweep(self, now: float) -> None:
        """Forget lanes and keys that limit nothing any more: whenever keys have doubled, and once a minute."""

        def is_spent(windows: Iterable[Window]) -> bool:
            return not any(window.opens(now) or window.log or window.promised for window in windows)

        self._lanes = {
            name: lane
            for name, lane in self._lanes.items()
            if lane.live or not lane.is_idle or not is_spent(lane.windows)
        }
        used = {lane.key.name for lane in self._lanes.values()}
        self._keys = {
            name: key
            for name, key in self._keys.items()
            if name in used or key.taken or key.held_until > now or not is_spent(key.windows)
        }
        self._sweep_at = max(_SWEEP_FROM, 2 * len(self._keys))
        self._sweep_due = now + _SWEEP_EVERY if len(self._keys) > _SWEEP_FROM else math.inf
