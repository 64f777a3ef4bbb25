"""Limiters under pressure: ``python -m benchmarks.bench_limiter [--quick]``.

A flood of waiters, half of whom give up; late arrivals who push in; an event loop that stands still for 0.7 s.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, ClassVar, Final

from benchmarks.command import Scale, run
from benchmarks.contenders.base import installed
from benchmarks.contenders.library import Library
from benchmarks.figures import Figure, summary
from benchmarks.rounds import interleave
from facturaonline_async import Config, Rate
from facturaonline_async._core.limits.scheduler import Scheduler

__all__ = ["measure"]

CALLS: Final = 500
PER: Final = 1.0
STALL: Final = 0.7
IN_A_SESSION: Final = "this library, in a session"
"""Where a start and a slot are granted together, and released, without a coroutine."""


class Limiter:
    """Lets `CALLS` start in `PER` seconds."""

    name: ClassVar[str]
    burst: ClassVar[int] = CALLS
    """How many may start at once after a rest."""

    def __init__(self, calls: int = CALLS) -> None:
        raise NotImplementedError

    async def acquire(self) -> None:
        """Wait until a call may start."""
        raise NotImplementedError

    def ideal(self, waiters: int) -> float:
        """Return how many seconds so many waiters should take in all."""
        return (waiters - self.burst) / CALLS * PER


class Own(Limiter):
    """This library's."""

    name = Library.name

    def __init__(self, calls: int = CALLS) -> None:
        # The rates decide, not the places: nobody gives one back.
        self._gate = Scheduler(Config(rates=Rate(calls, PER), concurrency=10**9, concurrency_per_key=10**9))

    async def acquire(self) -> None:
        if not self._gate.try_acquire("series.get", "k", asyncio.get_running_loop()):  # as a session does
            await self._gate.acquire("series.get", "k")

    def ideal(self, waiters: int) -> float:
        return (waiters - 1) / CALLS * PER  # a window at once, a pause, and then one by one


class Aiolimiter(Limiter):
    """A leaky bucket; whoever comes may be served before those who wait."""

    name = "aiolimiter"

    def __init__(self, calls: int = CALLS) -> None:
        self.acquire = installed("aiolimiter").AsyncLimiter(calls, PER).acquire  # type: ignore[method-assign]


class Sleeps(Limiter):
    """Each waiter books the next free slot, and sleeps until then: the few lines that everybody writes."""

    name = "a sleep per waiter"
    burst = 1

    def __init__(self, calls: int = CALLS) -> None:
        self._step = PER / calls
        self._next = 0.0

    async def acquire(self) -> None:
        now = time.monotonic()
        at = self._next = max(now, self._next + self._step)
        if at > now:
            await asyncio.sleep(at - now)


class Queue:
    """Those who wait at a limiter, and when each of them started."""

    def __init__(self, limiter: Limiter) -> None:
        self.limiter = limiter
        self.tasks: list[asyncio.Task[None]] = []
        self.waiting: dict[int, None] = {}  # by arrival
        self.starts: list[float] = []
        self.overtakes = 0

    def come(self, number: int = 1) -> None:
        for _ in range(number):
            arrival = len(self.tasks)
            self.waiting[arrival] = None
            self.tasks.append(asyncio.create_task(self._wait(arrival)))

    async def _wait(self, arrival: int) -> None:
        try:
            await self.limiter.acquire()
            self.starts.append(time.perf_counter())
            self.overtakes += arrival != next(iter(self.waiting))
        finally:
            del self.waiting[arrival]

    async def all_served(self) -> None:
        await asyncio.gather(*self.tasks, return_exceptions=True)

    @property
    def most_in_a_window(self) -> float:
        """The most starts in any window, against what is allowed."""
        window: deque[float] = deque()
        most = 0
        for start in self.starts:
            window.append(start)
            while window[0] <= start - PER + 0.002:  # timers are exact to a millisecond or two
                window.popleft()
            most = max(most, len(window))
        return most / CALLS


async def measure(scale: Scale) -> list[Figure]:
    contenders: list[type[Limiter]] = [Own, Sleeps]
    if installed("aiolimiter") is not None:
        contenders.insert(1, Aiolimiter)
    figures = await _uncontended(scale, contenders)
    for contender in contenders:
        for scenario in (_flood, _half_cancelled, _barging, _stall):
            figures += await scenario(scale, contender())
    return figures


_figure: Final[Callable[..., Figure]] = partial(summary, bench="bench_limiter")


async def _uncontended(scale: Scale, contenders: list[type[Limiter]]) -> list[Figure]:
    """Return what it costs to be let in at once."""
    number = scale.items // 20

    async def enter(limiter: Limiter) -> int:
        acquire = limiter.acquire
        for _ in range(number):
            await acquire()
        return number

    gate = Scheduler(Config(rates=Rate(10**9, PER)))

    async def take_and_release() -> int:
        loop = asyncio.get_running_loop()
        for _ in range(number):
            gate.try_acquire("series.get", "k", loop)
            gate.release("k")
        return number

    batches: dict[str, Callable[[], Awaitable[int]]] = {IN_A_SESSION: take_and_release}
    batches |= {each.name: partial(enter, each(10**9)) for each in contenders}
    costs = await interleave(batches, scale.rounds)
    return [
        _figure([cost.cpu * 1e6 for cost in spent], case="let in at once", contender=name, measure="CPU", unit="µs")
        for name, spent in costs.items()
    ]


async def _flood(scale: Scale, limiter: Limiter) -> list[Figure]:
    """All come at once: twice as many, so that a few milliseconds at the start do not count."""
    number = 2 * scale.waiters
    queue = Queue(limiter)
    cpu = time.process_time()
    queue.come(number)
    await queue.all_served()
    took, spent = queue.starts[-1] - queue.starts[0], time.process_time() - cpu
    about: dict[str, Any] = {"case": f"{number:,} at once", "contender": limiter.name}
    return [
        _figure([100 * limiter.ideal(number) / took], measure="rate kept", unit="%", **about),
        _figure([queue.most_in_a_window], measure="most starts in a window", unit="×", against="allowed", **about),
        _figure([queue.overtakes], measure="overtakes", unit="", **about),
        _figure([spent / number * 1e6], measure="CPU", unit="µs", **about),
    ]


async def _half_cancelled(scale: Scale, limiter: Limiter) -> list[Figure]:
    """All come at once, and every second one leaves."""
    queue = Queue(limiter)
    queue.come(scale.waiters)
    await asyncio.sleep(0.05)
    for arrival in list(queue.waiting)[::2]:
        queue.tasks[arrival].cancel()
    await queue.all_served()
    took, ideal = queue.starts[-1] - queue.starts[0], limiter.ideal(len(queue.starts))
    return [
        _figure(
            [took / ideal if ideal > 0 else 1],
            case="every second one gives up",
            contender=limiter.name,
            measure="time",
            unit="×",
            against="ideal",
        )
    ]


async def _barging(scale: Scale, limiter: Limiter) -> list[Figure]:
    """While many wait, some more come one by one."""
    queue = Queue(limiter)
    queue.come(scale.waiters // 2 + CALLS // 2)
    while queue.waiting and len(queue.tasks) < scale.waiters:
        await asyncio.sleep(0.001)
        queue.come()
    await queue.all_served()
    return [
        _figure([queue.overtakes], case="late arrivals push in", contender=limiter.name, measure="overtakes", unit="")
    ]


async def _stall(scale: Scale, limiter: Limiter) -> list[Figure]:
    """While many wait, somebody stops the event loop."""
    queue = Queue(limiter)
    queue.come(scale.waiters)
    await asyncio.sleep(0.5)
    time.sleep(STALL)  # noqa: ASYNC251  # what nobody should do, and somebody does
    await queue.all_served()
    return [
        _figure(
            [queue.most_in_a_window],
            case="the loop stands still for 0.7 s",
            contender=limiter.name,
            measure="most starts in a window",
            unit="×",
            against="allowed",
        )
    ]


if __name__ == "__main__":
    run(__doc__, measure)
