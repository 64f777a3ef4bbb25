"""An emulator in a thread, for tests with any event loop or with none."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager, suppress

from facturaonline_async.testing._emulator.emulator import Emulator

__all__ = ["emulator_in_thread"]


@contextmanager
def emulator_in_thread(emulator: Emulator | None = None) -> Iterator[Emulator]:
    """Run an emulator in a thread, with an event loop of its own.

    An emulator that runs in the loop of a test answers only while that loop runs: not during a call of a synchronous
    test client, and not in a test with another loop. This one always answers::

        with emulator_in_thread() as emulator, TestClient(make_app(emulator.base_url)) as http:
            assert http.get("/series").status_code == 200

    Its members may be used from the test's thread: `Emulator.inject` at any time, `Emulator.state` and
    `Emulator.requests` while no call is in flight. They can be read after the end, too.

    Args:
        emulator: an emulator that is not running, with settings of your choice. Default: ``Emulator()``.

    Raises:
        RuntimeError: the emulator is running already.
        OSError: its port is in use.

    """
    emulator = Emulator() if emulator is None else emulator
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
    thread = threading.Thread(target=_serve, args=(emulator, started), name="facturaonline-emulator", daemon=True)
    try:
        thread.start()
        started.result()
        yield emulator
    finally:
        if not started.cancel():  # else the start was interrupted, and the thread ends by itself
            if started.exception() is None:
                loop, stop = started.result()
                loop.call_soon_threadsafe(stop.set)
            thread.join()


def _serve(emulator: Emulator, started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]]) -> None:
    async def main() -> None:
        stop = asyncio.Event()
        async with emulator:
            with suppress(InvalidStateError):  # nothing waits for the emulator any more
                started.set_result((asyncio.get_running_loop(), stop))
                await stop.wait()

    try:
        asyncio.run(main())
    except BaseException as error:  # the thread that waits for the start raises it
        if started.done():
            raise
        started.set_exception(error)
