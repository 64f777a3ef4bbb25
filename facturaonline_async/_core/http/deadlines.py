"""Deadlines of all attempts in flight, behind one timer.

aiohttp's own timeouts cost an eighth of a small call because each sets up a timer and a context. Nearly all calls end
in time. Here an attempt only records when it expires, and one timer fires at the earliest of these times.
"""

from __future__ import annotations

import asyncio
import math
import socket
import struct
import sys
from contextlib import suppress
from typing import Final

from facturaonline_async._core.http.exceptions import StaleGrantError
from facturaonline_async._core.protocol.envelope import Headers
from facturaonline_async._core.shared import shared_clock
from facturaonline_async._messages import message

__all__ = ["Deadline", "DeadlineTimer"]

#: SO_LINGER switched on with zero seconds: closing the socket sends an RST.
_NO_LINGER: Final = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)

_GRACE_ITERATIONS: Final = 3
"""Loop iterations between the timer and the cancellation of expired attempts.

After a stall of the event loop, an answer that arrived in time may still be unread. The first iteration reads it (with
uvloop, the second), and the next one runs the task that waits for it.
"""


class Deadline:
    """Deadline and progress of one attempt.

    Attributes:
        expires_at: Time of the loop's clock at which the attempt is cancelled; `DeadlineTimer.extend` moves it.
        headers: Secret headers, added to the request right before it is written.
        send_by: Time of `shared_clock` after which another process may act, so that nothing may be sent; None: no
            other process acts.
        may_be_sent: False while a new connection is being made, until the request is written to it. Only then is it
            certain that no byte of the request was sent.
        transport: Connection that the request was written to, or None.
        is_closed: Whether the attempt was ended because the session was closed.

    """

    __slots__ = (
        "_cancelling",
        "_is_expired",
        "_task",
        "expires_at",
        "headers",
        "is_closed",
        "may_be_sent",
        "send_by",
        "transport",
    )

    def __init__(self, task: asyncio.Task[object], expires_at: float, headers: Headers) -> None:
        self.expires_at: float = expires_at
        self.headers: Headers = headers
        self.send_by: float | None = None
        self.may_be_sent: bool = True
        self.transport: asyncio.Transport | None = None
        self.is_closed: bool = False
        self._task = task
        self._cancelling = task.cancelling()
        self._is_expired = False

    def check_grant(self, *, is_begun: bool = False) -> None:
        """Raise an error if `send_by` has passed.

        Args:
            is_begun: Whether bytes of the request were written already.

        Raises:
            StaleGrantError: The permission to send is too old.

        """
        if self.send_by is not None and shared_clock() > self.send_by:
            raise StaleGrantError(is_begun=is_begun)

    def expire(self) -> None:
        """Cancel the task, at most once."""
        if not self._is_expired:
            self._is_expired = True
            self._task.cancel()

    def close(self) -> None:
        """End the attempt because the session is closed, and drop its unsent data."""
        self.is_closed = not self._is_expired
        if self.transport is not None:
            reset(self.transport)
        self.expire()

    def absorb_cancellation(self) -> bool:
        """Uncancel the task if `expire` alone cancelled it; return whether it did."""
        return self._is_expired and self._task.uncancel() <= self._cancelling

    def abort(self) -> None:
        """Stop this process and its kernel from sending the rest of an abandoned request.

        A closed transport still sends its buffer, and so does the kernel, for minutes while the server does not read.
        A connection that is not closing went back to the pool after a complete answer, and is left alone.
        """
        transport = self.transport
        if transport is not None and transport.is_closing():
            reset(transport)


def reset(transport: asyncio.Transport) -> None:
    """Close a connection with an RST, and drop its unsent data."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        with suppress(OSError, ValueError):  # closed already; uvloop raises a ValueError
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()


class DeadlineTimer:
    """Timer that cancels attempts whose deadline has passed.

    Attributes:
        deadlines: Deadlines of the attempts in flight, by task; a task makes one call at a time.

    """

    def __init__(self) -> None:
        self.deadlines: dict[asyncio.Task[object], Deadline] = {}
        self._timer: asyncio.Handle | None = None
        self._scheduled_at = math.inf
        self._all_finished: asyncio.Event | None = None  # set when no deadline is left after `aclose`

    def start(self, loop: asyncio.AbstractEventLoop, expires_at: float, headers: Headers) -> Deadline:
        """Begin an attempt in the current task.

        Args:
            loop: The running loop.
            expires_at: Time of the loop's clock at which the attempt is cancelled.
            headers: Secret headers of the request.

        """
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError(message("calls.outside_a_task"))
        deadline = self.deadlines[task] = Deadline(task, expires_at, headers)
        if expires_at < self._scheduled_at:
            self._schedule(loop, expires_at)
        return deadline

    def extend(self, loop: asyncio.AbstractEventLoop, deadline: Deadline, expires_at: float) -> None:
        """Move a deadline to another time, which may be earlier."""
        deadline.expires_at = expires_at
        if expires_at < self._scheduled_at:
            self._schedule(loop, expires_at)

    def finish(self, deadline: Deadline) -> None:
        """End the attempt, and stop its timing."""
        del self.deadlines[deadline._task]  # noqa: SLF001  # they belong together
        if self._all_finished is not None and not self.deadlines:
            self._all_finished.set()

    async def aclose(self) -> None:
        """End all attempts, and wait until their tasks have finished them."""
        self.close()
        for deadline in list(self.deadlines.values()):
            deadline.close()
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

    def _expire(self, loop: asyncio.AbstractEventLoop, iterations: int = _GRACE_ITERATIONS) -> None:
        if iterations:
            self._timer = loop.call_soon(self._expire, loop, iterations - 1)
            return
        now = loop.time()
        for deadline in list(self.deadlines.values()):
            if deadline.expires_at <= now:
                deadline.expires_at = math.inf
                deadline.expire()
        self._schedule(loop, min((each.expires_at for each in self.deadlines.values()), default=math.inf))
