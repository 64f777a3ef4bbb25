"""The longest step of a coroutine: the calls of functions between two moments at which another task can run.

Calls are counted and no seconds, so that the same work has the same length on every machine. C code that calls no
function, such as `dict.update`, counts as one call.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from facturaonline_async.testing import Emulator

__all__ = ["emulator_in_a_thread", "longest_step"]


class _CountingLoop(asyncio.SelectorEventLoop):
    """Event loop that counts the calls in each of its iterations."""

    calls = longest = 0

    def _run_once(self) -> None:
        def count(_: object, event: str, __: object) -> None:
            self.calls += event in {"call", "c_call"}

        self.calls, before = 0, sys.getprofile()
        sys.setprofile(count)
        try:
            super()._run_once()  # type: ignore[misc]  # private
        finally:
            sys.setprofile(before)
        self.longest = max(self.longest, self.calls)


def longest_step(work: Callable[[], Coroutine[Any, Any, object]]) -> int:
    """Run a coroutine function in a loop of its own, and return the number of calls in its longest step."""
    gc.collect()
    gc.disable()  # finalizers of other tests' objects would count
    try:
        with asyncio.Runner(loop_factory=_CountingLoop) as runner:
            loop = runner.get_loop()
            assert isinstance(loop, _CountingLoop)
            runner.run(work())
            return loop.longest
    finally:
        gc.enable()


@contextmanager
def emulator_in_a_thread(emulator: Emulator) -> Iterator[Emulator]:
    """Start the emulator in another thread, whose steps are not counted."""
    ready, ended = threading.Event(), threading.Event()

    async def serve() -> None:
        async with emulator:
            ready.set()
            await asyncio.to_thread(ended.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        ready.wait()
        yield emulator
    finally:
        ended.set()
        thread.join()
