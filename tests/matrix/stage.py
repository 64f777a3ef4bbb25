"""Where a fault happens for real: servers on loopback, each with its own way to go wrong, that count what they read."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import trustme
from attrs import evolve, field, frozen

from facturaonline_async import CambiosEmpresa, Config, Credentials, FacturaOnline, RetryPolicy
from tests.raw import Exchange, http, raw_server

API_KEY = "JDJ5JDEwJDhhOVM4bzhXZWlSaFBoMVlUNmJuWHVuNnVQczFaZGlaQlVI"
SECRET_KEY = "JDJ5JDEwJGM1S05VVzA2dzhyOU9oSDRNVlBOei5CZ3BRZmpIVlpqUFBZ"
PASSWORD = "clave-muy-secreta"
SECRETS = (API_KEY, SECRET_KEY, PASSWORD)
KEYS = Credentials(api_key=API_KEY, secret_key=SECRET_KEY)

QUICK = Config(
    rates=(),
    retry=RetryPolicy(transient=0.001, throttled=0.001),
    connect_timeout=0.2,
    read_timeout=0.15,
    total_timeout=0.3,
    upload_timeout=0.3,
    deadline=4,
    max_answer_bytes=100_000,
    max_list_bytes=100_000,
    check_sello=False,
)


# ── Operations ────────────────────────────────────────────────────────────────────────────────────────────────────────


@frozen
class Operation:
    """A column of the matrix: one call that stands for its kind."""

    name: str
    endpoint: str
    line: bytes
    call: Callable[[FacturaOnline], Awaitable[object]] = field(repr=False)
    yes: bytes = field(repr=False)

    def asked(self, request: bytes) -> bool:
        return request.startswith(self.line)


def _recorded(name: str) -> bytes:
    return (Path(__file__).parent.parent / "wire" / name).read_bytes()


SERIE = _recorded("series/get.json").replace(b"19843", b"7")

READ = Operation("read", "series.get", b"GET /api/v4/series/7 ", lambda client: client.series.get(7), SERIE)
LIST = Operation(
    "read", "series.list", b"GET /api/v4/series ", lambda client: client.series.list(), _recorded("series/list.json")
)
CREATE = Operation(
    "create",
    "series.create",
    b"POST /api/v4/series/create ",
    lambda client: client.series.create(letra="F", tipo_documento="factura"),
    _recorded("series/create.json"),
)
UPDATE = Operation(
    "update",
    "empresas.update",
    b"POST /api/v4/account/61e20b1903bad/update ",
    lambda client: client.empresas.update("61e20b1903bad", CambiosEmpresa(ciudad="Arandas")),
    _recorded("empresas/update.json"),
)
UPDOWN = Operation(
    "updown",
    "series.deactivate",
    b"POST /api/v4/series/7/down ",
    lambda client: client.series.deactivate(7),
    _recorded("series/deactivate.json"),
)
DELETE = Operation(
    "delete",
    "series.delete",
    b"POST /api/v4/series/7/drop ",
    lambda client: client.series.delete(7),
    _recorded("series/delete.json"),
)
OPERATIONS = (READ, CREATE, UPDATE, UPDOWN, DELETE)


# ── Stages ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@frozen
class Stage:
    """A place to call, and what was counted there."""

    base_url: str
    requests: Callable[[], int] = lambda: 0
    looks: Callable[[], int] = lambda: 0
    strangers: Callable[[], int] = lambda: 0
    config: Config = QUICK
    between: Callable[[], None] = lambda: None
    """What happens once a first call has left a connection to be kept."""


Staging = Callable[[Operation], AbstractAsyncContextManager[Stage]]
Fault = Callable[[Exchange, Operation], Awaitable[None]]


def raw(fault: Fault, *, times: int | None = None, config: Config = QUICK) -> Staging:
    """Let the operation meet the fault (so many times at most), and answer looks honestly: the serie is active."""

    @asynccontextmanager
    async def staging(operation: Operation) -> AsyncIterator[Stage]:
        met = 0

        async def handle(exchange: Exchange) -> None:
            nonlocal met
            if not operation.asked(exchange.request):
                await exchange.write(http(SERIE))
            elif times is not None and met >= times:
                await exchange.write(http(operation.yes))
            else:
                met += 1
                await fault(exchange, operation)

        async with raw_server(handle) as server:

            def requests() -> int:
                return sum(map(operation.asked, server.requests))

            yield Stage(server.base_url, requests, lambda: len(server.requests) - requests(), config=config)

    return staging


def answers(content: bytes, *, then: str = "close", times: int | None = None, config: Config = QUICK) -> Staging:
    """Answer with these bytes, and then close, reset, keep or leave hanging the connection."""

    async def fault(exchange: Exchange, _: Operation) -> None:
        if content:
            await exchange.write(content)
        if then == "close":
            exchange.writer.close()
        elif then == "reset":
            reset(exchange.writer)
        elif then == "hang":
            await asyncio.sleep(60)

    return raw(fault, times=times, config=config)


def reset(writer: asyncio.StreamWriter) -> None:
    """Close the connection with an RST."""
    plug = writer.get_extra_info("socket")
    plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def says(
    body: Any, *, status: str = "200 OK", headers: bytes = b"", times: int | None = None, config: Config = QUICK
) -> Staging:
    """Answer well-formed HTTP with this body: JSON, unless it is bytes. Secrets are echoed in a way that is known."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return answers(http(content, status=status, headers=headers), then="keep", times=times, config=config)


def nothing() -> Staging:
    return answers(b"")


def before_reading(*, is_reset: bool) -> Staging:
    """Close the connection as soon as it is seen for what it is, without having read the request."""

    @asynccontextmanager
    async def staging(operation: Operation) -> AsyncIterator[Stage]:
        lines: list[bytes] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                line = await reader.readline()
                if not line:
                    return
                lines.append(line)
                if operation.asked(line):
                    reset(writer) if is_reset else writer.close()
                else:
                    await reader.readuntil(b"\r\n\r\n")
                    writer.write(http(SERIE, headers=b"Connection: close\r\n"))
                    await writer.drain()
            except (ConnectionError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.close()

        listener = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]

        def requests() -> int:
            return sum(map(operation.asked, lines))

        try:
            yield Stage(f"http://127.0.0.1:{port}/api", requests, lambda: len(lines) - requests())
        finally:
            listener.close()
            await listener.wait_closed()

    return staging


def stale() -> Staging:
    """Close a kept connection in the moment that its second request arrives."""

    @asynccontextmanager
    async def staging(operation: Operation) -> AsyncIterator[Stage]:
        seen: dict[asyncio.StreamWriter, int] = {}

        async def handle(exchange: Exchange) -> None:
            seen[exchange.writer] = seen.get(exchange.writer, 0) + 1
            if operation.asked(exchange.request) and seen[exchange.writer] > 1:
                exchange.writer.close()
            else:
                yes = operation.yes if operation.asked(exchange.request) else SERIE
                # What follows finds a fresh connection, so that only the first attempt meets a stale one.
                ends = b"" if b"/series/8 " in exchange.request else b"Connection: close\r\n"
                await exchange.write(http(yes, headers=ends))

        async with raw_server(handle) as server:

            def requests() -> int:
                return sum(map(operation.asked, server.requests))

            def looks() -> int:
                return sum(request.startswith(READ.line) for request in server.requests) * (operation is not READ)

            yield Stage(server.base_url, requests, looks)

    return staging


def unasked(answer: bytes) -> Staging:
    """Answer a first request twice: once more when its connection lies idle."""

    @asynccontextmanager
    async def staging(operation: Operation) -> AsyncIterator[Stage]:
        first: list[asyncio.StreamWriter] = []

        async def handle(exchange: Exchange) -> None:
            if b"/series/8 " in exchange.request:
                first.append(exchange.writer)
            await exchange.write(http(operation.yes if operation.asked(exchange.request) else SERIE))

        async with raw_server(handle) as server:

            def requests() -> int:
                return sum(map(operation.asked, server.requests))

            yield Stage(server.base_url, requests, between=lambda: first[0].write(answer))

    return staging


#: Connections that are never made, and a deadline that ends before any other clock of the attempt.
HASTY = evolve(QUICK, connect_timeout=9, read_timeout=9, total_timeout=9, upload_timeout=9, deadline=0.2)


@asynccontextmanager
async def slow_tcp(operation: Operation) -> AsyncIterator[Stage]:
    async with full(operation) as stage:
        yield evolve(stage, config=HASTY)


def silent(*, is_proxy: bool) -> Staging:
    """Accept connections, and never say a word: to a TLS client, or as a proxy."""

    @asynccontextmanager
    async def staging(operation: Operation) -> AsyncIterator[Stage]:
        heard: list[bytes] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while chunk := await reader.read(65536):
                    heard.append(chunk)
            except ConnectionError:
                pass
            finally:
                writer.close()

        listener = await asyncio.start_server(serve, "127.0.0.1", 0)
        here = f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        config = evolve(HASTY, proxy=f"http://{here}") if is_proxy else HASTY
        base_url = "https://sandbox.facturaonline.com.mx/api" if is_proxy else f"https://{here}/api"

        def requests() -> int:
            return sum(operation.line.split()[1] in each or API_KEY.encode() in each for each in heard)

        try:
            yield Stage(base_url, requests, config=config)
            assert heard != []
        finally:
            listener.close()
            await listener.wait_closed()

    return staging


@asynccontextmanager
async def slow_dns(_: Operation) -> AsyncIterator[Stage]:
    """Ask a name server that never answers."""
    loop = asyncio.get_running_loop()

    async def never(*_: object, **__: object) -> object:
        return await asyncio.Event().wait()

    loop.getaddrinfo = never  # type: ignore[method-assign, assignment]  # a loop that this test alone uses
    yield Stage("https://slow.example/api", config=HASTY)


@asynccontextmanager
async def refused(_: Operation) -> AsyncIterator[Stage]:
    with socket.socket() as plug:
        plug.bind(("127.0.0.1", 0))
        yield Stage(f"http://127.0.0.1:{plug.getsockname()[1]}/api")


@asynccontextmanager
async def nowhere(_: Operation) -> AsyncIterator[Stage]:
    yield Stage("https://no-such-host.invalid/api")


@asynccontextmanager
async def full(_: Operation) -> AsyncIterator[Stage]:
    """Listen, and accept nobody: the queue of those who wait is full."""
    with socket.socket() as plug:
        plug.bind(("127.0.0.1", 0))
        plug.listen(0)
        waiting = []
        for _each in range(4):
            other = socket.socket()
            other.setblocking(False)  # noqa: FBT003  # a name that socket gives
            other.connect_ex(plug.getsockname())
            waiting.append(other)
        await asyncio.sleep(0.05)
        try:
            yield Stage(f"http://127.0.0.1:{plug.getsockname()[1]}/api")
        finally:
            for other in waiting:
                other.close()


def over_tls(*, is_trusted: bool, host: str) -> Staging:
    """Show a certificate that nobody knows, or that is another host's."""

    @asynccontextmanager
    async def staging(operation: Operation) -> AsyncIterator[Stage]:
        authority = trustme.CA()
        server, client = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
        authority.issue_cert(host).configure_cert(server)
        if is_trusted:
            authority.configure_trust(client)
        lines: list[bytes] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            lines.append(await reader.readline())
            writer.close()

        listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server)
        port = listener.sockets[0].getsockname()[1]
        try:
            config = evolve(QUICK, ssl_context=client)
            yield Stage(f"https://127.0.0.1:{port}/api", lambda: sum(map(operation.asked, lines)), config=config)
        finally:
            listener.close()
            await listener.wait_closed()

    return staging


@asynccontextmanager
async def plain_behind_https(operation: Operation) -> AsyncIterator[Stage]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    try:
        yield Stage(f"https://127.0.0.1:{port}/api")
    finally:
        listener.close()
        await listener.wait_closed()


def elsewhere(status: str) -> Staging:
    """Point to a second server, which counts whoever comes."""

    @asynccontextmanager
    async def staging(operation: Operation) -> AsyncIterator[Stage]:
        async def welcome(exchange: Exchange) -> None:
            await exchange.write(http(operation.yes))

        async with raw_server(welcome) as other:
            location = f"Location: {other.base_url}/v4/series\r\n".encode()
            async with says(b"", status=status, headers=location)(operation) as stage:
                yield evolve(stage, strangers=lambda: len(other.requests))

    return staging


def trickle() -> Staging:
    """Give the answer a byte at a time, and never the last one."""

    async def fault(exchange: Exchange, _: Operation) -> None:
        await exchange.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _each in range(1000):
            await exchange.write(b" ")
            await asyncio.sleep(0.05)

    return raw(fault)


def slow_headers() -> Staging:
    async def fault(exchange: Exchange, _: Operation) -> None:
        for each in range(1000):
            await exchange.write(b"HTTP/1.1 200 OK\r\nX: "[each : each + 1] or b"x")
            await asyncio.sleep(0.05)

    return raw(fault)


def endless() -> Staging:
    async def fault(exchange: Exchange, _: Operation) -> None:
        await exchange.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await exchange.write(b"8000\r\n" + b" " * 0x8000 + b"\r\n")

    return raw(fault)


def zipped(content: bytes, *, claimed: int = 0) -> bytes:
    headers = b"Content-Encoding: gzip\r\n"
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%b\r\n" % (claimed or len(content), headers)
    return head + content


def gz(text: bytes) -> bytes:
    return gzip.compress(text)
