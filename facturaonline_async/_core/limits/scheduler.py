"""Gate: when a call may start. Never too many in any window of time, never too many at once, first come, first served.

Why not one of the libraries there are: measured, they let late arrivals overtake, lose the slots of cancelled waiters,
wake a timer for each of thousands of waiters, or deadlock when the head of the queue is cancelled.

Each pair of endpoint and key pair has a queue with windows of its own. A window is a log
of the last start times, so that no trick of phase lets more through; the starts that follow a full one are spread over
its time, so that a server does not see two bursts meet. Lanes whose turn it could be compete, oldest waiter first, for
what all of them share: the totals of their key pair, those of the host, and the places in flight.
A queue that must wait for a time stands in one heap behind one timer, however many waiters it has. A grant counts as a
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

from facturaonline_async._core.limits.window import EndpointQueue, KeyPairState, SlidingWindow, Waiter
from facturaonline_async.config import Config
from facturaonline_async.errors import InvalidInputError, LimiterWaitError, NotSentError
from facturaonline_async.events import SessionStats

__all__ = ["Scheduler"]

_SWEEP_FROM: Final = 64
_SWEEP_EVERY: Final = 60.0
_SPARE_DEAD: Final = 32


class Scheduler:
    """Lets calls start: never too many in any window of time, never too many at once, first come, first served.

    Nothing to start; idle keys are forgotten.

    Args:
        config: its rates, and its concurrency. Each `acquire` takes a place until `release`.

    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._host = tuple(SlidingWindow(rate) for rate in config.host_rates)
        self._slots = config.concurrency
        self._slots_per_key = config.concurrency_per_key
        self._in_flight = 0
        self._keys: dict[str, KeyPairState] = {}
        self._queues: dict[tuple[str, str], EndpointQueue] = {}
        self._sweep_at = _SWEEP_FROM
        self._sweep_due = math.inf
        self._turns: Iterator[int] = count()
        self._late_turns: Iterator[int] = count(-(2**62))  # of calls that start again: before all others
        self._waiting = 0
        #: By turn: queues that wait for the host or a slot.
        self._ready: list[tuple[int, EndpointQueue]] = []
        #: By time: queues that wait for a window or a hold.
        self._blocked_until: list[tuple[float, int, EndpointQueue]] = []
        #: Queues that wait for a window's reservations to be committed or cancelled.
        self._blocked_on_grants: dict[SlidingWindow, list[EndpointQueue]] = {}
        #: Queues that wait for a slot of their key pair.
        self._blocked_on_key: dict[KeyPairState, list[EndpointQueue]] = {}
        self._deadlines: list[tuple[float, int, Waiter]] = []
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Gate: {self._waiting} waiting, {self._in_flight} in flight, {len(self._queues)} queues>"

    async def acquire(self, endpoint: str, key: str, *, max_wait: float | None = None) -> float:
        """Wait for a start and a place, and return the moment of the start.

        Raises:
            LimiterWaitError: it would take longer than `max_wait` seconds.
            NotSentError: the gate was closed.

        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        if self.try_acquire(endpoint, key, loop):
            return began
        return await self._wait(self._queues[endpoint, key], loop, max_wait)

    async def reacquire(self, endpoint: str, key: str, began: float, *, max_wait: float | None = None) -> float:
        """Start again a call whose request did not follow its start in time, and return the moment of the new start.

        While the windows count the old start, it is moved. Else the call waits at the head of its queue, before all who
        have not started yet, and others have its place meanwhile. However this ends, the place is its own again, and
        `release` gives it back.

        Raises:
            LimiterWaitError, NotSentError: as `acquire` does.

        """
        loop, holder = asyncio.get_running_loop(), self._keys[key]
        now = loop.time()
        queue = self._queues.get((endpoint, key)) or self._new_queue(endpoint, key, now)
        if holder.held_until <= now and all(window.may_restart(began, now) for window in queue.all_windows):
            for window in queue.all_windows:
                window.restart(began, now)
            return now
        for window in queue.all_windows:
            window.forget(began, now)
        holder.in_flight -= 1
        self._in_flight -= 1
        self._unblock_key(holder)
        try:
            return await self._wait(queue, loop, max_wait, is_late=True)
        except BaseException:
            holder.in_flight += 1
            self._in_flight += 1
            raise

    def try_acquire(self, endpoint: str, key: str, loop: asyncio.AbstractEventLoop) -> bool:
        """Take a start and a place if there is one at once: what `acquire` does first, without a coroutine."""
        now = loop.time()
        queue = self._queues.get((endpoint, key)) or self._new_queue(endpoint, key, now)
        if self._waiting:
            if self._blocked_until and self._blocked_until[0][0] <= now:
                self._dispatch(loop)  # who is due goes before who comes
            if self._ready or self._blocked_on_grants or queue.waiting:
                return False
        holder = queue.key_pair
        if self._in_flight >= self._slots or holder.in_flight >= self._slots_per_key or holder.held_until > now:
            return False
        for window in queue.all_windows:
            if window.next_start_at(now):
                return False
        for window in queue.all_windows:
            window.start(now)
        holder.in_flight += 1
        self._in_flight += 1
        if now >= self._sweep_due:
            self._sweep(now)
        return True

    def release(self, key: str) -> None:
        """Give back the place that an `acquire` with this key took."""
        holder = self._keys[key]
        holder.in_flight -= 1
        self._in_flight -= 1
        if self._waiting:
            self._unblock_key(holder)
            self._dispatch(asyncio.get_running_loop())

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

    def stats(self, *, is_closed: bool) -> SessionStats:
        """Return how many calls wait and are in flight, and which key pairs are held."""
        held = {}
        if any(holder.held_until for holder in self._keys.values()):
            now = asyncio.get_running_loop().time()
            held = {name: each.held_until - now for name, each in self._keys.items() if each.held_until > now}
        return SessionStats(waiting=self._waiting, in_flight=self._in_flight, held_keys=held, is_closed=is_closed)

    def close(self) -> None:
        """Tell everybody who waits that it was for nothing."""
        for queue in self._queues.values():
            for waiter in queue.waiters:
                if not waiter.future.done():
                    waiter.future.set_exception(NotSentError("the session was closed while the call was waiting"))

    # ── Waiting ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _wait(
        self, queue: EndpointQueue, loop: asyncio.AbstractEventLoop, max_wait: float | None, *, is_late: bool = False
    ) -> float:
        now = loop.time()
        waiter = Waiter(queue, next(self._late_turns if is_late else self._turns), loop.create_future())
        if max_wait is not None:
            self._set_deadline(waiter, now, max_wait, queue.count_restarts() if is_late else queue.waiting)
        for window in queue.all_windows:
            window.add_waiter(now)
        queue.add(waiter)
        queue.waiting += 1
        self._waiting += 1
        if queue.is_unscheduled:
            self._make_ready(queue)
        self._dispatch(loop)
        try:
            await waiter.future
        except BaseException:
            if waiter.is_granted:
                self._cancel_grant(waiter, loop)  # cancelled between the grant and this line
            else:
                self._remove_waiter(waiter)
            raise
        return self._commit_grant(waiter, loop)

    def _set_deadline(self, waiter: Waiter, now: float, max_wait: float, ahead: int) -> None:
        """Refuse at once what would take too long as things stand, and note until when to wait otherwise."""
        left = waiter.queue.seconds_until_start(ahead, now)
        if left > max_wait:
            raise LimiterWaitError(
                f"the call would wait {left:.1f} s for its turn, longer than max_wait={max_wait:g} s allows",
                retry_after=left,
            )
        heappush(self._deadlines, (now + max_wait, waiter.turn, waiter))

    def _commit_grant(self, waiter: Waiter, loop: asyncio.AbstractEventLoop) -> float:
        """Turn the promise into a start."""
        now = loop.time()
        for window in waiter.queue.all_windows:
            window.commit(now)
        if self._waiting and self._unblock_queues(waiter.queue, now):
            self._dispatch(loop)
        return now

    def _cancel_grant(self, waiter: Waiter, loop: asyncio.AbstractEventLoop) -> None:
        """Give back what was promised to a caller who is gone."""
        queue = waiter.queue
        for window in queue.all_windows:
            window.cancel()
        queue.key_pair.in_flight -= 1
        self._in_flight -= 1
        if self._waiting:
            self._unblock_key(queue.key_pair)
            self._unblock_queues(queue, loop.time())
            self._dispatch(loop)

    def _unblock_queues(self, queue: EndpointQueue, now: float) -> bool:
        """Wake queues that waited for a promise of this queue, kept or broken by now; return whether any may go on."""
        may_go_on = bool(self._ready) and self._in_flight < self._slots and self._host_next_start_at(now) < math.inf
        if self._blocked_on_grants:
            for window in queue.windows:
                if window in self._blocked_on_grants and window.next_start_at(now) < math.inf:
                    may_go_on = True
                    for each in self._blocked_on_grants.pop(window):
                        self._make_ready(each)
        return may_go_on

    def _remove_waiter(self, waiter: Waiter) -> None:
        """Take a caller who left the queue out of all counts."""
        queue = waiter.queue
        for window in queue.all_windows:
            window.remove_waiter()
        queue.waiting -= 1
        self._waiting -= 1
        if not self._waiting:
            self._reset()
            return
        if len(queue.waiters) > 2 * queue.waiting + _SPARE_DEAD:
            queue.waiters = deque(each for each in queue.waiters if not each.future.done())
        if len(self._deadlines) > 2 * self._waiting + _SPARE_DEAD:
            self._deadlines = [each for each in self._deadlines if not each[2].future.done()]
            heapify(self._deadlines)

    def _reset(self) -> None:
        """Nobody waits any more: drop what was kept for waiters, the timer first."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        ready, timed = [queue for _, queue in self._ready], [queue for _, _, queue in self._blocked_until]
        for queues in (ready, timed, *self._blocked_on_grants.values(), *self._blocked_on_key.values()):
            for queue in queues:
                queue.waiters.clear()
                queue.is_unscheduled = True
        self._ready, self._blocked_until, self._blocked_on_grants, self._blocked_on_key, self._deadlines = (
            [],
            [],
            {},
            {},
            [],
        )

    # ── Granting ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _dispatch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Grant all that may start now, oldest first, and set the timer for what comes next."""
        now = loop.time()
        while self._blocked_until and self._blocked_until[0][0] <= now:
            self._make_ready(heappop(self._blocked_until)[2])
        while self._ready and self._in_flight < self._slots and not self._host_next_start_at(now):
            self._serve_queue(*heappop(self._ready), now)
        if not self._waiting:
            self._reset()
            return
        host_opens = self._host_next_start_at(now)
        self._fail_expired(now)  # last: who is served in the very moment of the deadline is served
        self._set_timer(loop, host_opens)

    def _serve_queue(self, turn: int, queue: EndpointQueue, now: float) -> None:
        """Grant the queue's oldest waiter, or put the queue where it must wait."""
        queue.is_unscheduled = True
        if (waiter := queue.head()) is None:
            return
        if waiter.turn != turn:  # an older one left: queue up again by the right turn
            self._make_ready(queue)
            return
        queue.is_unscheduled = False
        if opens := queue.next_start_at(now):
            if opens == math.inf:
                self._blocked_on_grants.setdefault(queue.blocking_window(now), []).append(queue)
            else:
                heappush(self._blocked_until, (opens, turn, queue))
        elif queue.key_pair.in_flight >= self._slots_per_key:
            self._blocked_on_key.setdefault(queue.key_pair, []).append(queue)
        else:
            self._grant(waiter, now)
            self._make_ready(queue)

    def _grant(self, waiter: Waiter, now: float) -> None:
        queue = waiter.queue
        queue.waiters.popleft()
        queue.waiting -= 1
        self._waiting -= 1
        self._in_flight += 1
        queue.key_pair.in_flight += 1
        for window in queue.all_windows:
            window.reserve(now)
        waiter.is_granted = True
        waiter.future.set_result(None)

    def _make_ready(self, queue: EndpointQueue) -> None:
        waiter = queue.head()
        queue.is_unscheduled = waiter is None
        if waiter is not None:
            heappush(self._ready, (waiter.turn, queue))

    def _unblock_key(self, key: KeyPairState) -> None:
        for queue in self._blocked_on_key.pop(key, ()):
            self._make_ready(queue)

    def _fail_expired(self, now: float) -> None:
        """Tell those who have waited as long as they would."""
        while self._deadlines and (self._deadlines[0][0] <= now or self._deadlines[0][2].future.done()):
            waiter = heappop(self._deadlines)[2]
            if not waiter.future.done():
                waiter.future.set_exception(
                    LimiterWaitError(
                        "the call waited max_wait seconds, and its turn did not come",
                        retry_after=waiter.queue.seconds_until_start(0, now, host=self._host) or 1.0,
                    )
                )

    def _set_timer(self, loop: asyncio.AbstractEventLoop, host_opens: float) -> None:
        whens = [heap[0][0] for heap in (self._blocked_until, self._deadlines) if heap]
        if 0 < host_opens < math.inf and self._in_flight < self._slots:
            whens.append(host_opens)
        if self._timer is not None:
            if whens and self._timer.when() == min(whens):
                return
            self._timer.cancel()
        self._timer = loop.call_at(min(whens), self._on_timer, loop) if whens else None

    def _on_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        self._dispatch(loop)

    # ── Keys and queues ───────────────────────────────────────────────────────────────────────────────────────────────

    def _host_next_start_at(self, now: float) -> float:
        return max((window.next_start_at(now) for window in self._host), default=0.0)

    def _new_queue(self, endpoint: str, key: str, now: float) -> EndpointQueue:
        holder = self._keys.get(key) or self._new_key(key, now)
        queue = EndpointQueue(holder, self._config.endpoint_rates.get(endpoint, self._config.rates), self._host)
        self._queues[endpoint, key] = queue
        return queue

    def _new_key(self, name: str, now: float) -> KeyPairState:
        if len(self._keys) >= self._sweep_at:
            self._sweep(now)
        if len(self._keys) == _SWEEP_FROM:
            self._sweep_due = now + _SWEEP_EVERY
        key = self._keys[name] = KeyPairState(name, self._config.total_rates)
        return key

    def _sweep(self, now: float) -> None:
        """Forget queues and keys that limit nothing any more: whenever keys have doubled, and once a minute."""

        def is_spent(windows: Iterable[SlidingWindow]) -> bool:
            return not any(window.next_start_at(now) or window.starts or window.reserved for window in windows)

        self._queues = {
            name: queue
            for name, queue in self._queues.items()
            if queue.waiting or not queue.is_unscheduled or not is_spent(queue.windows)
        }
        used = {queue.key_pair.name for queue in self._queues.values()}
        self._keys = {
            name: key
            for name, key in self._keys.items()
            if name in used or key.in_flight or key.held_until > now or not is_spent(key.windows)
        }
        self._sweep_at = max(_SWEEP_FROM, 2 * len(self._keys))
        self._sweep_due = now + _SWEEP_EVERY if len(self._keys) > _SWEEP_FROM else math.inf
