"""Sockets that a forked child must not touch.

A child that continues to run the parent's loop shares its selector, and would read the parent's answers.
"""

from __future__ import annotations

import os
import socket
from typing import Final, Protocol
from weakref import WeakSet

__all__ = ["guard"]


class _HasFileno(Protocol):
    """A socket, or a connection that has one."""

    def fileno(self) -> int:
        """Return the file descriptor; -1 or `OSError` if it is closed."""
        ...


_guarded: Final[WeakSet[_HasFileno]] = WeakSet()


def guard(connection: _HasFileno) -> None:
    """Replace a connection's socket with an unconnected one in each forked child.

    Args:
        connection: socket or connection of this process; it is forgotten when nothing else holds it.

    """
    _guarded.add(connection)


def _detach_in_child() -> None:
    for connection in list(_guarded):
        number = connection.fileno()
        if number < 0:
            continue
        os.close(number)  # first, because the process may have no descriptor left
        unconnected = socket.socket()
        if unconnected.fileno() == number:
            unconnected.detach()
        else:
            os.dup2(unconnected.fileno(), number, inheritable=False)
            unconnected.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_detach_in_child)
