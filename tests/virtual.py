"""An event loop whose time passes only when everybody waits: hours of waiting take milliseconds, and are exact."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class VirtualLoop(asyncio.SelectorEventLoop):
    """Where nothing else is to be done, the clock jumps to the next timer."""

    def __init__(self) -> None:
        super().__init__()
        self._virtual_now = 0.0
        real_select = self._selector.select  # type: ignore[attr-defined]

        def select(timeout: float | None) -> Any:
            events = real_select(0)
            if not events and timeout is None:
                raise RuntimeError("everybody waits, and nothing will ever happen")
            if not events and timeout:
                self._virtual_now += timeout
            return events

        self._selector.select = select  # type: ignore[attr-defined]

    def time(self) -> float:
        return self._virtual_now

    def stall(self, seconds: float) -> None:
        """Let time pass while the loop does nothing, as a blocking call would."""
        self._virtual_now += seconds


def virtually(main: Coroutine[Any, Any, T]) -> T:
    """Run the coroutine on a virtual clock that starts at 0."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


def stall(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    loop.stall(seconds)
