"""Connection pool, and the checks right before the first byte of a request.

aiohttp calls `Request.send` when the connection is open and nothing has been written. The checks of that moment stand
there: if it raises, nothing is sent. An aiohttp trace could do the same, but costs a fifth of a call.
"""

from __future__ import annotations

import asyncio
import select
import socket
from asyncio import AbstractEventLoop, Task, current_task
from collections.abc import Callable, Mapping
from functools import partial
from os import getpid
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import aiohttp.payload
from aiohttp.abc import AbstractStreamWriter
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.hdrs import ACCEPT, PROXY_AUTHORIZATION
from yarl import URL

from facturaonline_async._core.fork_guard import guard
from facturaonline_async._core.http.deadlines import Deadline
from facturaonline_async._core.http.exceptions import ForkedError, UnexpectedDataError
from facturaonline_async._core.protocol.envelope import Headers

if TYPE_CHECKING:
    from aiohttp.tracing import Trace

__all__ = ["Connector", "GrantedBody", "proxy_headers", "request_class"]

#: Deadlines of the attempts in flight, by task. A context variable would not work, because tasks may share a context.
Deadlines = Mapping[Task[Any], Deadline]

_PIECE: Final = 1 << 16
"""Size of a piece of a body in bytes."""

_POLL: Final = getattr(select, "poll", None)  # absent on Windows, whose loop reads arriving data at once
_USER_TIMEOUT: Final[int | None] = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux only


def request_class(deadlines: Deadlines, proxy: Headers | None) -> type[aiohttp.ClientRequest]:
    """Return the request class of a session.

    Args:
        deadlines: Deadlines of the attempts in flight, by task.
        proxy: Headers for a proxy that reads the requests (no TLS), or None.

    """
    process = getpid()

    class Request(aiohttp.ClientRequest):
        """Request that holds its keys only while it is written.

        aiohttp's frames hold the request while they wait for a connection or an answer; so they hold no keys.
        """

        # Class attribute: passing it with each request would copy each header twice.
        DEFAULT_HEADERS = aiohttp.ClientRequest.DEFAULT_HEADERS | {ACCEPT: "application/json"}

        async def send(self, conn: Connection) -> aiohttp.ClientResponse:
            """Write the request.

            Raises:
                ForkedError: This is a child, forked during the call; the parent sends the request.
                StaleGrantError: The permission to create is too old.
                UnexpectedDataError: The connection is closing, or holds data that would be taken for the answer.

            """
            if getpid() != process:
                conn._protocol = None  # noqa: SLF001  # prevents aiohttp from closing the parent's connection
                raise ForkedError
            deadline = _current(deadlines, self.loop)
            protocol = conn.protocol
            if protocol is None or protocol.should_close or (deadline.may_be_sent and _has_unread(protocol)):
                raise UnexpectedDataError
            if deadline.send_by is not None:
                deadline.check_grant()
            deadline.may_be_sent = True
            deadline.transport = conn.transport
            self.headers.extend(deadline.headers)
            if proxy is not None:
                self.headers.extend(proxy)
            try:
                return await super().send(conn)
            finally:
                self.headers.clear()

    return Request


class GrantedBody(aiohttp.payload.Payload):
    """Body of a create that must not be sent after its permission has run out.

    The age of the permission is checked right before the first piece, which goes out with the headers, and before the
    last one. A server that lacks the last piece has no request.

    Args:
        content: The body.
        deadline: Deadline of the attempt; it knows the permission.

    """

    _autoclose = True  # there is nothing to close

    def __init__(self, content: bytes, deadline: Deadline) -> None:
        super().__init__(content)
        self._size = len(content)
        self._deadline = deadline

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the body as text."""
        return bytes(self._value).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write the body in pieces."""
        await self.write_with_length(writer, None)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Write the body in pieces, so that other tasks can run; its length is known."""
        del content_length
        last = max(0, len(self._value) - 1) // _PIECE * _PIECE
        for start in range(0, last + 1, _PIECE):
            if start:
                await asyncio.sleep(0)
            if start in {0, last}:
                self._deadline.check_grant(is_begun=start > 0)
            await writer.write(self._value[start : start + _PIECE])


def proxy_headers(proxy: URL) -> Headers | None:
    """Return the proxy's authorization header, or None if its URL has no user."""
    if proxy.user is None and proxy.password is None:
        return None
    return Headers({PROXY_AUTHORIZATION: aiohttp.encode_basic_auth(proxy.user or "", proxy.password or "", "utf-8")})


def _current(deadlines: Deadlines, loop: AbstractEventLoop) -> Deadline:
    return deadlines[current_task(loop)]  # type: ignore[index]  # attempts are made in tasks


def _has_unread(protocol: ResponseHandler) -> bool:
    """Return whether the kernel holds data or an end of stream that is unread."""
    poll = getattr(protocol, "poll_unread", None)
    return poll is not None and bool(poll(0))


class Protocol(ResponseHandler):
    """Protocol of a connection that is not reused after unexpected data has arrived."""

    def is_connected(self) -> bool:
        """Return whether the pool may reuse the connection; the pool closes it otherwise."""
        return super().is_connected() and not _has_partial_answer(self._parser)


def _has_partial_answer(parser: Any) -> bool:
    """Return whether a parser (None: no parser yet) holds an incomplete answer.

    `feed_eof` returns the incomplete message or fails. That spoils the parser, but aiohttp makes a new one for each
    answer. aiohttp's pure Python parser reports nothing, but keeps the bytes.
    """
    if parser is None:
        return False
    try:
        return parser.feed_eof() is not None or bool(getattr(parser, "_tail", b"") or getattr(parser, "_lines", ()))
    except Exception:  # noqa: BLE001  # any failure means an incomplete answer
        return True


class Connector(aiohttp.TCPConnector):
    """Connection pool without a limit.

    aiohttp's limit starves waiters and counts the wait against the timeout. A forked child holds copies of the parent's
    connections and shares the parent's selector. The child neither closes nor unregisters them, because both would
    affect the parent.

    Args:
        deadlines: Deadlines of the attempts in flight, by task.
        proxy: Authorization header for the proxy, or None.
        user_timeout: Seconds for which the kernel retries unacknowledged data, also after this process has ended.
        more: Arguments of `aiohttp.TCPConnector`.

    """

    def __init__(self, deadlines: Deadlines, proxy: Headers | None, user_timeout: float, **more: Any) -> None:
        self._process = getpid()
        self._deadlines = deadlines
        self._proxy = proxy
        self._user_timeout = max(1, int(user_timeout * 1000))
        super().__init__(limit=0, socket_factory=self._socket, **more)
        self._factory = partial(Protocol, loop=self._loop)  # type: ignore[assignment]  # a partial is invariant, to mypy

    def __del__(self, *more: Any) -> None:
        if not self._is_in_forked_child():
            super().__del__(*more)

    async def close(self, *, abort_ssl: bool = False) -> None:
        """Close all connections, unless they belong to the parent process."""
        if not self._is_in_forked_child():
            await super().close(abort_ssl=abort_ssl)

    def _is_in_forked_child(self, getpid: Callable[[], int] = getpid) -> bool:
        return self._process != getpid()  # default argument: at interpreter shutdown the module's names may be gone

    def _socket(self, address: tuple[Any, ...]) -> socket.socket:
        sock = socket.socket(*address[:3])
        guard(sock)
        if _USER_TIMEOUT is not None:
            sock.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, self._user_timeout)
        return sock

    async def _create_connection(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  # aiohttp's own name
    ) -> ResponseHandler:
        """Open a connection, and record that nothing was sent meanwhile."""
        _current(self._deadlines, self._loop).may_be_sent = False
        if self._proxy is not None:
            req.proxy_headers = self._proxy.copy()  # aiohttp adds to them
        protocol = await super()._create_connection(req, traces, timeout)
        if _POLL is not None and protocol.transport is not None:
            poll = _POLL()
            poll.register(protocol.transport.get_extra_info("socket"), select.POLLIN)
            # One object per connection: making it for each call would cost 1 % of a call.
            protocol.poll_unread = poll.poll  # type: ignore[attr-defined]  # aiohttp offers no attribute for this
        return protocol
