"""A whole job beside its limits: ``python -m benchmarks.bench_job``.

A plan of companies with three series each is carried out with the library's own limits and settings: with a journal and
with checked certificates. The clock stops at the last outcome; the audit comes after it. The emulator runs in a process
of its own, and answers each call after the latency.

The ideal is what the limits and the latency alone need: the limiter starts 10 creates at once and 10 in each further
second, and then the last company makes the calls that wait for each other (`tests.provision.pace.CHAIN`).

The same job on the virtual clock of the tests, without sockets, journal and certificates, gives exact figures.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Final

from benchmarks.command import Scale, run
from benchmarks.figures import Figure
from benchmarks.plans import write_plan
from benchmarks.server import emulated
from facturaonline_async import FacturaOnline, connect
from facturaonline_async.provision import Plan, RowOutcome, State, provision
from tests.provision.pace import ideal, play

__all__ = ["measure"]

LATENCIES: Final = (0.0, 0.3, 1.0)
"""Seconds."""


async def measure(scale: Scale) -> list[Figure]:
    figures = []
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        plan = write_plan(Path(name), scale.rows)
        for latency in LATENCIES:
            case, best = f"{scale.rows} companies, {latency} s for each call", ideal(scale.rows, latency)
            with emulated(latency=latency) as account:
                async with connect(account.keys, base_url=account.url) as client:
                    seconds = await _until_last_outcome(client, plan, Path(name) / f"{latency}.sqlite")
            pace, one = [await asyncio.to_thread(play, rows, latency) for rows in (scale.rows, 1)]
            figures += [
                Figure(case, "time, limits and latency = 1", seconds / best),
                Figure(case, "time on a virtual clock, limits and latency = 1", pace.seconds / best),
                Figure(case, "calls for each company", _calls(pace.calls, one.calls, scale.rows), ""),
                Figure(case, "calls of the audit for each company", _calls(pace.audit, one.audit, scale.rows), ""),
            ]
    return figures


def _calls(calls: Counter[str], calls_of_one: Counter[str], rows: int) -> float:
    """Return the calls for each company beyond the first, without the lists that a run reads once."""
    return (calls.total() - calls_of_one.total()) / (rows - 1)


async def _until_last_outcome(client: FacturaOnline, plan: Plan, journal: Path) -> float:
    began, outcomes = time.perf_counter(), list[RowOutcome]()
    async with provision(client, plan, journal=journal) as run:
        async for outcome in run:
            outcomes.append(outcome)
            if len(outcomes) == len(plan):
                break
        seconds = time.perf_counter() - began
    if any(serie.state is not State.CREATED for outcome in outcomes for serie in outcome.series):
        raise RuntimeError(f"the job failed: {run.report}")
    return seconds


if __name__ == "__main__":
    run("job", measure)
