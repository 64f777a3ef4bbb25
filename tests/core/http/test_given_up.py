"""Abandoned requests: neither this process nor its kernel sends the rest of them."""

from __future__ import annotations

import asyncio
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme
from attrs import evolve

from facturaonline_async import FacturaOnline, NuevaEmpresa, OutcomeUnknownError, RequestTimeoutError
from facturaonline_async.testing import make_sello
from tests.core.http.test_connections import QUICK, kept, opened, serie, threaded, until
from tests.raw import Exchange, raw_server

STOPPED_SERVER = """
import socket, sys
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
listener.bind(("127.0.0.1", 0)); listener.listen()
print(listener.getsockname()[1], flush=True)
connection, _ = listener.accept()
total, body = 0, None
try:
    while chunk := connection.recv(65536): total += len(chunk)
    print("closed after", total, flush=True)
except ConnectionResetError:
    print("reset after", total, flush=True)
"""

CLIENT = """
import asyncio, sys
from tests.core.http.test_connections import QUICK, opened
from tests.core.http.test_given_up import LARGE
from attrs import evolve
async def main():
    async with opened(sys.argv[1], evolve(QUICK, total_timeout=1, upload_timeout=1, deadline=60)) as client:
        client.session._engine.transport._deadline_timer._expire = lambda *_: None  # the kernel alone ends the attempt
        create = asyncio.ensure_future(client.empresas.create(LARGE))
        deadlines = client.session._engine.transport._deadline_timer.deadlines
        while not deadlines or not (transport := next(iter(deadlines.values())).transport): await asyncio.sleep(0)
        while transport.get_write_buffer_size() or not transport.get_extra_info("socket"): await asyncio.sleep(0)
        await asyncio.sleep(0.1)
        print(transport.get_extra_info("sockname")[1], flush=True)
        await create
asyncio.run(main())
"""

PNG = b"\x89PNG\r\n\x1a\n"
LARGE = NuevaEmpresa(
    razon_social="UNA",
    rfc="EKU9003173C9",
    codpos="42501",
    email="a@b.mx",
    regimen="601",
    regimen_nomina="601",
    csd=make_sello("EKU9003173C9"),
    logo=PNG + b"x" * 120_000,
)
HUGE = evolve(LARGE, logo=PNG + b"x" * 1_048_000)


@contextmanager
def stopped() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a server whose process is stopped: its kernel accepts some bytes, and it reads nothing."""
    with subprocess.Popen([sys.executable, "-c", STOPPED_SERVER], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        base_url = f"http://127.0.0.1:{server.stdout.readline().strip()}/api"
        server.send_signal(signal.SIGSTOP)
        try:
            yield server, base_url
        finally:
            server.kill()


async def resume(server: subprocess.Popen[str]) -> str:
    """Resume the server, and return its report after the connection has ended."""
    server.send_signal(signal.SIGCONT)
    assert server.stdout is not None
    return (await asyncio.to_thread(server.stdout.readline)).strip()


async def time_out(client: FacturaOnline, create: asyncio.Future[object]) -> None:
    await written(client)
    timer, loop = client.session._engine.transport._deadline_timer, asyncio.get_running_loop()
    for deadline in timer.deadlines.values():
        timer.extend(loop, deadline, loop.time())
    with pytest.raises(RequestTimeoutError):
        await create


async def cancel(client: FacturaOnline, create: asyncio.Future[object]) -> None:
    await written(client)
    create.cancel()
    with pytest.raises(asyncio.CancelledError):
        await create


async def close(client: FacturaOnline, create: asyncio.Future[object]) -> None:
    await written(client)
    await client.session.aclose()
    with pytest.raises(OutcomeUnknownError):
        await create


async def written(client: FacturaOnline) -> None:
    """Wait until a request is being written."""
    deadlines = client.session._engine.transport._deadline_timer.deadlines
    await until(lambda: any(deadline.transport for deadline in deadlines.values()))


@pytest.mark.skipif(sys.platform == "win32", reason="processes cannot be stopped here")
@pytest.mark.parametrize("end", [time_out, cancel, close])
async def test_the_rest_of_an_abandoned_request_is_never_sent(
    end: Callable[[FacturaOnline, asyncio.Future[object]], Awaitable[None]],
) -> None:
    with stopped() as (server, base_url):
        async with opened(base_url, evolve(QUICK, upload_timeout=60)) as client:
            await end(client, asyncio.ensure_future(client.empresas.create(HUGE)))
            report = await resume(server)
    assert report.startswith("reset after ")
    assert int(report.split()[-1]) < 1_048_000


class PausedServer(asyncio.Protocol):
    """Server protocol that reads nothing at first, and later counts the bytes until the connection ends."""

    def __init__(self, ended: asyncio.Future[tuple[int, str]]) -> None:
        self._ended = ended
        self._total = 0
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        self._total += len(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended.set_result((self._total, type(exc).__name__))


async def test_the_rest_of_an_abandoned_request_over_tls_is_never_sent() -> None:
    loop = asyncio.get_running_loop()
    authority = trustme.CA()
    ours, theirs = ssl.create_default_context(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.configure_trust(ours)
    authority.issue_cert("127.0.0.1").configure_cert(theirs)
    ended: asyncio.Future[tuple[int, str]] = loop.create_future()
    protocol = PausedServer(ended)
    listener = await loop.create_server(lambda: protocol, "127.0.0.1", 0, ssl=theirs)
    base_url = f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}/api"
    async with opened(base_url, evolve(QUICK, ssl_context=ours, upload_timeout=60)) as client:
        await cancel(client, asyncio.ensure_future(client.empresas.create(HUGE)))
        assert protocol.transport is not None
        protocol.transport.resume_reading()
        total, error = await ended
    listener.close()
    await listener.wait_closed()
    assert (total < 1_048_000, error) == (True, "ConnectionResetError")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="this system has no such option")
async def test_the_kernel_of_a_killed_client_stops_sending_after_the_timeout() -> None:
    with stopped() as (server, base_url):
        command = [sys.executable, "-c", CLIENT, base_url]
        root = Path(__file__).parents[3]
        client = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, cwd=root)
        assert client.stdout is not None
        port = int(await client.stdout.readline())
        client.kill()
        await client.wait()
        while is_known_to_the_kernel(port):  # noqa: ASYNC110  # the kernel sends no notification
            await asyncio.sleep(0.05)
        report = await resume(server)
    assert int(report.split()[-1]) < 120_000


def is_known_to_the_kernel(port: int) -> bool:
    lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    return any(line.split()[1].endswith(f":{port:04X}") for line in lines)


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="this system has no such option")
async def test_the_kernel_stops_sending_within_the_longest_attempt() -> None:
    with threaded() as server:
        async with opened(server.base_url, evolve(QUICK, total_timeout=7, upload_timeout=11)) as client:
            await client.series.get(7)
            sock = kept(client)[0].transport.get_extra_info("socket")
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 11_000


async def test_a_cancelled_call_does_not_reset_a_connection_that_returned_to_the_pool() -> None:
    """The complete answer was read when the call was cancelled: the connection serves the next call."""
    rest = asyncio.Event()

    async def handle(exchange: Exchange) -> None:
        whole = serie("F")
        await exchange.write(whole[:-20])
        await rest.wait()
        await exchange.write(whole[-20:])

    async with raw_server(handle) as server, opened(server.base_url) as client:
        reading = asyncio.ensure_future(client.series.get(7))
        await until(lambda: server.requests)
        rest.set()
        await until(lambda: client.session._engine.transport.http is not None and kept(client))
        assert not reading.done()
        reading.cancel()
        await asyncio.wait([reading])
        assert (await client.series.get(7)).letra == "F"
        assert server.connections == 1
