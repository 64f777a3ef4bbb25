"""Scheduler whose starts come from a quota that several processes share.

Problem
    Each process limits itself, so that four processes send four times the rate. A service knows the starts of all of
    them, but an answer takes milliseconds, processes die with starts in hand, and the service may be away.

Algorithm
    The scheduler stays the only queue of its process. A head that has a slot, and that the local windows let pass, is
    not granted at once: its queue leases starts, and grants them to its oldest waiters when they come::

        _ready ── _serve_waiter ──▶ lease under way ──▶ starts in hand ──▶ _startable ──▶ _grant
                    │ reserves slots    │                     │ in the future: _blocked_until
                    │                   │                     └ too late, or no waiter: dropped, slot released
                    │                   ├─ refused: the window or the key that blocks is closed for a while
                    │                   └─ failed: every waiter of the queue gets an error
                    └─ a window that leases already ask too much of: _blocked_on_grants

    A queue has one lease under way at most, for as many starts as it has waiters with a slot, and no more than a window
    may give at once. What the service says about a window or a key holds for all queues that depend on it, so that a
    hundred queues behind one full window ask one after another.

Invariants, and the test of each (tests/core/limits/test_shared_scheduler.py)
    - All processes together keep each window, and use 99 % of the rate that the quota gives:
      `test_four_processes_keep_every_window_and_use_99_percent_of_the_rate`.
    - A waiter that leaves costs no start: `test_a_start_of_a_cancelled_waiter_goes_to_the_next_one`,
      `test_a_start_without_a_waiter_is_used_by_the_next_call_within_50_ms`.
    - A start is used within 50 ms or not at all: `test_a_late_start_is_dropped_and_the_waiter_keeps_its_place`,
      `test_a_slow_answer_gives_no_starts_once`.
    - Starts are leased for waiters with a slot only: `test_no_start_is_leased_without_a_slot`.
    - First come, first served within a queue: `test_waiters_of_a_queue_are_granted_in_order_of_arrival`.
    - A failed lease fails the waiters, each with an error of its own, and nothing else:
      `test_a_failed_lease_fails_each_waiter_with_its_own_error`.
    - Holds are shared: `test_a_hold_of_another_process_delays_calls`, `test_a_hold_is_told_to_the_quota`.
    - Closing leaves no task: `test_closing_ends_leases_under_way`.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Callable, Coroutine, Iterable
from heapq import heappop, heappush
from typing import Any, Final

from facturaonline_async._core.limits.leasing import LeasingQueue, SharedWindow
from facturaonline_async._core.limits.quota import HORIZON, SharedQuota
from facturaonline_async._core.limits.scheduler import Scheduler
from facturaonline_async._core.limits.window import EndpointQueue, KeyPairState, SlidingWindow, Waiter
from facturaonline_async._core.outage import shared_problem
from facturaonline_async._messages import message
from facturaonline_async.config import Config, Rate
from facturaonline_async.errors import NotSentError

__all__ = ["SharedScheduler"]

_LAST_HOLDS: Final = 1.0
"""Longest wait for holds under way when the scheduler is closed, in seconds."""


class SharedScheduler(Scheduler):
    """Scheduler of one of several processes that share a quota.

    Calls that no rate limits start without a lease.

    Args:
        config: Supplies the rates and the concurrency limits; the same in all processes.
        quota: The shared quota.
        on_answer: Called after each lease: with None, or with the reason why the quota could not be reached.

    """

    def __init__(self, config: Config, quota: SharedQuota, on_answer: Callable[[str | None], None]) -> None:
        self._quota = quota
        self._on_answer = on_answer
        self._is_closed = False
        #: By ticket: queues with starts in hand and slots for them.
        self._startable: list[tuple[int, LeasingQueue]] = []
        self._leases: set[asyncio.Task[None]] = set()
        self._holds: set[asyncio.Task[None]] = set()
        super().__init__(config)
        self._shared_host = [window for window in self._host if isinstance(window, SharedWindow)]

    def try_acquire(self, endpoint: str, key: str, loop: asyncio.AbstractEventLoop) -> bool:
        """Take a slot if one is free now and no rate limits the call.

        See `Scheduler.try_acquire`.
        """
        now = loop.time()
        if now >= self._sweep_due:
            self._sweep(loop)
        queue = self._queues.get((endpoint, key)) or self._new_queue(endpoint, key, now)
        return not isinstance(queue, LeasingQueue) and super().try_acquire(endpoint, key, loop)

    def hold(self, key: str, seconds: float) -> None:
        """Start no call with this key for `seconds`, in any process; see `Scheduler.hold`."""
        super().hold(key, seconds)
        self._run(self._holds, self._quota.hold(key, seconds))

    def close(self) -> None:
        """Fail every waiting call with `NotSentError`, and every later one."""
        self._is_closed = True
        super().close()

    async def aclose(self) -> None:
        """Fail every waiting call, and end all leases under way."""
        await super().aclose()
        if self._holds:
            await asyncio.wait(self._holds, timeout=_LAST_HOLDS)
        if tasks := self._leases | self._holds:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    # ── Leases ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _serve_waiter(self, waiter: Waiter, now: float) -> None:
        """Lease starts for the waiters of a queue that have a slot."""
        queue = waiter.queue
        if not isinstance(queue, LeasingQueue):
            super()._serve_waiter(waiter, now)
        elif queue.starts:  # they had no slot until now
            self._make_ready(queue)
        else:
            wanted = queue.ask(self._free_slots(queue))
            self._reserve_slots(queue, wanted)
            self._run(self._leases, self._lease(queue, wanted))

    async def _lease(self, queue: LeasingQueue, wanted: int) -> None:
        """Lease starts, hand them out, and serve the queues that waited for the answer."""
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        try:
            lease = await self._quota.lease(queue.shared_windows, queue.key_pair.name, wanted)
        except asyncio.CancelledError as error:
            self._fail_waiters(queue, error)
            raise
        except Exception as error:  # noqa: BLE001  # any failure means that nothing may be sent
            self._fail_waiters(queue, error)
        else:
            queue.receive(lease, wanted, asked_at=asked_at, now=loop.time())
            self._on_answer(None)
        finally:
            queue.end_lease(wanted)
            self._release_slots(queue)
            self._make_ready(queue)
            self._unblock_queues(queue, loop.time())
            self._dispatch(loop)

    def _fail_waiters(self, queue: LeasingQueue, error: BaseException) -> None:
        """Fail every waiter of a queue, each with an error of its own."""
        self._on_answer(shared_problem(error).args[0])
        for waiter in queue.waiters:
            if not waiter.future.done():
                waiter.future.set_exception(shared_problem(error))

    def _free_slots(self, queue: LeasingQueue) -> int:
        return max(0, min(self._slots - self._in_flight, self._slots_per_pair - queue.key_pair.in_flight))

    def _reserve_slots(self, queue: LeasingQueue, slots: int) -> None:
        """Reserve slots for starts in hand, or for those that a lease asks for."""
        queue.slots += slots
        self._reserved_slots += slots
        self._in_flight += slots
        queue.key_pair.in_flight += slots

    def _release_slots(self, queue: LeasingQueue) -> bool:
        """Release the slots that no start needs; return whether there were any."""
        excess = queue.excess_slots()
        if excess:
            self._reserve_slots(queue, -excess)
            self._unblock_key_pair(queue.key_pair)
        return excess > 0

    def _run(self, tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    # ── Granting ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _dispatch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Grant the starts in hand that are due, then serve the other queues."""
        now = loop.time()
        while self._blocked_until and self._blocked_until[0][0] <= now:
            self._make_ready(heappop(self._blocked_until)[2])
        while True:
            while self._startable:
                self._serve_startable(heappop(self._startable)[1], now)
            super()._dispatch(loop)
            if not self._startable:
                return
            now = loop.time()  # a start that was due only by the later time would come back again and again

    def _make_ready(self, queue: EndpointQueue) -> None:
        if isinstance(queue, LeasingQueue) and queue.starts and not queue.slots:
            self._reserve_slots(queue, min(len(queue.starts), queue.waiting, self._free_slots(queue)))
        if not isinstance(queue, LeasingQueue) or not queue.slots:
            super()._make_ready(queue)
            return
        waiter = queue.head()
        queue.is_unscheduled = waiter is None
        if waiter is not None:
            heappush(self._startable, (waiter.ticket, queue))

    def _serve_startable(self, queue: LeasingQueue, now: float) -> None:
        """Grant the oldest waiter a start for which a slot is reserved."""
        queue.is_unscheduled = True
        if (waiter := queue.head()) is None:
            return
        queue.is_unscheduled = False
        start_at = queue.next_leased_start(now)
        self._release_slots(queue)
        if start_at is None or not queue.slots:
            self._make_ready(queue)
        elif start_at > now:
            heappush(self._blocked_until, (start_at, waiter.ticket, queue))
        else:
            self._reserve_slots(queue, -1)  # the grant occupies it
            waiter.leased_start = queue.starts.popleft()
            self._grant(waiter, now)
            self._make_ready(queue)

    def _host_next_start_at(self, now: float) -> float:
        return max((window.next_ask_at(now) for window in self._shared_host), default=0.0)

    # ── Waiting ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _wait(
        self, queue: EndpointQueue, loop: asyncio.AbstractEventLoop, max_wait: float | None, *, is_restart: bool = False
    ) -> float:
        """Wait for a start, and for another one if the caller resumes too late.

        It waits in front of the queue then.
        """
        until = None if max_wait is None else loop.time() + max_wait
        if self._is_closed:
            raise NotSentError(message("calls.closed_while_waiting"))
        while math.isnan(started_at := await super()._wait(queue, loop, max_wait, is_restart=is_restart)):
            is_restart = True
            max_wait = None if until is None else max(0.0, until - loop.time())
        return started_at

    def _commit_grant(self, waiter: Waiter, loop: asyncio.AbstractEventLoop) -> float:
        """Convert the reservation into a start; return NaN if the leased start is over."""
        if waiter.leased_start and loop.time() - waiter.leased_start > HORIZON:
            super()._cancel_grant(waiter, loop)
            return math.nan
        return super()._commit_grant(waiter, loop)

    def _cancel_grant(self, waiter: Waiter, loop: asyncio.AbstractEventLoop) -> None:
        """Give what a cancelled caller was granted to the next waiter of its queue."""
        queue, start = waiter.queue, waiter.leased_start
        if not isinstance(queue, LeasingQueue):
            super()._cancel_grant(waiter, loop)
        elif (heir := queue.head()) is None:
            queue.starts.appendleft(start)
            super()._cancel_grant(waiter, loop)
        else:
            queue.waiters.popleft()
            queue.waiting -= 1
            self._waiting -= 1
            for window in queue.all_windows:
                window.remove_waiter()
            heir.leased_start, heir.is_granted = start, True
            heir.future.set_result(None)
            if self._release_slots(queue):
                self._dispatch(loop)

    def _remove_waiter(self, waiter: Waiter) -> None:
        super()._remove_waiter(waiter)
        if isinstance(waiter.queue, LeasingQueue) and self._release_slots(waiter.queue) and self._waiting:
            self._dispatch(asyncio.get_running_loop())

    def _may_restart(self, queue: EndpointQueue, started_at: float, now: float) -> bool:
        """Return whether an earlier start may be moved to `now`.

        A leased start may not, because the quota knows its time.
        """
        return not isinstance(queue, LeasingQueue) and super()._may_restart(queue, started_at, now)

    # ── Keys and queues ───────────────────────────────────────────────────────────────────────────────────────────────

    def _make_queue(self, key_pair: KeyPairState, windows: Iterable[SlidingWindow]) -> EndpointQueue:
        windows = tuple(windows)
        is_limited = bool(windows or key_pair.windows or self._host)
        return (LeasingQueue if is_limited else EndpointQueue)(key_pair, windows, self._host)

    def _make_windows(self, rates: Iterable[Rate], *scope: str) -> tuple[SlidingWindow, ...]:
        """Return a window for each rate; see `Scheduler._make_windows`."""
        return tuple(SharedWindow(self._name(rate, scope), rate) for rate in rates)

    def _name(self, rate: Rate, scope: tuple[str, ...]) -> str:
        """Return the name of a window, which is the same in all processes."""
        parts = (self._config.base_url or "", *scope, str(rate.calls), repr(float(rate.per)))
        return hashlib.blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()
