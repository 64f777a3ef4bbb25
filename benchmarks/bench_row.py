"""What a row of a plan takes beside the same calls of aiohttp alone: ``python -m benchmarks.bench_row``.

A row is a company with three series. aiohttp alone sends the same requests in the same order, with bodies that are
ready, and as many rows at a time. It learns uids and keys from the answers, and checks nothing. Certificates are read
from files. The plan is read beforehand.

Instructions are counted by valgrind, without the check of certificates, most of which is OpenSSL. CPU is that of the
whole process, with all threads, and is the least of several runs by turns. Each run has an emulator in a process of its
own. Rates are counted and never reached, and connections are kept for a minute, because valgrind makes everything slow.
"""

from __future__ import annotations

import asyncio
import gc
import json
import math
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias

import aiohttp
from attrs import frozen

from benchmarks.command import Scale, run
from benchmarks.counting import counted, in_children
from benchmarks.figures import RAW, Figure
from benchmarks.plans import write_plan
from benchmarks.server import Account, emulated
from facturaonline_async import Config, Credentials, Rate, connect
from facturaonline_async._core import engine
from facturaonline_async._core.protocol import envelope
from facturaonline_async._core.protocol.bodies import Body
from facturaonline_async.config import DEFAULT_PLUGIN
from facturaonline_async.empresas._wire import write_nueva
from facturaonline_async.provision import Plan, provision
from facturaonline_async.series._wire import write_nueva_serie

__all__ = ["measure"]

_CASES: Final = {
    "raw": "one row, aiohttp alone",
    "plain": "one row",
    "journal": "one row, with a journal",
    "checked": "one row, with a journal and checked certificates",
}
_COUNTED: Final = ("raw", "plain", "journal")
_CONCURRENCY: Final = 32
_CONNECTED: Final = 2 * _CONCURRENCY
"""Rows after which all connections are made."""

_TIMES: Final = 3
"""How often a row is counted: a journal's thread writes more rows together, or fewer."""

_KEEPALIVE: Final = 60.0

Bodies: TypeAlias = tuple[Body, list[Body]]
"""The body that creates a row's company, and those that create its series."""


async def measure(scale: Scale) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        plan = write_plan(Path(name), _CONNECTED + scale.rows)
        cpu = await _cpu(plan, scale.rounds)
        jobs = dict.fromkeys(_COUNTED, (_CONNECTED, len(plan)))
        counts = await counted("benchmarks.bench_row", [name], jobs, times=_TIMES)
    figures = [
        Figure(_CASES[way], f"{measure}, {RAW} = 1", value / each["raw"])
        for measure, each in (("instructions", counts), ("CPU", cpu))
        for way, value in each.items()
        if way != "raw"
    ]
    absolute = [Figure(_CASES[way], "thousand instructions", number / 1e3, "") for way, number in counts.items()]
    return [*figures, *absolute]


async def _cpu(plan: Plan, rounds: int) -> dict[str, float]:
    """Return how many seconds of CPU a row takes each way at least."""
    bodies = await _bodies(plan)
    least = dict.fromkeys(_CASES, float("inf"))
    for number in range(-1, rounds):
        for way in _CASES if number % 2 else reversed([*_CASES]):
            with emulated() as account:
                gc.collect()
                began = time.process_time()
                await _carry_out(way, plan, bodies, account)
                if number >= 0:
                    least[way] = min(least[way], (time.process_time() - began) / len(plan))
    return least


async def _bodies(plan: Plan) -> list[Bodies]:
    return [
        (
            write_nueva(await row.load(), "multipart"),
            [write_nueva_serie(serie.letra, serie.tipo_documento, serie.folio) for serie in row.series],
        )
        for row in plan
    ]


async def _carry_out(way: str, plan: Plan, bodies: list[Bodies], account: Account) -> None:
    """Create all companies and series in an account that has none."""
    if way == "raw":
        rest = iter(bodies)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(keepalive_timeout=_KEEPALIVE)) as http:
            main = envelope.headers(account.keys, DEFAULT_PLUGIN)
            await asyncio.gather(*(_Raw(http, account.url, main).work(rest) for _ in range(_CONCURRENCY)))
        return
    config = Config(rates=Rate(100_000, 1), keepalive=_KEEPALIVE, check_sello=way == "checked")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        journal = None if way == "plain" else Path(folder) / "run.sqlite"
        async with (
            connect(account.keys, base_url=account.url, config=config) as client,
            provision(client, plan, journal=journal, concurrency=_CONCURRENCY, audit=False) as run,
        ):
            async for _ in run:
                pass
    if not run.report.is_complete:
        raise RuntimeError(f"the plan was not carried out: {run.report}")


@frozen
class _Raw:
    """What people write with aiohttp, one row after the other."""

    http: aiohttp.ClientSession
    url: str
    main: envelope.Headers

    async def work(self, rest: Iterator[Bodies]) -> None:
        for empresa, series in rest:
            uid = (await self._post("/v4/account/create", self.main, empresa))["0"]["acco_uid"]
            row = (await self._get(f"/v1/account/{uid}", self.main))["data"]
            own = Credentials(api_key=row["api_key"], secret_key=row["secret_key"])
            headers = envelope.headers(own, DEFAULT_PLUGIN)
            await self._get("/v1/current/account", headers)
            await self._get("/v4/series", headers)
            await asyncio.gather(*(self._post("/v4/series/create", headers, serie) for serie in series))
            await self._get("/v4/series", headers)

    async def _get(self, path: str, headers: envelope.Headers) -> Any:
        async with self.http.get(f"{self.url}{path}", headers=headers) as response:
            return json.loads(await response.read())

    async def _post(self, path: str, headers: envelope.Headers, body: Body) -> Any:
        more = {**headers, "Content-Type": body.content_type}
        async with self.http.post(f"{self.url}{path}", headers=more, data=body.content) as response:
            return json.loads(await response.read())


def _count(folder: str, *jobs: str) -> None:
    vars(engine)["CATCH_UP"] = math.inf  # valgrind makes each write so slow that the start would be renewed
    plan = Plan.from_csv(Path(folder) / "plan.csv")
    bodies = asyncio.run(_bodies(plan))

    async def do(way: str, number: int) -> None:
        with emulated() as account:
            await _carry_out(way, Plan.from_values(plan.rows[:number]), bodies[:number], account)

    in_children(jobs, do)


if __name__ == "__main__":
    if sys.argv[1:2] == ["count"]:
        _count(*sys.argv[2:])
    else:
        run("row", measure)
