"""Cost of sharing: a lease, an `ensure` and a journaled step: ``python -m tests.postgres.costs [--quick]``.

CPU is that of this process and of the server's backends, each the least of several rounds by turns. The cases without
PostgreSQL do the same work in a session that shares nothing, and with a journal in a file. The server is a private
cluster on loopback, which syncs to the disk; the API is the emulator, in a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from benchmarks.figures import Figure, table
from benchmarks.plans import SERIES, write_plan
from benchmarks.server import Account, emulated
from facturaonline_async import Config, FacturaOnline, Rate, SessionManager
from facturaonline_async.postgres import Postgres, _schema
from facturaonline_async.postgres._postgres import open_database
from facturaonline_async.provision import JournalStore, Plan, provision
from facturaonline_async.sharing import Window
from tests.postgres.servers import Cluster, program

__all__ = ["measure"]

_AT_ONCE: Final = 8
_RATE: Final = Rate(100_000, 1)
_TICK: Final = os.sysconf("SC_CLK_TCK")


async def measure(*, rounds: int, calls: int, rows: int) -> list[Figure]:
    """Return the figures of all cases.

    Args:
        rounds: Measurements of each case; the least counts.
        calls: Leases, or series, in a round.
        rows: Companies of a plan.

    """
    cluster = Cluster.make(fsync="on", autovacuum="on")
    try:
        async with open_database(cluster.url(), connections=1, timeout=30) as database:
            await _schema.migrate(database)
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            plan = write_plan(Path(folder), rows, is_certified=False)
            async with Postgres(cluster.url()) as pg:
                return await _compare(cluster, _cases(pg, plan, Path(folder), calls), rounds)
    finally:
        cluster.remove()


def _cases(pg: Postgres, plan: Plan, folder: Path, calls: int) -> dict[str, Callable[[int], AsyncIterator[int]]]:
    """Return the work of each case, by its name; the argument is the number of the round."""
    return {
        "lease, 1 window": lambda _: _lease(pg, 1, calls),
        "lease, 3 windows": lambda _: _lease(pg, 3, calls),
        "ensure a new serie": lambda _: _ensure(None, calls),
        "ensure a new serie, creates in PostgreSQL": lambda _: _ensure(pg, calls),
        "step, journal in SQLite": lambda number: _provision(None, plan, folder / f"{number}.sqlite"),
        "step, journal and creates in PostgreSQL": lambda number: _provision(pg, plan, pg.journal(f"{number}")),
    }


async def _compare(
    cluster: Cluster, cases: dict[str, Callable[[int], AsyncIterator[int]]], rounds: int
) -> list[Figure]:
    costs: dict[str, list[list[float]]] = {name: [] for name in cases}
    for number, name in itertools.product(range(-1, rounds), cases):
        work = cases[name](number)
        await anext(work)  # all is ready
        pids = cluster.pids
        began = time.process_time(), _cpu_of(pids), time.perf_counter()
        done = await anext(work)
        ended = time.process_time(), _cpu_of(pids), time.perf_counter()
        with suppress(StopAsyncIteration):
            await anext(work)
        if number >= 0:  # the first round connects
            costs[name].append([(end - begin) * 1e3 / done for begin, end in zip(began, ended, strict=True)])
    return [
        Figure(name, measure, min(each[at] for each in found), "ms")
        for name, found in costs.items()
        for at, measure in enumerate(("CPU", "CPU of the server", "time"))
    ]


def _cpu_of(pids: Iterable[int]) -> float:
    """Return the CPU seconds of some processes so far."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICK


async def _lease(pg: Postgres, windows: int, calls: int) -> AsyncIterator[int]:
    """Lease one start after the other. As the other cases do, yield before the work, and after it how much it was."""
    names = [Window(f"window {number}", _RATE, burst=4) for number in range(windows)]
    yield 0
    for _ in range(calls):
        await pg.quota.lease(names, "key", 1)
    yield calls


class _OnlyCreates:
    """The database without its quota, so that creates alone are measured."""

    quota = None

    def __init__(self, pg: Postgres) -> None:
        self.creates = pg.creates


@asynccontextmanager
async def _session(pg: Postgres | None, account: Account) -> AsyncIterator[FacturaOnline]:
    config = Config(base_url=account.url, rates=(), check_sello=False, keepalive=60)
    async with SessionManager(config, shared=None if pg is None else _OnlyCreates(pg)) as session:
        yield FacturaOnline(session, account.keys)


async def _ensure(pg: Postgres | None, calls: int) -> AsyncIterator[int]:
    """Ensure series that do not exist, some at once, in an account of their own."""
    letras = iter([f"B{each}" for each in range(calls)])
    with emulated() as account:
        async with _session(pg, account) as client:

            async def work() -> None:
                for letra in letras:
                    await client.series.ensure(letra=letra, tipo_documento="factura")

            yield 0
            await asyncio.gather(*(work() for _ in range(_AT_ONCE)))
            yield calls


async def _provision(pg: Postgres | None, plan: Plan, journal: Path | JournalStore) -> AsyncIterator[int]:
    """Provision companies and their series; a company and a serie are a step each."""
    with emulated() as account:
        async with _session(pg, account) as client:
            yield 0
            async with provision(client, plan, journal=journal, concurrency=32, audit=False) as running:
                async for _ in running:
                    pass
            if not running.report.is_complete:
                raise RuntimeError(f"the plan was not brought about: {running.report}")
            yield len(plan) * (1 + len(SERIES))


def main() -> None:
    """Read the options, measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="measure less: a first look")
    options = parser.parse_args()
    if program("initdb") is None:
        sys.exit("PostgreSQL is not installed")
    size = {"rounds": 3, "calls": 128, "rows": 10} if options.quick else {"rounds": 5, "calls": 256, "rows": 50}
    sys.stdout.write(table(asyncio.run(measure(**size))) + "\n")


if __name__ == "__main__":
    main()
