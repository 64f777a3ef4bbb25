"""The example workers of Celery and taskiq, with real PostgreSQL and Redis servers."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen

from facturaonline_async.postgres import Postgres
from facturaonline_async.testing import Emulator, emulator_in_thread
from tests.integrations.programs import EXAMPLES, Program, created, environment, make_plan, started
from tests.postgres.servers import free_port

pytestmark = pytest.mark.integrations

EMPRESAS = 12
SHARDS = 4
RUN = "alta"

#: Let the settle time be shorter than a create may take: the emulator's lists show a row at once.
SHORT_SETTLE = "from facturaonline_async._core import shared\nshared._MARGIN = -100\n"


@frozen
class Queue:
    """A framework for queues: its program for workers, and what it says when one waits for tasks."""

    framework: str
    program: str
    worker: tuple[str, ...]
    ready: str


CELERY = Queue(
    "celery",
    "celery_worker.py",
    (
        "-m",
        "celery",
        "--app",
        "celery_worker",
        "worker",
        "--pool",
        "threads",
        "--concurrency",
        "2",
        "--loglevel",
        "info",
    ),
    "(ready)",
)
TASKIQ = Queue(
    "taskiq_redis",
    "taskiq_worker.py",
    ("-m", "taskiq", "worker", "taskiq_worker:broker", "--workers", "1", "--max-async-tasks", "2"),
    "(Listening started)",
)


@pytest.fixture
def redis() -> Iterator[str]:
    """Start a private Redis on loopback, and give its URL."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed")
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder]
        process = subprocess.Popen([program, *options], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            while "Ready to accept connections" not in process.stdout.readline():
                assert process.poll() is None
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()
            process.communicate()


async def audited(worker: Program) -> None:
    await worker.said("(everything exists exactly once)")


@pytest.mark.parametrize("queue", [CELERY, TASKIQ], ids=lambda queue: queue.framework)
async def test_a_worker_that_is_stopped_puts_its_shards_back_and_another_one_completes_the_run(
    tmp_path: Path, redis: str, url: str, queue: Queue
) -> None:
    pytest.importorskip(queue.framework, reason=f"{queue.framework} is not installed")
    make_plan(tmp_path, EMPRESAS)
    (tmp_path / "plan.csv").rename(tmp_path / f"{RUN}.csv")
    (tmp_path / "sitecustomize.py").write_text(SHORT_SETTLE, encoding="utf-8")
    with emulator_in_thread(Emulator(latency=0.02)) as emulator:
        env = environment(
            emulator,
            REDIS_URL=redis,
            PLANS=str(tmp_path),
            FACTURAONLINE_DATABASE_URL=url,
            PYTHONPATH=f"{EXAMPLES}{os.pathsep}{tmp_path}",
        )
        enqueue = [sys.executable, str(EXAMPLES / queue.program), RUN, "--shards", str(SHARDS)]
        await asyncio.to_thread(subprocess.run, enqueue, env=env, check=True)
        async with started(*queue.worker, env=env) as worker:
            while emulator.count("series.create") < 5:
                assert worker.process.returncode is None, "".join(worker.lines)
                await asyncio.sleep(0.02)
            began = time.monotonic()
            worker.process.send_signal(signal.SIGTERM)
            assert await worker.ended() == 0, "".join(worker.lines)
            print(f"{queue.framework}: SIGTERM {time.monotonic() - began:.1f} s")
        empresas, series, _ = created(emulator)
        assert empresas + series < 4 * EMPRESAS
        async with started(*queue.worker, env=env) as worker:
            await audited(worker)
            worker.process.send_signal(signal.SIGTERM)
            assert await worker.ended() == 0, "".join(worker.lines)
        assert created(emulator) == (EMPRESAS, 3 * EMPRESAS, 0)
    async with Postgres(url) as pg:
        (run,) = await pg.list_runs()
    assert (run.name, run.done, run.planned, run.is_running) == (RUN, 4 * EMPRESAS, 4 * EMPRESAS, False)
