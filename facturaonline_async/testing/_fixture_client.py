"""A client for a fixture, closed in the event loop of its first call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager, suppress

from facturaonline_async.client import FacturaOnline, SessionManager
from facturaonline_async.config import Config
from facturaonline_async.events import Event
from facturaonline_async.testing._emulator.emulator import Emulator

__all__ = ["fixture_client"]


@contextmanager
def fixture_client(emulator: Emulator) -> Iterator[FacturaOnline]:
    """Give a client of an emulator, and close it in the loop that used it.

    Plugins for asynchronous tests close their loops before or after the fixtures of a test, each in its own way. All of
    them shut down a loop's asynchronous generators before they close it, so that one of these closes the session. A
    loop that outlives the test is run once more.

    Args:
        emulator: an emulator that does not run in the test's loop.

    """
    closers: list[tuple[asyncio.AbstractEventLoop, AsyncGenerator[None, None]]] = []

    def notice_loop(_: Event) -> None:
        if not closers:
            closer = _close_at_shutdown(session)
            with suppress(StopIteration):
                closer.__anext__().send(None)  # registers it with the running loop
            closers.append((asyncio.get_running_loop(), closer))

    session = SessionManager(Config(base_url=emulator.base_url, rates=(), on_event=notice_loop))
    yield FacturaOnline(session, emulator.credentials)
    for loop, closer in closers:
        if not loop.is_closed() and not loop.is_running():
            loop.run_until_complete(closer.aclose())


async def _close_at_shutdown(session: SessionManager) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await session.aclose()
