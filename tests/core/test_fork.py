"""Forks: a session and an emulator belong to the process that used them first."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import resource
import socket
import warnings
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import aiohttp
import pytest

from facturaonline_async import (
    Config,
    FacturaOnline,
    FacturaOnlineError,
    NotSentError,
    Rate,
    Serie,
    ServerError,
    SessionManager,
    UnreadableAnswerError,
)
from facturaonline_async._core import fork_guard
from facturaonline_async.testing import Emulator, Fault
from tests.creates import create_after
from tests.forks import Child, in_child, served
from tests.raw import http
from tests.replay import CREDENTIALS

Uses = dict[str, Callable[[FacturaOnline], Coroutine[Any, Any, object]]]

USES: Uses = {
    "read": lambda client: client.series.get(7),
    "list": lambda client: client.series.list(),
    "create": lambda client: client.series.create(letra="F", tipo_documento="factura"),
    "find": lambda client: client.series.find(letra="F", tipo_documento="factura"),
    "ensure": lambda client: client.series.ensure(letra="F", tipo_documento="factura"),
    "change": lambda client: client.series.deactivate(7),
    "enter": lambda client: client.session.__aenter__(),
}


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Return a loop that is not running, so that a child may continue it."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture(params=["Python", "C"])
def forked_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Fork as Python does, or as C code does (uWSGI), which calls no hook of `os.register_at_fork`."""
    if request.param == "C":
        monkeypatch.setattr(fork_guard, "_guarded", MagicMock())  # it stays empty
    return str(request.param)


def opened(base_url: str, **more: Any) -> FacturaOnline:
    config = Config(base_url=base_url, rates=(), keepalive=600, **more)
    return FacturaOnline(SessionManager(config), CREDENTIALS)


def step(loop: asyncio.AbstractEventLoop) -> None:
    """Run one loop iteration: a call that begins in it cannot end in it."""
    loop.call_soon(loop.stop)
    loop.run_forever()


def is_held(client: FacturaOnline) -> bool:
    """Return whether a throttled call pauses before its retry."""
    return any(key.held_until for key in client.session._engine._scheduler._key_pairs.values())


def ended(loop: asyncio.AbstractEventLoop, work: Any) -> str:
    """Return the error that the work ends with in this loop; "" if it succeeds."""
    try:
        loop.run_until_complete(work)
    except FacturaOnlineError as error:
        return f"{type(error).__name__}: {error}"
    return ""


@pytest.mark.parametrize("use", USES)
def test_a_session_that_was_used_before_a_fork_is_refused_in_every_child(
    use: str, loop: asyncio.AbstractEventLoop
) -> None:
    with served() as base_url:
        client = opened(base_url)
        loop.run_until_complete(client.series.get(7))
        children = [Child(lambda: [ended(loop, USES[use](client)) for _ in range(3)]) for _ in range(2)]
        errors = [each for child in children for each in child.result()]
        loop.run_until_complete(client.session.aclose())
    assert [each.partition(":")[0] for each in errors] == ["NotSentError"] * 6
    assert all("make a new SessionManager in each child, after the fork" in each for each in errors)


def test_a_child_is_refused_though_it_has_a_loop_of_its_own(loop: asyncio.AbstractEventLoop) -> None:
    with served() as base_url:
        client = opened(base_url)
        loop.run_until_complete(client.series.get(7))
        errors = in_child(lambda: ended(asyncio.new_event_loop(), client.series.get(7)))
        loop.run_until_complete(client.session.aclose())
    assert "after the fork" in errors


def test_a_lock_held_by_the_parent_does_not_block_a_child(loop: asyncio.AbstractEventLoop) -> None:
    with served() as base_url:
        client = opened(base_url)

        async def fork_inside() -> Child:
            await client.series.get(7)
            async with client.session._engine.locks.hold(("series", "7")):
                return Child(lambda: ended(asyncio.new_event_loop(), client.series.deactivate(7)))

        child = loop.run_until_complete(fork_inside())
        assert "after the fork" in child.result()
        loop.run_until_complete(client.session.aclose())


def test_a_running_read_of_the_parent_does_not_block_a_child(loop: asyncio.AbstractEventLoop) -> None:
    with served() as base_url:
        client = opened(base_url)
        loop.run_until_complete(client.series.get(7))
        finding = loop.create_task(USES["find"](client))
        while not client.session._engine.transport._deadline_timer.deadlines:
            step(loop)
        assert "after the fork" in in_child(lambda: ended(asyncio.new_event_loop(), USES["find"](client)))
        with pytest.raises(UnreadableAnswerError):  # one serie is no list
            loop.run_until_complete(finding)
        loop.run_until_complete(client.session.aclose())


def waiting_call(client: FacturaOnline, loop: asyncio.AbstractEventLoop) -> asyncio.Task[Serie]:
    """Return a call that waits in the limiter; a slow machine may need several attempts."""
    while True:
        call = loop.create_task(client.series.get(7))
        step(loop)
        if client.session._engine._scheduler._waiting:
            return call
        loop.run_until_complete(call)


def test_a_call_waiting_at_a_fork_is_sent_by_the_parent_only(
    loop: asyncio.AbstractEventLoop,
) -> None:
    with served() as base_url:
        config = Config(base_url=base_url, rates=Rate(1, 0.3), keepalive=600)
        client = FacturaOnline(SessionManager(config), CREDENTIALS)
        loop.run_until_complete(client.series.get(7))
        waiting = waiting_call(client, loop)
        child = Child(lambda: ended(loop, waiting))
        assert loop.run_until_complete(waiting).letra == "C1"
        assert "forked into another process while the call was waiting" in child.result()
        loop.run_until_complete(client.session.aclose())


def test_a_child_that_runs_the_loop_leaves_the_parents_answer_unread(loop: asyncio.AbstractEventLoop) -> None:
    with served() as base_url:
        client = opened(base_url, read_timeout=5)
        loop.run_until_complete(client.series.get(7))
        call = loop.create_task(client.series.get(7))
        while not client.session._engine.transport._deadline_timer.deadlines:
            step(loop)
        in_child(lambda: loop.run_until_complete(asyncio.sleep(0.5)))
        assert loop.run_until_complete(call).letra == "C1"
        loop.run_until_complete(client.session.aclose())


@pytest.mark.parametrize("use", USES)
def test_a_child_forked_inside_the_running_loop_is_refused(use: str, loop: asyncio.AbstractEventLoop) -> None:
    """There, asyncio finds no running loop, and would raise an error of its own."""
    with served() as base_url:
        client = opened(base_url)

        async def fork_inside() -> str:
            await client.series.get(7)
            return in_child(lambda: first_step(USES[use](client)))

        assert "after the fork" in loop.run_until_complete(fork_inside())
        loop.run_until_complete(client.session.aclose())


def first_step(work: Coroutine[Any, Any, object]) -> str:
    try:
        work.send(None)
    except FacturaOnlineError as error:
        return f"{type(error).__name__}: {error}"
    finally:
        work.close()
    return ""


def test_every_connection_is_replaced_in_a_child_that_has_no_descriptor_left() -> None:
    pairs = [socket.socketpair() for _ in range(3)]

    def replace() -> list[bool]:
        fork_guard._guarded.update(one for one, _ in pairs)
        highest = max(int(each.name) for each in Path("/proc/self/fd").iterdir())
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        with suppress(OSError):
            while True:
                os.dup(0)
        fork_guard._detach_in_child()
        return [is_connected(one) for one, _ in pairs]

    assert in_child(replace) == [False, False, False]
    assert [is_connected(one) for one, _ in pairs] == [True, True, True]
    for each in itertools.chain(*pairs):
        each.close()


def is_connected(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("use", ["read", "create", "change"])
def test_a_call_pausing_at_a_fork_is_retried_by_the_parent_only(use: str, loop: asyncio.AbstractEventLoop) -> None:
    with served(first=http(b"", status="429 Busy", headers=b"Retry-After: 1\r\n")) as base_url:
        client = opened(base_url)
        call = loop.create_task(USES[use](client))
        while not is_held(client):
            step(loop)
        errors = in_child(lambda: ended(loop, call))
        assert ended(loop, call) == ""
        loop.run_until_complete(client.session.aclose())
    assert errors.startswith("NotSentError")
    assert "forked before the call was sent" in errors


def test_a_fork_during_a_pause_keeps_the_unknown_outcome_of_the_earlier_attempt(
    loop: asyncio.AbstractEventLoop,
) -> None:
    with served(first=http(b"", status="503 Down", headers=b"Retry-After: 1\r\n")) as base_url:
        client = opened(base_url)
        call = loop.create_task(client.series.get(7))
        while not is_held(client):
            step(loop)

        def notes() -> list[str]:
            with pytest.raises(ServerError) as unknown:
                loop.run_until_complete(call)
            return unknown.value.__notes__

        errors = in_child(notes)
        assert ended(loop, call) == ""
        loop.run_until_complete(client.session.aclose())
    assert ["forked before the call was sent" in each for each in errors] == [True]


def test_a_create_that_is_being_recorded_at_a_fork_is_sent_by_the_parent_only(
    loop: asyncio.AbstractEventLoop,
) -> None:
    with served() as base_url:
        client = opened(base_url)
        reached, goes_on = asyncio.Event(), asyncio.Event()

        async def before() -> None:
            reached.set()
            await goes_on.wait()

        call = loop.create_task(create_after(client, "F", before))
        loop.run_until_complete(reached.wait())
        goes_on.set()
        assert "forked before the call was sent" in in_child(lambda: ended(loop, call))
        assert ended(loop, call) == ""
        loop.run_until_complete(client.session.aclose())


@pytest.mark.usefixtures("forked_by")
def test_a_call_connecting_at_a_fork_is_sent_by_the_parent_only(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, goes_on = asyncio.Event(), asyncio.Event()
    create = aiohttp.TCPConnector._create_connection

    async def create_slowly(self: aiohttp.TCPConnector, *more: Any) -> Any:
        protocol = await create(self, *more)
        reached.set()
        await goes_on.wait()
        return protocol

    monkeypatch.setattr(aiohttp.TCPConnector, "_create_connection", create_slowly)
    with served() as base_url:
        client = opened(base_url)
        call = loop.create_task(client.series.get(7))
        loop.run_until_complete(reached.wait())
        goes_on.set()
        assert "forked before the call was sent" in in_child(lambda: ended(loop, call))
        assert loop.run_until_complete(call).letra == "C1"
        loop.run_until_complete(client.session.aclose())


def left_open(loop: asyncio.AbstractEventLoop, clients: list[FacturaOnline]) -> None:
    clients.clear()
    gc.collect()


def closed(loop: asyncio.AbstractEventLoop, clients: list[FacturaOnline]) -> None:
    loop.run_until_complete(clients[0].session.aclose())
    loop.run_until_complete(asyncio.sleep(0))
    left_open(loop, clients)


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("forked_by")
@pytest.mark.parametrize("leave", [closed, left_open])
def test_a_child_that_leaves_the_session_leaves_the_parents_connection_alone(
    leave: Callable[[asyncio.AbstractEventLoop, list[FacturaOnline]], None], loop: asyncio.AbstractEventLoop
) -> None:
    with served() as base_url:
        clients = [opened(base_url)]
        assert loop.run_until_complete(clients[0].series.get(7)).letra == "C1"
        assert in_child(lambda: leave(loop, clients)) is None
        assert loop.run_until_complete(clients[0].series.get(7)).letra == "C1"
        loop.run_until_complete(clients[0].session.aclose())


def test_a_child_that_has_closed_the_session_is_not_warned_of_an_unclosed_one(loop: asyncio.AbstractEventLoop) -> None:
    def warned() -> list[str]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            closed(loop, clients)
        return [str(each.message) for each in caught if "client session" in str(each.message)]

    with served() as base_url:
        clients = [opened(base_url)]
        loop.run_until_complete(clients[0].series.get(7))
        assert in_child(warned) == []
        loop.run_until_complete(clients[0].session.aclose())


@pytest.mark.usefixtures("forked_by")
def test_a_child_that_closes_the_session_leaves_a_read_of_the_parent_in_flight(loop: asyncio.AbstractEventLoop) -> None:
    with served() as base_url:
        client = opened(base_url)
        loop.run_until_complete(client.series.get(7))
        finding = loop.create_task(client.series.find(letra="X", tipo_documento="factura"))
        while not client.session._engine.transport._deadline_timer.deadlines:
            step(loop)
        assert in_child(lambda: asyncio.run(client.session.aclose())) is None
        with pytest.raises(UnreadableAnswerError):  # one serie is no list
            loop.run_until_complete(finding)
        loop.run_until_complete(client.session.aclose())


def test_a_session_that_was_made_before_a_fork_and_not_used_works_in_each_child(
    loop: asyncio.AbstractEventLoop,
) -> None:
    with served() as base_url:
        client = opened(base_url)

        def use() -> str:
            found = loop.run_until_complete(client.series.get(7)).letra
            loop.run_until_complete(client.session.aclose())
            return found

        assert {in_child(use), in_child(use), use()} == {"C1", "C2", "C3"}


# ── The emulator ──────────────────────────────────────────────────────────────────────────────────────────────────────

EMULATOR_USES: dict[str, Callable[[Emulator], object]] = {
    "state": lambda emulator: emulator.state,
    "credentials": lambda emulator: emulator.credentials,
    "credentials_of": lambda emulator: emulator.credentials_of("607a062eae2bb"),
    "add_empresa": lambda emulator: emulator.add_empresa(rfc="EKU9003173C9"),
    "add_serie": lambda emulator: emulator.add_serie("607a062eae2bb", letra="F", tipo_documento="factura"),
    "inject": lambda emulator: emulator.inject(Fault.status(500)),
    "clear_faults": lambda emulator: emulator.clear_faults(),
    "requests": lambda emulator: emulator.requests,
    "count": lambda emulator: emulator.count("series.list"),
    "in_flight_max": lambda emulator: emulator.in_flight_max,
    "start": lambda emulator: asyncio.run(emulator.start()),
}


def test_every_public_method_of_the_emulator_is_tested_here() -> None:
    public = {name for name in vars(Emulator) if not name.startswith("_")}
    assert public - EMULATOR_USES.keys() == {"ENDPOINTS", "aclose", "base_url"}


@pytest.mark.parametrize("use", EMULATOR_USES)
def test_an_emulator_that_was_started_before_a_fork_is_refused_in_the_child(
    use: str, loop: asyncio.AbstractEventLoop
) -> None:
    emulator = Emulator()
    loop.run_until_complete(emulator.start())

    def child() -> str:
        assert emulator.base_url
        with pytest.raises(NotSentError) as refused:
            EMULATOR_USES[use](emulator)
        return str(refused.value)

    assert "start another Emulator here" in in_child(child)
    loop.run_until_complete(emulator.aclose())


def test_a_child_that_closes_the_emulator_leaves_the_parents_listening(loop: asyncio.AbstractEventLoop) -> None:
    emulator = Emulator()
    loop.run_until_complete(emulator.start())
    client = FacturaOnline(SessionManager(Config(base_url=emulator.base_url, keepalive=600)), emulator.credentials)
    assert loop.run_until_complete(client.series.list()) == []
    assert in_child(lambda: loop.run_until_complete(emulator.aclose())) is None
    assert loop.run_until_complete(client.series.list()) == []
    assert emulator.count("series.list") == 2
    loop.run_until_complete(client.session.aclose())
    loop.run_until_complete(emulator.aclose())


def test_a_child_that_runs_the_emulators_loop_on_answers_no_call(loop: asyncio.AbstractEventLoop) -> None:
    emulator = Emulator()
    loop.run_until_complete(emulator.start())

    async def ask() -> None:
        async with aiohttp.ClientSession() as http:
            await http.get(f"{emulator.base_url}/v4/series")

    def child() -> None:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            loop.run_until_complete(ask())

    assert in_child(child) is None
    loop.run_until_complete(emulator.aclose())


def test_an_emulator_that_was_not_started_can_be_started_in_a_child() -> None:
    emulator = Emulator()

    async def use() -> int:
        async with emulator:
            session = SessionManager(Config(base_url=emulator.base_url))
            async with session:
                await FacturaOnline(session, emulator.credentials).series.list()
            return emulator.count("series.list")

    assert in_child(lambda: asyncio.run(use())) == 1
    assert asyncio.run(use()) == 1


pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
