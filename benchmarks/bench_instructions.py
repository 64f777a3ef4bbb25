"""How many instructions a call takes, counted by valgrind: ``python -m benchmarks.bench_instructions [--quick]``.

``(Ir(N2) - Ir(N1)) / (N2 - N1)``, so that imports and start-up cancel out. The same work takes the same instructions,
whatever else the machine is doing: figures repeat to a percent or better, where times differ by a quarter.

Under valgrind, a start takes as long as thousands of calls. So there is one process that imports everything, and each
count is a child that it forks, which goes on counting from there.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.bench_calls import WORKS
from benchmarks.command import Scale, run
from benchmarks.contenders import Contender
from benchmarks.contenders.library import Library
from benchmarks.contenders.raw import Floor, Identical, IdenticalTimed, Idiomatic
from benchmarks.figures import Figure, summary
from benchmarks.server import Site, serve

__all__ = ["VALGRIND", "count", "measure"]

VALGRIND: Final = shutil.which("valgrind")
COMPANIES: Final = 500
_COUNTED: Final[tuple[type[Contender], ...]] = (Floor, Identical, IdenticalTimed, Library, Idiomatic)
_CALLS: Final = {
    "get_serie": (50, 450),
    "create_serie": (50, 450),
    "create_empresa": (20, 120),
    "list_empresas": (1, 5),
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
    """Return how many instructions each contender takes to do each of its works once."""
    jobs = [
        f"{contender.__name__} {work} {calls}"
        for contender, its in works.items()
        for work in its
        for calls in _CALLS[work]
    ]
    totals = await _totals(site, jobs)

    def each(contender: type[Contender], work: str) -> float:
        few, many = _CALLS[work]
        taken = (totals[f"{contender.__name__} {work} {calls}"] for calls in (many, few))
        return (next(taken) - next(taken)) / (many - few)

    return {contender: {work: each(contender, work) for work in its} for contender, its in works.items()}


async def _totals(site: Site, jobs: Sequence[str]) -> dict[str, int]:
    """Return the instructions from the start of Python to the end of each job."""
    assert VALGRIND
    command = [VALGRIND, "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null", sys.executable, "-m"]
    process = await asyncio.create_subprocess_exec(
        *command,
        "benchmarks.bench_instructions",
        "count",
        str(site.ports["http"]),
        *jobs,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=Path(__file__).parents[1],
        env=_environment(),
    )
    output = (await process.communicate())[0].decode()
    refs = dict(re.findall(r"==(\d+)== I +refs: +([\d,]+)", output))
    done = dict(re.findall(r"^done (\d+) (.+)$", output, re.MULTILINE))
    if len(done) < len(jobs):
        raise RuntimeError(f"valgrind did not count everything:\n{output}")
    return {job: int(refs[pid].replace(",", "")) for pid, job in done.items()}


def _environment() -> dict[str, str]:
    """Return this one, with sets in the same order each time, and nobody who looks over the shoulder.

    The system's certificates, which nobody needs here, would be a quarter of all that is counted.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    return kept | {"PYTHONHASHSEED": "0", "SSL_CERT_FILE": os.devnull, "SSL_CERT_DIR": os.devnull}


def _count(port: str, *jobs: str) -> None:
    """Do each job in a child, under valgrind, which says at the child's end what it has counted."""
    by_name = {each.__name__: each for each in _COUNTED}
    site = Site("asyncio", {"http": int(port)}, "")

    async def do(contender: type[Contender], work: str, calls: int) -> None:
        async with contender(site, "http", 1) as opened:
            await opened.run(work, calls)

    for job in jobs:
        name, work, calls = job.split()
        if (pid := os.fork()) == 0:
            try:
                asyncio.run(do(by_name[name], work, int(calls)))
            except BaseException:  # noqa: BLE001  # whatever it is, a child must not go on as its parent
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        if os.waitpid(pid, 0)[1] == 0:
            print(f"\ndone {pid} {job}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["count"]:
        _count(*sys.argv[2:])
    else:
        run(__doc__, measure)
