"""Event loops of the emulators in this process: why one does not answer.

Without its loop an emulator accepts connections and answers nothing. Its client would wait for all its time-outs, and
report a fault of the network. So an emulator notes its loop here, and a session asks before its first call.
"""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Final
from urllib.parse import urlsplit

from facturaonline_async._messages import Message, message

__all__ = ["find_problem", "forget_loop", "note_loop"]

_PATIENCE: Final = 10.0
"""Seconds for another loop to show that it is not blocked. It takes a millisecond, also on a busy machine some."""

_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})

_loops: Final[dict[int, tuple[int, asyncio.AbstractEventLoop]]] = {}
"""Process and event loop of each emulator, by its port."""


def note_loop(port: int) -> None:
    """Note that the running loop serves a port.

    Args:
        port: port of an emulator.

    """
    _loops[port] = os.getpid(), asyncio.get_running_loop()


def forget_loop(port: int) -> None:
    """Forget a port.

    Args:
        port: port of an emulator that was stopped, or never started.

    """
    _loops.pop(port, None)


def find_problem(base_url: str, loop: asyncio.AbstractEventLoop) -> Message | None:
    """Return why the emulator behind a URL cannot answer, or None.

    None also means that no emulator of this process has the URL. If the emulator runs in another loop that is blocked,
    this waits up to 10 s for it.

    Args:
        base_url: URL of a client.
        loop: the client's event loop.

    """
    parts = urlsplit(base_url) if _loops else None
    if parts is None or parts.hostname not in _LOOPBACK:
        return None
    process, served_by = _loops.get(parts.port or 0, (0, loop))
    if process != os.getpid() or served_by is loop:
        return None
    if not served_by.is_running():
        return message("testing.loop_not_running", port=parts.port or 0)
    answered = threading.Event()
    served_by.call_soon_threadsafe(answered.set)
    return None if answered.wait(_PATIENCE) else message("testing.loop_blocked", port=parts.port or 0)
