"""Run work beside other work of a run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

__all__ = ["in_background"]

T = TypeVar("T")


@asynccontextmanager
async def in_background(work: Coroutine[Any, Any, T]) -> AsyncIterator[asyncio.Task[T]]:
    """Run a coroutine as a task while the ``async with`` block runs.

    The end of the block cancels the task and waits for its end. An error that nothing has awaited is dropped.

    Args:
        work: the coroutine.

    """
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        try:
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()  # else asyncio logs that nothing retrieved it
        finally:
            del task  # breaks the cycle between the error and this frame
