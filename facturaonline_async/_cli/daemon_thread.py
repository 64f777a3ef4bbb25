"""Blocking calls in a thread that the end of the command does not wait for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

__all__ = ["call_in_daemon"]

T = TypeVar("T")


async def call_in_daemon(call: Callable[[], T], *, name: str) -> T:
    """Call a function in a thread, and return its result or raise its exception.

    Cancelling ends the wait at once. The thread goes on until the process ends. So it is a daemon: the threads of
    `asyncio.to_thread` would keep the process until they end.

    Args:
        call: the function; it raises nothing but an `Exception`.
        name: name of the thread.

    """
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def give(value: T | None, error: Exception | None) -> None:
        """Wake the waiter, unless it was cancelled."""
        if result.done():
            return
        if error is None:
            result.set_result(value)  # type: ignore[arg-type]  # it is a T without an error
        else:
            result.set_exception(error)

    def work() -> None:
        """Call the function; this runs in the thread."""
        value, failure = None, None
        try:
            value = call()
        except Exception as error:  # noqa: BLE001  # the waiter gets it
            failure = error
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(give, value, failure)

    threading.Thread(target=work, name=name, daemon=True).start()
    return await result
