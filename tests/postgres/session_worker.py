"""A process with a session: ``python -m tests.postgres.session_worker JSON``.

It ensures series many times each, or reads for a while. It prints "ready", waits for a line, and prints one line of
JSON at its end.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from contextlib import AsyncExitStack
from typing import Any

from attrs import asdict, frozen

from facturaonline_async import (
    Config,
    Credentials,
    FacturaOnline,
    FacturaOnlineError,
    NotSentError,
    Rate,
    RetryPolicy,
    SessionManager,
)
from facturaonline_async.postgres import Postgres, Share
from facturaonline_async.postgres._quota import OnOutage

__all__ = ["Job", "arguments"]


@frozen
class Job:
    """What a process does.

    Attributes:
        base_url: Prefix of the API.
        keys: API key and secret key.
        database: URL of the database; None: the process shares nothing.
        letras: Series to ensure; empty: read.
        times: How often each is ensured at once.
        seconds: How long to read, or the latest end of the ensures.
        waiters: Number of tasks that read.
        calls: Calls in a second that all processes may send together.
        processes: Number of processes for the policy `Share`; 0: closed.

    """

    base_url: str
    keys: tuple[str, str]
    database: str | None
    letras: tuple[str, ...] = ()
    times: int = 8
    seconds: float = 60.0
    waiters: int = 50
    calls: int = 200
    processes: int = 0

    @property
    def config(self) -> Config:
        """Settings with short times, so that a settle time passes in a test."""
        return Config(
            base_url=self.base_url,
            rates=(),
            host_rates=(Rate(self.calls, 1),),
            concurrency=64,
            concurrency_per_key=64,
            connect_timeout=1.0,
            read_timeout=1.5,
            total_timeout=1.5,
            upload_timeout=2.0,
            grace=2.0,
            settle=14.0,
            deadline=5.0,
            retry=RetryPolicy(transient=0.02, throttled=0.02),
        )


def arguments(job: Job) -> list[str]:
    """Return the command of a process."""
    return [sys.executable, "-m", "tests.postgres.session_worker", json.dumps(asdict(job))]


async def ensure(client: FacturaOnline, letra: str, until: float, errors: dict[str, int]) -> None:
    """Ask until the serie is there."""
    while time.monotonic() < until:
        try:
            await client.series.ensure(letra=letra, tipo_documento="factura")
        except FacturaOnlineError as error:
            errors[type(error).__name__] = errors.get(type(error).__name__, 0) + 1
            await asyncio.sleep(random.uniform(0.1, 0.5))
        else:
            return
    errors["never"] = errors.get("never", 0) + 1


async def read(client: FacturaOnline, until: float, errors: dict[str, int]) -> int:
    """Read one serie after the other."""
    done = 0
    while time.monotonic() < until:
        try:
            await client.series.get(1)
        except NotSentError as error:
            errors[type(error).__name__] = errors.get(type(error).__name__, 0) + 1
            await asyncio.sleep(0.1)
        except FacturaOnlineError:
            done += 1
        else:
            done += 1
    return done


async def work(job: Job) -> dict[str, Any]:
    """Do the job, and return what became of it."""
    errors: dict[str, int] = {}
    async with AsyncExitStack() as stack:
        shared = None
        if job.database is not None:
            policy: OnOutage = Share(job.processes) if job.processes else "closed"
            shared = await stack.enter_async_context(Postgres(job.database, on_outage=policy, timeout=3.0))
        session = await stack.enter_async_context(SessionManager(job.config, shared=shared))
        client = FacturaOnline(session, Credentials(api_key=job.keys[0], secret_key=job.keys[1]))
        print("ready", flush=True)  # noqa: T201
        await asyncio.to_thread(sys.stdin.readline)
        until = time.monotonic() + job.seconds
        if job.letras:
            wanted = [letra for letra in job.letras for _ in range(job.times)]
            random.shuffle(wanted)
            await asyncio.gather(*(ensure(client, letra, until, errors) for letra in wanted))
            return {"errors": errors}
        began = time.process_time()
        done = await asyncio.gather(*(read(client, until, errors) for _ in range(job.waiters)))
        return {"errors": errors, "calls": sum(done), "cpu": time.process_time() - began}


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    print(json.dumps(asyncio.run(work(Job(**given | {"keys": tuple(given["keys"])})))), flush=True)  # noqa: T201
