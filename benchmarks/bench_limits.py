"""The rate limiter under load, and the memory of a bulk run: ``python -m benchmarks.bench_limits [--quick]``."""

from __future__ import annotations

import asyncio
import gc
import time
import tracemalloc
from collections import deque
from typing import Final

from benchmarks.command import Scale, run
from benchmarks.figures import Figure
from facturaonline_async import Config, Rate, bulk
from facturaonline_async._core.limits.scheduler import Scheduler

__all__ = ["measure"]

CALLS: Final = 500
"""Starts that are allowed in one second."""

STALL: Final = 0.7
"""Seconds for which the event loop stands still."""


class Queue:
    """Tasks that wait at a limiter, and when each of them started."""

    def __init__(self, waiters: int) -> None:
        slots = 10**9  # only the rate limits
        self._scheduler = Scheduler(Config(rates=Rate(CALLS, 1), concurrency=slots, concurrency_per_key=slots))
        self.tasks: list[asyncio.Task[None]] = []
        self.waiting: dict[int, None] = {}  # by arrival
        self.starts: list[float] = []
        self.overtakes = 0
        for _ in range(waiters):
            self.add()

    def add(self) -> None:
        arrival = len(self.tasks)
        self.waiting[arrival] = None
        self.tasks.append(asyncio.create_task(self._wait(arrival)))

    async def _wait(self, arrival: int) -> None:
        try:
            if not self._scheduler.try_acquire("series.get", "k", asyncio.get_running_loop()):  # as the engine does
                await self._scheduler.acquire("series.get", "k")
            self.starts.append(time.perf_counter())
            self.overtakes += arrival != next(iter(self.waiting))
        finally:
            del self.waiting[arrival]

    async def all_started(self) -> None:
        await asyncio.gather(*self.tasks, return_exceptions=True)

    @property
    def slowness(self) -> float:
        """Time from the first start to the last one, against the allowed rate."""
        ideal = (len(self.starts) - 1) / CALLS
        return (self.starts[-1] - self.starts[0]) / ideal

    @property
    def most_in_a_window(self) -> float:
        """The most starts in a second, against those allowed."""
        window: deque[float] = deque()
        most = 0
        for start in self.starts:
            window.append(start)
            while window[0] <= start - 1 + 0.002:  # timers are exact to a millisecond or two
                window.popleft()
            most = max(most, len(window))
        return most / CALLS


async def measure(scale: Scale) -> list[Figure]:
    return [*await _flood(scale), *await _half_cancelled(scale), *await _stalled(scale), *await _bulk_memory(scale)]


async def _flood(scale: Scale) -> list[Figure]:
    """All come at once, and some more while they wait."""
    queue = Queue(scale.waiters)
    while queue.waiting and len(queue.tasks) < scale.waiters * 1.2:
        await asyncio.sleep(0.001)
        queue.add()
    await queue.all_started()
    case = "limiter: a flood, and late arrivals"
    return [
        Figure(case, "rate kept", 100 / queue.slowness, "%"),
        Figure(case, "most starts in a window, allowed = 1", queue.most_in_a_window),
        Figure(case, "overtakes", queue.overtakes, ""),
    ]


async def _half_cancelled(scale: Scale) -> list[Figure]:
    """All come at once, and every second one is cancelled."""
    queue = Queue(scale.waiters)
    await asyncio.sleep(0.05)
    for arrival in [*queue.waiting][::2]:
        queue.tasks[arrival].cancel()
    await queue.all_started()
    return [Figure("limiter: every second waiter is cancelled", "time, ideal = 1", queue.slowness)]


async def _stalled(scale: Scale) -> list[Figure]:
    """While many wait, the event loop stands still."""
    queue = Queue(scale.waiters)
    await asyncio.sleep(0.5)
    time.sleep(STALL)  # noqa: ASYNC251  # the fault that is tested
    await queue.all_started()
    case = f"limiter: the loop stands still for {STALL} s"
    return [Figure(case, "most starts in a window, allowed = 1", queue.most_in_a_window)]


async def _bulk_memory(scale: Scale) -> list[Figure]:
    """Return how many times as much memory a hundred times the items take."""
    few, many = [await _peak(number) for number in (scale.items // 100, scale.items)]
    case = f"bulk: {scale.items:,} items"
    return [
        Figure(case, f"peak memory, {scale.items // 100:,} items = 1", many / few),
        Figure(case, "peak memory", many / 1e3, "kB"),
    ]


async def _peak(number: int) -> float:
    async def work(item: int) -> int:
        await asyncio.sleep(0)
        return item

    async def run_all() -> None:
        async with bulk.stream(range(number), work, concurrency=32) as outcomes:
            async for outcome in outcomes:
                outcome.result()

    await run_all()
    gc.collect()
    tracemalloc.start()
    await run_all()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


if __name__ == "__main__":
    run("limits", measure)
