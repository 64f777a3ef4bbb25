"""The emulator starts and stops cleanly on loopback, even if clients misbehave."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import datetime as dt
import gc
import ipaddress
import logging
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from facturaonline_async.errors import InvalidInputError
from facturaonline_async.testing import Emulator, Fault

from .caller import Caller, headers

pytestmark = pytest.mark.virtual_clock


def port_of(emulator: Emulator) -> int:
    port = urlsplit(emulator.base_url).port
    assert port is not None
    return port


async def is_open(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


async def test_each_emulator_listens_on_a_free_loopback_port(emulator: Emulator) -> None:
    async with Emulator() as other:
        assert emulator.base_url.startswith("http://127.0.0.1:")
        assert emulator.base_url.endswith("/api")
        assert port_of(emulator) != port_of(other)


async def test_the_emulator_can_listen_on_ipv6() -> None:
    async with Emulator(host="::1") as emulator, Caller(emulator) as caller:
        assert emulator.base_url.startswith("http://[::1]:")
        assert 200 == await caller.status("GET", "/v4/series")


def test_there_is_no_url_before_the_start() -> None:
    with pytest.raises(RuntimeError, match="await start"):
        _ = Emulator().base_url


async def test_a_second_start_is_refused(emulator: Emulator) -> None:
    with pytest.raises(RuntimeError, match="already"):
        await emulator.start()


async def test_starting_on_a_port_in_use_raises_oserror_and_closing_works(emulator: Emulator) -> None:
    second = Emulator(port=port_of(emulator))

    with pytest.raises(OSError, match=r"[Aa]ddress already in use"):
        await second.start()
    await second.aclose()


async def test_closing_twice_or_before_the_start_raises_nothing() -> None:
    emulator = Emulator()
    await emulator.aclose()
    await emulator.start()
    await emulator.aclose()
    await emulator.aclose()


async def test_a_restarted_emulator_keeps_its_port_state_and_log() -> None:
    async with Emulator() as emulator, Caller(emulator) as caller:
        await caller.create_serie("A")
        port = port_of(emulator)
        await emulator.aclose()
        assert not await is_open(port)
        await emulator.start()
        assert port == port_of(emulator)
        await caller.create_serie("B")

        assert ["A", "B"] == [row["letra"] for row in emulator.state["series"].values()]
        assert [1, 2] == [row.number for row in emulator.requests]


@pytest.mark.parametrize("fault", [Fault.delay(3600), Fault.delay_answer(3600), Fault.commit_late(3600)])
async def test_closing_is_quick_and_leaves_no_task_and_no_socket(fault: Fault) -> None:
    before = asyncio.all_tasks()
    emulator = Emulator()
    await emulator.start()
    port = port_of(emulator)
    emulator.inject(fault, times=None)
    async with Caller(emulator) as caller:
        calls = [asyncio.create_task(caller.create_serie(letra)) for letra in "ABC"]
        idle_reader, idle_writer = await asyncio.open_connection("127.0.0.1", port)
        half_reader, half_writer = await asyncio.open_connection("127.0.0.1", port)
        half_writer.write(b"POST /api/v4/series/create HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{")
        await asyncio.sleep(0.1)
        began = asyncio.get_running_loop().time()
        await emulator.aclose()
        took = asyncio.get_running_loop().time() - began
        outcomes = await asyncio.gather(*calls, return_exceptions=True)

        assert took < 0.5
        assert [True] * 3 == [isinstance(outcome, aiohttp.ClientError) for outcome in outcomes]
        assert not await is_open(port)
        for reader, writer in ((idle_reader, idle_writer), (half_reader, half_writer)):
            assert b"" == await reader.read()
            writer.close()
            await writer.wait_closed()
    await asyncio.sleep(0)
    gc.collect()  # an open socket would warn here, and warnings are errors

    assert set() == asyncio.all_tasks() - before


async def test_closing_cancels_the_tasks_of_disconnected_clients() -> None:
    """The server of aiohttp forgets the task of a connection that is lost; the emulator must not."""
    before = asyncio.all_tasks()
    async with Emulator() as emulator:
        emulator.inject(Fault.delay(3600))
        async with Caller(emulator) as caller:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(caller.create_serie(), 0.05)
        await asyncio.sleep(0.05)
        assert set() != asyncio.all_tasks() - before

    assert set() == asyncio.all_tasks() - before


async def test_closing_does_not_wait_for_a_client_that_reads_no_answer() -> None:
    async with Emulator() as emulator:
        for number in range(10_000):
            emulator.add_empresa(rfc=f"AAA{number:06d}AAA")
        keys = "".join(f"{name}: {value}\r\n" for name, value in headers(emulator.credentials).items())
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(emulator), limit=1024)
        writer.write(f"GET /api/v1/accounts HTTP/1.1\r\nHost: x\r\n{keys}\r\n".encode())
        await asyncio.sleep(0.5)
        began = asyncio.get_running_loop().time()
        await emulator.aclose()
        took = asyncio.get_running_loop().time() - began
        head = await reader.readuntil(b"\r\n\r\n")
        wanted = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        with contextlib.suppress(ConnectionResetError):
            assert len(await reader.read()) < wanted
        writer.transport.abort()

    assert took < 0.5


async def test_a_client_that_disconnects_early_causes_no_error(
    emulator: Emulator, caller: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    _, writer = await asyncio.open_connection("127.0.0.1", port_of(emulator))
    writer.write(b"POST /api/v4/series/create HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{")
    await asyncio.sleep(0.05)
    writer.transport.abort()
    await asyncio.sleep(0.05)
    emulator.inject(Fault.drop_after_commit())
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await caller.create_serie()

    assert [] == [record for record in caplog.records if record.name.startswith("aiohttp")]
    assert 1 == len(emulator.requests)


async def test_a_hundred_emulators_start_and_stop() -> None:
    before = asyncio.all_tasks()
    for _ in range(100):
        async with Emulator() as emulator, Caller(emulator) as caller:
            assert 200 == await caller.status("GET", "/v4/series")

    assert set() == asyncio.all_tasks() - before


def tls_contexts(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "emulator")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(Encoding.PEM)
    file = folder / "server.pem"
    file.write_bytes(pem + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cadata=pem.decode())


async def test_the_emulator_serves_https(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    server, client = tls_contexts(tmp_path)
    async with Emulator(ssl_context=server) as emulator, Caller(emulator) as caller:
        assert emulator.base_url.startswith("https://127.0.0.1:")
        assert 200 == (await caller.raw("GET", "/v4/series", ssl=client))[0].status
        emulator.inject(Fault.drop_after_commit())
        with pytest.raises(aiohttp.ClientError):
            await caller.raw("POST", "/v4/series/1/up", ssl=client)
        began = asyncio.get_running_loop().time()
        await emulator.aclose()
        assert asyncio.get_running_loop().time() - began < 0.5

    assert set() == asyncio.all_tasks() - before


@pytest.mark.parametrize("name", ["latency", "list_lag", "read_lag"])
@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_negative_and_non_finite_seconds_are_refused(name: str, value: float) -> None:
    with pytest.raises(InvalidInputError) as caught:
        Emulator(**{name: value})  # type: ignore[arg-type]

    assert name == caught.value.field


def test_the_endpoints_are_the_twelve_documented_ones() -> None:
    assert {
        "series.list": ("GET", "/v4/series"),
        "series.get": ("GET", "/v4/series/{uid}"),
        "series.create": ("POST", "/v4/series/create"),
        "series.deactivate": ("POST", "/v4/series/{uid}/down"),
        "series.activate": ("POST", "/v4/series/{uid}/up"),
        "series.delete": ("POST", "/v4/series/{uid}/drop"),
        "empresas.list": ("GET", "/v1/accounts"),
        "empresas.current": ("GET", "/v1/current/account"),
        "empresas.get": ("GET", "/v1/account/{uid}"),
        "empresas.create": ("POST", "/v4/account/create"),
        "empresas.update": ("POST", "/v4/account/{uid}/update"),
        "empresas.delete": ("POST", "/v4/account/{uid}/delete"),
    } == Emulator.ENDPOINTS


def test_the_emulator_imports_nothing_of_the_client() -> None:
    """The emulator can contradict the client only if they share no code."""
    folder = Path(__file__).parents[2] / "facturaonline_async" / "testing"
    files = [file for file in folder.rglob("*.py") if file.name not in {"_pytest_plugin.py", "_fixture_client.py"}]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    rooms = {name.split(".")[1] for name in names if name.startswith("facturaonline_async.")}

    assert "facturaonline_async" not in names
    assert {"_lazy", "_local_loops", "_messages", "config", "errors", "_private_files", "sello", "testing"} == rooms
