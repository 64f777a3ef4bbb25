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

from facturaonline_async import retry, wire
from facturaonline_async.call import Call
from facturaonline_async.config import Config
from facturaonline_async.errors import FacturaOnlineError, OutcomeUnknownError, RequestTimeoutError
from facturaonline_async.faults import account
from facturaonline_async.forms import Body
from facturaonline_async.watch import Watch, Watched

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
        self._watch = Watch()

    async def aclose(self) -> None:
        """Close all connections."""
        self._watch.close()
        if self.http is not None:
            await self.http.close()

    def _start(self) -> aiohttp.ClientSession:
        """Make the pool, in the running loop."""
        config = self._config
        soonest = min(config.read_timeout, config.total_timeout, config.upload_timeout)
        self.http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=config.keepalive, ssl=config.ssl_context or True),
            cookie_jar=aiohttp.DummyCookieJar(),
            proxy=config.proxy.reveal() if config.proxy else None,
            # Before all others, so that who cannot connect is told that nothing was sent.
            timeout=aiohttp.ClientTimeout(total=None, connect=min(config.connect_timeout, 0.9 * soonest)),
            trust_env=False,
        )
        # aiohttp sends a GET again by itself when the server has dropped the connection: past the limiter.
        self.http._retry_connection = False  # noqa: SLF001
        return self.http

    async def attempt(self, call: Call, loop: asyncio.AbstractEventLoop) -> wire.Reply | FacturaOnlineError:
        """Send the call once, and read the answer before the deadline.

        Errors are returned: raised here, they would carry frames that hold headers and bodies.
        """
        config, endpoint = self._config, call.endpoint
        ends = min(call.began + (config.upload_timeout if endpoint.upload else config.total_timeout), call.deadline)
        # Until the first byte: an upload may be long under way before there is anything to answer.
        watched = self._watch.begin(loop, ends if endpoint.upload else min(ends, call.began + config.read_timeout))
        try:
            response = await (self.http or self._start()).request(
                endpoint.method,
                call.url,
                headers=call.headers,
                data=_data(call.body),
                allow_redirects=False,
            )
            limit = config.max_list_bytes if endpoint.listing else config.max_answer_bytes
            content = response.content
            # Most answers come in one piece with their headers: not to wait for them saves 1 % of a call.
            body = content.read_nowait() if content.is_eof() else await self._read(response, limit, watched, ends)
            if len(body) > limit:
                return call.told(OutcomeUnknownError("the answer is too large, and was not read"))
            retry_after = _retry_after(response) if response.status >= 400 else None
            answer = wire.Answer(endpoint, response.status, body, call.uid, retry_after, call.secrets)
            del body  # which would show in a traceback
        except (aiohttp.ClientError, OSError, UnicodeError) as caught:
            return call.told(account(caught, call.url.host or ""))
        except asyncio.CancelledError:
            if not watched.is_over():
                raise
            problem = RequestTimeoutError("no answer in time")
            problem.is_transient = True
            return call.told(problem)
        finally:
            self._watch.leave(watched)
        try:
            return wire.open_envelope(answer) if len(answer.body) <= _LARGE else await _open_in_steps(answer)
        except FacturaOnlineError as error:
            return error.with_traceback(None)

    async def _read(self, response: aiohttp.ClientResponse, limit: int, watched: Watched, ends: float) -> bytes:
        """Return the decoded body. If it is larger than `limit` bytes, stop reading, and close the connection."""
        content = response.content
        whole = io.BytesIO()  # which does not show what it holds
        try:
            whole.write(await content.readany())
            while whole.tell() <= limit and not content.at_eof():
                watched.ends = min(ends, asyncio.get_running_loop().time() + self._config.read_timeout)
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


def _data(body: Body | None) -> bytes | io.BytesIO | None:
    """Return the body for aiohttp: small ones go out in one piece with the headers, large ones bit by bit."""
    if body is None:
        return None
    return body.content if len(body.content) <= _LARGE else io.BytesIO(body.content)


async def _open_in_steps(answer: wire.Answer) -> wire.Reply:
    """Open a long answer, letting others run in between."""
    steps = wire.open_in_steps(answer)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            reply: wire.Reply = done.value
            return reply
        await asyncio.sleep(0)
