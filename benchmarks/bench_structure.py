"""From JSON to values, and what it does to the event loop: ``python -m benchmarks.bench_structure [--quick]``.

A list of 10,000 companies is the largest answer that there is. A ticker that does nothing but look at the clock sees
for how long nobody else could run.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import cattrs
from attrs import frozen

from benchmarks.answers import rows
from benchmarks.command import Scale, run
from benchmarks.contenders import Contender
from benchmarks.contenders.library import Library
from benchmarks.contenders.raw import Idiomatic
from benchmarks.figures import Figure, summary
from benchmarks.rounds import interleave, ratios
from benchmarks.server import serve
from facturaonline_async.empresas._wire import read_empresa

__all__ = ["STALL", "STALL_WITH_THE_END", "measure"]

PLAIN: Final = "plain cattrs"
STALL: Final = "longest stall of the loop"
STALL_WITH_THE_END: Final = "the same, values thrown away at once"


@frozen(kw_only=True)
class Company:
    """What a list gives, without any of our care."""

    uid: str
    razon_social: str = ""
    rfc: str = ""
    regimen_fiscal: str = ""
    curp: str = ""
    calle: str = ""
    exterior: str = ""
    interior: str = ""
    colonia: str = ""
    codpos: str = ""
    ciudad: str = ""
    estado: str = ""
    email: str = ""
    logo_path: str = ""
    cer: str = ""
    key: str = ""
    fielcer: str = ""
    fielkey: str = ""
    api_key: str = ""
    secret_key: str = ""


class Cattrs(Idiomatic):
    """Raw aiohttp, whose answer is read by plain cattrs into a class of texts."""

    name = "raw aiohttp and plain cattrs"
    converter: Final = cattrs.Converter()

    async def list_empresas(self, number: int) -> object:
        answer: Any = await super().list_empresas(number)
        return self.converter.structure(answer["data"], list[Company])


async def measure(scale: Scale) -> list[Figure]:
    return [*await _structured(scale), *await _listed(scale)]


async def _structured(scale: Scale) -> list[Figure]:
    """Return what it costs to make values of companies that are dicts already, against plain cattrs."""
    number = min(1_000, scale.companies)
    made = rows(number)
    converter = cattrs.Converter()
    fresh: list[dict[str, str]] = []

    def prepare() -> None:
        fresh[:] = map(dict, made)  # the library's values keep the dicts that they are made of

    async def plain() -> int:
        return len(converter.structure(fresh, list[Company]))

    async def ours() -> int:
        return len([read_empresa(row) for row in fresh])

    batches = {PLAIN: plain, Library.name: ours}
    costs = await interleave(batches, 5 * scale.rounds, prepare)
    return [
        summary(
            ratios(spent, costs[PLAIN], lambda cost: cost.cpu),
            bench="bench_structure",
            case=f"structure {number:,} companies",
            contender=name,
            measure="CPU",
            unit="×",
            against=PLAIN,
        )
        for name, spent in costs.items()
    ]


async def _listed(scale: Scale) -> list[Figure]:
    """Return what a long list costs from the first byte to the values, and for how long it stalls the loop."""
    figures = []
    contenders: tuple[type[Contender], ...] = (Idiomatic, Cattrs, Library)
    with serve(companies=scale.companies) as site:
        opened = [await each(site, "http", 1).__aenter__() for each in contenders]
        gc.freeze()
        batches = {each.name: partial(each.run, "list_empresas", 1) for each in opened}
        costs = await interleave(batches, 3 * scale.rounds)
        stalls: dict[str, list[tuple[float, float, float]]] = {each.name: [] for each in opened}
        for number in range(scale.rounds):
            for each in opened if number % 2 else reversed(opened):
                gc.collect()
                stalls[each.name].append(await _longest_stall(partial(each.list_empresas, 0)))
        for each in opened:
            await each.__aexit__(None, None, None)
    about = {"bench": "bench_structure", "case": f"list {scale.companies:,} companies"}
    for name, spent in costs.items():
        cpu = ratios(spent, costs[Idiomatic.name], lambda cost: cost.cpu)
        figures.append(summary(cpu, contender=name, measure="CPU", unit="×", against=Idiomatic.name, **about))
        for which, measure in enumerate((STALL, "the same, in CPU time", STALL_WITH_THE_END)):
            longest = [stall[which] * 1e3 for stall in stalls[name]]
            figures.append(summary(longest, contender=name, measure=measure, unit="ms", **about))
    return figures


async def _longest_stall(work: Callable[[], Awaitable[object]]) -> tuple[float, float, float]:
    """Return the longest time between two ticks while the work is done, by the clock and in CPU time of this thread.

    The second one does not count what other processes took from this one. The third one is by the clock again, and goes
    on until all values are thrown away, at once.
    """
    longest = longest_cpu = 0.0

    async def tick() -> None:
        nonlocal longest, longest_cpu
        last, last_cpu = time.perf_counter(), time.thread_time()
        while True:
            await asyncio.sleep(0)
            now, now_cpu = time.perf_counter(), time.thread_time()
            longest, longest_cpu = max(longest, now - last), max(longest_cpu, now_cpu - last_cpu)
            last, last_cpu = now, now_cpu

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0)
    values = await work()
    await asyncio.sleep(0)  # one more tick, which sees what the work did last
    found = longest, longest_cpu
    del values
    await asyncio.sleep(0)
    ticking.cancel()
    return *found, longest


if __name__ == "__main__":
    run(__doc__, measure)
