"""A killed or paused process, or a server that restarts, makes a run with a journal in PostgreSQL do nothing twice."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import Counter
from typing import Any

import pytest

from facturaonline_async import FacturaOnline, connect
from facturaonline_async.postgres import Postgres
from facturaonline_async.provision import RunReport, provision
from facturaonline_async.testing import Emulator
from tests.conftest import QUICK
from tests.postgres.runner import POINTS
from tests.postgres.servers import Cluster, Server, database_of
from tests.provision.verdict import Verdict, judge
from tests.provision.victim import make_plan

pytestmark = pytest.mark.postgres

EMPRESAS = 20
PLAN = make_plan(EMPRESAS)
LETRAS = {row.rfc: [serie.letra for serie in row.series] for row in PLAN}
RUN = "alta-2026-11"
SETTLE = 5.0
LEASE = 3.0
GRACE = {"connect_timeout": 1, "upload_timeout": 3, "total_timeout": 3, "settle": SETTLE, "grace": 1}


async def started(emulator: Emulator, url: str, *, point: str | None = None, skip: int = 0, **config: Any) -> Process:
    """Start a process that provisions the plan, and stops itself at this point, or not."""
    keys = emulator.credentials
    orders = {
        "api_key": keys.api_key.reveal(),
        "secret_key": keys.secret_key.reveal(),
        "base_url": emulator.base_url,
        "database": url,
        "run": RUN,
        "lease": LEASE,
        "settle": SETTLE,
        "empresas": EMPRESAS,
        "config": GRACE | config,
        "point": point,
        "skip": skip,
    }
    command = [sys.executable, "-m", "tests.postgres.runner", json.dumps(orders)]
    return await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE)


async def told(process: Process) -> dict[str, Any]:
    """Return what a process says at its end."""
    output, problems = await process.communicate()
    assert output, problems.decode()
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    return result


async def finished(client: FacturaOnline, pg: Postgres, *, settle: float = SETTLE) -> RunReport:
    """Continue the run in this process, to its end."""
    async with provision(client, PLAN, journal=pg.journal(RUN, lease=LEASE), settle=settle) as run:
        async for _ in run:
            pass
    return run.report


def creates(emulator: Emulator) -> int:
    return emulator.count("empresas.create") + emulator.count("series.create")


def states(server: Server, url: str) -> Counter[str]:
    rows = server.execute("SELECT state, count(*) FROM facturaonline.steps GROUP BY 1", dbname=database_of(url))
    return Counter(dict(rows))


async def has_created(emulator: Emulator, number: int) -> None:
    while creates(emulator) < number:  # noqa: ASYNC110  # the log rings no bell
        await asyncio.sleep(0.01)


@pytest.fixture
async def pg(url: str) -> Any:
    async with Postgres(url) as pg:
        yield pg


async def test_a_run_that_was_killed_is_continued_by_another_process(
    pg: Postgres, url: str, shared_server: Server
) -> None:
    async with Emulator(latency=0.02) as emulator:
        process = await started(emulator, url)
        await has_created(emulator, 20)
        process.kill()
        await process.communicate()
        sent = creates(emulator)
        async with connect(emulator.credentials, base_url=emulator.base_url, config=QUICK) as client:
            report = await finished(client, pg)
        assert report.is_complete
        assert sent < creates(emulator) == 4 * EMPRESAS
        assert judge(emulator.state, LETRAS) == Verdict(0, 0, 0)
    assert states(shared_server, url) == {"done": 4 * EMPRESAS}


async def test_a_run_continues_after_its_server_crashed(cluster: Cluster, pg: Postgres, url: str) -> None:
    """The server is away for some seconds, in the middle of the run."""
    async with Emulator(latency=0.02) as emulator:
        async with connect(emulator.credentials, base_url=emulator.base_url, config=QUICK) as client:
            running = asyncio.create_task(finished(client, pg))
            await has_created(emulator, 20)
            cluster.stop()
            await asyncio.sleep(1)
            sent = creates(emulator)
            await asyncio.sleep(2)
            assert creates(emulator) == sent < 4 * EMPRESAS  # no intent, no create
            cluster.start()
            report = await running
        assert report.is_complete
        assert creates(emulator) == 4 * EMPRESAS
        assert judge(emulator.state, LETRAS) == Verdict(0, 0, 0)
    assert states(cluster, url) == {"done": 4 * EMPRESAS}


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("skip", [0, 5, 30])
async def test_a_paused_process_sends_nothing_after_another_one_took_its_run(
    pg: Postgres, url: str, point: str, skip: int, shared_server: Server
) -> None:
    async with Emulator(latency=0.02) as emulator:
        process = await started(emulator, url, point=point, skip=skip)
        assert process.stdout is not None
        assert await process.stdout.readline() == b"stopped\n"
        async with connect(emulator.credentials, base_url=emulator.base_url, config=QUICK) as client:
            report = await finished(client, pg)
        assert report.is_complete
        sent = creates(emulator)
        process.send_signal(signal.SIGCONT)
        assert "another process has taken over the journal" in (await told(process))["fenced"]
        assert creates(emulator) == sent == 4 * EMPRESAS
        assert judge(emulator.state, LETRAS) == Verdict(0, 0, 0)
    assert states(shared_server, url) == {"done": 4 * EMPRESAS}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
async def test_processes_that_are_killed_and_paused_at_random_do_nothing_twice(
    url: str, seed: int, shared_server: Server
) -> None:
    """Each process begins while the one before may still sleep; the last one finishes the plan."""
    dice = random.Random(seed)
    paused: list[Process] = []
    async with Emulator(latency=0.05, list_lag=0.3) as emulator:
        while True:
            process = await started(emulator, url)
            ending = asyncio.create_task(told(process))
            done, _ = await asyncio.wait({ending}, timeout=dice.uniform(3.5, 7))
            if done:
                break
            if dice.random() < 0.5:
                process.kill()
                ending.cancel()
            else:
                process.send_signal(signal.SIGSTOP)
                paused.append(process)
            await asyncio.wait({ending}, timeout=0)
        assert (await ending)["complete"]
        for each in paused:
            each.send_signal(signal.SIGCONT)
        for each in paused:
            await each.wait()
        assert creates(emulator) == 4 * EMPRESAS
        assert judge(emulator.state, LETRAS) == Verdict(0, 0, 0)
    assert states(shared_server, url) == {"done": 4 * EMPRESAS}
