"""Instructions of an import and of the command's start: ``python -m benchmarks.bench_start``."""

from __future__ import annotations

import asyncio
from typing import Final

from benchmarks.command import Scale, run
from benchmarks.counting import count_processes
from benchmarks.figures import LIBRARY, Figure

__all__ = ["measure"]

AIOHTTP: Final = "import aiohttp"
CONNECT: Final = "from facturaonline_async import connect"
_COMMANDS: Final = {
    AIOHTTP: ["-c", AIOHTTP],
    CONNECT: ["-c", CONNECT],
    "facturaonline --version": ["-m", "facturaonline_async", "--version"],
    "facturaonline --help": ["-m", "facturaonline_async", "--help"],
}


async def measure(scale: Scale) -> list[Figure]:  # noqa: ARG001  # counts are exact at any scale
    counts = await asyncio.to_thread(count_processes, _COMMANDS)
    absolute = [
        Figure(name, "billion instructions", count / 1e9, "", "aiohttp" if name == AIOHTTP else LIBRARY)
        for name, count in counts.items()
    ]
    ratio = counts[CONNECT] / counts[AIOHTTP]
    return [Figure(CONNECT, f"instructions, {AIOHTTP} = 1", ratio), *absolute]


if __name__ == "__main__":
    run("start", measure)
