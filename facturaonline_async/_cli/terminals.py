"""The command's terminal: whether there is one, and which line a person types."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from contextlib import suppress
from typing import Final, TextIO

__all__ = ["is_terminal", "read_line"]

_LONGEST: Final = 4096
"""Maximum length of a typed line, in bytes: that of a terminal of Linux."""


def is_terminal(*streams: TextIO | None) -> bool:
    """Return whether all streams are terminals.

    Args:
        streams: streams of the process; None is one that was closed before the command began.

    """
    return all(stream is not None and stream.isatty() for stream in streams)


async def read_line() -> str:
    """Return the line that is typed next; ``""`` at the end of the input.

    Cancelling ends the wait at once. The thread that reads goes on until the process ends. So it is a daemon, and it
    reads the descriptor: the lock of `sys.stdin` would abort the end of the process.
    """
    loop = asyncio.get_running_loop()
    line: asyncio.Future[str] = loop.create_future()
    number, encoding = sys.stdin.fileno(), sys.stdin.encoding

    def give(text: str) -> None:
        """Wake the waiter, unless it was cancelled."""
        if not line.done():
            line.set_result(text)

    def read() -> None:
        """Read the line; this runs in a thread."""
        try:
            typed = os.read(number, _LONGEST)
        except OSError:  # the terminal is gone
            typed = b""
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(give, typed.decode(encoding, "replace"))

    threading.Thread(target=read, name="facturaonline-answer", daemon=True).start()
    return await line
