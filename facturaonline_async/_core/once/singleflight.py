"""Single-flight: concurrent callers of the same read share one request."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from typing import Any, TypeVar

from facturaonline_async._core.running_loop import running_loop
from facturaonline_async._messages import message
from facturaonline_async.errors import FacturaOnlineError, NotSentError

__all__ = ["SingleFlight"]

T = TypeVar("T")


class _SharedRead:
    """A read that runs or is about to run, and the futures of its callers."""

    __slots__ = ("task", "waiters")

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self.task = task
        self.waiters: set[asyncio.Future[Any]] = set()


class SingleFlight:
    """Reads that concurrent callers of the same key share.

    A caller gets the result of a read that **began after the caller asked**, so that the result is never older than
    the question. A caller that arrives while a read runs shares the next one. Each key has at most one running read
    and one batch of callers that wait for the next.
    """

    def __init__(self) -> None:
        self._next_reads: dict[Hashable, _SharedRead] = {}
        self._current_reads: dict[Hashable, _SharedRead] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    async def read(self, key: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        """Return the result of `read`, shared with all callers that ask in time.

        A `FacturaOnlineError` is copied for each caller. A cancelled caller does not affect the others; when all
        callers are cancelled, so is the read.

        Args:
            key: Identifies the read.
            read: Performs the read.

        Raises:
            NotSentError: The session was closed before the read ended.
            FacturaOnlineError: As `read` raises it.

        """
        shared_read = self._next_reads.get(key)
        if shared_read is None:
            shared_read = _SharedRead(running_loop().create_task(self._run(key, read)))
            self._next_reads[key] = shared_read
            self._tasks.add(shared_read.task)
            shared_read.task.add_done_callback(partial(self._deliver, key, shared_read))
        waiter: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        shared_read.waiters.add(waiter)
        try:
            return await waiter
        finally:
            shared_read.waiters.discard(waiter)
            if not shared_read.waiters:
                shared_read.task.cancel()
                self._discard(key, shared_read)

    async def _run(self, key: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        """Wait for the previous read of the key, then read."""
        # With an eager task factory this line runs inside create_task, before the read is registered. Callers of the
        # same loop iteration must be able to join, too.
        await asyncio.sleep(0)
        while (previous := self._current_reads.get(key)) is not None:
            await asyncio.wait([previous.task])
        self._current_reads[key] = self._next_reads.pop(key)
        try:
            return await read()
        finally:
            del self._current_reads[key]

    def _deliver(self, key: Hashable, shared_read: _SharedRead, task: asyncio.Task[Any]) -> None:
        """Deliver the result, or a copy of the error, to every waiter."""
        self._tasks.discard(task)
        self._discard(key, shared_read)
        error = NotSentError(message("calls.closed_while_waiting")) if task.cancelled() else task.exception()
        for waiter in shared_read.waiters:
            if waiter.done():
                continue
            if error is None:
                waiter.set_result(task.result())
            else:
                waiter.set_exception(copy.copy(error) if isinstance(error, FacturaOnlineError) else error)

    def _discard(self, key: Hashable, shared_read: _SharedRead) -> None:
        """Let no further caller join a read that has ended or was abandoned."""
        if self._next_reads.get(key) is shared_read:
            del self._next_reads[key]

    async def aclose(self) -> None:
        """Cancel all reads, and wait until they have ended."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
