"""Many items at once: time for each and memory in all: ``python -m benchmarks.bench_bulk [--quick]``.

The items need no work at all, so that what is left is the machinery's own cost.
"""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from benchmarks.command import Scale, run
from benchmarks.contenders.library import Library
from benchmarks.figures import Figure, summary
from benchmarks.rounds import interleave
from facturaonline_async import bulk

__all__ = ["measure"]

CONCURRENCY: Final = 32


async def nothing(item: int) -> int:
    return item


async def one_pass(item: int) -> int:
    await asyncio.sleep(0)  # as every real call does at least once
    return item


async def library(number: int, work: Callable[[int], Awaitable[int]]) -> int:
    async with bulk.stream(range(number), work, concurrency=CONCURRENCY) as outcomes:
        async for outcome in outcomes:
            outcome.result()
    return number


async def workers(number: int, work: Callable[[int], Awaitable[int]]) -> int:
    """Let a few tasks share an iterator; results and errors are nobody's: the floor."""
    items = iter(range(number))

    async def worker() -> None:
        for item in items:
            await work(item)

    await asyncio.gather(*(worker() for _ in range(CONCURRENCY)))
    return number


async def gathered(number: int, work: Callable[[int], Awaitable[int]]) -> int:
    """Make a task for each item, and a semaphore for all: what people write."""
    room = asyncio.Semaphore(CONCURRENCY)

    async def one(item: int) -> int:
        async with room:
            return await work(item)

    return len(await asyncio.gather(*map(one, range(number))))


CONTENDERS: Final = {"workers on one iterator": workers, Library.name: library, "gather and semaphore": gathered}


async def measure(scale: Scale) -> list[Figure]:
    figures = []
    for work, case in ((nothing, "nothing to wait for"), (one_pass, "one pass of the loop")):
        for number in (min(1_000, scale.items // 10), scale.items):
            batches = {name: partial(run_all, number, work) for name, run_all in CONTENDERS.items()}
            costs = await interleave(batches, scale.rounds)
            figures += [
                summary(
                    [cost.cpu * 1e6 for cost in spent],
                    bench="bench_bulk",
                    case=f"{case}, {number:,} items",
                    contender=name,
                    measure="CPU per item",
                    unit="µs",
                )
                for name, spent in costs.items()
            ]
    return [*figures, *await _memory(scale)]


async def _memory(scale: Scale) -> list[Figure]:
    """Return the peaks of memory, and how many times as much a hundred times the items take."""
    figures = []
    for name, run_all in CONTENDERS.items():
        peaks = {}
        for number in (min(1_000, scale.items // 10), scale.items):
            await run_all(number, one_pass)
            gc.collect()
            tracemalloc.start()
            await run_all(number, one_pass)
            peaks[number] = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            figures.append(
                summary(
                    [peaks[number] / 1e3],
                    bench="bench_bulk",
                    case="memory at its peak",
                    contender=name,
                    measure=f"{number:,} items",
                    unit="kB",
                )
            )
        few, many = peaks.values()
        figures.append(
            summary(
                [many / few],
                bench="bench_bulk",
                case="memory at its peak",
                contender=name,
                measure="many",
                unit="×",
                against="few",
            )
        )
    return figures


if __name__ == "__main__":
    run(__doc__, measure)
