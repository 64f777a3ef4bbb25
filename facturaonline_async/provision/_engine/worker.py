"""Thread that reads files and checks certificates beside the event loop."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, Self, TypeAlias, TypeVar

import anyio
import anyio.to_thread

__all__ = ["Worker"]

T = TypeVar("T")

_Call: TypeAlias = tuple[Callable[[], Any], asyncio.Future[Any]]


class Worker:
    """Thread that calls functions one by one, in the order of their callers.

    A call takes a quarter of one of `anyio.to_thread`, whose threads serve any number of callers at a time. The thread
    starts with the first call, and ends with the ``async with`` block.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Wait for the calls that nothing has cancelled, and for the thread's end."""
        if self._thread is not None:
            self._calls.put(None)
            with anyio.CancelScope(shield=True):  # no thread is left if the caller is cancelled
                await anyio.to_thread.run_sync(self._thread.join)

    async def call(self, function: Callable[[], T]) -> T:
        """Return the result of a function, or raise its error.

        A cancelled caller ends at once. Its function is not called, or its result is dropped.

        Args:
            function: blocks; it is called in the thread.

        """
        return await self._submit(function)

    def _submit(self, function: Callable[[], T]) -> asyncio.Future[T]:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="facturaonline-worker", daemon=True)
            self._thread.start()
        future: asyncio.Future[T] = self._loop.create_future()
        self._calls.put((function, future))
        return future

    def _work(self) -> None:
        """Call the functions. This is the worker's thread."""
        while (call := self._calls.get()) is not None:
            self._perform(*call)
            del call  # its function and its result may hold keys

    def _perform(self, function: Callable[[], Any], future: asyncio.Future[Any]) -> None:
        if future.cancelled():
            return
        result = error = None
        try:
            result = function()
        except Exception as caught:  # noqa: BLE001  # the caller raises it
            error = caught
        try:
            self._loop.call_soon_threadsafe(_deliver, future, result, error)
        except RuntimeError:  # the loop is closed, so that no task waits
            return
        finally:
            del error  # breaks the cycle between the error and this frame


def _deliver(future: asyncio.Future[Any], result: object, error: Exception | None) -> None:
    """Set the result or the error on a future; this runs in the event loop."""
    try:
        if future.cancelled():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
    finally:
        del error
