"""The age of a permission to create, looked at in the last moment before the first byte and before the last piece."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from attrs import define, evolve, field

from facturaonline_async import (
    Config,
    FacturaOnline,
    InvalidInputError,
    NotSentError,
    OutcomeUnknownError,
    RetryPolicy,
    SessionManager,
)
from facturaonline_async._core.http import connections, deadlines
from facturaonline_async._core.http.connections import Connector
from facturaonline_async._core.http.deadlines import Deadline
from facturaonline_async._core.once import shared_store
from facturaonline_async._core.once.states import StepState
from facturaonline_async._core.once.store import Grant, Seen
from tests.core.http.test_connections import QUICK, YES, until
from tests.core.http.test_given_up import HUGE
from tests.core.once.stores import Network, RemoteStore
from tests.raw import http
from tests.replay import CREDENTIALS
from tests.sharing import SharedDouble

YES_EMPRESA = b'{"status": "success", "message": "yes", "data": {"acco_uid": "u7"}}'


@define
class Clock:
    """The clock that dates grants; it stands still, except where a test advances it."""

    now: float = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (deadlines, shared_store):
        monkeypatch.setattr(module, "shared_clock", clock)
    return clock


def length_of(head: bytes) -> int | None:
    """Return the length that a request's head announces."""
    found = re.search(rb"Content-Length: (\d+)\r\n", head + b"\r\n")
    return int(found[1]) if found else None


@define
class Server:
    """Server that keeps every byte, and answers each whole request."""

    base_url: str = ""
    received: list[bytearray] = field(factory=list)
    ends: list[str] = field(factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received = bytearray()
        self.received.append(received)
        try:
            while chunk := await reader.read(1 << 16):
                received += chunk
                head, _, body = received.partition(b"\r\n\r\n")
                if length_of(bytes(head)) == len(body):
                    writer.write(http(YES if b"/series/" in head[:100] else YES_EMPRESA))
                    received.clear()
                    self.ends.append("answered")
            self.ends.append("closed")
        except ConnectionError:
            self.ends.append("reset")
        finally:
            writer.transport.abort()


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    server = Server()
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    host, port = listener.sockets[0].getsockname()[:2]
    server.base_url = f"http://{host}:{port}/api"
    async with listener:
        yield server


@asynccontextmanager
async def opened(server: Server, **settings: Any) -> AsyncIterator[tuple[FacturaOnline, SharedDouble]]:
    shared = SharedDouble(quota=None)
    config = evolve(QUICK, base_url=server.base_url, **settings)
    async with SessionManager(config, shared) as session:
        yield FacturaOnline(session, CREDENTIALS), shared


async def create(client: FacturaOnline) -> None:
    await client.series.create(letra="F", tipo_documento="factura")


def states(shared: SharedDouble) -> list[StepState]:
    """Return the states of the creates in the table that are pending."""
    assert shared.network is not None
    now = asyncio.get_running_loop().time()
    return [row.state for row in shared.network.rows.values() if row.until > now]


def after_connecting(monkeypatch: pytest.MonkeyPatch, clock: Clock, seconds: Iterator[float]) -> None:
    """Let time pass while a connection is being made."""
    real = Connector._create_connection

    async def connect(*args: Any) -> Any:
        protocol = await real(*args)
        clock.now += next(seconds, 0.0)
        return protocol

    monkeypatch.setattr(Connector, "_create_connection", connect)


@pytest.mark.parametrize(("grace", "seconds"), [(None, 6.01), (2.0, 2.01)])
async def test_a_create_is_not_sent_when_its_permission_is_too_old_at_the_connection(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, grace: float | None, seconds: float
) -> None:
    """The default is connect_timeout, which is 5 s, and 1 s more."""
    after_connecting(monkeypatch, clock, iter([seconds]))
    async with serving() as server, opened(server, grace=grace) as (client, shared):
        with pytest.raises(NotSentError) as caught:
            await create(client)
        assert states(shared) == []
        assert (caught.value.code, caught.value.is_transient) == ("calls.grant_too_old", True)
    assert [bytes(each) for each in server.received] == [b""]
    assert "answered" not in server.ends


@pytest.mark.parametrize(("grace", "seconds"), [(None, 5.99), (2.0, 1.99)])
async def test_a_create_is_sent_while_its_permission_is_young_enough(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, grace: float | None, seconds: float
) -> None:
    after_connecting(monkeypatch, clock, iter([seconds]))
    async with serving() as server, opened(server, grace=grace) as (client, shared):
        await create(client)
        assert states(shared) == [StepState.DONE]
    assert server.ends.count("answered") == 1


async def test_a_create_that_was_too_late_asks_for_permission_again(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    after_connecting(monkeypatch, clock, iter([10.0]))
    retry = RetryPolicy(attempts=2, transient=0.001)
    async with serving() as server, opened(server, retry=retry) as (client, shared):
        await create(client)
        assert states(shared) == [StepState.DONE]
    assert server.ends.count("answered") == 1


async def test_the_age_counts_from_the_question_for_permission(clock: Clock) -> None:
    """The answer of the service is late: other processes count from before it."""

    class Slow(RemoteStore):
        """A store whose answer takes 10 s of the clock that dates grants."""

        async def begin(self, seen: Seen, nonce: str) -> Grant | None:
            """Answer late."""
            grant = await super().begin(seen, nonce)
            clock.now += 10
            return grant

    shared = SharedDouble(quota=None)
    shared.store = Slow(Network())
    async with serving() as server, SessionManager(evolve(QUICK, base_url=server.base_url), shared) as session:
        with pytest.raises(NotSentError) as caught:
            await create(FacturaOnline(session, CREDENTIALS))
    assert (caught.value.code, server.ends.count("answered")) == ("calls.grant_too_old", 0)


async def test_a_create_over_a_kept_connection_is_not_sent_either(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    async with serving() as server, opened(server) as (client, shared):
        await create(client)
        real = connections._has_unread

        def look(*args: Any) -> bool:
            """Let time pass in the last check before the age's."""
            clock.now += 10
            return real(*args)

        monkeypatch.setattr(connections, "_has_unread", look)
        with pytest.raises(NotSentError) as caught:
            await create(client)
        assert (caught.value.code, states(shared)) == ("calls.grant_too_old", [])
    assert (len(server.received), server.ends.count("answered")) == (1, 1)


def at_check(monkeypatch: pytest.MonkeyPatch, clock: Clock, number: int) -> None:
    """Let time pass right before the check with this number; all before it pass."""
    real, checks = Deadline.check_grant, 0

    def check(self: Deadline, *, is_begun: bool = False) -> None:
        nonlocal checks
        checks += 1
        if checks == number:
            clock.now += 10
        real(self, is_begun=is_begun)

    monkeypatch.setattr(Deadline, "check_grant", check)


async def test_a_stall_between_the_connection_and_the_first_byte_sends_nothing(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    """Aiohttp writes the body in a task of its own; the headers wait for it."""
    at_check(monkeypatch, clock, 2)
    async with serving() as server, opened(server) as (client, shared):
        with pytest.raises(NotSentError) as caught:
            await create(client)
        assert (caught.value.code, states(shared)) == ("calls.grant_too_old", [])
    assert [bytes(each) for each in server.received] == [b""]


async def test_the_end_of_a_large_body_is_not_sent_after_the_permission_has_run_out(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    """Whether a server ignores a request without its end is not known, so that the outcome is not known either."""
    at_check(monkeypatch, clock, 3)
    async with serving() as server, opened(server) as (client, shared):
        with pytest.raises(OutcomeUnknownError) as caught:
            await client.empresas.create(HUGE, validate=False)
        assert (caught.value.code, states(shared)) == ("calls.grant_too_old_in_body", [StepState.UNKNOWN])
        await until(lambda: server.ends)
    (received,) = server.received
    assert len(received) < (length_of(bytes(received)) or 0)
    assert server.ends[0] in {"closed", "reset"}


async def test_a_large_body_is_sent_whole_in_time(clock: Clock) -> None:
    async with serving() as server, opened(server) as (client, _):
        clock.now += 1
        with suppress(Exception):
            await client.empresas.create(HUGE, validate=False)
    assert server.ends.count("answered") == 1


@pytest.mark.parametrize("size", [1, 65_535, 65_536, 65_537, 131_072, 200_001])
async def test_a_granted_body_is_the_body(size: int) -> None:
    content = bytes(number % 251 for number in range(size))
    written: list[bytes] = []

    class Writer:
        """Stream that keeps what is written."""

        async def write(self, piece: bytes) -> None:
            """Keep a piece."""
            written.append(bytes(piece))

    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    deadline: Any = Deadline(task, loop.time() + 1, {})  # type: ignore[arg-type]
    body = connections.GrantedBody(content, deadline)
    await body.write(Writer())  # type: ignore[arg-type]
    assert (b"".join(written), body.size) == (content, size)
    assert max(map(len, written)) <= 65_536


async def test_without_a_shared_service_no_clock_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> float:
        raise AssertionError

    monkeypatch.setattr(deadlines, "shared_clock", fail)
    async with serving() as server, SessionManager(evolve(QUICK, base_url=server.base_url)) as session:
        await create(FacturaOnline(session, CREDENTIALS))
    assert server.ends.count("answered") == 1


@pytest.mark.parametrize(
    ("settings", "least"),
    [
        ({"settle": 75.9}, 76.0),
        ({"grace": 75.0}, 145.0),
        ({"upload_timeout": 140.0}, 156.0),
        ({"connect_timeout": 80.0}, 151.0),
    ],
)
def test_a_settle_time_that_could_end_before_a_create_is_refused(settings: dict[str, Any], least: float) -> None:

    config = Config(base_url="http://127.0.0.1:1/api", **settings)
    if config.settle >= least:
        SessionManager(config, SharedDouble())
        return
    with pytest.raises(InvalidInputError) as caught:
        SessionManager(config, SharedDouble())
    assert (caught.value.field, caught.value.code) == ("settle", "values.settle_too_short")
    SessionManager(evolve(config, settle=least), SharedDouble())
    SessionManager(config, SharedDouble(network=None))
    SessionManager(config)
