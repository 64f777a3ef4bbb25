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

__all__ = ["Exchange", "Watch"]

#: A value of SO_LINGER: on, and for no time.
_LINGER_NOT: Final = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)

_TURNS: Final = 3
"""Turns of the loop between a time-out and its consequence. Where the loop stood still for longer than a time-out, an
answer may lie ready: it is read in the first turn (by uvloop in the second), and the task that waits for it runs in the
next one."""


class Exchange:
    """One attempt of a call: its task, its deadline, and how far it is.

    Attributes:
        ends: moment of the loop's clock until which it may go on; `Watch.move` moves it as the work goes on.
        headers: what names the caller, put into the request right before it is written.
        may_be_sent: False from the moment that a new connection is made until the request is written to it. Then, and
            only then, it is certain that not one byte of the request has left.
        transport: connection that the request was written to, or None.
        is_closed: whether it was ended because the session was closed.

    """

    __slots__ = ("_cancelling", "_is_over", "_task", "ends", "headers", "is_closed", "may_be_sent", "transport")

    def __init__(self, task: asyncio.Task[object], ends: float, headers: Headers) -> None:
        self.ends: float = ends
        self.headers: Headers = headers
        self.may_be_sent: bool = True
        self.transport: asyncio.Transport | None = None
        self.is_closed: bool = False
        self._task = task
        self._cancelling = task.cancelling()
        self._is_over = False

    def end(self) -> None:
        """Cancel the task, once: its time is over, or the session is closed."""
        if not self._is_over:
            self._is_over = True
            self._task.cancel()

    def close(self) -> None:
        """End it because the session is closed, and drop what its connection has not sent."""
        self.is_closed = not self._is_over
        if self.transport is not None:
            reset(self.transport)
        self.end()

    def is_over(self) -> bool:
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


class Watch:
    """Ends what takes too long."""

    def __init__(self) -> None:
        #: By task: a task makes one call at a time.
        self.exchanges: dict[asyncio.Task[object], Exchange] = {}
        self._timer: asyncio.Handle | None = None
        self._looks_at = math.inf
        self._left: asyncio.Event | None = None  # set when, after `aclose`, no exchange is left

    def begin(self, loop: asyncio.AbstractEventLoop, ends: float, headers: Headers) -> Exchange:
        """Watch the current task until `ends`, a moment of the loop's clock."""
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("calls are made from tasks")
        exchange = self.exchanges[task] = Exchange(task, ends, headers)
        if ends < self._looks_at:
            self._look_at(loop, ends)
        return exchange

    def move(self, loop: asyncio.AbstractEventLoop, exchange: Exchange, ends: float) -> None:
        """Watch an exchange until another moment than before, which may be an earlier one."""
        exchange.ends = ends
        if ends < self._looks_at:
            self._look_at(loop, ends)

    def leave(self, exchange: Exchange) -> None:
        """Watch it no more."""
        del self.exchanges[exchange._task]  # noqa: SLF001  # they belong together
        if self._left is not None and not self.exchanges:
            self._left.set()

    async def aclose(self) -> None:
        """End all exchanges, and wait until their tasks have been told."""
        self.close()
        for exchange in list(self.exchanges.values()):
            exchange.close()
        if self.exchanges:
            self._left = self._left or asyncio.Event()
            await self._left.wait()

    def close(self) -> None:
        """Drop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_at(self, loop: asyncio.AbstractEventLoop, moment: float) -> None:
        self.close()
        self._looks_at = moment
        if moment < math.inf:
            self._timer = loop.call_at(moment, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop, turns: int = _TURNS) -> None:
        if turns:
            self._timer = loop.call_soon(self._look, loop, turns - 1)
            return
        now = loop.time()
        for exchange in list(self.exchanges.values()):
            if exchange.ends <= now:
                exchange.ends = math.inf
                exchange.end()
        self._look_at(loop, min((each.ends for each in self.exchanges.values()), default=math.inf))
