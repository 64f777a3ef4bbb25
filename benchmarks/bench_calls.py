"""CPU of creates and lists against raw aiohttp, sends, and stalls of a list: ``python -m benchmarks.bench_calls``.

Contenders take turns, in reverse order every other round, so that drift meets both of them. CPU is that of the whole
process; the server runs in another one.
"""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from benchmarks.command import Scale, run
from benchmarks.contenders import CONTENDERS, Calls, repeat
from benchmarks.figures import LIBRARY, RAW, Figure
from benchmarks.server import serve

__all__ = ["measure"]


async def measure(scale: Scale) -> list[Figure]:
    listed = f"list {scale.companies:,} companies"
    figures = []
    with serve(companies=scale.companies) as url:
        async with AsyncExitStack() as stack:
            opened = {name: await open_client(url, stack) for name, open_client in CONTENDERS.items()}
            gc.freeze()
            for case, name, calls, at_once in (
                ("create a company, 1 at once", "create", scale.calls, 1),
                ("create a company, 64 at once", "create", scale.calls, 64),
                (listed, "list", 1, 1),
            ):
                ratios = [await _ratio(opened, name, calls, at_once, number) for number in range(-1, scale.rounds)][1:]
                figures.append(Figure.median(ratios, case, f"CPU, {RAW} = 1"))
            if "BENCH_LOOP" not in os.environ:  # others send without Python's sockets
                for contender, its in opened.items():
                    with _counted_sends() as sends:
                        await repeat(its, "create", scale.calls)
                    figures.append(Figure("create a company", "sends", len(sends) / scale.calls, "", contender))
            stalls = [await _longest_stall(opened[LIBRARY]) * 1e3 for _ in range(scale.rounds)]
            figures.append(Figure.median(stalls, listed, "longest stall", "ms"))
    return figures


async def _ratio(opened: Mapping[str, Calls], name: str, calls: int, at_once: int, number: int) -> float:
    """Return the CPU of one round, raw aiohttp = 1."""
    spent = {}
    for contender in opened if number % 2 else reversed([*opened]):
        gc.collect()  # no batch pays for the garbage of another one
        began = time.process_time()
        await repeat(opened[contender], name, calls, at_once=at_once)
        spent[contender] = time.process_time() - began
    return spent[LIBRARY] / spent[RAW]


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


async def _longest_stall(calls: Calls) -> float:
    """Return the longest turn of the loop, until the values are thrown away, in seconds of CPU time of its thread."""
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        last = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            longest, last = max(longest, now - last), now

    gc.collect()
    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0)
    await repeat(calls, "list", 1)
    await asyncio.sleep(0)
    ticking.cancel()
    return longest


if __name__ == "__main__":
    run("calls", measure)
