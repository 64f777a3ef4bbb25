"""The command's terminal: whether there is one, and which line a person types."""

from __future__ import annotations

import os
import sys
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

    Cancelling ends the wait at once. The thread reads the descriptor: the lock of `sys.stdin` would abort the end of
    the process.
    """
    from facturaonline_async._cli.daemon_thread import call_in_daemon  # noqa: PLC0415  # help needs no asyncio

    number, encoding = sys.stdin.fileno(), sys.stdin.encoding

    def read() -> str:
        """Read the line; this runs in a thread."""
        try:
            typed = os.read(number, _LONGEST)
        except OSError:  # the terminal is gone
            typed = b""
        return typed.decode(encoding, "replace")

    return await call_in_daemon(read, name="facturaonline-answer")
