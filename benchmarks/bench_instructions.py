"""Instructions of a call against raw aiohttp: ``python -m benchmarks.bench_instructions [--quick] [--uvloop]``."""

from __future__ import annotations

import sys
from typing import Final

from benchmarks.command import Scale, run
from benchmarks.contenders import CONTENDERS
from benchmarks.counting import counted, in_children
from benchmarks.figures import LIBRARY, RAW, Figure
from benchmarks.server import Site, serve

__all__ = ["measure"]

COMPANIES: Final = 500
CASES: Final = {
    "get_serie": "read one serie",
    "create_empresa": "create a company",
    "list_empresas": f"list {COMPANIES} companies",
}
_TIMES: Final = {
    "get_serie": (50, 450),
    "create_empresa": (20, 220),
    "list_empresas": (2, 12),  # one garbage collection more or less is a percent
}


async def measure(scale: Scale) -> list[Figure]:  # noqa: ARG001  # counts are exact at any scale
    jobs = {f"{each.name}/{work}": times for work, times in _TIMES.items() for each in CONTENDERS}
    with serve(companies=COMPANIES) as site:
        counts = await counted("benchmarks.bench_instructions", [str(site.ports["http"])], jobs)
    figures = []
    for work, case in CASES.items():
        ours, raw = counts[f"{LIBRARY}/{work}"], counts[f"{RAW}/{work}"]
        figures += [
            Figure(case, f"instructions, {RAW} = 1", ours / raw),
            Figure(case, "thousand instructions", ours / 1e3, ""),
            Figure(case, "thousand instructions", raw / 1e3, "", RAW),
        ]
    return figures


def _count(port: str, *jobs: str) -> None:
    site = Site({"http": int(port)})
    contenders = {each.name: each for each in CONTENDERS}

    async def do(job: str, calls: int) -> None:
        name, _, work = job.partition("/")
        async with contenders[name](site) as client:
            await client.run(work, calls)

    in_children(jobs, do)


if __name__ == "__main__":
    if sys.argv[1:2] == ["count"]:
        _count(*sys.argv[2:])
    else:
        run("instructions", measure)
