"""Instructions of an import, of one call, and of the command: ``python -m benchmarks.bench_start``."""

from __future__ import annotations

import asyncio
from typing import Final

from benchmarks.answers import UIDS
from benchmarks.command import Scale, run
from benchmarks.counting import count_processes
from benchmarks.figures import LIBRARY, RAW, Figure
from benchmarks.server import serve

__all__ = ["measure"]

AIOHTTP: Final = "import aiohttp"
CONNECT: Final = "from facturaonline_async import connect"
ONE_CALL: Final = "a process that reads one serie"
COMPLETION: Final = "completion of a command's name"
_COMMAND: Final = ("-m", "facturaonline_async")

_RAW_CALL: Final = """
import asyncio, json, aiohttp
async def main():
    async with aiohttp.ClientSession() as session, session.get({url!r}) as response:
        json.loads(await response.read())
asyncio.run(main())
"""
_OWN_CALL: Final = """
import asyncio
from facturaonline_async import Credentials, connect
async def main():
    async with connect(Credentials(api_key="k", secret_key="s"), base_url={url!r}) as client:
        await client.series.get({uid})
asyncio.run(main())
"""
_COMPLETE: Final = """
import os, runpy, sys
os.environ |= {"_FACTURAONLINE_COMPLETE": "complete_bash", "COMP_WORDS": "facturaonline pr", "COMP_CWORD": "1"}
sys.argv = ["facturaonline"]
from facturaonline_async._cli import main
main()
"""


async def measure(scale: Scale) -> list[Figure]:  # noqa: ARG001  # counts are exact at any scale
    with serve(companies=1) as url:
        uid = UIDS[0]
        commands = {
            AIOHTTP: ["-c", AIOHTTP],
            CONNECT: ["-c", CONNECT],
            RAW: ["-c", _RAW_CALL.format(url=f"{url}/v4/series/{uid}")],
            ONE_CALL: ["-c", _OWN_CALL.format(url=url, uid=uid)],
            "facturaonline --version": [*_COMMAND, "--version"],
            "facturaonline --help": [*_COMMAND, "--help"],
            COMPLETION: ["-c", _COMPLETE],
        }
        counts = await asyncio.to_thread(count_processes, commands)
    bases = {AIOHTTP, RAW}
    return [
        Figure(CONNECT, f"instructions, {AIOHTTP} = 1", counts[CONNECT] / counts[AIOHTTP]),
        Figure(ONE_CALL, f"instructions, {RAW} = 1", counts[ONE_CALL] / counts[RAW]),
        *(
            Figure(name, "billion instructions", count / 1e9, "", RAW if name in bases else LIBRARY)
            for name, count in counts.items()
        ),
    ]


if __name__ == "__main__":
    run("start", measure)
