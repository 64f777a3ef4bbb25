"""Instructions of a call against raw aiohttp: ``python -m benchmarks.bench_instructions``."""

from __future__ import annotations

import sys

from benchmarks.command import Scale, run
from benchmarks.contenders import CASES, CONTENDERS, count_calls, run_counted
from benchmarks.figures import LIBRARY, RAW, Figure
from benchmarks.server import serve

__all__ = ["measure"]

_COMPANIES = 500


async def measure(scale: Scale) -> list[Figure]:  # noqa: ARG001  # counts are exact at any scale
    with serve(companies=_COMPANIES) as url:
        calls = [f"{contender}/{name}" for name in CASES for contender in CONTENDERS]
        counts = await count_calls("benchmarks.bench_instructions", url, calls)
    figures = []
    for name, case in CASES.items():
        ours, raw = counts[f"{LIBRARY}/{name}"], counts[f"{RAW}/{name}"]
        figures += [
            Figure(case, f"instructions, {RAW} = 1", ours / raw),
            Figure(case, "thousand instructions", ours / 1e3, ""),
            Figure(case, "thousand instructions", raw / 1e3, "", RAW),
        ]
    return figures


if __name__ == "__main__":
    if sys.argv[1:2] == ["count"]:
        run_counted(CONTENDERS, *sys.argv[2:])
    else:
        run("instructions", measure)
