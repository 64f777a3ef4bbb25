"""Sessions of several processes over PostgreSQL: what the API saw of them, by its own log."""

from __future__ import annotations

import asyncio
import json
import random
import signal
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from string import ascii_uppercase
from typing import Any

import pytest
from attrs import define, field

from facturaonline_async.testing import Emulator, Fault
from tests.postgres.servers import Cluster
from tests.postgres.session_worker import Job, arguments

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

LETRAS = tuple(ascii_uppercase[:10])


def jobs(emulator: Emulator, url: str | None, letras: tuple[str, ...], seconds: float = 90.0) -> Job:
    """Return what each process does."""
    keys = emulator.credentials
    pair = (keys.api_key.reveal(), keys.secret_key.reveal())
    return Job(emulator.base_url, pair, url, letras=letras, times=8, seconds=seconds)


@define
class Processes:
    """Processes with the same job; killed ones are started again.

    Attributes:
        job: What each does.
        count: How many there are.
        results: What those printed that came to their end.
        running: Those at work.
        are_ready: Set when all are ready; then they begin.

    """

    job: Job
    count: int = 4
    results: list[dict[str, Any]] = field(factory=list)
    running: list[asyncio.subprocess.Process] = field(factory=list)
    are_ready: asyncio.Event = field(factory=asyncio.Event)
    _ready: int = 0

    async def run(self) -> None:
        """Run them, until each has come to its end."""
        await asyncio.gather(*(self._keep() for _ in range(self.count)))

    async def _keep(self) -> None:
        while True:
            pipe = asyncio.subprocess.PIPE
            process = await asyncio.create_subprocess_exec(*arguments(self.job), stdin=pipe, stdout=pipe)
            assert process.stdout is not None
            self.running.append(process)
            try:
                if await process.stdout.readline():
                    self._ready += 1
                if self._ready >= self.count:
                    self.are_ready.set()
                await self.are_ready.wait()
                out, _ = await process.communicate(b"begin\n")
            finally:
                self.running.remove(process)
                with suppress(ProcessLookupError):
                    process.kill()
            if process.returncode != -signal.SIGKILL:
                assert process.returncode == 0
                self.results.append(json.loads(out.splitlines()[-1]))
                return

    async def disturb(self, dice: random.Random, kills: int, stops: int) -> None:
        """Kill and stop processes at random moments."""
        await self.are_ready.wait()
        for what in dice.sample(["kill"] * kills + ["stop"] * stops, kills + stops):
            await asyncio.sleep(dice.uniform(0.1, 1.5))
            if not self.running:
                return
            process = dice.choice(self.running)
            with suppress(ProcessLookupError):
                if what == "kill":
                    process.kill()
                else:
                    process.send_signal(signal.SIGSTOP)
                    await asyncio.sleep(dice.choice([0.5, 2, 7]))
                    process.send_signal(signal.SIGCONT)


def duplicates(emulator: Emulator) -> list[str]:
    """Return the letras that exist several times."""
    found = Counter(row["letra"] for row in emulator.state["series"].values())
    return [letra for letra, count in found.items() if count > 1]


def existing(emulator: Emulator) -> set[str]:
    return {row["letra"] for row in emulator.state["series"].values()}


def faulty(emulator: Emulator, share: float) -> None:
    """Let creates and lists go wrong, each fault with the same probability."""
    faults: Iterable[Fault] = (
        Fault.drop_before_commit(),
        Fault.drop_after_commit(),
        Fault.commit_late(1.0),
        Fault.status(500, commit=True),
        Fault.delay_answer(3.0),
        Fault.garbage(),
    )
    for fault in faults:
        emulator.inject(fault, endpoint="series.create", times=None, probability=share / 6)
    emulator.inject(Fault.status(502), endpoint="series.list", times=None, probability=share / 6)


async def test_four_processes_create_each_serie_once(url: str) -> None:
    async with Emulator(latency=0.1, list_lag=0.5) as emulator:
        processes = Processes(jobs(emulator, url, LETRAS))
        await processes.run()

        assert existing(emulator) == set(LETRAS)
        assert duplicates(emulator) == []
        assert emulator.count("series.create") == len(LETRAS)


async def test_without_the_database_they_would_create_many_twice() -> None:
    """Control."""
    async with Emulator(latency=0.1, list_lag=0.5) as emulator:
        await Processes(jobs(emulator, None, LETRAS)).run()

        assert len(duplicates(emulator)) > 2


@pytest.mark.parametrize("seed", range(3))
async def test_faults_kills_and_stops_lead_to_no_second_serie(url: str, seed: int) -> None:
    dice = random.Random(seed)
    async with Emulator(latency=0.1, list_lag=0.5, seed=seed) as emulator:
        faulty(emulator, 0.3)
        processes = Processes(jobs(emulator, url, LETRAS))
        disturbing = asyncio.create_task(processes.disturb(dice, kills=4, stops=3))
        await processes.run()
        await disturbing

        assert duplicates(emulator) == []
        assert existing(emulator) == set(LETRAS)


async def test_a_server_that_crashes_twice_leads_to_no_second_serie(cluster: Cluster, template: str) -> None:
    dice = random.Random(1)
    async with Emulator(latency=0.1, list_lag=0.5, seed=1) as emulator:
        faulty(emulator, 0.15)
        processes = Processes(jobs(emulator, cluster.url(dbname=template), LETRAS))
        running = asyncio.create_task(processes.run())
        await processes.are_ready.wait()
        for _ in range(2):
            await asyncio.sleep(dice.uniform(0.3, 1))
            cluster.stop()
            await asyncio.sleep(3)
            cluster.start()
        await running

        assert duplicates(emulator) == []
        assert existing(emulator) == set(LETRAS)
        assert any("SharedUnavailableError" in each["errors"] for each in processes.results)
