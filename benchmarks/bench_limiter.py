"""CPU of a call's start with many key pairs: ``python -m benchmarks.bench_limiter``.

Each key pair makes a call in a first pass, when the limiter does not know it yet, and another one in a second pass.
Default limits; no call waits.
"""

from __future__ import annotations

import asyncio
import gc
import time
from typing import Final

from benchmarks.command import Scale, run
from benchmarks.figures import Figure
from facturaonline_async import Config
from facturaonline_async._core.limits.scheduler import Scheduler

__all__ = ["measure"]

_PASSES: Final = ("first start of a key pair", "second start of a key pair")
_BATCH: Final = 500
"""Calls between two turns of the event loop."""


async def measure(scale: Scale) -> list[Figure]:
    figures = []
    for keys in (scale.items // 10, scale.items):
        rounds = [await _passes(keys) for _ in range(min(scale.rounds, 5))]
        for measure, costs in zip(_PASSES, zip(*rounds, strict=True), strict=True):
            figures.append(Figure.median(costs, f"{keys:,} key pairs", measure, "µs"))
    return figures


async def _passes(keys: int) -> list[float]:
    """Return the microseconds of CPU of each start, in each pass."""
    scheduler = Scheduler(Config())
    names = [f"{number:064x}" for number in range(keys)]
    costs = []
    for _ in _PASSES:
        gc.collect()
        began = time.process_time()
        for number, name in enumerate(names):
            await scheduler.acquire("series.list", name)
            scheduler.release(name)
            if number % _BATCH == 0:
                await asyncio.sleep(0)
        costs.append((time.process_time() - began) / keys * 1e6)
    await scheduler.aclose()
    return costs


if __name__ == "__main__":
    run("limiter", measure)
