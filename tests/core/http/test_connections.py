"""Connections: the checks before the first byte, the proxy, timeouts and closing."""

from __future__ import annotations

import asyncio
import json
import select
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import aiohttp
import pytest
from attrs import define, evolve, field

from facturaonline_async import (
    SANDBOX,
    Config,
    FacturaOnline,
    NotSentError,
    OutcomeUnknownError,
    RequestTimeoutError,
    RetryPolicy,
    ServerError,
    SessionManager,
)
from tests.creates import create_after
from tests.plans import nueva
from tests.raw import Exchange, http, raw_server
from tests.replay import CREDENTIALS
from tests.virtual import virtually

QUICK = Config(rates=(), retry=RetryPolicy(attempts=1, read_attempts=1), keepalive=600, check_sello=False)
YES = b'{"status": "success", "message": "yes"}'


def serie(letra: str) -> bytes:
    row = {"SerieID": 7, "SerieName": letra, "SerieType": "factura", "SerieStatus": "Activa"}
    return http(json.dumps({"status": "success", "data": row}).encode())


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110  # the condition sends no notification
        await asyncio.sleep(0)


def session_of(client: FacturaOnline) -> aiohttp.ClientSession:
    http = client.session._engine.transport.http
    assert http is not None
    return http


def kept(client: FacturaOnline) -> list[Any]:
    """Return the protocols of the idle connections."""
    connector = session_of(client).connector
    assert connector is not None
    return [protocol for each in connector._conns.values() for protocol, _ in each]


@asynccontextmanager
async def opened(base_url: str, config: Config = QUICK) -> AsyncIterator[FacturaOnline]:
    async with SessionManager(evolve(config, base_url=base_url)) as session:
        yield FacturaOnline(session, CREDENTIALS)


# ── Unexpected answers ────────────────────────────────────────────────────────────────────────────────────────────────


@define
class Threaded:
    """Server in threads, which answers while the event loop is blocked."""

    base_url: str = ""
    requests: list[bytes] = field(factory=list)
    connections: list[socket.socket] = field(factory=list)

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self.answer, args=(connection,), daemon=True).start()

    def answer(self, connection: socket.socket) -> None:
        with suppress(OSError):  # either end may close
            while request := connection.recv(65536):
                self.requests.append(request)
                connection.sendall(http(YES) if request.startswith(b"POST") else serie(f"C{len(self.connections)}"))


@contextmanager
def threaded() -> Iterator[Threaded]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Threaded(f"http://127.0.0.1:{listener.getsockname()[1]}/api")
        thread = threading.Thread(target=server.serve, args=(listener,))
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in server.connections:
                connection.close()


def wait_for_bytes(client: FacturaOnline) -> None:
    """Block the loop until the kernel holds data for the idle connection."""
    poll = select.poll()
    poll.register(kept(client)[0].transport.get_extra_info("socket"), select.POLLIN)
    assert poll.poll(60_000) != []


async def test_unread_data_is_not_taken_for_the_answer_to_the_next_call() -> None:
    with threaded() as server:
        async with opened(server.base_url) as client:
            assert (await client.series.get(7)).letra == "C1"
            server.connections[0].sendall(serie("LATE"))
            wait_for_bytes(client)
            assert (await client.series.get(7)).letra == "C2"
    assert len(server.requests) == 2


@pytest.mark.parametrize("is_apart", [False, True], ids=["with the answer before it", "apart"])
@pytest.mark.parametrize("length", [1, 12, 17, 30, -1])
async def test_a_partial_unexpected_answer_is_detected(length: int, *, is_apart: bool) -> None:
    numbers: dict[asyncio.StreamWriter, int] = {}

    async def answer(exchange: Exchange) -> None:
        number = numbers.setdefault(exchange.writer, len(numbers) + 1)
        late = serie("LATE")[:length]
        await exchange.write(serie(f"C{number}") + (b"" if is_apart else late))
        if is_apart and number == 1:
            await until(lambda: kept(client))
            await exchange.write(late)

    async with raw_server(answer) as server, opened(server.base_url) as client:
        assert (await client.series.get(7)).letra == "C1"
        if is_apart:
            unread = [protocol.poll_unread for protocol in kept(client)]
            await until(lambda: any(poll(0) for poll in unread))
            await until(lambda: not any(poll(0) for poll in unread))
        assert (await client.series.get(7)).letra == "C2"


async def test_a_create_is_not_sent_over_a_connection_that_the_server_closed() -> None:
    with threaded() as server:
        async with opened(server.base_url) as client:
            await client.series.get(7)
            server.connections[0].shutdown(socket.SHUT_RDWR)
            wait_for_bytes(client)
            await client.series.create(letra="F", tipo_documento="factura")
    assert [request.split()[0] for request in server.requests] == [b"GET", b"POST"]


async def test_kept_connections_with_unexpected_data_are_not_used() -> None:
    with threaded() as server:
        async with opened(server.base_url) as client:
            await asyncio.gather(*(client.series.get(7) for _ in range(5)))
            for connection in server.connections:
                connection.sendall(serie("LATE"))
            await until(lambda: all(protocol.should_close for protocol in kept(client)))
            assert (await client.series.get(7)).letra == "C6"
            assert len(kept(client)) == 1


async def test_data_on_a_new_connection_before_the_request_means_not_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    create = aiohttp.TCPConnector._create_connection

    async def create_slowly(self: aiohttp.TCPConnector, *more: Any) -> Any:
        protocol = await create(self, *more)
        await until(lambda: protocol._tail)
        return protocol

    monkeypatch.setattr(aiohttp.TCPConnector, "_create_connection", create_slowly)
    received: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(serie("EARLY"))
        received.append(await reader.read(65536))
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listener, opened(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/api") as client:
        with pytest.raises(NotSentError, match=r"127\.0\.0\.1 answered before the request was sent"):
            await client.series.create(letra="F", tipo_documento="factura")
        await until(lambda: received)
    assert received == [b""]


@pytest.mark.virtual_clock
async def test_a_request_over_a_kept_connection_may_have_been_sent() -> None:
    """The second call uses an open connection, so that its bytes may have been sent."""

    async def handle(exchange: Exchange) -> None:
        if exchange.number == 1:
            await exchange.write(serie("F"))
        else:
            await asyncio.sleep(60)

    async with raw_server(handle) as server, opened(server.base_url, evolve(QUICK, deadline=0.1)) as client:
        await client.series.get(7)
        with pytest.raises(RequestTimeoutError):
            await client.series.create(letra="F", tipo_documento="factura")
        assert len(server.requests) == 2


# ── Nothing was written ───────────────────────────────────────────────────────────────────────────────────────────────

CLOCKS = ["deadline", "total_timeout", "read_timeout", "connect_timeout"]


@asynccontextmanager
async def listening(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    """Serve raw connections, and yield the port."""
    tasks: set[asyncio.Task[None]] = set()

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await serve(reader, writer)
        except (asyncio.CancelledError, ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()

    listener = await asyncio.start_server(run, "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await listener.wait_closed()


async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    while await reader.read(65536):
        pass


async def drop(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()
    await reader.read()


async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"what?\r\n\r\n")
    await writer.drain()
    await reader.read()


@pytest.mark.virtual_clock
@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize("is_proxy", [False, True], ids=["TLS", "proxy"])
async def test_a_timeout_while_connecting_means_not_sent(clock: str, is_proxy: bool) -> None:  # noqa: FBT001
    async with listening(hang) as port:
        config = evolve(QUICK, **{clock: 0.1})  # type: ignore[arg-type]
        config = evolve(config, proxy=f"http://127.0.0.1:{port}") if is_proxy else config
        async with opened(SANDBOX if is_proxy else f"https://127.0.0.1:{port}/api", config) as client:
            with pytest.raises(NotSentError, match=r"no connection to .* in time"):
                await client.series.create(letra="F", tipo_documento="factura")


# ── Proxy errors show no password ─────────────────────────────────────────────────────────────────────────────────────

THROUGH = r"sandbox\.facturaonline\.com\.mx through the proxy 127\.0\.0\.1:\d+"
PROXIES: dict[str, tuple[Any, str, str]] = {
    "unknown name": (None, "http://u:hush-hush@proxy.corp.invalid:3128", r"the proxy proxy\.corp\.invalid:3128: "),
    "closed port": (None, "http://u:hush-hush@127.0.0.1:1", r"the proxy 127\.0\.0\.1:1: "),
    "drops": (drop, "http://u:hush-hush@127.0.0.1:{}", THROUGH),
    "hangs": (hang, "http://u:hush-hush@127.0.0.1:{}", THROUGH + " in time"),
    "hangs in TLS": (hang, "https://u:hush-hush@127.0.0.1:{}", THROUGH + " in time"),
    "no TLS": (babble, "https://u:hush-hush@127.0.0.1:{}", r"the proxy 127\.0\.0\.1:\d+"),
    "no HTTP": (babble, "http://u:hush-hush@127.0.0.1:{}", THROUGH),
    "407": (
        refuse,
        "http://u:hush-hush@127.0.0.1:{}",
        r"the proxy 127\.0\.0\.1:\d+ refused .* \(HTTP 407\): give its user",
    ),
}


@pytest.mark.virtual_clock
@pytest.mark.parametrize("case", PROXIES)
async def test_an_unreachable_proxy_is_named_without_its_password(case: str) -> None:
    serve, proxy, message = PROXIES[case]
    async with listening(serve or drop) as port:
        config = evolve(QUICK, proxy=proxy.format(port), deadline=0.3)
        async with opened(SANDBOX, config) as client:
            with pytest.raises(NotSentError, match=message) as refused:
                await client.series.create(letra="F", tipo_documento="factura")
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("is_tunnel", [True, False])
async def test_a_proxy_gets_its_user_and_password(is_tunnel: bool) -> None:  # noqa: FBT001
    heads: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    async with listening(note) as port:
        config = evolve(QUICK, proxy=f"http://us%40r:p%C3%B1ss@127.0.0.1:{port}")
        base_url = SANDBOX if is_tunnel else "http://127.0.0.1:9/api"
        async with opened(base_url, config) as client:
            with pytest.raises(NotSentError if is_tunnel else OutcomeUnknownError):
                await client.series.create(letra="F", tipo_documento="factura")
            proxy = session_of(client)._default_proxy
    assert heads[0].startswith(b"CONNECT " if is_tunnel else b"POST http://127.0.0.1:9/api")
    assert b"\r\nProxy-Authorization: Basic dXNAcjpww7Fzcw==\r\n" in heads[0]
    assert (b"F-Secret-Key" in heads[0]) is not is_tunnel
    assert repr(proxy) == f"URL('http://127.0.0.1:{port}')"


# ── Time-outs ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("body", [b"", b"{"])
def test_a_stalled_answer_ends_after_read_timeout_also_for_an_upload(body: bytes) -> None:
    async def stop(exchange: Exchange) -> None:
        await exchange.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + body)
        await asyncio.get_running_loop().create_future()

    async def main() -> list[float]:
        config = evolve(QUICK, read_timeout=5, total_timeout=30, upload_timeout=60, deadline=100)
        took = []
        async with raw_server(stop) as server, opened(server.base_url, config) as client:
            loop = asyncio.get_running_loop()
            for call in (client.series.list(), client.empresas.create(nueva("ÑAN&010101ABC"), validate=False)):
                started_at = loop.time()
                with pytest.raises(RequestTimeoutError):
                    await call
                took.append(loop.time() - started_at)
        return took

    assert virtually(main()) == pytest.approx([5, 5], abs=0.01)


# ── Interrupted ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_session_closed_between_slot_and_attempt_sends_nothing() -> None:
    with threaded() as server:
        async with opened(server.base_url) as client:
            await client.series.get(7)

            with pytest.raises(NotSentError, match="closed before the call was sent"):
                await create_after(client, "F", client.session.aclose)
    assert len(server.requests) == 1


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("stage", ["resolving", "connected"])
async def test_closing_ends_calls_in_flight_before_it_returns_and_cancels_none(
    scheme: str, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = asyncio.Event()
    greeted: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        greeted.append(await reader.read(1))
        if len(greeted) == 2:
            reached.set()
        await reader.read()
        writer.close()

    async def resolve(*_: object, **__: object) -> None:
        reached.set()
        await asyncio.get_running_loop().create_future()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    host = "127.0.0.1"
    if stage == "resolving":
        host = "localhost" if scheme == "http" else "slow.example"
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    async with listener, opened(f"{scheme}://{host}:{listener.sockets[0].getsockname()[1]}/api") as client:
        calls = [
            asyncio.create_task(client.series.create(letra=letra, tipo_documento="factura")) for letra in ("F", "G")
        ]
        await reached.wait()
        await client.session.aclose()
        assert [call.done() for call in calls] == [True, True]
        ended = await asyncio.gather(*calls, return_exceptions=True)
    is_sent = (scheme, stage) == ("http", "connected")
    assert [type(each) for each in ended] == [OutcomeUnknownError if is_sent else NotSentError] * 2
    assert ["the session was closed" in str(each) for each in ended] == [True, True]


async def test_closing_ends_a_pause_before_a_retry_with_the_last_error() -> None:
    answered = asyncio.Event()

    async def be_down(exchange: Exchange) -> None:
        await exchange.write(http(b"", status="503 Down", headers=b"Retry-After: 3600\r\n"))
        answered.set()

    config = evolve(QUICK, retry=RetryPolicy(read_attempts=3), deadline=7200)
    async with raw_server(be_down) as server, opened(server.base_url, config) as client:
        reading = asyncio.create_task(client.series.list())
        await answered.wait()
        await until(lambda: client.session._engine._scheduler.is_held(CREDENTIALS.fingerprint))
        await client.session.aclose()
        with pytest.raises(ServerError):
            await reading
    assert len(server.requests) == 1


async def test_a_read_in_flight_at_closing_is_not_retried() -> None:
    asked = asyncio.Event()

    async def hang(_: Exchange) -> None:
        asked.set()
        await asyncio.get_running_loop().create_future()

    async with raw_server(hang) as server, opened(server.base_url, Config(rates=())) as client:
        reading = asyncio.create_task(client.series.list())
        await asked.wait()
        await client.session.aclose()
        assert reading.done()
        with pytest.raises(OutcomeUnknownError, match="closed while the call was in flight"):
            await reading
    assert len(server.requests) == 1
