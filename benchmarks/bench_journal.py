"""Cost of a journaled step in a file and in PostgreSQL: ``python -m benchmarks.bench_journal [--steps 3000]``.

Each step is saved twice, as a run does: the intent, then the outcome. So many are under way at once. The figures are
CPU milliseconds for each save, of this process and of the server's backends, and the least of several rounds that take
turns. The server is a private cluster on loopback, which syncs to the disk.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from attrs import frozen

from facturaonline_async import Secret
from facturaonline_async._core.once.states import StepState
from facturaonline_async.postgres import Postgres, _schema
from facturaonline_async.postgres._connection import Database, read_url
from facturaonline_async.provision import Journal, JournalStore, Step
from facturaonline_async.provision._journal.writer import SqliteJournalStore
from tests.postgres.servers import Cluster

_TICK = os.sysconf("SC_CLK_TCK")


@frozen
class Figures:
    """One round.

    Attributes:
        seconds: Wall time.
        client: CPU seconds of this process.
        server: CPU seconds of the server's processes.
        latency: Median seconds of an intent.

    """

    seconds: float
    client: float
    server: float
    latency: float


def cpu_of(pids: Iterable[int]) -> float:
    """Return the CPU seconds of some processes so far."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICK


async def measure(journal: Journal, steps: int, at_once: int, cluster: Cluster | None) -> Figures:
    """Save each step twice, so many at once."""
    await journal.adjust(add=[Step(number=number, owner=f"AAA{number:09}") for number in range(steps)])
    rest, latencies = iter(range(steps)), list[float]()

    async def save() -> None:
        for number in rest:
            began = time.perf_counter()
            await journal.save(Step(number=number, owner=f"AAA{number:09}", state=StepState.INTENT, sends=1))
            latencies.append(time.perf_counter() - began)
            done = Step(number=number, owner=f"AAA{number:09}", state=StepState.DONE, sends=1, uid=str(number))
            done.due = time.time() + 150
            await journal.save(done)

    pids = cluster.pids if cluster is not None else []
    server, client, began = cpu_of(pids), time.process_time(), time.perf_counter()
    await asyncio.gather(*(save() for _ in range(at_once)))
    return Figures(
        time.perf_counter() - began, time.process_time() - client, cpu_of(pids) - server, sorted(latencies)[steps // 2]
    )


async def once(store: JournalStore, steps: int, at_once: int, cluster: Cluster | None) -> Figures:
    """Measure one journal, and close it."""
    journal = await store.open(account="account", host="https://example.com/api")
    try:
        return await measure(journal, steps, at_once, cluster)
    finally:
        await journal.aclose()


async def compare(cluster: Cluster, folder: Path, steps: int, rounds: int) -> None:
    """Print a line for each journal and number of steps at once."""
    url = cluster.url()
    async with Database(read_url(Secret(url), 5.0), connections=1, timeout=5.0) as database:
        await _schema.migrate(database)
    print("journal     at once   saves/s   client ms   server ms   intent ms (median)")
    async with Postgres(url) as pg:
        for at_once in (1, 8, 32, 128):
            found: dict[str, list[Figures]] = {"SQLite": [], "PostgreSQL": []}
            for number in range(rounds):
                name = f"{at_once}-{number}"
                found["SQLite"].append(await once(SqliteJournalStore(folder / name), steps, at_once, None))
                found["PostgreSQL"].append(await once(pg.journal(name), steps, at_once, cluster))
            for journal, figures in found.items():
                saves = 2 * steps
                print(
                    f"{journal:10}  {at_once:7}   {saves / min(each.seconds for each in figures):7.0f}   "
                    f"{1000 * min(each.client for each in figures) / saves:9.3f}   "
                    f"{1000 * min(each.server for each in figures) / saves:9.3f}   "
                    f"{1000 * min(each.latency for each in figures):9.1f}",
                    flush=True,
                )


def main() -> None:
    """Make a cluster, and compare the two journals."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=int, default=3000, help="steps of a round (default: 3000)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each (default: 3)")
    options = parser.parse_args()
    cluster = Cluster.make(fsync="on", autovacuum="on")
    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            asyncio.run(compare(cluster, Path(folder), options.steps, options.rounds))
    finally:
        cluster.remove()


if __name__ == "__main__":
    main()
