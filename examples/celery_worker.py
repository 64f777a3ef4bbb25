"""A Celery worker that carries out the shards of a plan, and the command that enqueues them.

    celery --app celery_worker worker --pool threads --concurrency 4
    python celery_worker.py alta-2026-11 --shards 12

Settings come from the environment: REDIS_URL; PLANS, a folder with a plan for each run (``alta-2026-11.csv``);
FACTURAONLINE_DATABASE_URL, a database with the schema of ``facturaonline postgres install``;
FACTURAONLINE_API_KEY, FACTURAONLINE_SECRET_KEY and FACTURAONLINE_BASE_URL.

A task may be delivered twice, and a worker may die: the database gives each shard to one process at a time, and the
next attempt continues it. On SIGTERM the worker waits for the requests in flight and puts its shards back into the
queue. With the pool of threads, the signal reaches the tasks; a pool of processes would finish its shards first.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from celery import Celery
from celery.signals import worker_shutting_down
from celery.utils.log import get_task_logger

from facturaonline_async import FacturaOnline, FacturaOnlineError, InvalidInputError, connect
from facturaonline_async.postgres import Postgres, RunCancelledError, audit_run, run_shard
from facturaonline_async.provision import Plan

T = TypeVar("T")

SETTLE = float(os.environ["SETTLE"]) if "SETTLE" in os.environ else None  # for tests with an emulator
RETRY = {
    "autoretry_for": (FacturaOnlineError,),  # also when another process has the shard, or the database is away
    "dont_autoretry_for": (InvalidInputError, RunCancelledError),  # a person must look at these
    "retry_backoff": 5,
    "retry_backoff_max": 300,
    "max_retries": None,
}

log = get_task_logger(__name__)
app = Celery("facturaonline", broker=os.environ["REDIS_URL"])
app.conf.update(
    task_acks_late=True,  # the tasks of a worker that dies are delivered again, after visibility_timeout
    task_ignore_result=True,
    worker_prefetch_multiplier=1,  # shards take minutes: none waits behind another one
    broker_connection_retry_on_startup=True,
    broker_transport_options={"visibility_timeout": 3600},
)


class Stop:
    """The events that the tasks at work look at, and the signal that sets them."""

    def __init__(self) -> None:
        self._is_set = False
        self._events: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}

    def event(self) -> asyncio.Event:
        """Return an event for a task, in the loop of its thread."""
        event = asyncio.Event()
        self._events[event] = asyncio.get_running_loop()
        if self._is_set:
            event.set()
        return event

    def forget(self, event: asyncio.Event) -> None:
        """Forget the event of a task that ends."""
        del self._events[event]

    def set(self, **_: object) -> None:
        """Let all tasks at work stop."""
        self._is_set = True
        for event, loop in [*self._events.items()]:
            loop.call_soon_threadsafe(event.set)


stop = Stop()
worker_shutting_down.connect(stop.set)


async def with_session(work: Callable[[FacturaOnline, Postgres, asyncio.Event], Awaitable[T]]) -> T:
    """Open what a task needs: the database, a session that shares its rates and creates, and the event to stop."""
    stopping = stop.event()
    try:
        async with Postgres() as pg, connect(shared=pg) as client:
            return await work(client, pg, stopping)
    finally:
        stop.forget(stopping)


def read_plan(run: str) -> Plan:
    """Read the plan of a run."""
    return Plan.from_file(Path(os.environ["PLANS"]) / f"{run}.csv")


@app.task(bind=True, **RETRY)
def shard(self: Any, run: str, number: int, count: int) -> None:
    """Carry out a shard, or continue it; the last one enqueues the audit."""
    plan = read_plan(run)
    report = asyncio.run(
        with_session(
            lambda client, pg, stopping: run_shard(
                client, plan, pg, run=run, shard=number, count=count, settle=SETTLE, stopping=stopping
            )
        )
    )
    if not report.is_finished:
        raise self.retry(countdown=0)
    if not report.left:
        audit.delay(run, count)


@app.task(bind=True, **RETRY)
def audit(self: Any, run: str, count: int) -> None:
    """Verify that everything exists exactly once."""
    plan = read_plan(run)
    differences = asyncio.run(
        with_session(
            lambda client, pg, stopping: audit_run(
                client, plan, pg, run=run, count=count, settle=SETTLE, stopping=stopping
            )
        )
    )
    if differences is None:
        raise self.retry(countdown=0)
    log.warning("run %s: %s", run, "; ".join(differences) or "everything exists exactly once")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Enqueue the shards of a plan.")
    parser.add_argument("run", help="name of the run: its plan is RUN.csv in the folder PLANS")
    parser.add_argument("--shards", type=int, default=12)
    arguments = parser.parse_args()
    for number in range(arguments.shards):
        app.send_task("celery_worker.shard", (arguments.run, number, arguments.shards))
