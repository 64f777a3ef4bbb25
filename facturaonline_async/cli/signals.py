"""Running a command's coroutine, and ending it by Ctrl-C: asked first, and told if it takes too long."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeVar

import typer
from attrs import define, field

__all__ = ["Interrupt", "interruptible", "run"]

T = TypeVar("T")

_PATIENCE: Final = 5.0
"""Seconds that a command gets for ending by itself, once it is asked to."""

_EXIT_CODE: Final = 130


def run(main: Coroutine[Any, Any, T], *, interrupted: str = "") -> T:
    """Run the coroutine; on Ctrl-C cancel it, say what that means, and leave with exit code 130."""
    try:
        return asyncio.run(main)
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.stderr.write(interrupted)
        raise typer.Exit(_EXIT_CODE) from None


@define
class Interrupt:
    """Whether somebody wants the command to end."""

    _stop: Callable[[], None] = field(alias="stop")
    _task: asyncio.Task[Any] = field(alias="task")
    is_wanted: bool = field(default=False, init=False)
    _later: asyncio.TimerHandle | None = field(default=None, init=False)

    def ask(self) -> None:
        """Ask the command to stop, and cancel it some seconds later; or at once, if it was asked before."""
        if self.is_wanted:
            self._task.cancel()
            return
        self.is_wanted = True
        sys.stderr.write(
            f"Stopping: waiting up to {_PATIENCE:.0f} s for the calls in progress. Ctrl-C again stops at once.\n"
        )
        self._later = asyncio.get_running_loop().call_later(_PATIENCE, self._task.cancel)
        self._stop()

    def done(self) -> None:
        """Forget to cancel."""
        if self._later is not None:
            self._later.cancel()


@contextmanager
def interruptible(stop: Callable[[], None]) -> Iterator[Interrupt]:
    """Ask by `stop` when Ctrl-C (or SIGTERM) comes inside the ``with``. A coroutine that stopped raises nothing.

    Where the event loop takes no signals (Windows), Ctrl-C cancels at once.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None  # noqa: S101  # this runs in one
    interrupt = Interrupt(stop, task)
    taken: list[tuple[signal.Signals, Any]] = []
    try:
        with suppress(NotImplementedError, ValueError, RuntimeError):
            for number in (signal.SIGINT, signal.SIGTERM):
                before = signal.getsignal(number)
                loop.add_signal_handler(number, interrupt.ask)
                taken.append((number, before))
        yield interrupt
    finally:
        interrupt.done()
        for number, before in taken:
            loop.remove_signal_handler(number)
            signal.signal(number, before)
