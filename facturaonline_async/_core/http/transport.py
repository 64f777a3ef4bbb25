"""Transport: connections, and one exchange at a time over one of them. The only owner of a socket.

aiohttp's pool is left unlimited: its own limit starves waiters and lets the wait eat their time-out. Cookies, redirects
and the environment's proxies are off: each of them has carried one company's keys or session to a place where they did
not belong.
"""

from __future__ import annotations

import asyncio
import io
import time
from typing import Final

import aiohttp
from aiohttp.hdrs import CONTENT_TYPE
from yarl import URL

from facturaonline_async._core import retry
from facturaonline_async._core.http.connections import Connector, proxy_headers, request_class
from facturaonline_async._core.http.deadlines import Deadline, DeadlineTimer
from facturaonline_async._core.http.exceptions import ClosedError, UnaskedError, bare, map_exception
from facturaonline_async._core.protocol import envelope
from facturaonline_async._core.protocol.bodies import Body
from facturaonline_async._core.request import PreparedRequest
from facturaonline_async.config import Config
from facturaonline_async.errors import FacturaOnlineError, NotSentError, OutcomeUnknownError

__all__ = ["Transport"]

_LARGE: Final = 1 << 17
"""Bytes of a body from which on others may run while it is read or sent."""


class Transport:
    """Sends calls, each once.

    Attributes:
        http: the pool of connections, or None before the first call.

    """

    def __init__(self, config: Config) -> None:
        self.http: aiohttp.ClientSession | None = None
        self._config = config
        self._watch = DeadlineTimer()
        self._is_closed = False
        proxy = URL(config.proxy.reveal()) if config.proxy else None
        self._proxy = None if proxy is None else (proxy.raw_host or "", proxy.port or 0)

    async def aclose(self) -> None:
        """Close all connections, those in use at once, and return when the calls that used them have ended.

        aiohttp would cancel its own look-ups of hosts, and a call that waits for one would be taken for cancelled by
        its caller; a TLS handshake would go on. So the calls are ended first.
        """
        self._is_closed = True
        try:
            await self._watch.aclose()
        finally:
            if self.http is not None:
                await self.http.close()

    def abandon(self) -> None:
        """Forget all connections in a forked child: they are the parent's, and so is the loop's selector."""
        self._is_closed = True
        self._watch.close()
        if self.http is not None:
            self.http.detach()

    def _start(self) -> aiohttp.ClientSession:
        """Make the pool, in the running loop."""
        config, exchanges = self._config, self._watch.deadlines
        proxy = URL(config.proxy.reveal()) if config.proxy else None
        opening = None if proxy is None else proxy_headers(proxy)
        # Only to a server without TLS the proxy speaks for us; else it makes a tunnel.
        is_read_by_proxy = (config.base_url or "").startswith("http:")
        self.http = aiohttp.ClientSession(
            connector=Connector(
                exchanges,
                opening,
                max(config.total_timeout, config.upload_timeout),
                keepalive_timeout=config.keepalive,
                ssl=config.ssl_context or True,
            ),
            request_class=request_class(exchanges, opening if is_read_by_proxy else None),
            cookie_jar=aiohttp.DummyCookieJar(),
            proxy=None if proxy is None else proxy.with_user(None),  # its repr would show the password
            timeout=aiohttp.ClientTimeout(total=None, connect=config.connect_timeout),
            trust_env=False,
        )
        # aiohttp sends a GET again by itself when the server has dropped the connection: past the limiter.
        self.http._retry_connection = False  # noqa: SLF001
        return self.http

    async def attempt(
        self, call: PreparedRequest, loop: asyncio.AbstractEventLoop
    ) -> envelope.Reply | FacturaOnlineError:
        """Send the call once, and read the answer before the deadline.

        Errors are returned: raised here, they would carry frames that hold headers and bodies.
        """
        if self._is_closed:
            return call.annotate(NotSentError("the session was closed before the call was sent"))
        config, endpoint = self._config, call.endpoint
        ends = min(
            call.started_at + (config.upload_timeout if endpoint.upload else config.total_timeout), call.deadline
        )
        # Until the first byte: an upload may be long under way before there is anything to answer.
        first = ends if endpoint.upload else min(ends, call.started_at + config.read_timeout)
        answer: envelope.RawResponse | None = None
        while answer is None:
            exchange = self._watch.start(loop, first, call.headers)
            try:
                response = await (self.http or self._start()).request(
                    endpoint.method, call.url, headers=_headers(call), data=_data(call.body), allow_redirects=False
                )
                limit = config.max_list_bytes if endpoint.listing else config.max_answer_bytes
                content = response.content
                # Most answers come in one piece with their headers: not to wait for them saves 1 % of a call.
                body = content.read_nowait() if content.is_eof() else await self._read(response, limit, exchange, ends)
                if len(body) > limit:
                    exchange.abort()
                    return call.annotate(OutcomeUnknownError("the answer is too large, and was not read"))
                retry_after = _retry_after(response) if response.status >= 400 else None
                answer = envelope.RawResponse(endpoint, response.status, body, call.uid, retry_after, call.secrets)
                del body  # which would show in a traceback
                ended = None
            except BaseException as caught:  # noqa: BLE001  # raised again below, without the frames it came through
                ended = self._ended(caught, call, exchange)
            finally:
                self._watch.finish(exchange)
            if isinstance(ended, FacturaOnlineError):
                return call.annotate(ended)
            if ended is not None:
                try:
                    raise ended
                finally:
                    del ended  # else it would hold this frame, which holds it
        try:
            return envelope.parse_envelope(answer) if len(answer.body) <= _LARGE else await _open_in_steps(answer)
        except FacturaOnlineError as error:
            return error.with_traceback(None)

    def _ended(self, caught: BaseException, call: PreparedRequest, exchange: Deadline) -> BaseException | None:
        """Return the error of ours, or the interruption, that an attempt ended with; None: take another connection."""
        if isinstance(caught, UnaskedError) and exchange.may_be_sent:
            return None  # a kept connection, which is closed now
        exchange.abort()
        if isinstance(caught, asyncio.CancelledError) and exchange.take_back_cancellation():
            caught = ClosedError() if exchange.is_closed else TimeoutError()
        if isinstance(caught, (aiohttp.ClientError, OSError, UnicodeError)):
            return map_exception(caught, call.url, self._proxy, may_be_sent=exchange.may_be_sent)
        return bare(caught)

    async def _read(self, response: aiohttp.ClientResponse, limit: int, exchange: Deadline, ends: float) -> bytes:
        """Return the decoded body. If it is larger than `limit` bytes, stop reading, and close the connection."""
        content, loop = response.content, asyncio.get_running_loop()
        whole = io.BytesIO()  # which does not show what it holds
        try:
            while whole.tell() <= limit and not content.at_eof():
                self._watch.extend(loop, exchange, min(ends, loop.time() + self._config.read_timeout))
                whole.write(await content.readany())
        except BaseException:
            response.close()
            raise
        if whole.tell() > limit:
            response.close()
        return whole.getvalue()


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    """Return the seconds that the server asks to wait; a date counts by the server's own clock."""
    if (header := response.headers.get("Retry-After")) is None:
        return None
    now = retry.read_date(response.headers.get("Date", ""))
    return retry.read_retry_after(header, time.time() if now is None else now)


def _headers(call: PreparedRequest) -> dict[str, str] | None:
    """Return the headers of this call alone that are no secret."""
    if call.endpoint.method != "POST":
        return None
    # Without a body, JSON is what the provider's samples say.
    return {CONTENT_TYPE: "application/json" if call.body is None else call.body.content_type}


def _data(body: Body | None) -> bytes | io.BytesIO | None:
    """Return the body for aiohttp: small ones go out in one piece with the headers, large ones bit by bit."""
    if body is None:
        return None
    return body.content if len(body.content) <= _LARGE else io.BytesIO(body.content)


async def _open_in_steps(answer: envelope.RawResponse) -> envelope.Reply:
    """Open a long answer, letting others run in between."""
    steps = envelope.parse_envelope_chunked(answer)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            reply: envelope.Reply = done.value
            return reply
        await asyncio.sleep(0)
