"""Cancelled calls: no frame holds the keys, and cancellations keep their identity."""

from __future__ import annotations

import asyncio
import gc
import inspect
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from types import FrameType
from typing import Any

import aiohttp
import anyio
import pytest
from attrs import evolve

from facturaonline_async import SANDBOX, FacturaOnline, SessionManager
from facturaonline_async._core.http.exceptions import strip_frames
from tests.core.http.test_connections import hang, listening, until
from tests.leaks import is_callers, local_variables
from tests.matrix.stage import QUICK
from tests.raw import Exchange, raw_server
from tests.test_secrets import CALLS, KEYS, SECRETS, shown

pytestmark = pytest.mark.virtual_clock

PASSWORD = "the-proxys-password"
SLOW = evolve(QUICK, connect_timeout=60, read_timeout=60, total_timeout=60, upload_timeout=60, deadline=60)


@asynccontextmanager
async def connecting() -> AsyncIterator[FacturaOnline]:
    """Connect to a proxy that never answers."""
    async with listening(hang) as port:
        config = evolve(SLOW, base_url=SANDBOX, proxy=f"http://me:{PASSWORD}@127.0.0.1:{port}")
        async with SessionManager(config) as session:
            yield FacturaOnline(session, KEYS)


@asynccontextmanager
async def waiting(answer: bytes = b"") -> AsyncIterator[FacturaOnline]:
    """Wait for an answer, or for the rest of it."""

    async def handle(exchange: Exchange) -> None:
        await exchange.write(answer)
        await asyncio.sleep(60)

    async with raw_server(handle) as server, SessionManager(evolve(SLOW, base_url=server.base_url)) as session:
        yield FacturaOnline(session, KEYS)


@asynccontextmanager
async def reading() -> AsyncIterator[FacturaOnline]:
    async with waiting(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{") as client:
        yield client


STAGES = {"connecting": connecting, "waiting": waiting, "reading": reading}
in_each_stage = pytest.mark.parametrize("stage", STAGES)
each_call = pytest.mark.parametrize("call", ["series.get", "series.create", "empresas.create", "series.find"])


async def arrived(client: FacturaOnline, stage: str) -> None:
    """Wait until a call of this client has reached the stage."""
    deadlines = client.session._engine.transport._deadline_timer.deadlines
    await until(lambda: deadlines)
    (deadline,) = deadlines.values()
    await until(lambda: deadline.transport is not None or not deadline.may_be_sent)
    if stage == "connecting":
        for _ in range(20):  # until it waits for the proxy
            await asyncio.sleep(0)
    else:
        await until(lambda: deadline.transport is not None)
        await asyncio.sleep(0.02 if stage == "reading" else 0)


# ── During the wait ───────────────────────────────────────────────────────────────────────────────────────────────────


def frames(awaited: object) -> Iterator[FrameType]:
    """Yield the frames of a waiting task, from the outermost to the innermost."""
    while awaited is not None:
        if inspect.iscoroutine(awaited):
            if awaited.cr_frame is not None:
                yield awaited.cr_frame
            awaited = awaited.cr_await
        else:
            awaited = next((each for each in gc.get_referents(awaited) if inspect.iscoroutine(each)), None)


@in_each_stage
@each_call
async def test_no_frame_of_a_call_in_flight_holds_the_keys(stage: str, call: str) -> None:
    async with STAGES[stage]() as client:
        task = asyncio.ensure_future(CALLS[call](client))
        await arrived(client, stage)
        tasks = client.session._engine.single_flight._tasks or {task}
        seen = [frame for each in tasks for frame in frames(each.get_coro())]
        requests = [
            value for frame in seen for value in frame.f_locals.values() if isinstance(value, aiohttp.ClientRequest)
        ]
        text = [f"{place}: {value}" for frame in seen for place, value in local_variables(frame)]
        text += [repr((request.headers, request.proxy, request.proxy_auth)) for request in requests]
        task.cancel()
        await asyncio.wait([task])
    assert [each for each in text if any(secret in each for secret in (*SECRETS, PASSWORD))] == []
    assert stage == "reading" or requests != []
    assert any("aiohttp" in frame.f_code.co_filename for frame in seen)


# ── After a cancellation ──────────────────────────────────────────────────────────────────────────────────────────────


async def cancelled(call: Awaitable[object], arrived: Awaitable[None]) -> BaseException:
    task = asyncio.ensure_future(call)
    await arrived
    task.cancel("enough")
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert caught.value.args == ("enough",)
    return caught.value


async def timed_out(call: Awaitable[object], arrived: Awaitable[None]) -> BaseException:
    async def limited() -> None:
        async with asyncio.timeout(0.3):
            await call

    task = asyncio.ensure_future(limited())
    await arrived
    with pytest.raises(TimeoutError) as caught:
        await task
    assert task.cancelling() == 0
    return caught.value


async def waited_for(call: Awaitable[object], arrived: Awaitable[None]) -> BaseException:
    async def wait() -> None:
        await asyncio.wait_for(call, 0.3)

    task = asyncio.ensure_future(wait())
    await arrived
    with pytest.raises(TimeoutError) as caught:
        await task
    return caught.value


async def failed_after(call: Awaitable[object], arrived: Awaitable[None]) -> BaseException:
    async def limited() -> None:
        with anyio.fail_after(0.3):
            await call

    task = asyncio.ensure_future(limited())
    await arrived
    with pytest.raises(TimeoutError) as caught:
        await task
    return caught.value


async def grouped(call: Awaitable[object], arrived: Awaitable[None]) -> BaseException:
    async def wait() -> None:
        await call

    async def fail() -> None:
        await arrived
        raise OSError("a neighbour")

    async def together() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(wait())
            group.create_task(fail())

    with pytest.raises(ExceptionGroup) as caught:
        await together()
    assert [str(each) for each in caught.value.exceptions] == ["a neighbour"]
    return caught.value


@in_each_stage
@each_call
@pytest.mark.parametrize("way", [cancelled, timed_out, waited_for, failed_after, grouped])
async def test_an_abandoned_call_leaves_no_frame_with_keys(
    stage: str, call: str, way: Callable[[Awaitable[object], Awaitable[None]], Awaitable[BaseException]]
) -> None:
    async with STAGES[stage]() as client:
        error = await way(CALLS[call](client), arrived(client, stage))
        assert shown(error) == []
        assert PASSWORD not in "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


@in_each_stage
async def test_the_traceback_of_a_cancellation_has_no_frame_of_another_library(stage: str) -> None:
    """Such frames may hold the body, the proxy or other calls of the pool."""
    async with STAGES[stage]() as client:
        error = await cancelled(CALLS["series.get"](client), arrived(client, stage))
    files = [frame.filename for frame in traceback.extract_tb(error.__traceback__) if not is_callers(frame.filename)]
    assert [file for file in files if "facturaonline_async/" not in file] == []
    assert files[-1].endswith("transport.py")


def test_a_replaced_cancellation_keeps_the_message_and_nothing_else() -> None:
    hidden, caught = asyncio.CancelledError("Cancelled via cancel scope 7f"), asyncio.CancelledError()
    caught.__context__ = hidden
    hidden.__context__ = aiohttp.ClientConnectionError("which may hold anything")
    assert strip_frames(caught) is caught
    assert caught.args == hidden.args
    assert caught.__context__ is None


async def test_an_anyio_cancel_scope_recognises_its_own_cancellation() -> None:
    async with waiting() as client:
        with anyio.move_on_after(0.3) as scope:
            await client.series.get(7)
        assert scope.cancelled_caught


async def test_a_cancellation_keeps_the_callers_exception_context() -> None:
    async with waiting() as client:

        async def call() -> None:
            try:
                _ = dict[str, str]()["the caller's own"]
            except LookupError:
                await client.series.get(7)

        task = asyncio.ensure_future(call())
        await arrived(client, "waiting")
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
    assert repr(caught.value.__context__) == """KeyError("the caller's own")"""


async def test_a_cancellation_at_the_moment_of_the_deadline_stays_a_cancellation() -> None:
    async with waiting() as client:
        task = asyncio.ensure_future(client.series.get(7))
        await arrived(client, "waiting")
        (deadline,) = client.session._engine.transport._deadline_timer.deadlines.values()
        task.cancel()
        deadline.expire()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_an_unexpected_exception_notes_where_it_was_raised_without_frames(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fail(self: aiohttp.ClientResponse, connection: Any) -> None:
        headers = {"F-Secret-Key": SECRETS[1]}
        raise ZeroDivisionError(len(headers))

    monkeypatch.setattr(aiohttp.ClientResponse, "start", fail)
    async with waiting() as client:
        with pytest.raises(ZeroDivisionError) as caught:
            await client.series.get(7)
    frames = [frame.filename for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert [file for file in frames if "aiohttp" in file] == []
    assert is_callers(frames[0])
    assert shown(caught.value) == []
    assert "in fail" in caught.value.__notes__[0]
