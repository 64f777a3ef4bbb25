"""What a call costs, against raw aiohttp: ``python -m benchmarks.bench_calls [--quick]``.

One serie read, a serie created (JSON), a company created (multipart with a certificate and a key) and a list of 10,000
companies; over HTTP and HTTPS, one call at a time and many.
"""

from __future__ import annotations

import gc
import socket
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from typing import Any, Final

from benchmarks.command import Scale, run
from benchmarks.contenders import CONTENDERS, Contender
from benchmarks.contenders.base import installed
from benchmarks.contenders.library import Library
from benchmarks.contenders.others import Requests
from benchmarks.contenders.raw import Idiomatic
from benchmarks.figures import Figure, summary
from benchmarks.rounds import Cost, interleave, ratios
from benchmarks.server import Site, serve

__all__ = ["case", "measure"]

WORKS: Final = {
    "get_serie": "read one serie",
    "create_serie": "create a serie",
    "create_empresa": "create a company",
    "list_empresas": "list {companies:,} companies",
}
_SLOW_AT_MOST: Final = 64
"""Calls at once. With more, slow contenders do one work only: each of their batches takes many seconds."""
_MEASURES: Final[dict[str, Callable[[Cost], float]]] = {"CPU": lambda cost: cost.cpu, "time": lambda cost: cost.wall}


def case(work: str, scheme: str, concurrency: int, companies: int = 10_000) -> str:
    """Return the name of a case."""
    return f"{WORKS[work].format(companies=companies)}, {scheme}, {concurrency} at once"


async def measure(scale: Scale) -> list[Figure]:
    figures: list[Figure] = []
    with serve(companies=scale.companies) as site:
        for work in WORKS:
            # Sixty-four lists of 10,000 at once would be 4 GB of dicts, and nobody wants them.
            for concurrency in scale.concurrencies[:1] if work == "list_empresas" else scale.concurrencies:
                for scheme in ("http", "https"):
                    figures += await _compare(site, scale, work, scheme, concurrency)
        figures += await _count_sends(site, scale)
    return figures


async def _compare(site: Site, scale: Scale, work: str, scheme: str, concurrency: int) -> list[Figure]:
    """Return what the work costs each contender, as ratios to raw aiohttp."""
    async with AsyncExitStack() as stack:
        batches = {}
        for contender in await _opened(stack, site, scheme, concurrency):
            if contender.slow and concurrency > _SLOW_AT_MOST and (work, scheme) != ("get_serie", "http"):
                continue
            calls = scale.calls // 4 if contender.slow or concurrency == 1 else scale.calls
            calls = 1 if work == "list_empresas" else max(calls, concurrency)
            batches[contender.name] = partial(contender.run, work, calls)
        gc.freeze()  # what was imported is nobody's garbage
        costs = await interleave(batches, scale.rounds)
    base = costs[Idiomatic.name]
    about = {"bench": "bench_calls", "case": case(work, scheme, concurrency, scale.companies), "unit": "×"}
    figures = [
        summary(ratios(spent, base, of), contender=name, measure=measure, against=Idiomatic.name, **about)
        for name, spent in costs.items()
        for measure, of in _MEASURES.items()
    ]
    if work == "create_empresa" and Requests.name in costs:
        times = ratios(costs[Requests.name], costs[Library.name], _MEASURES["CPU"])
        figures.append(
            summary(times, contender=Library.name, measure="companies on one core", against=Requests.name, **about)
        )
    return figures


async def _opened(stack: AsyncExitStack, site: Site, scheme: str, concurrency: int) -> list[Contender]:
    """Open all contenders that are installed."""
    return [
        await stack.enter_async_context(contender(site, scheme, concurrency))
        for contender in CONTENDERS
        if installed(contender.needs) is not None
    ]


# ── How often the kernel is asked to send ─────────────────────────────────────────────────────────────────────────────


async def _count_sends(site: Site, scale: Scale) -> list[Figure]:
    """Return how many sends the creation of a company takes."""
    figures = []
    async with AsyncExitStack() as stack:
        for contender in await _opened(stack, site, "http", 1):
            await contender.run("create_empresa", 1)
            with _counted_sends() as sends:
                await contender.run("create_empresa", scale.calls)
            figures.append(
                summary(
                    [len(sends) / scale.calls],
                    bench="bench_calls",
                    case="create a company, http",
                    contender=contender.name,
                    measure="sends for each request",
                    unit="",
                )
            )
    return figures


@contextmanager
def _counted_sends() -> Iterator[list[int]]:
    """Count what Python's sockets send, by standing in front of their methods."""
    sends: list[int] = []

    def counting(name: str) -> Callable[..., Any]:
        original = getattr(socket.socket, name)

        def send(*arguments: Any) -> Any:
            # The event loop's own wake-ups are single bytes.
            if name != "send" or len(arguments[1]) > 1:
                sends.append(1)
            return original(*arguments)

        return send

    names = ("send", "sendall", "sendmsg")
    own = {name: socket.socket.__dict__.get(name) for name in names}
    for name in names:
        setattr(socket.socket, name, counting(name))
    try:
        yield sends
    finally:
        for name, method in own.items():
            if method is None:
                delattr(socket.socket, name)
            else:
                setattr(socket.socket, name, method)


if __name__ == "__main__":
    run(__doc__, measure)
