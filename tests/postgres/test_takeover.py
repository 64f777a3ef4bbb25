"""A killed or paused process, or a server that restarts, makes a run with a journal in PostgreSQL do nothing twice."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from typing import Any

import pytest
from attrs import evolve

from facturaonline_async import FacturaOnline, connect
from facturaonline_async._core.http import deadlines
from facturaonline_async._core.once.store import Grant, Seen
from facturaonline_async._core.shared import shared_clock
from facturaonline_async.postgres import Postgres
from facturaonline_async.provision import FencedError, RunReport, provision
from facturaonline_async.provision._engine.step_store import StepStore
from facturaonline_async.testing import Emulator
from tests.conftest import QUICK
from tests.postgres.runner import POINTS
from tests.postgres.servers import Cluster
from tests.postgres.sql import Sql
from tests.provision.verdict import Verdict, judge
from tests.provision.victim import make_plan

pytestmark = pytest.mark.postgres

EMPRESAS = 20
PLAN = make_plan(EMPRESAS)
LETRAS = {row.rfc: [serie.letra for serie in row.series] for row in PLAN}
RUN = "alta-2026-11"
SETTLE = 5.0
LEASE = 3.0
SHARED_SETTLE = 14.0  # the shortest with shared creates and the time-outs below
GRACE: dict[str, Any] = {"connect_timeout": 1, "upload_timeout": 3, "total_timeout": 3, "settle": SETTLE, "grace": 1}


CONFIG = evolve(QUICK, grace=1)


async def started(
    emulator: Emulator,
    url: str,
    *,
    point: str | None = None,
    skip: int = 0,
    has_control: bool = False,
    is_shared: bool = False,
) -> Process:
    """Start a process that provisions the plan, and stops itself at this point, or not.

    With `has_control`, it does not look at the age of a grant. With `is_shared`, its session shares its creates.
    """
    keys = emulator.credentials
    orders = {
        "api_key": keys.api_key.reveal(),
        "secret_key": keys.secret_key.reveal(),
        "base_url": emulator.base_url,
        "database": url,
        "run": RUN,
        "lease": LEASE,
        "settle": SHARED_SETTLE if is_shared else SETTLE,
        "empresas": EMPRESAS,
        "config": GRACE | {"settle": SHARED_SETTLE},
        "is_shared": is_shared,
        "has_control": has_control,
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


async def finished(client: FacturaOnline, pg: Postgres, *, settle: float = SETTLE, concurrency: int = 8) -> RunReport:
    """Continue the run in this process, to its end."""
    journal = pg.journal(RUN, lease=LEASE)
    async with provision(client, PLAN, journal=journal, settle=settle, concurrency=concurrency) as run:
        async for _ in run:
            pass
    return run.report


def creates(emulator: Emulator) -> int:
    return emulator.count("empresas.create") + emulator.count("series.create")


async def has_created(emulator: Emulator, number: int) -> None:
    while creates(emulator) < number:  # noqa: ASYNC110  # the log rings no bell
        await asyncio.sleep(0.01)


async def test_a_run_that_was_killed_is_continued_by_another_process(pg: Postgres, url: str, sql: Sql) -> None:
    async with Emulator(latency=0.02) as emulator:
        process = await started(emulator, url)
        await has_created(emulator, 20)
        process.kill()
        await process.communicate()
        sent = creates(emulator)
        async with connect(emulator.credentials, base_url=emulator.base_url, config=CONFIG) as client:
            report = await finished(client, pg, settle=1)
        assert report.is_complete
        assert sent < creates(emulator) == 4 * EMPRESAS
        assert judge(emulator.state, LETRAS) == Verdict(0, 0, 0)
    assert sql.states() == {"done": 4 * EMPRESAS}


async def test_a_run_continues_after_its_server_crashed(cluster: Cluster, pg: Postgres, sql: Sql) -> None:
    """The server is away for some seconds, in the middle of the run."""
    async with Emulator(latency=0.02) as emulator:
        async with connect(emulator.credentials, base_url=emulator.base_url, config=CONFIG) as client:
            running = asyncio.create_task(finished(client, pg, settle=1))
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
    assert sql.states() == {"done": 4 * EMPRESAS}


async def test_a_run_that_sleeps_before_its_first_byte_sends_nothing_after_a_take(
    pg: Postgres, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs of one process; the first one sleeps with a grant, for longer than the grant is good."""
    begin, asleep, awake = StepStore.begin, asyncio.Event(), asyncio.Event()
    slept = 0.0

    async def begin_and_sleep(store: StepStore, seen: Seen, nonce: str) -> Grant | None:
        grant = await begin(store, seen, nonce)
        if not asleep.is_set():
            asleep.set()
            await awake.wait()
        return grant

    monkeypatch.setattr(StepStore, "begin", begin_and_sleep)
    monkeypatch.setattr(deadlines, "shared_clock", lambda: shared_clock() + slept)
    async with (
        Emulator() as emulator,
        connect(emulator.credentials, base_url=emulator.base_url, config=CONFIG) as before,
        connect(emulator.credentials, base_url=emulator.base_url, config=CONFIG) as after,
    ):
        running = asyncio.create_task(finished(before, pg, settle=0.3, concurrency=1))
        await asleep.wait()
        sql.silence()
        report = await finished(after, pg, settle=0.3)
        assert report.is_complete
        slept = 2.0
        awake.set()
        with pytest.raises(FencedError):
            await running
        assert creates(emulator) == 4 * EMPRESAS
        assert judge(emulator.state, LETRAS) == Verdict(0, 0, 0)
    assert sql.states() == {"done": 4 * EMPRESAS}


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("skip", [0, 5, 30])
async def test_a_paused_process_sends_nothing_after_another_one_took_its_run(
    pg: Postgres, url: str, point: str, skip: int, sql: Sql
) -> None:
    async with Emulator(latency=0.02) as emulator:
        process = await started(emulator, url, point=point, skip=skip)
        assert process.stdout is not None
        assert await process.stdout.readline() == b"stopped\n"
        async with connect(emulator.credentials, base_url=emulator.base_url, config=CONFIG) as client:
            report = await finished(client, pg)
        assert report.is_complete
        sent = creates(emulator)
        process.send_signal(signal.SIGCONT)
        assert "another process has taken over the journal" in (await told(process))["fenced"]
        assert creates(emulator) == sent == 4 * EMPRESAS
        assert judge(emulator.state, LETRAS) == Verdict(0, 0, 0)
    assert sql.states() == {"done": 4 * EMPRESAS}


@pytest.mark.slow
@pytest.mark.parametrize("skip", [0, 30])
async def test_a_process_killed_between_the_two_records_of_a_create_costs_a_wait_and_no_duplicate(
    pg: Postgres, url: str, sql: Sql, skip: int
) -> None:
    """The record that processes share is durable, the journal's is not; nothing was sent."""
    async with Emulator(latency=0.02) as emulator:
        process = await started(emulator, url, point="before the intent is written", skip=skip, is_shared=True)
        assert process.stdout is not None
        assert await process.stdout.readline() == b"stopped\n"
        process.kill()
        await process.communicate()
        intents = [count for (count,) in sql("SELECT count(*) FROM facturaonline.creates WHERE state = 'intent'")]
        assert intents[0] > sql.states().get("intent", 0)
        config = evolve(QUICK, **GRACE | {"settle": SHARED_SETTLE})
        async with connect(emulator.credentials, base_url=emulator.base_url, config=config, shared=pg) as client:
            report = await finished(client, pg, settle=SHARED_SETTLE)
        assert report.is_complete
        assert creates(emulator) == 4 * EMPRESAS
        assert judge(emulator.state, LETRAS) == Verdict(0, 0, 0)
    assert sql.states() == {"done": 4 * EMPRESAS}


@pytest.mark.slow
async def test_a_paused_process_that_ignores_the_age_of_its_grant_creates_duplicates(pg: Postgres, url: str) -> None:
    """The control: only that age keeps a process from sending what it was about to send."""
    async with Emulator(latency=0.02) as emulator:
        process = await started(emulator, url, point="when the connection is there", skip=5, has_control=True)
        assert process.stdout is not None
        assert await process.stdout.readline() == b"stopped\n"
        async with connect(emulator.credentials, base_url=emulator.base_url, config=CONFIG) as client:
            await finished(client, pg)
        process.send_signal(signal.SIGCONT)
        assert "fenced" in await told(process)
        assert judge(emulator.state, LETRAS).duplicates >= 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
async def test_processes_that_are_killed_and_paused_at_random_do_nothing_twice(url: str, seed: int, sql: Sql) -> None:
    """Each process begins while the one before may still sleep; the last one finishes the plan."""
    dice = random.Random(seed)
    paused: list[Process] = []
    async with Emulator(latency=0.05, list_lag=0.3) as emulator:
        for _ in range(4):
            process = await started(emulator, url)
            await has_created(emulator, creates(emulator) + dice.randrange(1, 12))
            if dice.random() < 0.5:
                process.kill()
                await process.communicate()
            else:
                process.send_signal(signal.SIGSTOP)
                paused.append(process)
        assert (await told(await started(emulator, url)))["complete"]
        for process in paused:
            process.send_signal(signal.SIGCONT)
            assert "fenced" in await told(process)
        assert creates(emulator) == 4 * EMPRESAS
        assert judge(emulator.state, LETRAS) == Verdict(0, 0, 0)
    assert sql.states() == {"done": 4 * EMPRESAS}
