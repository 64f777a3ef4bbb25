"""How many instructions a call takes, counted by valgrind: ``python -m benchmarks.bench_instructions [--quick]``.

``(Ir(N2) - Ir(N1)) / (N2 - N1)``, so that imports and start-up cancel out. The same work takes the same instructions,
whatever else the machine is doing: figures repeat to half a percent, where times differ by a quarter.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Final

from benchmarks.bench_calls import WORKS
from benchmarks.command import Scale, run
from benchmarks.contenders import CONTENDERS, Contender
from benchmarks.contenders.library import Library
from benchmarks.contenders.raw import Floor, Identical, IdenticalTimed, Idiomatic
from benchmarks.figures import Figure, summary
from benchmarks.server import Site, serve

__all__ = ["VALGRIND", "count", "measure"]

VALGRIND: Final = shutil.which("valgrind")
COMPANIES: Final = 500
_COUNTED: Final[tuple[type[Contender], ...]] = (Floor, Identical, IdenticalTimed, Library, Idiomatic)
_CALLS: Final = {
    "get_serie": (50, 250),
    "create_serie": (50, 250),
    "create_empresa": (20, 80),
    "list_empresas": (1, 4),
}


async def measure(scale: Scale) -> list[Figure]:
    if VALGRIND is None:
        print("SKIPPED: instructions cannot be counted, for valgrind is not installed", file=sys.stderr)
        return []
    figures: list[Figure] = []
    with serve(companies=COMPANIES, nginx=False) as site:
        at_once = asyncio.Semaphore(os.cpu_count() or 1)
        for work in scale.works:
            counts = await asyncio.gather(*(count(site, each, work, at_once) for each in _COUNTED))
            taken = dict(zip(_COUNTED, counts, strict=True))
            for base in (Idiomatic, Identical, IdenticalTimed):
                figures += [
                    summary(
                        [taken[each] / taken[base]],
                        bench="bench_instructions",
                        case=WORKS[work].format(companies=COMPANIES),
                        contender=each.name,
                        measure="instructions",
                        unit="×",
                        against=base.name,
                    )
                    for each in _COUNTED
                ]
    return figures


async def count(site: Site, contender: type[Contender], work: str, at_once: asyncio.Semaphore) -> float:
    """Return how many instructions the contender takes to do the work once."""
    few, many = _CALLS[work]
    counts = await asyncio.gather(*(_total(site, contender, work, calls, at_once) for calls in (few, many)))
    return (counts[1] - counts[0]) / (many - few)


async def _total(site: Site, contender: type[Contender], work: str, calls: int, at_once: asyncio.Semaphore) -> int:
    assert VALGRIND
    command = [VALGRIND, "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null", sys.executable, "-m"]
    command += ["benchmarks.bench_instructions", "child", contender.__name__, work, str(calls), str(site.ports["http"])]
    async with at_once:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=Path(__file__).parents[1],
            env={**os.environ, "PYTHONHASHSEED": "0"},  # sets and dicts in the same order each time
        )
        output = (await process.communicate())[0].decode()
    if found := re.search(r"I +refs: +([\d,]+)", output):
        return int(found[1].replace(",", ""))
    raise RuntimeError(f"valgrind counted nothing:\n{output}")


async def _child(name: str, work: str, calls: str, port: str) -> None:
    (contender,) = (each for each in {*CONTENDERS, *_COUNTED} if each.__name__ == name)
    async with contender(Site("asyncio", {"http": int(port)}, ""), "http", 1) as opened:
        await opened.run(work, int(calls))


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        asyncio.run(_child(*sys.argv[2:]))
    else:
        run(__doc__, measure)
