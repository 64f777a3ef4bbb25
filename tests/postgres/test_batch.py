"""1,200 companies with three series each, in 12 shards, over three worker processes that are killed and stopped."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("procrastinate", reason="the extra procrastinate is not installed")

from facturaonline_async.postgres import Postgres
from facturaonline_async.postgres._postgres import database_of
from facturaonline_async.procrastinate import enqueue
from facturaonline_async.procrastinate._schema import install_queue
from tests.postgres.batch import batch_plan
from tests.postgres.emulator_process import Witness, witness
from tests.postgres.servers import Cluster
from tests.postgres.sql import Sql

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

EMPRESAS = 1200
SHARDS = 12
RUN = "alta-2026-11"


async def started(emulator: Witness, url: str) -> Process:
    keys = emulator.credentials
    orders = {
        "base_url": emulator.base_url,
        "api_key": keys.api_key.reveal(),
        "secret_key": keys.secret_key.reveal(),
        "database": url,
        "empresas": EMPRESAS,
    }
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.postgres.batch", json.dumps(orders), stdout=DEVNULL, stderr=sys.stderr
    )


async def until(check: Callable[[], Any]) -> Any:
    while not (found := check()):  # noqa: ASYNC110  # a database rings no bell
        await asyncio.sleep(0.3)
    return found


async def created(emulator: Witness, number: int) -> None:
    while await emulator.ask("creates") < number:  # noqa: ASYNC110  # it answers, and does not call
        await asyncio.sleep(0.1)


def shard_of(sql: Sql, process: Process) -> tuple[int, int]:
    """Return the run and the token of the shard that a process has."""
    found = sql(
        f"""
        SELECT t.run, t.token FROM facturaonline.takes AS t JOIN facturaonline.runs AS r ON r.id = t.run
        WHERE t.pid = {process.pid} AND r.token = t.token AND r.holder IS NOT NULL
        """
    )
    return found[0] if found else (0, 0)


async def test_a_batch_is_carried_out_once_whatever_happens_to_its_workers(
    cluster: Cluster, pg: Postgres, url: str, sql: Sql
) -> None:
    plan = batch_plan(EMPRESAS)
    await install_queue(database_of(pg))
    began = time.monotonic()
    async with witness(latency=0.03, log_limit=100_000) as emulator:
        workers = [await started(emulator, url) for _ in range(3)]
        try:
            await enqueue(
                plan,
                run=RUN,
                shards=SHARDS,
                database=url,
                credentials=emulator.credentials,
                base_url=emulator.base_url,
            )
            # One is killed in the middle of a shard.
            await created(emulator, EMPRESAS)
            await until(lambda: shard_of(sql, workers[0])[0])
            workers[0].kill()
            await workers[0].wait()
            workers.append(await started(emulator, url))
            # One is stopped in the middle of a shard, until another one has taken that.
            await created(emulator, 2 * EMPRESAS)
            run, token = await until(lambda: shard_of(sql, workers[1])[0] and shard_of(sql, workers[1]))
            workers[1].send_signal(signal.SIGSTOP)
            await until(lambda: sql(f"SELECT token > {token} FROM facturaonline.runs WHERE id = {run}") == [(True,)])
            # PostgreSQL crashes, and is away for some seconds.
            cluster.stop()
            await asyncio.sleep(3)
            cluster.start()
            workers[1].send_signal(signal.SIGCONT)
            await until(lambda: sql("SELECT is_audited FROM facturaonline.sharded_runs") == [(True,)])
            seconds = time.monotonic() - began
            for worker in workers[1:]:
                worker.send_signal(signal.SIGTERM)
            codes = [await worker.wait() for worker in workers[1:]]
        finally:
            for worker in workers:
                if worker.returncode is None:
                    worker.kill()
                    await worker.wait()
        letras = {row.rfc: [serie.letra for serie in row.series] for row in plan}
        found = await emulator.ask(f"judge {json.dumps(letras)}")
    sys.stderr.write(f"{seconds:.1f} s: {json.dumps(found)}\n")
    assert (found["duplicates"], found["lost"], found["wrong_owner"]) == (0, 0, 0)
    assert found["requests"]["empresas.create"] == EMPRESAS
    assert found["requests"]["series.create"] == 3 * EMPRESAS
    assert sql.states() == {"done": 4 * EMPRESAS}
    assert codes == [0, 0, 0]
