"""Rounds of a race for the same objects: ``python -m tests.postgres.race [--rounds 50] [--seed 0]``.

Four processes ensure ten series and ten companies, each eight times at once, while the API answers late and wrongly,
processes are killed and stopped, and PostgreSQL crashes. It prints a line for each round and ends with the sum.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import time
from string import ascii_uppercase
from typing import Final

from attrs import frozen

from facturaonline_async import Secret
from facturaonline_async.postgres import _schema
from facturaonline_async.postgres._connection import Database, read_url
from tests.postgres.processes import Processes, copies
from tests.postgres.servers import Cluster
from tests.postgres.session_worker import Job
from tests.postgres.witness import Behaviour, Report, witness

__all__ = ["LETRAS", "RFCS", "Round", "play_round"]

LETRAS: Final = tuple(ascii_uppercase[:10])
RFCS: Final = tuple(f"AAA010101{number:03}" for number in range(10))


@frozen
class Round:
    """What disturbs a round.

    Attributes:
        seed: Seed of the faults and of what is done to the processes.
        kills: Number of kills.
        stops: Number of stops.
        crashes: Number of crashes of PostgreSQL.
        faults: Share of creates and lists that go wrong.
        others: Share of the details of a company that are about another one.

    """

    seed: int = 0
    kills: int = 4
    stops: int = 3
    crashes: int = 1
    faults: float = 0.3
    others: float = 0.02


async def play_round(
    given: Round, url: str | None, cluster: Cluster, seconds: float = 540.0
) -> tuple[Report, Processes]:
    """Play a round with a database that no round has used, or without one."""
    dice = random.Random(given.seed)
    behaviour = Behaviour(0.1, list_lag=0.5, read_lag=2.0, faults=given.faults, others=given.others, seed=given.seed)
    async with witness(behaviour) as api:
        job = Job(base_url=api.base_url, keys=api.keys, database=url, letras=LETRAS, rfcs=RFCS, seconds=seconds)
        processes = Processes(copies(job))
        async with asyncio.TaskGroup() as group:
            group.create_task(processes.run())
            await processes.are_ready.wait()
            group.create_task(processes.disturb(dice, given.kills, given.stops))
            for _ in range(given.crashes):
                await asyncio.sleep(dice.uniform(1, 4))
                cluster.stop()
                await asyncio.sleep(dice.uniform(0.5, 3))
                cluster.start()  # not in a thread: the server ends with the thread that started it
        return await api.report(), processes


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    cluster = Cluster.make(fsync="on", autovacuum="on")
    duplicates, missing, creates = 0, 0, 0
    try:
        for seed in range(options.seed, options.seed + options.rounds):
            began = time.monotonic()
            with cluster.database() as database:
                url = cluster.url(dbname=database)
                async with Database(read_url(Secret(url), 5.0), connections=1, timeout=30.0) as opened:
                    await _schema.migrate(opened)
                report, processes = await play_round(Round(seed), url, cluster)
            lacking = {*LETRAS, *RFCS} - {*report.series, *report.empresas}
            sent = report.count("series.create") + report.count("empresas.create")
            duplicates, missing, creates = duplicates + len(report.duplicates), missing + len(lacking), creates + sent
            say(
                f"round {seed}: {sent} creates sent of 20 objects, duplicates {report.duplicates}, "
                f"missing {sorted(lacking)}, {len(report.arrivals)} calls, "
                f"{processes.kills} kills, {processes.stops} stops, {dict(processes.errors)}, "
                f"{time.monotonic() - began:.0f} s, load {os.getloadavg()[0]:.1f}"
            )
    finally:
        cluster.remove()
    say(f"{options.rounds} rounds: {creates} creates sent, {duplicates} duplicates, {missing} missing")
    return int(bool(duplicates or missing))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
