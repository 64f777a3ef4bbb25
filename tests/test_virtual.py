"""The virtual clock: it stands while anything is under way, however slow the machine is."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from tests.virtual import VirtualLoop, virtually


def slow_kernel(loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let two of three looks at the sockets find nothing, as if bytes took their time."""
    assert isinstance(loop, VirtualLoop)
    select, looks = loop._real_select, iter(range(10**9))

    def late(timeout: float | None) -> Any:
        return select(timeout) if not next(looks) % 3 else []

    monkeypatch.setattr(loop, "_real_select", late)
    monkeypatch.setattr(loop, "_is_anything_sent", lambda: True)


def test_hours_pass_at_once_while_every_task_waits() -> None:
    async def main() -> float:
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    assert virtually(main()) == 3600


def test_no_time_passes_while_sent_bytes_have_not_arrived(monkeypatch: pytest.MonkeyPatch) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        writer.close()

    async def main() -> tuple[bytes, float]:
        slow_kernel(asyncio.get_running_loop(), monkeypatch)
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        async with server, asyncio.timeout(0.001):
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"hello\n")
            line = await reader.readline()
            writer.close()
        return line, asyncio.get_running_loop().time()

    assert virtually(main()) == (b"hello\n", 0)


def test_no_time_passes_while_a_thread_runs() -> None:
    async def main() -> float:
        may_end = threading.Event()
        threading.Timer(0.3, may_end.set).start()
        async with asyncio.timeout(0.001):
            await asyncio.to_thread(may_end.wait)
        return asyncio.get_running_loop().time()

    assert virtually(main()) == 0


def test_time_passes_again_if_sent_bytes_are_never_read() -> None:
    async def main() -> float:
        async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(60)
            writer.transport.abort()

        server = await asyncio.start_server(hang, "127.0.0.1", 0, limit=10)
        async with server:
            _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"x" * 10**7)
            await asyncio.sleep(61)
            writer.transport.abort()
        return asyncio.get_running_loop().time()

    assert virtually(main()) == 61


def test_a_wait_that_nothing_can_end_is_an_error() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="everybody waits"):
        virtually(main())
