"""Run a command's coroutine, and stop it on Ctrl-C: first gently, then at once."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeVar

import typer
from attrs import define, field

from facturaonline_async._messages import Message, message

__all__ = ["Interrupt", "interruptible", "run"]

T = TypeVar("T")

_PATIENCE: Final = 5.0
"""Seconds from the request to stop until the task is cancelled."""

_EXIT_CODE: Final = 130


def run(main: Coroutine[Any, Any, T], *, interrupted: Message | Callable[[], Message] | None = None) -> T:
    """Run the coroutine; on Ctrl-C cancel it and exit with code 130.

    Args:
        main: the coroutine.
        interrupted: message for the standard error after Ctrl-C, or what gives it then, or None.

    """
    try:
        return asyncio.run(main)
    except (KeyboardInterrupt, asyncio.CancelledError):
        if interrupted is not None:
            sys.stderr.write(f"{interrupted() if callable(interrupted) else interrupted}\n")
        raise typer.Exit(_EXIT_CODE) from None


@define
class Interrupt:
    """A request to stop the command.

    Attributes:
        is_wanted: whether Ctrl-C was pressed.

    """

    _stop: Callable[[], object] = field(alias="stop")
    _task: asyncio.Task[Any] = field(alias="task")
    is_wanted: bool = field(default=False, init=False)
    _later: asyncio.TimerHandle | None = field(default=None, init=False)

    def ask(self) -> None:
        """Request a stop and cancel the task after 5 s; a second request cancels at once."""
        if self.is_wanted:
            self._task.cancel()
            return
        self.is_wanted = True
        sys.stderr.write(f"{message('cli.stopping', seconds=_PATIENCE)}\n")
        self._later = asyncio.get_running_loop().call_later(_PATIENCE, self._task.cancel)
        self._stop()

    def done(self) -> None:
        """Drop the pending cancellation."""
        if self._later is not None:
            self._later.cancel()


@contextmanager
def interruptible(stop: Callable[[], object]) -> Iterator[Interrupt]:
    """Call `stop` on Ctrl-C or SIGTERM inside the block.

    A coroutine that stops in time raises nothing. On Windows, whose event loop handles no signals, Ctrl-C cancels at
    once.
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
