"""A service under ``uvicorn --workers 4``, with a shared database and without: ``python -m tests.postgres.web``.

It prints how many calls the API saw in any second, where 10 are allowed, and how often ten new series were created that
80 requests asked for.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from string import ascii_uppercase
from typing import Any, Final

import aiohttp
from attrs import frozen

from facturaonline_async.postgres import _schema
from facturaonline_async.postgres._postgres import open_database
from tests.postgres.grants import Grant, granted, most_in, record_grants
from tests.postgres.servers import Cluster, Server, free_port
from tests.postgres.sql import Sql
from tests.postgres.witness import Behaviour, Report, Witness, witness

__all__ = ["LETRAS", "Outcome", "play"]

_WORKERS: Final = 4
LETRAS: Final = ascii_uppercase[:10]
_READERS: Final = 40


@frozen
class Outcome:
    """What became of the requests.

    Attributes:
        reads: What the API saw of the reads.
        grants: What the database granted.
        creates: What the API saw of the creates.
        pids: The worker processes that answered.

    """

    reads: Report
    grants: list[Grant]
    creates: Report
    pids: set[int]


@asynccontextmanager
async def served(api: Witness, database: str | None) -> AsyncIterator[str]:
    """Run the service, and give its URL once all workers are ready."""
    port = free_port()
    variables = {"TESTS_API": api.base_url, "TESTS_API_KEY": api.keys[0], "TESTS_SECRET_KEY": api.keys[1]}
    if database is not None:
        variables["TESTS_DATABASE"] = database
    command = ["setpriv", "--pdeathsig", "TERM", sys.executable, "-m", "uvicorn", "tests.postgres.web_app:app"]
    options = [f"--workers={_WORKERS}", f"--port={port}", "--log-level=info", "--no-access-log"]
    process = await asyncio.create_subprocess_exec(*command, *options, env=os.environ | variables, stderr=PIPE)
    assert process.stderr is not None
    try:
        ready, lines = 0, list[bytes]()
        while ready < _WORKERS:
            lines.append(await process.stderr.readline())
            assert lines[-1], b"".join(lines).decode()
            ready += b"startup complete" in lines[-1]
        reading = asyncio.create_task(process.stderr.read())  # so that the pipe is never full
        yield f"http://127.0.0.1:{port}"
        process.terminate()
        await reading
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def play(server: Server, database: str | None, *, seconds: float) -> Outcome:
    """Read for some seconds, then ask 80 times for ten new series."""
    sql = None if database is None else Sql(server, database)
    if sql is not None:
        record_grants(sql)
    pids: set[int] = set()

    async def ask(http: aiohttp.ClientSession, method: str, url: str) -> None:
        async with http.request(method, url) as response:
            answer: dict[str, Any] = await response.json()
            pids.add(answer["pid"])

    async def read(http: aiohttp.ClientSession, url: str, until: float) -> None:
        while time.monotonic() < until:
            await ask(http, "GET", f"{url}/series/1")

    # A connection for each request, so that all workers get some.
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with witness(Behaviour(latency=0.1, list_lag=0.5)) as api, aiohttp.ClientSession(connector=connector) as http:
        async with served(api, database) as url:
            until = time.monotonic() + seconds
            await asyncio.gather(*(read(http, url, until) for _ in range(_READERS)))
            reads, grants = await api.report(), [] if sql is None else granted(sql)
            await asyncio.gather(*(ask(http, "POST", f"{url}/series/{letra}") for letra in LETRAS * 8))
        return Outcome(reads, grants, await api.report(), pids)


async def main() -> None:
    cluster = Cluster.make(fsync="on", autovacuum="on")
    try:
        async with open_database(cluster.url(), connections=1, timeout=30) as database:
            await _schema.migrate(database)
        for name, url in (("without a database", None), ("with a database", cluster.url())):
            outcome = await play(cluster, url, seconds=12)
            arrivals = outcome.reads.moments("series.get")
            sys.stdout.write(
                f"{name}: {len(outcome.pids)} workers, {len(arrivals)} reads, {most_in(arrivals, 1)} in any second, "
                f"{outcome.creates.count('series.create')} creates of {len(LETRAS)} letras, "
                f"load {os.getloadavg()[0]:.1f}\n"
            )
            sys.stdout.flush()
    finally:
        cluster.remove()


if __name__ == "__main__":
    asyncio.run(main())
