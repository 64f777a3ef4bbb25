"""Who makes the calls that are compared: this library, and aiohttp as people write it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from typing import Final

import aiohttp

from benchmarks.answers import API_KEY, HEADERS, SECRET_KEY, UIDS, company_fields, nueva_empresa, sello
from benchmarks.counting import counted, in_children
from benchmarks.figures import LIBRARY, RAW
from facturaonline_async import Config, Credentials, Rate, connect

__all__ = ["CASES", "CONTENDERS", "Calls", "Open", "count_calls", "repeat", "run_counted"]

Calls = Mapping[str, Callable[[int], Awaitable[object]]]
"""Functions that make one call, by a name in `CASES`. Their argument is one of `UIDS`."""

Open = Callable[[str, AsyncExitStack], Awaitable[Calls]]
"""Opens a client of the server at a URL, and returns its calls."""

CASES: Final = {"get": "read one serie", "create": "create a company", "list": "list all companies"}
_TIMES: Final = {"get": (50, 450), "create": (20, 220), "list": (2, 12)}


async def open_raw(url: str, stack: AsyncExitStack) -> Calls:
    """Open what people write: ``async with session.get(…) as response: json.loads(await response.read())``."""
    connector = aiohttp.TCPConnector(keepalive_timeout=60)
    http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector, headers=HEADERS))

    async def get(uid: int) -> object:
        async with http.get(f"{url}/v4/series/{uid}") as response:
            return json.loads(await response.read())

    async def create(uid: int) -> object:
        form = aiohttp.FormData(company_fields(uid))
        form.add_field("cer", bytes(sello().cer), filename="csd.cer", content_type="application/octet-stream")
        form.add_field("key", bytes(sello().key), filename="csd.key", content_type="application/octet-stream")
        async with http.post(f"{url}/v4/account/create", data=form) as response:
            return json.loads(await response.read())

    async def list_all(_: int) -> object:
        async with http.get(f"{url}/v1/accounts") as response:
            return json.loads(await response.read())

    return {"get": get, "create": create, "list": list_all}


async def open_library(url: str, stack: AsyncExitStack) -> Calls:
    """Open all of the library: limits that are counted and never reached, deadlines, the verdict, typed values.

    Certificates are not checked: aiohttp alone checks none.
    """
    config = Config(rates=Rate(100_000, 1), keepalive=60, check_sello=False)
    keys = Credentials(api_key=API_KEY, secret_key=SECRET_KEY)
    client = await stack.enter_async_context(connect(keys, base_url=url, config=config))

    async def create(uid: int) -> object:
        return await client.empresas.create(nueva_empresa(uid))

    async def list_all(_: int) -> object:
        return await client.empresas.list()

    return {"get": client.series.get, "create": create, "list": list_all}


CONTENDERS: Final[Mapping[str, Open]] = {RAW: open_raw, LIBRARY: open_library}


async def repeat(calls: Calls, name: str, times: int, *, at_once: int = 1) -> None:
    """Make a call so many times, some of them at once."""
    uids = iter(UIDS[:times])

    async def worker() -> None:
        for uid in uids:
            await calls[name](uid)

    await asyncio.gather(*(worker() for _ in range(at_once)))


async def count_calls(module: str, url: str, calls: Iterable[str]) -> dict[str, float]:
    """Return how many instructions each call takes, such as ``"raw aiohttp/get"``; the module is `run_counted`."""
    return await counted(module, [url], {call: _TIMES[call.rpartition("/")[2]] for call in calls})


def run_counted(contenders: Mapping[str, Open], url: str, *jobs: str) -> None:
    """Make the calls that `count_calls` counts."""

    async def do(job: str, times: int) -> None:
        contender, _, name = job.partition("/")
        async with AsyncExitStack() as stack:
            await repeat(await contenders[contender](url, stack), name, times)

    in_children(jobs, do)
