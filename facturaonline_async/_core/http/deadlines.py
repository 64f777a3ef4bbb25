"""Exchanges in flight, and the time-outs of any number of them behind one timer.

aiohttp's own time-outs cost an eighth of a small call, for they set up a timer and a context for each. Nearly all calls
end in time, so here a call only notes until when it may take, and one timer looks when the earliest of them is over.
"""

from __future__ import annotations

import asyncio
import math
import socket
import struct
import sys
from contextlib import suppress
from typing import Final

from facturaonline_async._core.protocol.envelope import Headers

__all__ = ["Deadline", "DeadlineTimer"]

#: A value of SO_LINGER: on, and for no time.
_LINGER_NOT: Final = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)

_TURNS: Final = 3
"""Turns of the loop between a time-out and its consequence. Where the loop stood still for longer than a time-out, an
answer may lie ready: it is read in the first turn (by uvloop in the second), and the task that waits for it runs in the
next one."""


class Deadline:
    """One attempt of a call: its task, its deadline, and how far it is.

    Attributes:
        ends: moment of the loop's clock until which it may go on; `Watch.move` moves it as the work goes on.
        headers: what names the caller, put into the request right before it is written.
        may_be_sent: False from the moment that a new connection is made until the request is written to it. Then, and
            only then, it is certain that not one byte of the request has left.
        transport: connection that the request was written to, or None.
        is_closed: whether it was ended because the session was closed.

    """

    __slots__ = ("_cancelling", "_is_over", "_task", "expires_at", "headers", "is_closed", "may_be_sent", "transport")

    def __init__(self, task: asyncio.Task[object], ends: float, headers: Headers) -> None:
        self.expires_at: float = ends
        self.headers: Headers = headers
        self.may_be_sent: bool = True
        self.transport: asyncio.Transport | None = None
        self.is_closed: bool = False
        self._task = task
        self._cancelling = task.cancelling()
        self._is_over = False

    def expire(self) -> None:
        """Cancel the task, once: its time is over, or the session is closed."""
        if not self._is_over:
            self._is_over = True
            self._task.cancel()

    def close(self) -> None:
        """End it because the session is closed, and drop what its connection has not sent."""
        self.is_closed = not self._is_over
        if self.transport is not None:
            reset(self.transport)
        self.expire()

    def take_back_cancellation(self) -> bool:
        """Say, once a cancellation arrived, whether `end` alone made it, and take it back if so."""
        return self._is_over and self._task.uncancel() <= self._cancelling

    def abort(self) -> None:
        """Let neither this process nor its kernel send the rest of a request that was given up.

        A transport that is closed goes on sending what is buffered; so does the kernel, for minutes, while a server
        does not read. A connection that is not closing went back to the pool with its whole answer: others use it.
        """
        transport = self.transport
        if transport is not None and transport.is_closing():
            reset(transport)


def reset(transport: asyncio.Transport) -> None:
    """Close a connection with an RST, and drop what it has not sent."""
    plug = transport.get_extra_info("socket")
    if plug is not None:
        with suppress(OSError, ValueError):  # closed already; uvloop raises a ValueError
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    transport.abort()


class DeadlineTimer:
    """Ends what takes too long."""

    def __init__(self) -> None:
        #: By task: a task makes one call at a time.
        self.deadlines: dict[asyncio.Task[object], Deadline] = {}
        self._timer: asyncio.Handle | None = None
        self._scheduled_at = math.inf
        self._all_finished: asyncio.Event | None = None  # set when, after `aclose`, no exchange is left

    def start(self, loop: asyncio.AbstractEventLoop, ends: float, headers: Headers) -> Deadline:
        """Watch the current task until `ends`, a moment of the loop's clock."""
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("calls are made from tasks")
        exchange = self.deadlines[task] = Deadline(task, ends, headers)
        if ends < self._scheduled_at:
            self._schedule(loop, ends)
        return exchange

    def extend(self, loop: asyncio.AbstractEventLoop, exchange: Deadline, ends: float) -> None:
        """Watch an exchange until another moment than before, which may be an earlier one."""
        exchange.expires_at = ends
        if ends < self._scheduled_at:
            self._schedule(loop, ends)

    def finish(self, exchange: Deadline) -> None:
        """Watch it no more."""
        del self.deadlines[exchange._task]  # noqa: SLF001  # they belong together
        if self._all_finished is not None and not self.deadlines:
            self._all_finished.set()

    async def aclose(self) -> None:
        """End all exchanges, and wait until their tasks have been told."""
        self.close()
        for exchange in list(self.deadlines.values()):
            exchange.close()
        if self.deadlines:
            self._all_finished = self._all_finished or asyncio.Event()
            await self._all_finished.wait()

    def close(self) -> None:
        """Drop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self, loop: asyncio.AbstractEventLoop, moment: float) -> None:
        self.close()
        self._scheduled_at = moment
        if moment < math.inf:
            self._timer = loop.call_at(moment, self._expire, loop)

    def _expire(self, loop: asyncio.AbstractEventLoop, turns: int = _TURNS) -> None:
        if turns:
            self._timer = loop.call_soon(self._expire, loop, turns - 1)
            return
        now = loop.time()
        for exchange in list(self.deadlines.values()):
            if exchange.expires_at <= now:
                exchange.expires_at = math.inf
                exchange.expire()
        self._schedule(loop, min((each.expires_at for each in self.deadlines.values()), default=math.inf))
