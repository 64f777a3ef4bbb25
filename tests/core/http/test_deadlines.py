"""Tests of `DeadlineTimer` alone: expiry and closing."""

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
    """Stay in flight until cancelled, and then for `CLEANUP` seconds more."""
    loop = asyncio.get_running_loop()
    deadline = timer.start(loop, loop.time() + seconds, Headers())
    try:
        await loop.create_future()
    except asyncio.CancelledError:
        assert deadline.absorb_cancellation()
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
    timer, started_at = DeadlineTimer(), now()
    tasks = await in_flight(timer, 3)
    await timer.aclose()
    assert now() - started_at == CLEANUP
    assert [(await task).is_closed for task in tasks] == [True] * 3


async def test_two_concurrent_closings_both_wait() -> None:
    timer, started_at = DeadlineTimer(), now()
    tasks = await in_flight(timer, 2)

    async def close() -> float:
        await timer.aclose()
        return now() - started_at

    assert set(await asyncio.gather(close(), close())) == {CLEANUP}
    await asyncio.gather(*tasks)


async def test_closing_with_no_call_in_flight_waits_for_nothing() -> None:
    timer, started_at = DeadlineTimer(), now()
    await timer.aclose()
    assert now() == started_at


async def test_closing_leaves_no_timer() -> None:
    timer, loop = DeadlineTimer(), asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    tasks = await in_flight(timer, 2)
    await timer.aclose()
    await asyncio.gather(*tasks)
    assert [handle for handle in loop._scheduled if not handle.cancelled()] == []  # type: ignore[attr-defined]


async def test_a_deadline_that_expired_before_closing_ends_the_call() -> None:
    timer = DeadlineTimer()
    (task,) = await in_flight(timer, 1, seconds=2.0)
    await asyncio.sleep(2.5)
    await timer.aclose()
    assert not (await task).is_closed


async def test_closing_resets_connections_with_written_requests() -> None:
    """Without the reset, the kernel would continue to send for minutes."""
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
