"""Instructions of an import and of the command: ``python -m benchmarks.bench_start``."""

from __future__ import annotations

import asyncio
from typing import Final

from benchmarks.command import Scale, run
from benchmarks.counting import count_processes
from benchmarks.figures import LIBRARY, RAW, Figure

__all__ = ["measure"]

_AIOHTTP: Final = "import aiohttp"
_CONNECT: Final = "from facturaonline_async import connect"
_COMMAND: Final = ("-m", "facturaonline_async")
_COMPLETE: Final = """
import os, sys
os.environ |= {"_FACTURAONLINE_COMPLETE": "complete_bash", "COMP_WORDS": "facturaonline pr", "COMP_CWORD": "1"}
sys.argv = ["facturaonline"]
from facturaonline_async._cli import main
main()
"""
_PROCESSES: Final = {
    _AIOHTTP: ("-c", _AIOHTTP),
    _CONNECT: ("-c", _CONNECT),
    "facturaonline --version": (*_COMMAND, "--version"),
    "facturaonline --help": (*_COMMAND, "--help"),
    "completion of a command's name": ("-c", _COMPLETE),
}
"""Arguments of Python, by case."""


async def measure(scale: Scale) -> list[Figure]:  # noqa: ARG001  # counts are exact at any scale
    counts = await asyncio.to_thread(count_processes, _PROCESSES)
    return [
        Figure(_CONNECT, f"instructions, {_AIOHTTP} = 1", counts[_CONNECT] / counts[_AIOHTTP]),
        *(
            Figure(name, "billion instructions", count / 1e9, "", RAW if name == _AIOHTTP else LIBRARY)
            for name, count in counts.items()
        ),
    ]


if __name__ == "__main__":
    run("start", measure)
