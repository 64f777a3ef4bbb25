"""Cost of sharing: a lease, an `ensure` and a journaled step: ``python -m benchmarks.bench_shared [--quick]``.

CPU is that of this process and of the server's backends, each the least of several rounds by turns. The cases without
PostgreSQL do the same work in a session that shares nothing, and with a journal in a file. The server is a private
cluster on loopback, which syncs to the disk; the API is the emulator, in a process of its own.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from benchmarks.bench_journal import cpu_of
from benchmarks.command import Scale, run
from benchmarks.figures import Figure
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


async def measure(scale: Scale) -> list[Figure]:
    if program("initdb") is None:
        print("SKIPPED: PostgreSQL is not installed", file=sys.stderr)
        return []
    cluster = Cluster.make(fsync="on", autovacuum="on")
    try:
        async with open_database(cluster.url(), connections=1, timeout=30) as database:
            await _schema.migrate(database)
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            plan = write_plan(Path(folder), max(4, scale.rows // 4), is_certified=False)
            async with Postgres(cluster.url()) as pg:
                return await _compare(cluster, pg, plan, Path(folder), scale)
    finally:
        cluster.remove()


async def _compare(cluster: Cluster, pg: Postgres, plan: Plan, folder: Path, scale: Scale) -> list[Figure]:
    calls = scale.calls
    cases: dict[str, Callable[[int], AsyncIterator[int]]] = {
        "lease, 1 window": lambda _: _lease(pg, 1, calls),
        "lease, 3 windows": lambda _: _lease(pg, 3, calls),
        "ensure a new serie": lambda _: _ensure(None, calls),
        "ensure a new serie, creates in PostgreSQL": lambda _: _ensure(pg, calls),
        "step, journal in SQLite": lambda number: _provision(None, plan, folder / f"{number}.sqlite"),
        "step, journal and creates in PostgreSQL": lambda number: _provision(pg, plan, pg.journal(f"{number}")),
    }
    costs: dict[str, list[list[float]]] = {name: [] for name in cases}
    for number, name in itertools.product(range(-1, min(scale.rounds, 5)), cases):
        work = cases[name](number)
        await anext(work)  # all is ready
        pids = cluster.pids
        began = time.process_time(), cpu_of(pids), time.perf_counter()
        done = await anext(work)
        ended = time.process_time(), cpu_of(pids), time.perf_counter()
        with suppress(StopAsyncIteration):
            await anext(work)
        if number >= 0:  # the first round connects
            costs[name].append([(end - begin) * 1e3 / done for begin, end in zip(began, ended, strict=True)])
    return [
        Figure(name, measure, min(each[at] for each in found), "ms")
        for name, found in costs.items()
        for at, measure in enumerate(("CPU", "CPU of the server", "time"))
    ]


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


if __name__ == "__main__":
    run("shared", measure)
