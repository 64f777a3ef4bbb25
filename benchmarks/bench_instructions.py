"""How many instructions a call takes, counted by valgrind: ``python -m benchmarks.bench_instructions [--quick]``."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Final

from benchmarks.bench_calls import WORKS
from benchmarks.command import Scale, run
from benchmarks.contenders import Contender
from benchmarks.contenders.library import Library
from benchmarks.contenders.raw import Floor, Identical, IdenticalTimed, Idiomatic
from benchmarks.counting import counted, in_children, is_counting_possible
from benchmarks.figures import Figure, summary
from benchmarks.server import Site, serve

__all__ = ["count", "measure"]

COMPANIES: Final = 500
_COUNTED: Final[tuple[type[Contender], ...]] = (Floor, Identical, IdenticalTimed, Library, Idiomatic)
_CALLS: Final = {
    "get_serie": (50, 450),
    "create_serie": (50, 450),
    "create_empresa": (20, 220),
    "list_empresas": (2, 12),  # fewer, and one garbage collection more or less is a percent
}


async def measure(scale: Scale) -> list[Figure]:
    if not is_counting_possible():
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
    jobs = {f"{contender.__name__} {work}": _CALLS[work] for contender, its in works.items() for work in its}
    taken = await counted("benchmarks.bench_instructions", [str(site.ports["http"])], jobs)
    return {
        contender: {work: taken[f"{contender.__name__} {work}"] for work in its} for contender, its in works.items()
    }


def _count(port: str, *jobs: str) -> None:
    by_name = {each.__name__: each for each in _COUNTED}
    site = Site("asyncio", {"http": int(port)}, "")

    async def do(job: str, calls: int) -> None:
        contender, work = job.split()
        async with by_name[contender](site, "http", 1) as opened:
            await opened.run(work, calls)

    in_children(jobs, do)


if __name__ == "__main__":
    if sys.argv[1:2] == ["count"]:
        _count(*sys.argv[2:])
    else:
        run(__doc__, measure)
