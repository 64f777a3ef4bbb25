"""Connections, and the one seam between "the connection is there" and "the first byte is written".

Whatever must be right in that last moment is checked in `Request.send`, which aiohttp calls there: what it raises sends
nothing. A trace would do the same for a fifth of a call.
"""

from __future__ import annotations

import os
import select
import socket
from asyncio import AbstractEventLoop, Task, current_task
from collections.abc import Callable, Mapping
from functools import partial
from os import getpid
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.hdrs import ACCEPT, PROXY_AUTHORIZATION
from yarl import URL

from facturaonline_async._core.http.deadlines import Deadline
from facturaonline_async._core.http.exceptions import ForkedError, UnaskedError
from facturaonline_async._core.protocol.envelope import Headers

if TYPE_CHECKING:
    from aiohttp.tracing import Trace

__all__ = ["Connector", "proxy_headers", "request_class"]

#: What is under way, by task. A context variable would not do instead: tasks may share a context.
Exchanges = Mapping[Task[Any], Deadline]

_POLL: Final = getattr(select, "poll", None)  # not on Windows, whose loop reads at once whatever comes
_USER_TIMEOUT: Final[int | None] = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux only

_sockets: Final[WeakSet[socket.socket]] = WeakSet()


def _disconnect() -> None:
    """Put an unconnected socket in the place of each connection, in a forked child.

    A child that runs the parent's loop on shares its selector too: it would read the answers that the parent waits for.
    """
    for plug in list(_sockets):
        if plug.fileno() >= 0:
            with socket.socket() as unconnected:
                os.dup2(unconnected.fileno(), plug.fileno(), inheritable=False)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disconnect)


def request_class(exchanges: Exchanges, proxy: Headers | None) -> type[aiohttp.ClientRequest]:
    """Return the class of a session's requests.

    Args:
        exchanges: what is under way, by task.
        proxy: headers for a proxy that reads the requests itself, or None.

    """
    process = getpid()

    class Request(aiohttp.ClientRequest):
        """A request that gets its keys when it is written, and loses them right afterwards.

        So aiohttp's frames, which hold the request while it waits for a connection and for an answer, hold no keys.
        """

        # Not passed to each request, which takes two copies of each header.
        DEFAULT_HEADERS = aiohttp.ClientRequest.DEFAULT_HEADERS | {ACCEPT: "application/json"}

        async def send(self, conn: Connection) -> aiohttp.ClientResponse:
            """Write the request.

            Raises:
                ForkedError: this is a child, forked while the call was on its way here: the parent sends it.
                UnaskedError: something came over the connection before: it would be taken for the answer.

            """
            if getpid() != process:
                conn._protocol = None  # noqa: SLF001  # else aiohttp would close the parent's connection
                raise ForkedError
            exchange = _current(exchanges, self.loop)
            protocol = conn.protocol
            if protocol is None or protocol.should_close or (exchange.may_be_sent and _has_unread(protocol)):
                raise UnaskedError
            exchange.may_be_sent = True
            exchange.transport = conn.transport
            self.headers.extend(exchange.headers)
            if proxy is not None:
                self.headers.extend(proxy)
            try:
                return await super().send(conn)
            finally:
                self.headers.clear()

    return Request


def proxy_headers(proxy: URL) -> Headers | None:
    """Return what opens a proxy: the user and the password of its URL, or None where it has none."""
    if proxy.user is None and proxy.password is None:
        return None
    return Headers({PROXY_AUTHORIZATION: aiohttp.encode_basic_auth(proxy.user or "", proxy.password or "", "utf-8")})


def _current(exchanges: Exchanges, loop: AbstractEventLoop) -> Deadline:
    return exchanges[current_task(loop)]  # type: ignore[index]  # attempts are made in tasks


def _has_unread(protocol: ResponseHandler) -> bool:
    """Whether the kernel holds something that the loop has not read yet, be it the end of the connection."""
    poll = getattr(protocol, "poll_unread", None)
    return poll is not None and bool(poll(0))


class Protocol(ResponseHandler):
    """A connection that is not used again where the beginning of an answer came over it that no call has asked for."""

    def is_connected(self) -> bool:
        """Return whether the pool may hand it out; the pool asks that of kept connections, and closes the others."""
        return super().is_connected() and not _has_begun(self._parser)


def _has_begun(parser: Any) -> bool:
    """Whether a parser, or None before the first answer, has read the beginning of an answer and not its end.

    It says so when it is told that no more will come: then it hands out what it has, or fails. aiohttp makes a new one
    for each answer, and this one is not used again. Its parser in Python, without the C extension, says nothing, but
    keeps the bytes.
    """
    if parser is None:
        return False
    try:
        return parser.feed_eof() is not None or bool(getattr(parser, "_tail", b"") or getattr(parser, "_lines", ()))
    except Exception:  # noqa: BLE001  # what it makes of half an answer
        return True


class Connector(aiohttp.TCPConnector):
    """Pool of connections without a limit of its own: it would starve waiters, and eat their time-out.

    A forked child holds copies of the parent's connections, and its loop shares the parent's selector. There they are
    neither closed nor unregistered: both would act on the parent.

    Args:
        exchanges: what is under way, by task.
        proxy: headers that open the proxy, or None.
        user_timeout: seconds for which the kernel tries to send what was written, also when this process has ended.
        more: as of `aiohttp.TCPConnector`.

    """

    def __init__(self, exchanges: Exchanges, proxy: Headers | None, user_timeout: float, **more: Any) -> None:
        self._process = getpid()
        self._exchanges = exchanges
        self._proxy = proxy
        self._user_timeout = max(1, int(user_timeout * 1000))
        super().__init__(limit=0, socket_factory=self._socket, **more)
        self._factory = partial(Protocol, loop=self._loop)  # type: ignore[assignment]  # a partial is invariant, to mypy

    def __del__(self, *more: Any) -> None:
        if not self._is_foreign():
            super().__del__(*more)

    async def close(self, *, abort_ssl: bool = False) -> None:
        """Close all connections, unless they are the parent's."""
        if not self._is_foreign():
            await super().close(abort_ssl=abort_ssl)

    def _is_foreign(self, getpid: Callable[[], int] = getpid) -> bool:
        return self._process != getpid()  # a default, for at the interpreter's end the module's names may be gone

    def _socket(self, address: tuple[Any, ...]) -> socket.socket:
        plug = socket.socket(*address[:3])
        _sockets.add(plug)
        if _USER_TIMEOUT is not None:
            plug.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, self._user_timeout)
        return plug

    async def _create_connection(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  # aiohttp's own name
    ) -> ResponseHandler:
        """Make a connection, and note that nothing can have been sent meanwhile."""
        _current(self._exchanges, self._loop).may_be_sent = False
        if self._proxy is not None:
            req.proxy_headers = self._proxy.copy()  # aiohttp adds to them
        protocol = await super()._create_connection(req, traces, timeout)
        if _POLL is not None and protocol.transport is not None:
            poll = _POLL()
            poll.register(protocol.transport.get_extra_info("socket"), select.POLLIN)
            # One object per connection, kept where it is at hand: to make it for each call would take 1 % of a call.
            protocol.poll_unread = poll.poll  # type: ignore[attr-defined]  # aiohttp leaves no place for our own
        return protocol
