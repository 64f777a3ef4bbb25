"""Many workers and a server that takes 50 ms: ``python -m benchmarks.bench_latency [--quick]``.

Who waits how long, and whether some workers are served and others starve.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from benchmarks.answers import UIDS
from benchmarks.command import Scale, run
from benchmarks.contenders import CONTENDERS, Contender
from benchmarks.contenders.base import installed
from benchmarks.contenders.others import Requests
from benchmarks.figures import Figure, summary
from benchmarks.server import Site, serve

__all__ = ["measure"]

DELAY: Final = 0.05

_figure: Final[Callable[..., Figure]] = partial(summary, bench="bench_latency")


async def measure(scale: Scale) -> list[Figure]:
    contenders = [each for each in CONTENDERS if each is not Requests and installed(each.needs) is not None]
    found: dict[str, list[dict[str, float]]] = {each.name: [] for each in contenders}
    with serve(companies=1, delay=DELAY) as site:
        for number in range(1 + scale.rounds // 10):
            for each in contenders if number % 2 else reversed(contenders):
                gc.collect()
                found[each.name].append(await _run(site, each, scale))
    units = {"p50": "ms", "p99": "ms", "calls, of what is possible": "%"}
    case = f"{scale.workers} workers, {DELAY * 1e3:.0f} ms"
    return [
        _figure(
            [each[measure] for each in runs], case=case, contender=name, measure=measure, unit=units.get(measure, "")
        )
        for name, runs in found.items()
        for measure in runs[0]
    ]


async def _run(site: Site, contender: type[Contender], scale: Scale) -> dict[str, float]:
    """Let all workers call for so many seconds, and return what they saw."""
    took: list[float] = []
    served = [0] * scale.workers

    async def worker(number: int) -> None:
        while (began := time.perf_counter()) < end:
            await client.get_serie(UIDS[number])
            took.append(time.perf_counter() - began)
            served[number] += 1

    async with contender(site, "http", scale.workers) as client:
        await asyncio.gather(*map(client.get_serie, UIDS[: scale.workers]))  # connections are there
        end = time.perf_counter() + scale.seconds
        await asyncio.gather(*map(worker, range(scale.workers)))
    cuts = statistics.quantiles(took, n=100)
    return {
        "p50": cuts[49] * 1e3,
        "p99": cuts[98] * 1e3,
        "least of a worker": min(served),
        "most of a worker": max(served),
        "calls, of what is possible": 100 * len(took) / (scale.workers * scale.seconds / DELAY),
    }


if __name__ == "__main__":
    run(__doc__, measure)
