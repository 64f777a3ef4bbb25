"""Instructions of one GET through other clients, on the same server: ``python -m benchmarks.bench_peers [--uvloop]``.

The peers are libraries of the same kind, with aiohttp below where they can, and a wrapper as people write it. Each
reads one serie with its own generic request method, and returns its JSON as a value.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Final

import aiohttp
import httpx
import stripe
from openai import AsyncOpenAI, DefaultAioHttpClient

from benchmarks.answers import API_KEY, HEADERS, UIDS
from benchmarks.command import Scale, run
from benchmarks.contenders import CONTENDERS
from benchmarks.counting import counted, in_children
from benchmarks.figures import RAW, Figure
from benchmarks.server import Site, serve

__all__ = ["measure"]

Get = Callable[[int], Awaitable[object]]


async def open_httpx(url: str, stack: AsyncExitStack) -> Get:
    client = await stack.enter_async_context(httpx.AsyncClient(headers=HEADERS))

    async def get(number: int) -> object:
        return (await client.get(f"{url}/v4/series/{number}")).json()

    return get


async def open_wrapper(url: str, stack: AsyncExitStack) -> Get:  # noqa: ARG001
    async def get(number: int) -> object:
        async with (
            aiohttp.ClientSession(headers=HEADERS) as session,
            session.get(f"{url}/v4/series/{number}") as response,
        ):
            return await response.json()

    return get


async def open_openai(url: str, stack: AsyncExitStack) -> Get:
    http = DefaultAioHttpClient()
    client = AsyncOpenAI(base_url=url, api_key=API_KEY, http_client=http, default_headers=HEADERS)
    await stack.enter_async_context(client)

    async def get(number: int) -> object:
        return await client.get(f"/v4/series/{number}", cast_to=object)

    return get


async def open_stripe(url: str, stack: AsyncExitStack) -> Get:
    http = stripe.AIOHTTPClient()
    stack.push_async_callback(http.close_async)
    client = stripe.StripeClient(API_KEY, http_client=http, base_addresses={"api": url})

    async def get(number: int) -> object:
        response = await client.raw_request_async("get", f"/v4/series/{number}")
        return client.deserialize(response, api_mode="V1")

    return get


PEERS: Final[dict[str, Callable[[str, AsyncExitStack], Awaitable[Get]]]] = {
    "stripe": open_stripe,
    "openai": open_openai,
    "httpx": open_httpx,
    "aiohttp, a session for each call": open_wrapper,
}
_TIMES: Final = (20, 120)


async def measure(scale: Scale) -> list[Figure]:  # noqa: ARG001  # counts are exact at any scale
    names = [*(each.name for each in CONTENDERS), *PEERS]
    with serve(companies=1) as site:
        counts = await counted(
            "benchmarks.bench_peers", [str(site.ports["http"]), site.authority], dict.fromkeys(names, _TIMES)
        )
    return [
        Figure("read one serie", f"instructions, {RAW} = 1", counts[name] / counts[RAW], contender=name)
        for name in sorted(names, key=counts.__getitem__)
    ]


def _count(port: str, authority: str, *jobs: str) -> None:
    os.environ["SSL_CERT_FILE"] = authority  # some refuse to start without a certificate
    site = Site({"http": int(port)})
    contenders = {each.name: each for each in CONTENDERS}

    async def do(name: str, calls: int) -> None:
        async with AsyncExitStack() as stack:
            get: Get
            if name in contenders:
                get = (await stack.enter_async_context(contenders[name](site))).get_serie
            else:
                get = await PEERS[name](site.url(), stack)
            for number in UIDS[:calls]:
                assert str(number) in repr(await get(number))

    in_children(jobs, do)


if __name__ == "__main__":
    if sys.argv[1:2] == ["count"]:
        _count(*sys.argv[2:])
    else:
        run("peers", measure)
