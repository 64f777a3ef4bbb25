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
from collections.abc import Mapping, Sequence
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
    with serve(companies=COMPANIES, nginx=False) as site:
        taken = await count(site, dict.fromkeys(_COUNTED, scale.works))
    return [
        summary(
            [taken[each][work] / taken[base][work]],
            bench="bench_instructions",
            case=WORKS[work].format(companies=COMPANIES),
            contender=each.name,
            measure="instructions",
            unit="×",
            against=base.name,
        )
        for work in scale.works
        for base in (Idiomatic, Identical, IdenticalTimed)
        for each in _COUNTED
    ]


async def count(site: Site, works: Mapping[type[Contender], Sequence[str]]) -> dict[type[Contender], dict[str, float]]:
    """Return how many instructions each contender takes to do each of its works once.

    All its works a few times are what one of them many times is compared with.
    """
    at_once = asyncio.Semaphore(os.cpu_count() or 1)

    async def one(contender: type[Contender]) -> dict[str, float]:
        few = {work: _CALLS[work][0] for work in works[contender]}
        more = [few | {work: _CALLS[work][1]} for work in few]
        base, *totals = await asyncio.gather(*(_total(site, contender, calls, at_once) for calls in (few, *more)))
        return {
            work: (total - base) / (calls[work] - few[work])
            for work, calls, total in zip(few, more, totals, strict=True)
        }

    return dict(zip(works, await asyncio.gather(*map(one, works)), strict=True))


async def _total(site: Site, contender: type[Contender], calls: Mapping[str, int], at_once: asyncio.Semaphore) -> int:
    assert VALGRIND
    command = [VALGRIND, "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null", sys.executable, "-m"]
    command += ["benchmarks.bench_instructions", "child", contender.__name__, str(site.ports["http"])]
    command += [f"{work}={number}" for work, number in calls.items()]
    async with at_once:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=Path(__file__).parents[1],
            env=_environment(),
        )
        output = (await process.communicate())[0].decode()
    if process.returncode == 0 and (found := re.search(r"I +refs: +([\d,]+)", output)):
        return int(found[1].replace(",", ""))
    raise RuntimeError(f"valgrind counted nothing:\n{output}")


def _environment() -> dict[str, str]:
    """Return this one, with sets in the same order each time, and nobody who looks over the shoulder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    return kept | {"PYTHONHASHSEED": "0"}


async def _child(name: str, port: str, *works: str) -> None:
    (contender,) = (each for each in {*CONTENDERS, *_COUNTED} if each.__name__ == name)
    async with contender(Site("asyncio", {"http": int(port)}, ""), "http", 1) as opened:
        for work, calls in (each.split("=") for each in works):
            await opened.run(work, int(calls))


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        asyncio.run(_child(*sys.argv[2:]))
    else:
        run(__doc__, measure)
