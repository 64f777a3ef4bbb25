"""Instructions of one GET through other clients, on the same server: ``python -m benchmarks.bench_peers``.

The peers are libraries of the same kind, with aiohttp below where they can, and a wrapper as people write it. Each
reads one serie with its own generic request method, and returns its JSON as a value.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Final

import aiohttp
import httpx
import stripe
from openai import AsyncOpenAI, DefaultAioHttpClient

from benchmarks.answers import API_KEY, HEADERS
from benchmarks.command import Scale, run
from benchmarks.contenders import CASES, CONTENDERS, Calls, Open, count_calls, run_counted
from benchmarks.figures import RAW, Figure
from benchmarks.server import serve

__all__ = ["PEERS", "measure"]


async def open_httpx(url: str, stack: AsyncExitStack) -> Calls:
    client = await stack.enter_async_context(httpx.AsyncClient(headers=HEADERS))

    async def get(uid: int) -> object:
        return (await client.get(f"{url}/v4/series/{uid}")).json()

    return {"get": get}


async def open_wrapper(url: str, stack: AsyncExitStack) -> Calls:  # noqa: ARG001  # it closes each session
    async def get(uid: int) -> object:
        async with (
            aiohttp.ClientSession(headers=HEADERS) as session,
            session.get(f"{url}/v4/series/{uid}") as response,
        ):
            return await response.json()

    return {"get": get}


async def open_openai(url: str, stack: AsyncExitStack) -> Calls:
    http = DefaultAioHttpClient()
    client = AsyncOpenAI(base_url=url, api_key=API_KEY, http_client=http, default_headers=HEADERS)
    await stack.enter_async_context(client)

    async def get(uid: int) -> object:
        return await client.get(f"/v4/series/{uid}", cast_to=object)

    return {"get": get}


async def open_stripe(url: str, stack: AsyncExitStack) -> Calls:
    http = stripe.AIOHTTPClient()
    stack.push_async_callback(http.close_async)
    client = stripe.StripeClient(API_KEY, http_client=http, base_addresses={"api": url})

    async def get(uid: int) -> object:
        return client.deserialize(await client.raw_request_async("get", f"/v4/series/{uid}"), api_mode="V1")

    return {"get": get}


PEERS: Final[Mapping[str, Open]] = {
    "aiohttp, a session for each call": open_wrapper,
    "stripe": open_stripe,
    "httpx": open_httpx,
    "openai": open_openai,
}


async def measure(scale: Scale) -> list[Figure]:  # noqa: ARG001  # counts are exact at any scale
    names = [*CONTENDERS, *PEERS]
    with serve(companies=1) as url:
        counts = await count_calls("benchmarks.bench_peers", url, [f"{name}/get" for name in names])
    raw = counts[f"{RAW}/get"]
    return [
        Figure(CASES["get"], f"instructions, {RAW} = 1", counts[f"{name}/get"] / raw, contender=name) for name in names
    ]


if __name__ == "__main__":
    if sys.argv[1:2] == ["count"]:
        os.environ.pop("SSL_CERT_FILE", None)  # some refuse to start without certificates
        run_counted({**CONTENDERS, **PEERS}, *sys.argv[2:])
    else:
        run("peers", measure)
