"""Rate limiter and semaphore in one FIFO order: decides when a call may start.

Problem
    The API limits starts per endpoint and key pair, per key pair, and per host; concurrency is limited as well. A call
    needs a free slot and capacity in every window that applies to it, all at one moment. Thousands of calls wait at
    the same time, some are cancelled, and the event loop stalls now and then.

Why not a library
    Measured: existing limiters let late arrivals overtake (aiolimiter), lose the capacity of cancelled waiters, start
    one timer per waiter, or deadlock when the head of the queue is cancelled (hikari's buckets). None combines several
    windows and a semaphore in one order.

Algorithm
    Each pair of endpoint and key pair has an `EndpointQueue`. Its head holds the oldest waiter's ticket, a sequence
    number that is unique in the scheduler. A queue with waiters is in exactly one of four collections::

        acquire ──▶ EndpointQueue ──▶ _ready                 heap by ticket: waits for the host or a slot
                                        │ _serve_queue
                                        ├─▶ _blocked_until     heap by time: waits for a window or a hold ── timer ──┐
                                        ├─▶ _blocked_on_grants by window: waits for a reservation ── commit, cancel ─┤
                                        ├─▶ _blocked_on_key_pair by key pair: waits for a slot ── release ───────────┤
                                        │                                                                            │
                                        │◀── _make_ready ────────────────────────────────────────────────────────────┘
                                        ▼
                                     _grant: reserve in each window, occupy a slot, wake the caller
                                        ▼
                                     caller resumes: commit, the start counts from now

    A `SlidingWindow` keeps the times of its last starts, so that any interval of its length is bounded.
    Under load it spreads starts over a grid, so that two bursts cannot meet at the server. One timer serves the
    earliest of all waits. A grant is a reservation until its caller resumes, and becomes a start only then: a stall of
    the event loop cannot bunch the starts of two windows. Endpoints and key pairs do not block each other; only what
    they share (`total_rates`, `host_rates`, slots) is granted by ticket.

    `SharedScheduler` (shared_scheduler.py) leases each start from a quota that several processes share.

Invariants, and the test of each (tests/core/limits; `test_scheduler_model.py` compares all of it with a slow model)
    - No window of any length ``per`` holds more than ``calls`` starts: `test_no_window_holds_more_starts_than_calls`,
      `test_a_stalled_loop_makes_no_burst_beyond_the_rate`,
      `test_a_stall_between_grant_and_start_does_not_bunch_two_windows`.
    - At least 99.5 % of the rate is used under load: `test_the_rate_is_kept_to_995_permille_under_load`.
    - First come, first served: `test_waiters_are_granted_in_order_of_arrival`,
      `test_a_late_arrival_does_not_overtake_a_due_waiter`, `test_no_timing_lets_a_waiter_overtake_or_get_lost`.
    - A cancelled waiter costs no capacity: `test_cancelled_waiters_lose_no_capacity_and_wake_the_rest`,
      `test_a_grant_cancelled_in_the_same_loop_iteration_goes_to_the_next_at_once`.
    - Under load the server never sees two bursts in one window:
      `test_80_clients_at_10_a_second_show_the_server_at_most_11_calls_in_any_second`.
    - Concurrency is bounded, and a blocked call occupies no slot: `test_slots_bound_the_calls_in_flight`,
      `test_a_blocked_key_occupies_no_slots`.
    - One timer, and none when no call waits: `test_one_timer_serves_any_number_of_waiters`,
      `test_no_timer_remains_when_no_call_waits`.
    - Idle key pairs are dropped, those in use are not: `test_idle_keys_are_dropped`,
      `test_a_key_in_use_is_never_dropped`.
    - The scheduler behaves as a simple model on random schedules: `test_the_scheduler_agrees_with_the_model`.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Final

from facturaonline_async._core.limits.window import NO_WAITERS, EndpointQueue, KeyPairState, SlidingWindow, Waiter
from facturaonline_async._messages import message
from facturaonline_async.config import Config, Rate
from facturaonline_async.errors import InvalidInputError, LimiterWaitError, NotSentError
from facturaonline_async.events import SessionStats

__all__ = ["Scheduler"]

_SWEEP_FROM: Final = 64
_SWEEP_EVERY: Final = 60.0
_SWEEP_STEP: Final = 500
"""Queues or key pairs that are examined in one iteration of the event loop: less than a millisecond."""
_SPARE_DEAD: Final = 32


class Scheduler:
    """Rate limiter and semaphore behind one FIFO order.

    Each `acquire` grants a start and occupies a slot until `release`. A scheduler needs no start-up and no shutdown
    unless calls wait (`close`). Idle key pairs are dropped.

    Args:
        config: Supplies the rates and the concurrency limits.

    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._host = self._make_windows(config.host_rates)
        self._slots = config.concurrency
        self._slots_per_pair = config.concurrency_per_key
        self._in_flight = 0
        self._reserved_slots = 0  # counted in `_in_flight`: slots of calls that will start as soon as others allow it
        self._key_pairs: dict[str, KeyPairState] = {}
        self._queues: dict[tuple[str, str], EndpointQueue] = {}
        self._sweep_at = _SWEEP_FROM
        self._sweep_due = math.inf
        self._unswept: list[tuple[str, str] | str] = []  # keys of queues and of key pairs, the next one last
        self._tickets: Iterator[int] = count()
        self._restart_tickets: Iterator[int] = count(-(2**62))  # restarts sort before all others
        self._waiting = 0
        #: By ticket: queues that wait for the host or a slot.
        self._ready: list[tuple[int, EndpointQueue]] = []
        #: By time: queues that wait for a window or a hold.
        self._blocked_until: list[tuple[float, int, EndpointQueue]] = []
        #: Queues that wait for a window's reservations to be committed or cancelled.
        self._blocked_on_grants: dict[SlidingWindow, list[EndpointQueue]] = {}
        #: Queues that wait for a slot of their key pair.
        self._blocked_on_key_pair: dict[KeyPairState, list[EndpointQueue]] = {}
        self._deadlines: list[tuple[float, int, Waiter]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0  # uvloop's handle of a time that has come does not know it

    def __repr__(self) -> str:
        return f"<Scheduler: {self._waiting} waiting, {self._in_flight} in flight, {len(self._queues)} queues>"

    async def acquire(self, endpoint: str, key: str, *, max_wait: float | None = None) -> float:
        """Wait for a start and a slot, and return the time of the start.

        Args:
            endpoint: Name of the endpoint.
            key: Fingerprint of the key pair.
            max_wait: Maximum wait in seconds; None waits without limit.

        Returns:
            The time of the start by the loop's clock.

        Raises:
            LimiterWaitError: The wait would exceed, or exceeded, `max_wait`.
            NotSentError: The scheduler was closed during the wait.

        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self.try_acquire(endpoint, key, loop):
            return now
        return await self._wait(self._queues[endpoint, key], loop, max_wait)

    async def reacquire(self, endpoint: str, key: str, started_at: float, *, max_wait: float | None = None) -> float:
        """Renew the start of a delayed call, and return the time of the new start.

        If all windows allow it, the old start is moved to now. Otherwise the call waits ahead of all calls that have
        not started yet, and its slot is free meanwhile. The call occupies a slot again afterwards, also after an
        error, and must `release` it.

        Args:
            endpoint: Name of the endpoint.
            key: Fingerprint of the key pair.
            started_at: Time of the old start.
            max_wait: Maximum wait in seconds; None waits without limit.

        Raises:
            LimiterWaitError: As for `acquire`.
            NotSentError: As for `acquire`.

        """
        loop, key_pair = asyncio.get_running_loop(), self._key_pairs[key]
        now = loop.time()
        queue = self._queues.get((endpoint, key)) or self._new_queue(endpoint, key, now)
        if self._may_restart(queue, started_at, now):
            for window in queue.all_windows:
                window.restart(started_at, now)
            return now
        for window in queue.all_windows:
            window.forget(started_at, now)
        key_pair.in_flight -= 1
        self._in_flight -= 1
        self._unblock_key_pair(key_pair)
        try:
            return await self._wait(queue, loop, max_wait, is_restart=True)
        except BaseException:
            key_pair.in_flight += 1
            self._in_flight += 1
            raise

    def _may_restart(self, queue: EndpointQueue, started_at: float, now: float) -> bool:
        """Return whether an earlier start may be moved to `now` without further capacity."""
        return queue.key_pair.held_until <= now and all(
            window.may_restart(started_at, now) for window in queue.all_windows
        )

    def try_acquire(self, endpoint: str, key: str, loop: asyncio.AbstractEventLoop) -> bool:
        """Take a start and a slot if both are free now, without creating a coroutine.

        Returns:
            Whether the call may start; if so, it occupies a slot.

        """
        now = loop.time()
        queue = self._queues.get((endpoint, key)) or self._new_queue(endpoint, key, now)
        if self._waiting:
            if self._blocked_until and self._blocked_until[0][0] <= now:
                self._dispatch(loop)  # due waiters go before a new arrival
            if self._ready or self._blocked_on_grants or queue.waiting:
                return False
        key_pair = queue.key_pair
        if self._in_flight >= self._slots or key_pair.in_flight >= self._slots_per_pair or key_pair.held_until > now:
            return False
        for window in queue.all_windows:
            if window.next_start_at(now):
                return False
        for window in queue.all_windows:
            window.start(now)
        key_pair.in_flight += 1
        self._in_flight += 1
        if now >= self._sweep_due:
            self._sweep(loop)
        return True

    def release(self, key: str) -> None:
        """Free the slot that a call with this key occupies."""
        key_pair = self._key_pairs[key]
        key_pair.in_flight -= 1
        self._in_flight -= 1
        if self._waiting:
            self._unblock_key_pair(key_pair)
            self._dispatch(asyncio.get_running_loop())

    def hold(self, key: str, seconds: float) -> None:
        """Start no call with this key for `seconds` from now; the longest hold counts.

        Raises:
            InvalidInputError: `seconds` is negative, infinite or not a number.

        """
        if not 0 <= seconds < math.inf:
            raise InvalidInputError(message("values.negative", name="seconds", value=repr(seconds)), field="seconds")
        now = asyncio.get_running_loop().time()
        key_pair = self._key_pairs.get(key) or self._new_key_pair(key, now)
        key_pair.held_until = max(key_pair.held_until, now + seconds)

    def is_held(self, key: str) -> bool:
        """Return whether calls with this key are held."""
        key_pair = self._key_pairs.get(key)
        return key_pair is not None and key_pair.held_until > asyncio.get_running_loop().time()

    def stats(self, now: float, *, is_closed: bool, outage: str | None = None) -> SessionStats:
        """Return the numbers of waiting calls and calls in flight, and the held key pairs.

        Args:
            now: current time of the loop's clock.
            is_closed: whether the session is closed.
            outage: why the shared service does not answer, or None.

        """
        held = {name: each.held_until - now for name, each in self._key_pairs.copy().items() if each.held_until > now}
        in_flight = self._in_flight - self._reserved_slots
        return SessionStats(
            waiting=self._waiting, in_flight=in_flight, held_keys=held, is_closed=is_closed, outage=outage
        )

    def close(self) -> None:
        """Fail every waiting call with `NotSentError`."""
        for queue in self._queues.values():
            for waiter in queue.waiters:
                if not waiter.future.done():
                    waiter.future.set_exception(NotSentError(message("calls.closed_while_waiting")))

    async def aclose(self) -> None:
        """Fail every waiting call, and end what works for them."""
        self.close()

    # ── Waiting ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _wait(
        self, queue: EndpointQueue, loop: asyncio.AbstractEventLoop, max_wait: float | None, *, is_restart: bool = False
    ) -> float:
        now = loop.time()
        waiter = Waiter(queue, next(self._restart_tickets if is_restart else self._tickets), loop.create_future())
        if max_wait is not None:
            self._set_deadline(waiter, now, max_wait, queue.count_restarts() if is_restart else queue.waiting)
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
        """Set the deadline of a wait; refuse a wait that would exceed `max_wait`."""
        left = waiter.queue.seconds_until_start(ahead, now)
        if left > max_wait:
            raise LimiterWaitError(
                message("calls.would_wait_too_long", seconds=left, max_wait=max_wait), retry_after=left
            )
        heappush(self._deadlines, (now + max_wait, waiter.ticket, waiter))

    def _commit_grant(self, waiter: Waiter, loop: asyncio.AbstractEventLoop) -> float:
        """Convert the reservation into a start at the current time."""
        now = loop.time()
        for window in waiter.queue.all_windows:
            window.commit(now)
        if self._waiting and self._unblock_queues(waiter.queue, now):
            self._dispatch(loop)
        return now

    def _cancel_grant(self, waiter: Waiter, loop: asyncio.AbstractEventLoop) -> None:
        """Give back the reservation and the slot of a caller cancelled after its grant."""
        queue = waiter.queue
        for window in queue.all_windows:
            window.cancel()
        queue.key_pair.in_flight -= 1
        self._in_flight -= 1
        if self._waiting:
            self._unblock_key_pair(queue.key_pair)
            self._unblock_queues(queue, loop.time())
            self._dispatch(loop)

    def _unblock_queues(self, queue: EndpointQueue, now: float) -> bool:
        """Wake queues that waited for a reservation; return whether a dispatch is due."""
        can_dispatch = bool(self._ready) and self._in_flight < self._slots and self._host_next_start_at(now) < math.inf
        if self._blocked_on_grants:
            for window in queue.windows:
                if window in self._blocked_on_grants and window.next_start_at(now) < math.inf:
                    can_dispatch = True
                    for each in self._blocked_on_grants.pop(window):
                        self._make_ready(each)
        return can_dispatch

    def _remove_waiter(self, waiter: Waiter) -> None:
        """Remove a cancelled waiter from all counts."""
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
        """Drop the timer and all collections of waiters after the last waiter has left."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        ready, timed = [queue for _, queue in self._ready], [queue for _, _, queue in self._blocked_until]
        for queues in (ready, timed, *self._blocked_on_grants.values(), *self._blocked_on_key_pair.values()):
            for queue in queues:
                queue.waiters = NO_WAITERS
                queue.is_unscheduled = True
        self._ready, self._blocked_until, self._deadlines = [], [], []
        self._blocked_on_grants, self._blocked_on_key_pair = {}, {}

    # ── Granting ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _dispatch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Grant every possible start, oldest waiter first, and set the timer."""
        now = loop.time()
        while self._blocked_until and self._blocked_until[0][0] <= now:
            self._make_ready(heappop(self._blocked_until)[2])
        while self._ready and self._in_flight < self._slots and not self._host_next_start_at(now):
            self._serve_queue(*heappop(self._ready), now)
        if not self._waiting:
            self._reset()
            return
        host_start_at = self._host_next_start_at(now)
        self._fail_expired(now)  # last: a waiter that can be granted at its deadline is granted
        self._set_timer(loop, host_start_at)

    def _serve_queue(self, ticket: int, queue: EndpointQueue, now: float) -> None:
        """Grant the queue's oldest waiter, or file the queue under what blocks it."""
        queue.is_unscheduled = True
        if (waiter := queue.head()) is None:
            return
        if waiter.ticket != ticket:  # its oldest waiter left: sort the queue again by the next ticket
            self._make_ready(queue)
            return
        queue.is_unscheduled = False
        if start_at := queue.next_start_at(now):
            if start_at == math.inf:
                self._blocked_on_grants.setdefault(queue.blocking_window(now), []).append(queue)
            else:
                heappush(self._blocked_until, (start_at, ticket, queue))
        elif queue.key_pair.in_flight >= self._slots_per_pair:
            self._blocked_on_key_pair.setdefault(queue.key_pair, []).append(queue)
        else:
            self._serve_waiter(waiter, now)

    def _serve_waiter(self, waiter: Waiter, now: float) -> None:
        """Grant a start to the oldest waiter of its queue; no limit is in its way."""
        self._grant(waiter, now)
        self._make_ready(waiter.queue)

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
            heappush(self._ready, (waiter.ticket, queue))

    def _unblock_key_pair(self, key_pair: KeyPairState) -> None:
        for queue in self._blocked_on_key_pair.pop(key_pair, ()):
            self._make_ready(queue)

    def _fail_expired(self, now: float) -> None:
        """Fail the waiters whose `max_wait` is over."""
        while self._deadlines and (self._deadlines[0][0] <= now or self._deadlines[0][2].future.done()):
            waiter = heappop(self._deadlines)[2]
            if not waiter.future.done():
                waiter.future.set_exception(
                    LimiterWaitError(
                        message("calls.waited_too_long"),
                        retry_after=waiter.queue.seconds_until_start(0, now, host=self._host) or 1.0,
                    )
                )

    def _set_timer(self, loop: asyncio.AbstractEventLoop, host_start_at: float) -> None:
        times = [heap[0][0] for heap in (self._blocked_until, self._deadlines) if heap]
        if 0 < host_start_at < math.inf and self._in_flight < self._slots:
            times.append(host_start_at)
        if self._timer is not None:
            if times and self._timer_at == min(times):
                return
            self._timer.cancel()
            self._timer = None
        if times:
            self._timer_at = min(times)
            self._timer = loop.call_at(self._timer_at, self._on_timer, loop)

    def _on_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        self._dispatch(loop)

    # ── Keys and queues ───────────────────────────────────────────────────────────────────────────────────────────────

    def _host_next_start_at(self, now: float) -> float:
        return max((window.next_start_at(now) for window in self._host), default=0.0)

    def _new_queue(self, endpoint: str, key: str, now: float) -> EndpointQueue:
        key_pair = self._key_pairs.get(key) or self._new_key_pair(key, now)
        rates = self._config.endpoint_rates.get(endpoint, self._config.rates)
        queue = self._make_queue(key_pair, self._make_windows(rates, key, endpoint))
        self._queues[endpoint, key] = queue
        key_pair.queues += 1
        return queue

    def _make_queue(self, key_pair: KeyPairState, windows: Iterable[SlidingWindow]) -> EndpointQueue:
        return EndpointQueue(key_pair, windows, self._host)

    def _make_windows(self, rates: Iterable[Rate], *_: str) -> tuple[SlidingWindow, ...]:
        """Return a window for each rate.

        Further arguments: the key pair and the endpoint that it limits, if any.
        """
        return tuple(SlidingWindow(rate) for rate in rates)

    def _new_key_pair(self, name: str, now: float) -> KeyPairState:
        if len(self._key_pairs) >= self._sweep_at:
            self._sweep(asyncio.get_running_loop())
        if len(self._key_pairs) == _SWEEP_FROM:
            self._sweep_due = now + _SWEEP_EVERY
        key_pair = self._key_pairs[name] = KeyPairState(name, self._make_windows(self._config.total_rates, name))
        return key_pair

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to drop queues and key pairs that limit nothing, in steps.

        It runs when the number of key pairs has doubled, and once a minute. The first step is done at once, the others
        in the next iterations of the event loop.
        """
        self._sweep_at, self._sweep_due = 2 * len(self._key_pairs), math.inf
        if not self._unswept:
            self._unswept = [*self._key_pairs, *self._queues]  # taken from the end: a key pair outlives its queues
            self._sweep_step(loop)

    def _sweep_step(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for _ in range(min(_SWEEP_STEP, len(self._unswept))):
            name = self._unswept.pop()
            if isinstance(name, str):
                self._drop_spent_key_pair(name, now)
            else:
                self._drop_spent_queue(name, now)
        if self._unswept:
            loop.call_soon(self._sweep_step, loop)
            return
        self._sweep_at = max(_SWEEP_FROM, 2 * len(self._key_pairs))
        self._sweep_due = now + _SWEEP_EVERY if len(self._key_pairs) > _SWEEP_FROM else math.inf

    def _drop_spent_queue(self, name: tuple[str, str], now: float) -> None:
        queue = self._queues[name]
        if not queue.waiting and queue.is_unscheduled and _is_spent(queue.windows, now):
            del self._queues[name]
            queue.key_pair.queues -= 1

    def _drop_spent_key_pair(self, name: str, now: float) -> None:
        key_pair = self._key_pairs[name]
        is_used = key_pair.queues or key_pair.in_flight or key_pair.held_until > now
        if not is_used and _is_spent(key_pair.windows, now):
            del self._key_pairs[name]


def _is_spent(windows: Iterable[SlidingWindow], now: float) -> bool:
    """Return whether no window delays a start now."""
    return not any(window.next_start_at(now) or window.starts or window.reserved for window in windows)
