"""CPU of creates and lists against raw aiohttp, sends, and how long a list stalls the event loop.

``python -m benchmarks.bench_calls [--quick] [--uvloop]``
"""

from __future__ import annotations

import asyncio
import gc
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

from benchmarks.command import Scale, run
from benchmarks.contenders import CONTENDERS, Contender, Library, Raw
from benchmarks.figures import LIBRARY, RAW, Figure
from benchmarks.rounds import interleave, ratios
from benchmarks.server import Site, serve

__all__ = ["measure"]


async def measure(scale: Scale) -> list[Figure]:
    figures: list[Figure] = []
    with serve(companies=scale.companies) as site:
        for scheme in ("http", "https"):
            for concurrency in (1, 64):
                contenders = [each(site, scheme, concurrency) for each in CONTENDERS]
                ratio = await _cpu(contenders, "create_empresa", scale.calls, scale.rounds)
                case = f"create a company, {scheme}, {concurrency} at once"
                figures.append(Figure.median(ratio, case, f"CPU, {RAW} = 1"))
        figures += await _count_sends(site, scale.calls)
        listed = f"list {scale.companies:,} companies"
        ratio = await _cpu([each(site) for each in CONTENDERS], "list_empresas", 1, scale.rounds)
        figures.append(Figure.median(ratio, listed, f"CPU, {RAW} = 1"))
        async with Library(site) as library:
            stalls = [await _longest_stall(library) * 1e3 for _ in range(scale.rounds)]
        figures.append(Figure.median(stalls, listed, "longest stall", "ms"))
    return figures


async def _cpu(contenders: Sequence[Contender], work: str, calls: int, rounds: int) -> list[float]:
    """Return the library's CPU against raw aiohttp's in each round."""
    async with AsyncExitStack() as stack:
        batches = {}
        for each in contenders:
            batches[each.name] = partial((await stack.enter_async_context(each)).run, work, calls)
        gc.freeze()
        costs = await interleave(batches, rounds)
    return ratios(costs[LIBRARY], costs[RAW])


async def _count_sends(site: Site, calls: int) -> list[Figure]:
    """Return how many times a create asks the kernel to send."""
    figures = []
    contenders: tuple[type[Contender], ...] = (Raw, Library)
    for contender in contenders:
        async with contender(site) as client:
            await client.run("create_empresa", 1)
            with _counted_sends() as sends:
                await client.run("create_empresa", calls)
        figures.append(Figure("create a company", "sends", len(sends) / calls, "", contender.name))
    return figures


@contextmanager
def _counted_sends() -> Iterator[list[int]]:
    """Count what Python's sockets send."""
    sends: list[int] = []
    original = socket.socket.send

    def send(self: socket.socket, data: Any, *flags: int) -> int:
        if len(data) > 1:  # the event loop wakes itself with single bytes
            sends.append(1)
        return original(self, data, *flags)

    with patch.object(socket.socket, "send", send):
        yield sends


async def _longest_stall(library: Library) -> float:
    """Return the longest time in seconds between two turns of the loop, until the values are thrown away."""
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0)
            now = time.perf_counter()
            longest, last = max(longest, now - last), now

    gc.collect()
    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0)
    await library.list_empresas(0)
    await asyncio.sleep(0)
    ticking.cancel()
    return longest


if __name__ == "__main__":
    run("calls", measure)
