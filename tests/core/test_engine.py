"""The engine: lifetime, cancellation, traps of HTTP clients, faults, limits and `connect`."""

from __future__ import annotations

import ast
import asyncio
import copy
import gc
import socket
import threading
import traceback
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
import pytest
from attrs import evolve

from facturaonline_async import (
    ApiError,
    Config,
    Credentials,
    FacturaOnline,
    FacturaOnlineError,
    InvalidInputError,
    LimiterWaitError,
    NotSentError,
    NuevaEmpresa,
    OutcomeUnknownError,
    Rate,
    RequestTimeoutError,
    RetryPolicy,
    Sello,
    ServerError,
    SessionManager,
    connect,
)
from facturaonline_async.config import Upload
from facturaonline_async.testing import Emulator, Fault
from tests.creates import create_after
from tests.raw import Exchange, http, raw_server
from tests.replay import CREDENTIALS, replay, replaying
from tests.virtual import stall

pytestmark = pytest.mark.virtual_clock

UNLIMITED = Config(rates=(), check_sello=False)
QUICK = Config(rates=(), retry=RetryPolicy(transient=0.001, throttled=0.001))
SERIES = b'{"status": "success", "data": []}'
MAIN = "607a062eae2bb"


def acquired(session: SessionManager) -> int:
    """Return the number of connections in use."""
    if session._engine.transport.http is None:
        return 0  # no call has come as far as that
    assert session._engine.transport.http.connector is not None
    return len(session._engine.transport.http.connector._acquired)


# ── Delayed starts ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.virtual_clock
async def test_calls_delayed_before_their_first_byte_do_not_arrive_in_a_burst() -> None:
    async with Emulator() as emulator:
        config = Config(base_url=emulator.base_url, rates=Rate(10, 1))
        async with connect(emulator.credentials, config=config) as client:
            loop = asyncio.get_running_loop()
            stalled_until = loop.time() + 3

            async def stall() -> None:
                await asyncio.sleep(max(0.0, stalled_until - loop.time()))

            async def create(number: int) -> None:
                await create_after(client, f"F{number}", stall)

            await asyncio.gather(*(create(number) for number in range(45)))
        times = [request.at for request in emulator.requests]
    assert len(times) == 45
    assert max(sum(start <= time < start + 1 - 1e-9 for time in times) for start in times) <= 10


# ── Lifetime ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_session_is_made_without_a_loop_and_starts_in_the_loop_that_uses_it() -> None:
    async def main() -> list[str]:
        async with Emulator() as emulator:
            session = SessionManager(Config(base_url=emulator.base_url))
            states = [repr(session)]
            async with session:
                await FacturaOnline(session, emulator.credentials).series.list()
                states.append(repr(session))
            return [*states, repr(session)]

    states = [state.split(": ")[1].split(",")[0] for state in asyncio.run(main())]
    assert states == ["not started", "open", "closed"]


async def test_a_session_without_a_base_url_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="base_url"):
        SessionManager(Config())


def test_a_session_used_from_another_loop_raises_an_error_that_says_so() -> None:
    sessions: list[SessionManager] = []

    async def begin() -> None:
        async with Emulator() as emulator:
            session = SessionManager(Config(base_url=emulator.base_url))
            sessions.append(session)
            await FacturaOnline(session, emulator.credentials).series.list()
            await session.aclose()
            session._engine._is_closed = False  # as if it had been left open

    async def use_again() -> None:
        await FacturaOnline(sessions[0], CREDENTIALS).series.list()

    asyncio.run(begin())
    with pytest.raises(NotSentError, match="another event loop"):
        asyncio.run(use_again())


async def test_a_call_after_closing_raises_an_error_that_says_so() -> None:
    async with Emulator() as emulator:
        async with connect(emulator.credentials, base_url=emulator.base_url) as client:
            pass
        with pytest.raises(NotSentError, match="closed"):
            await client.series.list()
        with pytest.raises(NotSentError, match="closed"):
            async with client.session:
                pass


async def test_closing_ends_waiting_calls_without_sending_them() -> None:
    async with Emulator() as emulator:
        config = Config(base_url=emulator.base_url, rates=Rate(1, 0.2))
        session = SessionManager(config)
        client = FacturaOnline(session, emulator.credentials)
        await client.series.list()
        waiting = [
            asyncio.create_task(client.series.list()),
            asyncio.create_task(client.series.find(letra="F", tipo_documento="x")),
        ]
        await asyncio.sleep(0.05)
        await session.aclose()
        ended = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(error) for error in ended] == [NotSentError, NotSentError]
        assert emulator.count("series.list") == 1


def test_closing_leaves_no_unclosed_resource() -> None:
    async def main() -> None:
        async with Emulator() as emulator:
            for _ in range(3):
                async with connect(emulator.credentials, base_url=emulator.base_url, config=UNLIMITED) as client:
                    task = asyncio.create_task(client.series.list())
                    await asyncio.gather(*(client.series.list() for _ in range(5)))
                    task.cancel()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        asyncio.run(main(), debug=True)
        gc.collect()
    assert [str(warning.message) for warning in caught if issubclass(warning.category, ResourceWarning)] == []


async def test_many_clients_share_one_session_and_its_connections() -> None:
    async with Emulator() as emulator:
        other = emulator.add_empresa(rfc="CACX7605101P8")
        async with SessionManager(evolve(UNLIMITED, base_url=emulator.base_url)) as session:
            for credentials in (emulator.credentials, emulator.credentials_of(other)) * 5:
                await FacturaOnline(session, credentials).series.list()
            assert session._engine.transport.http is not None
            assert session._engine.transport.http.connector is not None
            pools = list(session._engine.transport.http.connector._conns.values())
            assert [len(pool) for pool in pools] == [1]


# ── Cancelled calls ───────────────────────────────────────────────────────────────────────────────────────────────────

CALLS: dict[str, Callable[[FacturaOnline], Awaitable[object]]] = {
    "a read": lambda client: client.series.list(),
    "a write": lambda client: client.series.create(letra="F", tipo_documento="factura"),
    "an ensure": lambda client: client.series.ensure(letra="F", tipo_documento="factura"),
    "a retried read": lambda client: client.series.get(1),
}


@pytest.mark.parametrize("call", CALLS)
async def test_a_call_cancelled_at_any_await_leaves_no_state_behind(call: str) -> None:
    """Cancel after 1, 2, 3 … loop iterations, until the call is done before its cancellation."""
    config = evolve(QUICK, rates=(Rate(1000, 1),), concurrency=2)
    async with Emulator() as emulator:
        if call == "a retried read":
            emulator.add_serie(MAIN, letra="F", tipo_documento="x")
            emulator.inject(Fault.status(502), endpoint="series.get", times=None, probability=0.5)
        async with connect(emulator.credentials, base_url=emulator.base_url, config=config) as client:
            session = client.session
            for rounds in range(1, 500):
                task = asyncio.ensure_future(CALLS[call](client))
                for _ in range(rounds):
                    await asyncio.sleep(0)
                if task.done():
                    break
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                await asyncio.sleep(0)
                assert "0 waiting, 0 in flight" in repr(session)
                assert acquired(session) == 0
                assert (
                    session._engine.locks._locks,
                    session._engine.single_flight._current_reads,
                    session._engine.single_flight._next_reads,
                ) == ({}, {}, {})
            else:
                pytest.fail("the call never came to its end")
            assert rounds > 5
            await asyncio.gather(task, return_exceptions=True)
            # Both slots are free, and the connections work.
            await asyncio.gather(client.series.list(), client.series.list())


async def test_a_cancelled_waiter_gives_its_start_to_the_next_call() -> None:
    async with Emulator() as emulator:
        config = Config(rates=Rate(1, 0.1))
        async with connect(emulator.credentials, base_url=emulator.base_url, config=config) as client:
            tasks = [asyncio.create_task(client.series.list()) for _ in range(4)]
            await asyncio.sleep(0.02)
            tasks[1].cancel()
            tasks[2].cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert (tasks[3].exception(), emulator.count("series.list")) == (None, 2)


async def test_a_cancelled_caller_does_not_affect_a_shared_read() -> None:
    async with (
        Emulator(latency=0.05) as emulator,
        connect(emulator.credentials, base_url=emulator.base_url) as client,
    ):
        finds = [asyncio.create_task(client.series.find(letra="F", tipo_documento="x")) for _ in range(3)]
        await asyncio.sleep(0.02)
        finds[0].cancel()
        assert await asyncio.gather(*finds[1:]) == [None, None]
        assert emulator.count("series.list") == 1


async def test_a_shared_read_is_cancelled_with_its_last_caller() -> None:
    async with (
        Emulator(latency=30) as emulator,
        connect(emulator.credentials, base_url=emulator.base_url) as client,
    ):
        finds = [asyncio.create_task(client.series.find(letra="F", tipo_documento="x")) for _ in range(3)]
        await asyncio.sleep(0.05)
        for find in finds:
            find.cancel()
        await asyncio.gather(*finds, return_exceptions=True)
        await asyncio.sleep(0)
        assert (acquired(client.session), client.session._engine.single_flight._tasks) == (0, set())


# ── Traps of HTTP clients ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_cookies_are_not_sent_back() -> None:
    async with replaying(SERIES, headers={"Set-Cookie": "laravel_session=abc; path=/"}) as (client, server):
        await client.series.list()
        await client.series.list()
    assert ["Cookie" in asked.headers for asked in server.asked] == [False, False]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_keys_are_not_sent_to_a_redirect_target(status: int) -> None:
    async with replay(SERIES) as elsewhere:
        location = {"Location": f"{elsewhere.base_url}/v4/series"}
        async with replaying("", status=status, headers=location) as (client, server):
            with pytest.raises(OutcomeUnknownError, match="base URL"):
                await client.series.list()
    assert (len(server.asked), elsewhere.asked) == (1, [])


async def test_the_environments_proxies_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    async with replaying(SERIES) as (client, _):
        assert await client.series.list() == []


async def test_an_explicit_proxy_is_used() -> None:
    async with replay(SERIES) as proxy:
        config = Config(proxy=proxy.base_url.removesuffix("/api"))
        async with connect(CREDENTIALS, base_url="http://127.0.0.1:9/api", config=config) as client:
            assert await client.series.list() == []
    assert [asked.path for asked in proxy.asked] == ["/api/v4/series"]


async def test_every_call_carries_the_key_pair_and_the_plugin() -> None:
    async with replaying(SERIES, config=Config(plugin="mine")) as (client, server):
        await client.series.list()
    sent = server.asked[0].headers
    assert (sent["F-Api-Key"], sent["F-Secret-Key"], sent["F-PLUGIN"]) == (
        CREDENTIALS.api_key.reveal(),
        CREDENTIALS.secret_key.reveal(),
        "mine",
    )


async def test_a_post_without_a_body_has_the_content_type_json() -> None:
    async with replaying('{"status": "success"}') as (client, server):
        await client.series.activate(1)
    assert (server.asked[0].headers["Content-Type"], server.asked[0].body) == ("application/json", b"")


@pytest.mark.parametrize(
    "uid", ["", 10**18, "a/b", "../v1/accounts", "a b", "ñ", "a\r\nX: y", "x" * 65, "a?b", "a%2Fb", True, None, 1.5]
)
async def test_a_uid_that_could_change_the_path_is_refused_before_anything_is_sent(uid: str) -> None:
    async with replaying(SERIES) as (client, server):
        with pytest.raises(InvalidInputError, match="uid") as refused:
            await client.series.get(uid)
        with pytest.raises(InvalidInputError, match="uid"):
            await client.empresas.delete(uid)
        with pytest.raises(InvalidInputError, match="uid"):
            await client.series.delete(10**5000)
    assert (server.asked, refused.value.field) == ([], "uid")


async def test_a_query_is_escaped() -> None:
    async with replaying('{"response": "success", "data": []}') as (client, server):
        await client.empresas.list(rfc="HAÑ930228SM9", razon_social="A&B = C+D")
    assert server.asked[0].query == {"rfc": "HAÑ930228SM9", "razon_social": "A&B = C+D"}


@pytest.mark.parametrize("limit", ["max_answer_bytes", "max_list_bytes"])
async def test_a_too_large_answer_is_not_read(limit: str) -> None:
    config = Config(**{limit: 1000}, rates=())  # type: ignore[arg-type]
    body = b'{"status": "success", "data": [' + b" " * 2000 + b"]}"
    async with replaying(body, config=config) as (client, server):
        with pytest.raises(OutcomeUnknownError, match="too large"):
            await (client.series.list() if limit == "max_list_bytes" else client.empresas.current())
        assert (len(server.asked), acquired(client.session)) == (1, 0)


# ── Faults (tests/matrix has all of them) ─────────────────────────────────────────────────────────────────────────────


async def test_a_refused_connection_raises_not_sent() -> None:
    async with connect(CREDENTIALS, base_url="http://127.0.0.1:9/api", config=QUICK) as client:
        with pytest.raises(NotSentError, match=r"no connection to 127\.0\.0\.1") as refused:
            await client.series.create(letra="F", tipo_documento="factura")
    assert (refused.value.__cause__, refused.value.__context__) == (None, None)
    assert refused.value.code == "calls.no_connection"
    assert refused.value.args[0].parameters["peer"] == "127.0.0.1"


async def test_an_unsent_call_is_retried_until_the_server_is_back() -> None:
    async with Emulator() as emulator:
        base_url, credentials = emulator.base_url, emulator.credentials
        await emulator.aclose()
        config = evolve(QUICK, retry=RetryPolicy(attempts=50, transient=0.5, longest=0.02))
        async with connect(credentials, base_url=base_url, config=config) as client:
            create = asyncio.create_task(client.series.create(letra="F", tipo_documento="factura"))
            await asyncio.sleep(0.05)
            await emulator.start()
            await create
            assert emulator.count("series.create") == 1


async def test_a_read_is_retried_and_a_create_is_not() -> None:
    async with Emulator() as emulator:
        emulator.inject(Fault.drop_before_commit(), endpoint="series.list", times=2)
        emulator.inject(Fault.drop_after_commit(), endpoint="series.create")
        async with connect(emulator.credentials, base_url=emulator.base_url, config=QUICK) as client:
            assert await client.series.list() == []
            with pytest.raises(OutcomeUnknownError):
                await client.series.create(letra="F", tipo_documento="factura")
        assert (emulator.count("series.create"), len(emulator.state["series"])) == (1, 1)


@pytest.mark.parametrize("attempts", [1, 3])
async def test_a_read_is_sent_once_per_granted_start(attempts: int) -> None:
    """By default, aiohttp repeats a GET by itself and bypasses the limiter."""

    async def hang_up(exchange: Exchange) -> None:
        exchange.reset()

    config = evolve(QUICK, retry=RetryPolicy(read_attempts=attempts, transient=0.001))
    async with raw_server(hang_up) as server, connect(CREDENTIALS, base_url=server.base_url, config=config) as client:
        with pytest.raises(OutcomeUnknownError):
            await client.series.list()
    assert len(server.requests) == attempts


async def test_a_cancelled_closing_still_closes_the_connections() -> None:
    async with Emulator(latency=30) as emulator:
        session = SessionManager(evolve(UNLIMITED, base_url=emulator.base_url))
        client = FacturaOnline(session, emulator.credentials)
        finding = asyncio.create_task(client.series.find(letra="F", tipo_documento="x"))
        await asyncio.sleep(0.05)
        closing = asyncio.create_task(session.aclose())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.gather(closing, finding, return_exceptions=True)
        assert session._engine.transport.http is not None
        assert session._engine.transport.http.closed


async def test_a_read_fails_after_its_last_attempt() -> None:
    async with Emulator() as emulator:
        emulator.inject(Fault.status(503), times=None)
        async with connect(emulator.credentials, base_url=emulator.base_url, config=QUICK) as client:
            with pytest.raises(ServerError) as failed:
                await client.series.list()
        assert (emulator.count("series.list"), failed.value.status) == (4, 503)


async def test_a_refusal_is_never_retried() -> None:
    async with (
        Emulator() as emulator,
        connect(emulator.credentials, base_url=emulator.base_url, config=QUICK) as client,
    ):
        with pytest.raises(ApiError):
            await client.series.get(1)
        assert emulator.count("series.get") == 1


async def test_a_timeout_has_an_unknown_outcome() -> None:
    async with Emulator(latency=30) as emulator:
        config = evolve(QUICK, total_timeout=0.05, upload_timeout=0.05)
        async with connect(emulator.credentials, base_url=emulator.base_url, config=config) as client:
            with pytest.raises(RequestTimeoutError) as late:
                await client.series.create(letra="F", tipo_documento="factura")
            assert (isinstance(late.value, TimeoutError), acquired(client.session)) == (True, 0)


async def test_an_answer_that_arrived_during_a_stall_is_in_time() -> None:
    """Otherwise every call of an application that blocks its loop would have an unknown outcome."""

    async def answer_and_stand_still(exchange: Exchange) -> None:
        await exchange.write(http(b'{"response": "success"}'))
        stall(3600)

    async with (
        raw_server(answer_and_stand_still) as server,
        connect(CREDENTIALS, base_url=server.base_url, config=QUICK) as client,
    ):
        await client.series.create(letra="F", tipo_documento="factura")
        assert len(server.requests) == 1


async def test_the_deadline_ends_retries() -> None:
    async with Emulator() as emulator:
        emulator.inject(Fault.status(500), times=None)
        config = Config(rates=(), deadline=0.2, retry=RetryPolicy(read_attempts=1000, transient=0.05, longest=0.05))
        async with connect(emulator.credentials, base_url=emulator.base_url, config=config) as client:
            started_at = asyncio.get_running_loop().time()
            with pytest.raises(OutcomeUnknownError):
                await client.series.list()
            took = asyncio.get_running_loop().time() - started_at
        assert took < 2
        assert 1 < emulator.count("series.list") < 1000


async def test_an_answer_that_is_not_http_has_an_unknown_outcome() -> None:
    async def babble(exchange: Exchange) -> None:
        await exchange.write(b"SSH-2.0-OpenSSH\r\n\r\n")
        exchange.writer.close()

    async with raw_server(babble) as server, connect(CREDENTIALS, base_url=server.base_url, config=QUICK) as client:
        with pytest.raises(OutcomeUnknownError, match="not HTTP"):
            await client.series.create(letra="F", tipo_documento="factura")
    assert len(server.requests) == 1


@pytest.mark.parametrize("upload", ["multipart", "base64"])
async def test_a_company_is_sent_in_one_segment(upload: Upload, monkeypatch: pytest.MonkeyPatch) -> None:
    """Headers, texts and files are sent by one call of the socket."""
    sent: list[int] = []
    address: list[tuple[str, int]] = []

    def count(name: str) -> None:
        real = getattr(socket.socket, name)

        def counting(self: socket.socket, data: bytes, *more: object) -> int:
            done: int = real(self, data, *more)
            if self.getpeername()[:2] == address[0]:
                sent.append(done)
            return done

        monkeypatch.setattr(socket.socket, name, counting, raising=False)

    count("send")
    count("sendmsg")
    csd = Sello(b"c" * 1460, b"k" * 1298, "12345678a")
    nueva = NuevaEmpresa(
        razon_social="x", rfc="EKU9003173C9", codpos="06500", email="a@b.mx", regimen_nomina="601", csd=csd, fiel=csd
    )
    async with Emulator() as emulator:
        address.append(("127.0.0.1", int(emulator.base_url.split(":")[2].split("/")[0])))
        config = evolve(UNLIMITED, upload=upload)
        async with connect(emulator.credentials, base_url=emulator.base_url, config=config) as client:
            await client.empresas.create(nueva)
    assert len(sent) == 1
    assert sent[0] > 2 * (1460 + 1298)


@pytest.mark.parametrize("fault", [Fault.status(500), Fault.drop_after_commit(), Fault.garbage()])
async def test_no_error_shows_a_key(fault: Fault) -> None:
    async with Emulator() as emulator:
        emulator.inject(fault, times=None)
        credentials = emulator.credentials
        async with connect(credentials, base_url=emulator.base_url, config=QUICK) as client:
            for call in (client.series.list, client.empresas.current):
                with pytest.raises(FacturaOnlineError) as failed:
                    await call()
                shown = "".join(traceback.format_exception(failed.value)) + repr(vars(failed.value))
                assert credentials.api_key.reveal() not in shown
                assert credentials.secret_key.reveal() not in shown


# ── Limits ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.one_python
async def test_80_clients_at_10_a_second_show_the_server_at_most_11_calls_in_any_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """New connections take 90 ms, so that the first calls arrive later than their successors."""
    create = aiohttp.TCPConnector._create_connection

    async def create_late(*arguments: Any) -> Any:
        await asyncio.sleep(0.09)
        return await create(*arguments)

    monkeypatch.setattr(aiohttp.TCPConnector, "_create_connection", create_late)
    clock = asyncio.get_running_loop().time
    async with Emulator(latency=0.05) as emulator:
        async with connect(
            emulator.credentials, base_url=emulator.base_url, config=Config(rates=Rate(10, 1))
        ) as client:
            ends = clock() + 20

            async def call() -> None:
                while clock() < ends:
                    await client.series.list()

            await asyncio.gather(*(call() for _ in range(80)))
        arrivals = [request.at for request in emulator.requests]
    assert max(sum(start <= at < start + 1 for at in arrivals) for start in arrivals) <= 11
    assert sum(at < ends for at in arrivals) >= 0.995 * 20 * 10


async def test_max_wait_bounds_the_wait_for_a_slot() -> None:
    async with Emulator() as emulator:
        config = Config(rates=Rate(1, 1000), max_wait=0.01)
        async with connect(emulator.credentials, base_url=emulator.base_url, config=config) as client:
            await client.series.list()
            with pytest.raises(LimiterWaitError, match=r"series\.list: the call would wait"):
                await client.series.list()
            assert emulator.count("series.list") == 1


@pytest.mark.parametrize(("concurrency", "per_key", "most"), [(3, 32, 3), (64, 2, 2)])
async def test_concurrency_bounds_the_calls_in_flight(concurrency: int, per_key: int, most: int) -> None:
    async with Emulator(latency=0.01) as emulator:
        config = Config(rates=(), concurrency=concurrency, concurrency_per_key=per_key)
        async with connect(emulator.credentials, base_url=emulator.base_url, config=config) as client:
            await asyncio.gather(*(client.series.list() for _ in range(20)))
        assert emulator.in_flight_max == most


async def test_the_wait_for_a_slot_counts_against_no_timeout() -> None:
    async with Emulator() as emulator:
        config = Config(rates=Rate(1, 0.15), total_timeout=0.1, deadline=0.1)
        async with connect(emulator.credentials, base_url=emulator.base_url, config=config) as client:
            assert await asyncio.gather(*(client.series.list() for _ in range(4))) == [[]] * 4


# ── connect() ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_connect_reads_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Emulator() as emulator:
        monkeypatch.setenv("FACTURAONLINE_API_KEY", emulator.credentials.api_key.reveal())
        monkeypatch.setenv("FACTURAONLINE_SECRET_KEY", emulator.credentials.secret_key.reveal())
        monkeypatch.setenv("FACTURAONLINE_BASE_URL", emulator.base_url)
        async with connect() as client:
            assert (await client.empresas.current()).uid == "607a062eae2bb"


@pytest.mark.parametrize(
    ("argument", "config", "environment", "expected"),
    [("a", "b", "c", "a"), (None, "b", "c", "b"), (None, None, "c", "c")],
)
async def test_the_base_url_comes_from_argument_config_and_environment_in_order(
    monkeypatch: pytest.MonkeyPatch, argument: str | None, config: str | None, environment: str, expected: str
) -> None:
    def url(name: str | None) -> str | None:
        return name and f"https://{name}.example.mx/api"

    monkeypatch.setenv("FACTURAONLINE_BASE_URL", url(environment) or "")
    async with connect(CREDENTIALS, base_url=url(argument), config=Config(base_url=url(config))) as client:
        assert client.session.config.base_url == url(expected)


@pytest.mark.parametrize("missing", ["FACTURAONLINE_API_KEY", "FACTURAONLINE_SECRET_KEY", "FACTURAONLINE_BASE_URL"])
async def test_a_missing_environment_variable_is_named(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    for name in ("FACTURAONLINE_API_KEY", "FACTURAONLINE_SECRET_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("FACTURAONLINE_BASE_URL", "https://a.example.mx/api")
    monkeypatch.delenv(missing)
    with pytest.raises(InvalidInputError, match=missing):
        async with connect():
            pass


async def test_an_awaited_client_works_until_it_is_closed() -> None:
    async with Emulator() as emulator:
        client = await connect(emulator.credentials, base_url=emulator.base_url, config=QUICK)
        assert [] == await client.series.list()
        await client.aclose()
        await client.aclose()
        with pytest.raises(NotSentError, match="closed"):
            await client.series.list()


async def test_a_client_does_not_close_a_shared_session() -> None:
    async with (
        Emulator() as emulator,
        SessionManager(Config(base_url=emulator.base_url)) as session,
        connect(emulator.credentials, base_url=emulator.base_url) as owner,
    ):
        shared = FacturaOnline(session, emulator.credentials)
        own = owner.for_empresa(await owner.empresas.get(MAIN))
        for client in (shared, own, evolve(owner), evolve(owner, credentials=own.credentials)):
            await client.aclose()
            assert [] == await client.series.list()
        assert owner == evolve(owner)


@pytest.mark.parametrize("missing", ["FACTURAONLINE_API_KEY", "FACTURAONLINE_BASE_URL"])
async def test_awaiting_a_connect_without_keys_or_url_raises_as_entering_it_does(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    for name in ("API_KEY", "SECRET_KEY"):
        monkeypatch.setenv(f"FACTURAONLINE_{name}", "x")
    monkeypatch.setenv("FACTURAONLINE_BASE_URL", "https://a.example.mx/api")
    monkeypatch.delenv(missing)
    connecting = connect()
    with pytest.raises(InvalidInputError, match=missing):
        await connecting


async def test_a_connect_object_is_used_once() -> None:
    connecting = connect(CREDENTIALS, base_url="https://a.example.mx/api")
    client = await connecting
    with pytest.raises(RuntimeError, match="call connect again"):
        async with connecting:
            pass
    await client.aclose()


async def test_an_attribute_of_a_connect_object_raises_an_error_that_asks_for_await() -> None:
    connecting = connect(CREDENTIALS, base_url="https://a.example.mx/api")
    for name in ("series", "empresas", "session", "aclose"):
        with pytest.raises(
            AttributeError, match=r"^connect\(\) must be awaited: client = await connect\(…\), or async with"
        ):
            getattr(connecting, name)
    with pytest.raises(AttributeError, match="'ConnectContext' object has no attribute 'serie'"):
        _ = connecting.serie  # type: ignore[attr-defined]  # that is the test
    assert (hasattr(connecting, "series"), copy.copy(connecting) is None) == (False, False)


CELLS = (
    "from facturaonline_async import connect",
    "client = await connect(credentials, base_url=base_url)",
    "before = await client.series.list()",
    "serie = await client.series.ensure(letra='F', tipo_documento='factura')",
    "import asyncio",
    "same = await asyncio.gather(*(client.series.get(serie.uid) for _ in range(3)))",
    "await client.aclose()",
)


@contextmanager
def served_by_a_thread() -> Iterator[Emulator]:
    """Run an emulator that answers while the test's own loop does not run."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    emulator = Emulator()
    try:
        asyncio.run_coroutine_threadsafe(emulator.__aenter__(), loop).result()
        yield emulator
        asyncio.run_coroutine_threadsafe(emulator.__aexit__(None, None, None), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_a_client_works_across_the_cells_of_a_terminal() -> None:
    """IPython in a terminal and ``python -m asyncio`` run each cell to its end in one loop."""
    with served_by_a_thread() as emulator, asyncio.Runner() as runner:
        names: dict[str, Any] = {"credentials": emulator.credentials, "base_url": emulator.base_url}
        for cell in CELLS:
            waits = eval(compile(cell, "cell", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)  # noqa: S307  # as a notebook does
            if waits is not None:
                runner.run(waits)
        assert ([], [names["serie"]] * 3) == (names["before"], names["same"])


async def test_a_client_works_across_the_cells_of_a_notebook() -> None:
    """A Jupyter kernel runs each cell as a task of one loop."""
    async with Emulator() as emulator:
        names: dict[str, Any] = {"credentials": emulator.credentials, "base_url": emulator.base_url}
        for cell in CELLS:
            waits = eval(compile(cell, "cell", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)  # noqa: S307  # as a notebook does
            if waits is not None:
                await asyncio.create_task(waits)
            await asyncio.sleep(3)
        assert ([], [names["serie"]] * 3) == (names["before"], names["same"])


def test_a_client_needs_no_loop_and_shows_no_key() -> None:
    session = SessionManager(Config(base_url="https://a.example.mx/api"))
    client = FacturaOnline(session, Credentials(api_key="key-a", secret_key="key-b"))
    assert ("key-a" in repr(client), "key-b" in repr(client.series)) == (False, False)
