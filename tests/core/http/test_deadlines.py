"""The timer of all calls in flight, by itself: what it ends, and what it waits for when the session is closed."""

from __future__ import annotations

import asyncio
import socket

import pytest

from facturaonline_async._core.http.deadlines import Deadline, DeadlineTimer
from facturaonline_async._core.protocol.envelope import Headers
from tests.virtual import VirtualLoop

pytestmark = pytest.mark.virtual_clock

CLEANUP = 3.0
"""Seconds that a call takes to end after it was cancelled."""


def now() -> float:
    return asyncio.get_running_loop().time()


async def attempt(timer: DeadlineTimer, seconds: float = 30.0) -> Deadline:
    """Be in flight until cancelled, and then for some seconds more."""
    loop = asyncio.get_running_loop()
    deadline = timer.start(loop, loop.time() + seconds, Headers())
    try:
        await loop.create_future()
    except asyncio.CancelledError:
        assert deadline.take_back_cancellation()
        await asyncio.sleep(CLEANUP)
    finally:
        timer.finish(deadline)
    return deadline


async def in_flight(timer: DeadlineTimer, calls: int, seconds: float = 30.0) -> list[asyncio.Task[Deadline]]:
    tasks = [asyncio.create_task(attempt(timer, seconds)) for _ in range(calls)]
    await asyncio.sleep(0)
    assert len(timer.deadlines) == calls
    return tasks


async def test_closing_waits_until_every_call_in_flight_has_ended() -> None:
    timer, began = DeadlineTimer(), now()
    tasks = await in_flight(timer, 3)
    await timer.aclose()
    assert now() - began == CLEANUP
    assert [(await task).is_closed for task in tasks] == [True] * 3


async def test_closing_twice_at_the_same_time_waits_twice() -> None:
    timer, began = DeadlineTimer(), now()
    tasks = await in_flight(timer, 2)

    async def close() -> float:
        await timer.aclose()
        return now() - began

    assert set(await asyncio.gather(close(), close())) == {CLEANUP}
    await asyncio.gather(*tasks)


async def test_closing_with_no_call_in_flight_waits_for_nothing() -> None:
    timer, began = DeadlineTimer(), now()
    await timer.aclose()
    assert now() == began


async def test_closing_leaves_no_timer() -> None:
    timer, loop = DeadlineTimer(), asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    tasks = await in_flight(timer, 2)
    await timer.aclose()
    await asyncio.gather(*tasks)
    assert [handle for handle in loop._scheduled if not handle.cancelled()] == []  # type: ignore[attr-defined]


async def test_a_call_whose_time_was_over_before_the_session_was_closed_ended_by_its_deadline() -> None:
    timer = DeadlineTimer()
    (task,) = await in_flight(timer, 1, seconds=2.0)
    await asyncio.sleep(2.5)
    await timer.aclose()
    assert not (await task).is_closed


async def test_closing_resets_connections_that_calls_were_written_to() -> None:
    """Else the kernel would go on sending for minutes."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as ours:
        theirs, _ = listener.accept()
        loop, timer = asyncio.get_running_loop(), DeadlineTimer()
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours.dup())
        (task,) = await in_flight(timer, 1)
        timer.deadlines[task].transport = transport
        ours.close()
        await timer.aclose()
        assert transport.is_closing()
        with theirs, pytest.raises(ConnectionResetError):
            await asyncio.to_thread(theirs.recv, 1)
        await task
