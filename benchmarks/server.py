"""Servers in processes of their own: one with canned answers, and the emulator.

``python -m benchmarks.server`` is what `serve` and `emulated` start. It prints where it listens, as JSON, and serves
until its standard input ends.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from attrs import frozen

from benchmarks.answers import UIDS, answers
from benchmarks.plans import company_uid
from facturaonline_async import Credentials
from facturaonline_async._cli.example import example_rfcs
from facturaonline_async.testing import Emulator

__all__ = ["Account", "emulated", "serve"]

#: As recorded of the API, which sets a cookie with each answer.
_HEADERS: Final = {
    "Server": "Apache",
    "Cache-Control": "no-cache, private",
    "Content-Type": "application/json",
    "Set-Cookie": "laravel_session=eyJpdiI6IkFBQUFBQUFBQUFBQUFBQUFBQUFBQUE9PSJ9; path=/; httponly",
}


@contextmanager
def serve(*, companies: int = 10_000) -> Iterator[str]:
    """Run the server with canned answers, so many companies in its list; give its URL."""
    with _started("canned", str(companies)) as at:
        yield at["url"]


@frozen
class Account:
    """An account of the emulator: its URL, and the keys of its main company."""

    url: str
    keys: Credentials


@contextmanager
def emulated(**options: object) -> Iterator[Account]:
    """Run an `Emulator` with these options; so many `companies` of a plan exist."""
    with _started("emulator", json.dumps(options)) as at:
        yield Account(at["url"], Credentials(api_key=at["api_key"], secret_key=at["secret_key"]))


@contextmanager
def _started(*arguments: str) -> Iterator[dict[str, Any]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.server", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[1],
        text=True,
    )
    assert process.stdin
    assert process.stdout
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


async def _until_stdin_ends(where: dict[str, Any]) -> None:
    gc.freeze()
    print(json.dumps(where), flush=True)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()
    os._exit(0)  # it waits for no client's connections


async def _emulate(options: str) -> None:
    given = {"log_limit": 0, "companies": 0, **json.loads(options)}
    companies = given.pop("companies")
    async with Emulator(**given) as emulator:
        for number, rfc in enumerate(islice(example_rfcs(), companies)):
            emulator.add_empresa(rfc=rfc, uid=company_uid(number))
        keys = emulator.credentials
        await _until_stdin_ends(
            {"url": emulator.base_url, "api_key": keys.api_key.reveal(), "secret_key": keys.secret_key.reveal()}
        )


async def _answer_canned(companies: str) -> None:
    ready = answers(int(companies))

    async def answer(request: web.BaseRequest) -> web.Response:
        """Return bytes that are ready; the uid of a serie is replaced by the one of the path, of the same length."""
        await request.read()
        body = ready.get(f"{request.method} {request.path}")
        if body is None:
            route, _, uid = request.path.rpartition("/")
            body = ready[f"{request.method} {route}/"].replace(b"%d" % UIDS[0], uid.encode())
        return web.Response(body=body, headers=_HEADERS)

    runner = web.ServerRunner(web.Server(answer, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    await _until_stdin_ends({"url": f"http://127.0.0.1:{runner.addresses[0][1]}/api"})


if __name__ == "__main__":
    _, kind, *given = sys.argv
    asyncio.run(_emulate(*given) if kind == "emulator" else _answer_canned(*given))
