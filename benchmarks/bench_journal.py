"""Cost of a journaled step in a file and in PostgreSQL: ``python -m benchmarks.bench_journal [--quick] [--uvloop]``.

Each step is saved twice, as a run does: the intent, then the outcome. CPU is that of this process, and of the server's
backends. Each figure is the least of several rounds by turns. The server is a private cluster on loopback, which syncs
to the disk.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from benchmarks.command import Scale, run
from benchmarks.figures import Figure
from facturaonline_async import Secret
from facturaonline_async._core.once.states import StepState
from facturaonline_async.postgres import Postgres, _schema
from facturaonline_async.postgres._connection import Database, read_url
from facturaonline_async.provision import Journal, JournalStore, Step
from facturaonline_async.provision._journal.writer import SqliteJournalStore
from tests.postgres.servers import Cluster, program

__all__ = ["cpu_of", "measure"]

_AT_ONCE: Final = (1, 8, 32, 128)
_UNITS: Final = {"saves": "/s", "CPU for a save": "ms", "CPU of the server for a save": "ms", "median wait": "ms"}
_TICK: Final = os.sysconf("SC_CLK_TCK")


async def measure(scale: Scale) -> list[Figure]:
    if program("initdb") is None:
        print("SKIPPED: PostgreSQL is not installed", file=sys.stderr)
        return []
    cluster = Cluster.make(fsync="on", autovacuum="on")
    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            return await _compare(cluster, Path(folder), scale.items // 20, min(scale.rounds, 3))
    finally:
        cluster.remove()


async def _compare(cluster: Cluster, folder: Path, steps: int, rounds: int) -> list[Figure]:
    url = cluster.url()
    async with Database(read_url(Secret(url), 5.0), connections=1, timeout=5.0) as database:
        await _schema.migrate(database)
    figures = []
    async with Postgres(url) as pg:
        for at_once in _AT_ONCE:
            found: dict[str, list[dict[str, float]]] = {"SQLite": [], "PostgreSQL": []}
            for number in range(rounds):
                name = f"{at_once}-{number}"
                found["SQLite"].append(await _run(SqliteJournalStore(folder / name), steps, at_once, None))
                found["PostgreSQL"].append(await _run(pg.journal(name), steps, at_once, cluster))
            for journal, costs in found.items():
                case = f"save {steps:,} steps in {journal}, {at_once} at once"
                for measure, unit in _UNITS.items():
                    best = max if measure == "saves" else min
                    figures.append(Figure(case, measure, best(each[measure] for each in costs), unit))
    return figures


async def _run(store: JournalStore, steps: int, at_once: int, cluster: Cluster | None) -> dict[str, float]:
    """Measure one journal, and close it."""
    journal = await store.open(account="account", host="https://example.com/api")
    try:
        return await _save_all(journal, steps, at_once, cluster)
    finally:
        await journal.aclose()


async def _save_all(journal: Journal, steps: int, at_once: int, cluster: Cluster | None) -> dict[str, float]:
    """Save each step twice, so many at once; return the figures by measure."""
    await journal.adjust(add=[Step(number=number, owner=f"AAA{number:09}") for number in range(steps)])
    rest, waits = iter(range(steps)), list[float]()

    async def save() -> None:
        for number in rest:
            began = time.perf_counter()
            await journal.save(Step(number=number, owner=f"AAA{number:09}", state=StepState.INTENT, sends=1))
            waits.append(time.perf_counter() - began)
            done = Step(number=number, owner=f"AAA{number:09}", state=StepState.DONE, sends=1, uid=str(number))
            done.due = time.time() + 150
            await journal.save(done)

    pids = cluster.pids if cluster is not None else []
    server, own, began = cpu_of(pids), time.process_time(), time.perf_counter()
    await asyncio.gather(*(save() for _ in range(at_once)))
    return {
        "saves": 2 * steps / (time.perf_counter() - began),
        "CPU for a save": (time.process_time() - own) * 1e3 / (2 * steps),
        "CPU of the server for a save": (cpu_of(pids) - server) * 1e3 / (2 * steps),
        "median wait": sorted(waits)[steps // 2] * 1e3,
    }


def cpu_of(pids: Iterable[int]) -> float:
    """Return the CPU seconds of some processes so far."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICK


if __name__ == "__main__":
    run("journal", measure)
