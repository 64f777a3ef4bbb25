"""A taskiq worker that carries out the shards of a plan, and the command that enqueues them.

    taskiq worker taskiq_worker:broker --workers 2 --max-async-tasks 4
    python taskiq_worker.py alta-2026-11 --shards 12

Settings come from the environment: REDIS_URL; PLANS, a folder with a plan for each run (``alta-2026-11.csv``);
FACTURAONLINE_DATABASE_URL, a database with the schema of ``facturaonline postgres install``;
FACTURAONLINE_API_KEY, FACTURAONLINE_SECRET_KEY and FACTURAONLINE_BASE_URL.

A task may be delivered twice, and a worker may die: the database gives each shard to one process at a time, and the
next attempt continues it. On SIGTERM the worker waits for the requests in flight and puts its shards back into the
queue.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType

from taskiq import TaskiqEvents, TaskiqState
from taskiq_redis import RedisStreamBroker

from facturaonline_async import FacturaOnline, FacturaOnlineError, InvalidInputError, connect
from facturaonline_async.postgres import Postgres, RunCancelledError, audit_run, run_shard
from facturaonline_async.provision import Plan

PAUSE = 5.0
"""Seconds until a task that failed is tried again."""
SETTLE = float(os.environ["SETTLE"]) if "SETTLE" in os.environ else None  # for tests with an emulator

log = logging.getLogger(__name__)
broker = RedisStreamBroker(
    os.environ["REDIS_URL"],
    consumer_id="0",  # tasks that were enqueued before the first worker started count, too
    xread_count=1,  # shards take minutes: none waits behind another one
    idle_timeout=600_000,  # a worker that dies leaves its tasks to the others after ten minutes
    unacknowledged_lock_timeout=60,
)


class Work:
    """What the tasks of a worker process share."""

    def __init__(self, client: FacturaOnline, pg: Postgres, stack: AsyncExitStack) -> None:
        self.client, self.pg, self.stack = client, pg, stack
        self.stopping = asyncio.Event()

    async def pause(self) -> None:
        """Wait before a task is tried again; not if this process stops, so that another one takes it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PAUSE):
                await self.stopping.wait()

    def stop_on_signals(self) -> None:
        """Let the tasks stop at the signal that lets taskiq wait for them."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            of_taskiq = signal.getsignal(number)

            def stop(number: int, frame: FrameType | None, of_taskiq: object = of_taskiq) -> None:
                loop.call_soon_threadsafe(self.stopping.set)
                if callable(of_taskiq):
                    of_taskiq(number, frame)

            signal.signal(number, stop)


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def open_session(state: TaskiqState) -> None:
    """Open the database and a session that shares its rates and creates, in each worker process."""
    async with AsyncExitStack() as stack:
        pg = await stack.enter_async_context(Postgres())
        client = await stack.enter_async_context(connect(shared=pg))
        state.work = Work(client, pg, stack.pop_all())
    state.work.stop_on_signals()


@broker.on_event(TaskiqEvents.WORKER_SHUTDOWN)
async def close_session(state: TaskiqState) -> None:
    """Close them when no task is at work."""
    await state.work.stack.aclose()


def shared_work() -> Work:
    """Return what the tasks of this process share."""
    work: Work = broker.state.work
    return work


@contextmanager
def passing_errors(run: str) -> Iterator[None]:
    """Log an error that may pass: another process has the shard, or the database or the API is away."""
    try:
        yield
    except (InvalidInputError, RunCancelledError):
        raise  # a person must look at these
    except FacturaOnlineError as error:
        log.warning("run %s: %s", run, error)


@broker.task("facturaonline.shard")
async def shard(run: str, number: int, count: int) -> None:
    """Carry out a shard, or continue it; the last one enqueues the audit."""
    work, report = shared_work(), None
    with passing_errors(run):
        plan = await read_plan(run)
        report = await run_shard(
            work.client, plan, work.pg, run=run, shard=number, count=count, settle=SETTLE, stopping=work.stopping
        )
    if report is None or not report.is_finished:
        await work.pause()
        await shard.kiq(run, number, count)
    elif not report.left:
        await audit.kiq(run, count)


@broker.task("facturaonline.audit")
async def audit(run: str, count: int) -> None:
    """Verify that everything exists exactly once."""
    work, differences = shared_work(), None
    with passing_errors(run):
        plan = await read_plan(run)
        differences = await audit_run(
            work.client, plan, work.pg, run=run, count=count, settle=SETTLE, stopping=work.stopping
        )
    if differences is None:
        await work.pause()
        await audit.kiq(run, count)
    else:
        log.warning("run %s: %s", run, "; ".join(differences) or "everything exists exactly once")


async def read_plan(run: str) -> Plan:
    """Read the plan of a run, in a thread."""
    return await asyncio.to_thread(Plan.from_file, Path(os.environ["PLANS"]) / f"{run}.csv")


async def enqueue(run: str, count: int) -> None:
    """Enqueue a task for each shard."""
    await broker.startup()
    for number in range(count):
        await shard.kiq(run, number, count)
    await broker.shutdown()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Enqueue the shards of a plan.")
    parser.add_argument("run", help="name of the run: its plan is RUN.csv in the folder PLANS")
    parser.add_argument("--shards", type=int, default=12)
    arguments = parser.parse_args()
    asyncio.run(enqueue(arguments.run, arguments.shards))
