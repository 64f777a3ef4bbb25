"""Four processes that share a quota, and what disturbs them: ``python -m tests.postgres.rates [--seconds 14] [CASE…]``.

It prints when the requests arrived at the API, which is a process of its own. Arrivals depend on the machine: the table
says how busy it was. What the database granted does not, and the tests judge that.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, Final

from attrs import define, field, frozen
from psycopg.conninfo import make_conninfo

from benchmarks.figures import aligned
from facturaonline_async import Secret
from facturaonline_async.postgres import _schema
from facturaonline_async.postgres._connection import Database, read_url
from tests.postgres.bouncer import bouncer
from tests.postgres.grants import Grant, granted, most_in, record_grants
from tests.postgres.processes import Processes
from tests.postgres.proxy import Proxy, proxied
from tests.postgres.servers import Cluster, database_of
from tests.postgres.session_worker import Job
from tests.postgres.sql import Sql
from tests.postgres.witness import Report, witness

__all__ = ["CASES", "Outcome", "World", "play"]

COUNT: Final = 4
RATE: Final = 200
KEPT: Final = RATE - 4
AWAY: Final = 3.0
"""How long a server is away, in seconds."""


@define(eq=False)
class World:
    """What a case may disturb.

    Attributes:
        cluster: The server.
        sql: Statements at its database.
        processes: The clients.
        proxy: The network between them and the server, for a case that asks for it.
        seconds: How long the clients read.
        moments: When what happened.

    """

    cluster: Cluster
    sql: Sql
    processes: Processes
    proxy: Proxy
    seconds: float
    moments: dict[str, float] = field(factory=dict)

    def note(self, what: str) -> None:
        """Record that something happens now."""
        self.moments[what] = time.monotonic()


async def kill(world: World) -> None:
    """Kill a client."""
    await asyncio.sleep(world.seconds / 2)
    world.processes.running[COUNT].kill()
    world.note("killed")


async def restart(world: World) -> None:
    """Stop the server as a crash does, and start it again."""
    await asyncio.sleep(world.seconds / 3)
    world.note("away")
    world.cluster.stop()
    await asyncio.sleep(AWAY)
    world.cluster.start()
    world.note("back")


async def stall(world: World) -> None:
    """Let all processes of the server stand still."""
    await asyncio.sleep(world.seconds / 3)
    pids = world.cluster.pids
    world.note("away")
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(AWAY)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    world.note("back")


async def drop(world: World) -> None:
    """Lose an answer and its connection, several times, each after the last one has been made good."""
    for _ in range(6):
        await asyncio.sleep(world.seconds / 10)
        world.proxy.losses = 1
        while world.proxy.losses:  # noqa: ASYNC110  # the proxy rings no bell
            await asyncio.sleep(0.01)
        world.note("last lost")


async def terminate(world: World) -> None:
    """End all connections, three times."""
    for _ in range(3):
        await asyncio.sleep(world.seconds / 5)
        await asyncio.to_thread(
            world.sql,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'process %'",
        )
        world.note("terminated")


@frozen
class Case:
    """Clients, and what happens to them.

    Attributes:
        settings: How their jobs differ from reading one endpoint at 200 calls a second.
        disturb: What happens.
        way: How they reach the server: ``"direct"``, ``"proxy"``, ``"pgbouncer"``, or ``"none"``.
        kept: Calls in a second that the quota gives under load.

    """

    settings: Mapping[str, Any] = {}
    disturb: Callable[[World], Awaitable[None]] | None = None
    way: str = "direct"
    kept: int = KEPT


CASES: Final[Mapping[str, Case]] = {
    "undisturbed": Case(),
    "several windows": Case({"endpoint": 150, "total": 180}, kept=176),
    "a client is killed": Case(disturb=kill),
    "connections end": Case(disturb=terminate),
    "answers and connections are lost": Case(disturb=drop, way="proxy"),
    "the server restarts, closed": Case(disturb=restart),
    "the server restarts, share": Case({"processes": COUNT}, disturb=restart),
    "the server stands still, closed": Case({"timeout": 1.0}, disturb=stall),
    "the server stands still, share": Case({"processes": COUNT}, disturb=stall),
    "through pgbouncer": Case(way="pgbouncer"),
    "each on its own": Case(way="none"),
}


@define
class Outcome:
    """What became of a case.

    Attributes:
        report: What the API saw.
        grants: What the database granted.
        shares: Moments of the starts that clients took by their share of the rate.
        processes: The clients.
        moments: When what happened; also ``"began"`` and ``"ended"``.

    """

    report: Report
    grants: list[Grant]
    shares: list[float]
    processes: Processes
    moments: dict[str, float]

    @property
    def starts(self) -> list[float]:
        """Moments of all starts that clients had, each once, in order."""
        return sorted([*(each.at for each in self.grants if each.is_first), *self.shares])

    def rate(self, begin: float, end: float) -> float:
        """Return the arrivals in a second, between two moments."""
        return sum(begin <= at < end for at in self.report.moments()) / (end - begin)


async def play(case: Case, cluster: Cluster, url: str, seconds: float) -> Outcome:
    """Run a case with a database that has the schema."""
    sql = Sql(cluster, url)
    record_grants(sql)
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(witness())
        proxy = await stack.enter_async_context(proxied(cluster.port))
        if case.way == "proxy":
            url = make_conninfo(url, port=proxy.port)
        elif case.way == "pgbouncer":
            url = stack.enter_context(bouncer(cluster, pool=8)).url(database_of(url))
        jobs = [
            Job(
                base_url=api.base_url,
                keys=api.keys,
                database=None if case.way == "none" else make_conninfo(url, application_name=f"process {number}"),
                seconds=seconds,
                number=number,
                **case.settings,
            )
            for number in range(1, COUNT + 1)
        ]
        processes = Processes(jobs, restarts=False)
        world = World(cluster, sql, processes, proxy, seconds)
        async with asyncio.TaskGroup() as group:
            group.create_task(processes.run())
            await processes.are_ready.wait()
            world.note("began")
            if case.disturb is not None:
                await case.disturb(world)
        world.moments["ended"] = world.moments["began"] + seconds
        shares = [moment for result in processes.results for moment in result["starts"]]
        return Outcome(await api.report(), granted(sql), shares, processes, world.moments)


# ── The table ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def row(case: Case, outcome: Outcome) -> list[str]:
    """Return the figures of a case."""
    report, moments = outcome.report, outcome.moments
    arrivals, began, ended = report.moments(), moments["began"], moments["ended"]
    by_process = Counter(path.rpartition("/")[2] for _, _, path in report.arrivals)
    each = [sum(begin <= at < begin + 1 for at in arrivals) for begin in (began + n for n in range(int(ended - began)))]
    rate = outcome.rate(began + 2, ended)
    cpu = [result["cpu"] for result in outcome.processes.results]
    return [
        f"{rate:.1f}",
        f"{100 * rate / case.kept:.1f} %",
        f"{most_in(arrivals, 1)} ({most_in((at for at in arrivals if at > began + 2), 1)})",
        f"{most_in(arrivals, 0.1)}",
        " ".join(str(by_process[str(number)]) for number in range(1, COUNT + 1)),
        f"{most_in(outcome.starts, 1)}",
        f"{len(outcome.starts) - len(arrivals)}",
        " ".join(map(str, each)),
        ", ".join(f"{name} {at - began:.1f} s" for name, at in moments.items() if name not in {"began", "ended"}),
        ", ".join(f"{count} {name}" for name, count in outcome.processes.errors.items()),
        f"{min(cpu):.2f}-{max(cpu):.2f}",
        f"{os.getloadavg()[0]:.1f}",
    ]


HEADER: Final = [
    "case",
    "rate/s",
    "of the rate kept",
    "in any 1 s (after 2 s)",
    "in 100 ms",
    "for each process",
    "granted in any 1 s",
    "granted and not used",
    "in each second",
    "what happened",
    "errors",
    "CPU s",
    "load",
]


async def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=14.0)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="; ".join(CASES))
    options = parser.parse_args()
    cluster = Cluster.make(fsync="on", autovacuum="on")
    rows = []
    try:
        for name in options.cases or CASES:
            with cluster.database() as database:
                url = cluster.url(dbname=database)
                async with Database(read_url(Secret(url), 5.0), connections=1, timeout=30.0) as opened:
                    await _schema.migrate(opened)
                outcome = await play(CASES[name], cluster, url, options.seconds)
            rows.append([name, *row(CASES[name], outcome)])
            lines = [f"{head}: {cell}\n" for head, cell in zip(HEADER, rows[-1], strict=True)]
            sys.stdout.write("".join(lines) + "\n")
            sys.stdout.flush()
    finally:
        cluster.remove()
    short = [0, 1, 2, 3, 4, 5, 6, 7, 12]
    sys.stdout.write(aligned([[line[at] for at in short] for line in [HEADER, *rows]]) + "\n")


if __name__ == "__main__":
    random.seed()
    asyncio.run(main())
