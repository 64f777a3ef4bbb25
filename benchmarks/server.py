"""Servers in processes of their own: one that costs next to nothing, and the emulator.

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

from attrs import frozen

from benchmarks.answers import UIDS, answers
from facturaonline_async import Credentials

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
    """Run the canned server, with so many companies in its list; give its URL."""
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
    print(json.dumps(where), flush=True)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()


async def _emulate(options: str) -> None:
    from benchmarks.plans import company_uid  # noqa: PLC0415  # the canned server imports none of these
    from facturaonline_async._cli.example import example_rfcs  # noqa: PLC0415
    from facturaonline_async.testing import Emulator  # noqa: PLC0415

    given = {"log_limit": 0, "companies": 0, **json.loads(options)}
    companies = given.pop("companies")
    async with Emulator(**given) as emulator:
        for number, rfc in enumerate(islice(example_rfcs(), companies)):
            emulator.add_empresa(rfc=rfc, uid=company_uid(number))
        keys = emulator.credentials
        await _until_stdin_ends(
            {"url": emulator.base_url, "api_key": keys.api_key.reveal(), "secret_key": keys.secret_key.reveal()}
        )
        os._exit(0)  # it waits for no client's connections


# ── The canned server ─────────────────────────────────────────────────────────────────────────────────────────────────


class _Connection(asyncio.Protocol):
    """Reads requests only to see where they end, and answers with bytes that are ready.

    It replaces the uid of a serie by the one in the path, which has the same length (`UIDS`).
    """

    _transport: asyncio.Transport

    def __init__(self, ready: dict[bytes, bytes]) -> None:
        self._ready = ready
        self._data = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.set_write_buffer_limits(1 << 24)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._data[:end]).lower()
            at = head.find(b"\r\ncontent-length:")
            size = 0
            if at >= 0:
                size = int(head[at + 17 :].split(b"\r\n", 1)[0])
            elif b"\r\ntransfer-encoding: chunked" in head:
                if not self._data.endswith(b"\r\n0\r\n\r\n"):
                    return
                size = len(self._data) - end - 4
            if len(self._data) < end + 4 + size:
                return
            del self._data[: end + 4 + size]
            self._answer(head[: head.index(b" http/")])

    def _answer(self, route: bytes) -> None:
        answer = self._ready.get(route)
        if answer is None:
            at = route.rindex(b"/") + 1
            answer = self._ready[route[:at]].replace(b"%d" % UIDS[0], route[at:])
        self._transport.write(answer)


def _ready(companies: int) -> dict[bytes, bytes]:
    """Return whole answers by route, in lower case."""
    ready = {}
    for route, body in answers(companies).items():
        lines = ["HTTP/1.1 200 OK", *(f"{name}: {value}" for name, value in _HEADERS.items())]
        head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode()
        ready[route.lower().encode()] = head + body
    return ready


async def _answer_canned(companies: str) -> None:
    ready = _ready(int(companies))
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(ready), "127.0.0.1", 0, backlog=1024)
    gc.freeze()
    await _until_stdin_ends({"url": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api"})


if __name__ == "__main__":
    _, kind, *given = sys.argv
    asyncio.run(_emulate(*given) if kind == "emulator" else _answer_canned(*given))
