"""SessionManager: the connection pool, the limiter and the attempts. The only owner of a socket.

aiohttp's pool is left unlimited behind our own first-come-first-served gate: its own limit starves waiters and lets the
wait eat their time-out. Cookies, redirects and the environment's proxies are off: each of them has carried one
company's keys or session to a place where they did not belong.
"""

from __future__ import annotations

import asyncio
import io
import random
import re
from collections.abc import Callable, Hashable, Mapping
from types import TracebackType
from typing import Final, Self

import aiohttp
from attrs import define, evolve, field
from yarl import URL

from facturaonline_async import retry, wire
from facturaonline_async.checks import kind
from facturaonline_async.config import Config, Credentials, Secret
from facturaonline_async.endpoint import Endpoint
from facturaonline_async.errors import (
    FacturaOnlineError,
    InvalidInputError,
    NotSentError,
    OutcomeUnknownError,
    RequestTimeoutError,
)
from facturaonline_async.faults import account
from facturaonline_async.flight import SharedReads, Turns
from facturaonline_async.forms import Body
from facturaonline_async.gate import Gate
from facturaonline_async.limits import RateLimiter
from facturaonline_async.watch import Watch, Watched

__all__ = ["SessionManager"]

_HEADERS_KEPT: Final = 1024
_MOST_UID: Final = 10**18
_LARGE: Final = 1 << 17
"""Bytes of a body from which on others may run while it is read or sent."""
_UID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


@define(eq=False)
class _Call:
    """A request, ready to be sent as often as needed."""

    endpoint: Endpoint
    url: URL
    headers: wire.Headers
    body: Body | None
    uid: int | str | None
    key: str
    secrets: tuple[Secret, ...] = field(repr=False)

    def told(self, error: FacturaOnlineError) -> FacturaOnlineError:
        """Return the error, telling which call it was."""
        error.endpoint, error.uid = self.endpoint.name, self.uid
        return error


class SessionManager:
    """Connections, limits and repeats, for any number of `FacturaOnline` and key pairs. The only thing with a life.

    Use it as ``async with SessionManager(config) as session:``. It belongs to the event loop that it is first used in,
    and to one process: several workers are several sessions, each with limits of its own.

    Cancelling a call gives back its connection, its place and its turn. A write that is cancelled in flight may have
    happened all the same.

    Args:
        config: must have a ``base_url``.
        limiter: takes the place of the limits in `config` (not of its ``concurrency``): a call asks it first, and then
            waits for a place, if all are taken. It is not closed with the session.

    Raises:
        InvalidInputError: `config` has no ``base_url``.

    """

    def __init__(self, config: Config, *, limiter: RateLimiter | None = None) -> None:
        if config.base_url is None:
            raise InvalidInputError("Config.base_url is missing. Give SANDBOX or PRODUCTION.", field="base_url")
        self.config = config
        #: Reads that several callers wait for at the same time.
        self.shared: SharedReads = SharedReads()
        #: Turns of those who create, or change, the same thing.
        self.turns: Turns = Turns()
        #: Creates that may have happened and have not shown up: until when nothing may be created in their place.
        self.doubts: dict[Hashable, float] = {}
        self._limiter = limiter
        unlimited = evolve(config, rates=(), endpoint_rates={}, total_rates=(), host_rates=())
        self._gate = Gate(unlimited if limiter else config, has_places=True)
        self._watch = Watch()
        self._headers: dict[str, wire.Headers] = {}
        self._base_url = config.base_url
        self._http: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else "open" if self._http else "not started"
        return f"<SessionManager {self._base_url}: {state}, {self._gate!r}>"

    async def __aenter__(self) -> Self:
        self._running(asyncio.get_running_loop())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections. Calls in flight fail; calls that wait for their turn are never sent."""
        self._is_closed = True
        self._watch.close()
        self._gate.close()
        try:
            await self.shared.aclose()
        finally:
            if self._http is not None:
                await self._http.close()

    async def send(
        self,
        endpoint: Endpoint,
        credentials: Credentials,
        *,
        uid: int | str | None = None,
        query: Mapping[str, str] | None = None,
        body: Body | None = None,
        before_send: Callable[[], None] | None = None,
    ) -> wire.Reply:
        """Send one call, again where that is harmless, and return the API's yes.

        `before_send` is called when the call has its turn and its place, before the first byte is sent.

        Raises:
            FacturaOnlineError: of the kind that tells whether the call happened.

        """
        loop = asyncio.get_running_loop()
        http = self._running(loop)
        call = self._call(endpoint, credentials, uid, query, body)
        deadline = 0.0
        attempt = 0
        while True:
            came = now = loop.time()
            if self._limiter is not None or not self._gate.take(endpoint.name, call.key, loop):
                await self._enter(call)
                now = loop.time()
            # The deadline starts with the first turn, and waiting for a later turn does not count against it.
            deadline = deadline + now - came if attempt else now + self.config.deadline
            try:
                if before_send is not None:
                    before_send()
                return await self._attempt(http, call, loop, now, deadline)
            except FacturaOnlineError as error:
                wait = retry.wait_before_repeat(
                    error, endpoint, self.config.retry, attempt=attempt, uniform=random.uniform
                )
                if wait is None or loop.time() + wait >= deadline:
                    raise
            finally:
                self._gate.release(call.key)
            await asyncio.sleep(wait)
            attempt += 1

    # ── Before ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _running(self, loop: asyncio.AbstractEventLoop) -> aiohttp.ClientSession:
        """Return the HTTP session, started in the running loop at the first use."""
        if self._is_closed:
            raise NotSentError("this session is closed: make a new SessionManager, and keep it open while you call")
        if self._http is None:
            self._loop = loop
            total = min(self.config.total_timeout, self.config.upload_timeout)
            self._http = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0, keepalive_timeout=self.config.keepalive, ssl=self.config.ssl_context or True
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                proxy=self.config.proxy,
                # A little less than the whole, so that who cannot connect is told that nothing was sent.
                timeout=aiohttp.ClientTimeout(total=None, connect=min(self.config.connect_timeout, 0.9 * total)),
                trust_env=False,
            )
            # aiohttp sends a GET again by itself when the server has dropped the connection: past the limiter.
            self._http._retry_connection = False  # noqa: SLF001
        elif loop is not self._loop:
            raise NotSentError(
                "this session belongs to another event loop: make one SessionManager inside each loop that calls"
            )
        return self._http

    def _call(
        self,
        endpoint: Endpoint,
        credentials: Credentials,
        uid: int | str | None,
        query: Mapping[str, str] | None,
        body: Body | None,
    ) -> _Call:
        path = endpoint.path
        if "{uid}" in path:
            text = _uid_text(uid)
            if not _UID.fullmatch(text):
                seen = f"{uid!r:.80}" if isinstance(uid, str) else kind(uid)
                raise InvalidInputError(
                    f"uid must be 1 to 64 letters, digits, '-' or '_', and was {seen}.",
                    field="uid",
                    endpoint=endpoint.name,
                )
            path = path.replace("{uid}", text)
        url = URL(self._base_url + path, encoded=True)
        headers = self._headers.get(credentials.fingerprint) or self._new_headers(credentials)
        secrets: tuple[Secret, ...] = (credentials.api_key, credentials.secret_key)
        if endpoint.method == "POST":
            # Without a body, JSON is what the provider's samples say.
            content_type = body.content_type if body else "application/json"
            headers = wire.Headers(headers, **{"Content-Type": content_type})
            secrets += body.secrets if body else ()
        return _Call(
            endpoint, url.with_query(query) if query else url, headers, body, uid, credentials.fingerprint, secrets
        )

    def _new_headers(self, credentials: Credentials) -> wire.Headers:
        """Return the headers of every call with these keys, and keep them for the next one."""
        if len(self._headers) >= _HEADERS_KEPT:
            self._headers.clear()
        headers = self._headers[credentials.fingerprint] = wire.headers(credentials, self.config.plugin)
        return headers

    async def _enter(self, call: _Call) -> None:
        """Wait for a turn and a place."""
        name, max_wait = call.endpoint.name, self.config.max_wait
        clock = asyncio.get_running_loop().time
        came = clock()
        try:
            if self._limiter is not None:
                # Before the place: who waits for a turn must not keep others from flying.
                await self._limiter.acquire(name, call.key, max_wait=max_wait)
            left = None if max_wait is None else max(0.0, came + max_wait - clock())
            await self._gate.acquire(name, call.key, max_wait=left)
        except NotSentError as error:
            raise call.told(error) from None
        if self._is_closed:
            self._gate.release(call.key)
            raise call.told(NotSentError("the session was closed while the call was waiting"))

    # ── One exchange ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _attempt(
        self, http: aiohttp.ClientSession, call: _Call, loop: asyncio.AbstractEventLoop, now: float, deadline: float
    ) -> wire.Reply:
        """Send the call once, and read the answer before the deadline."""
        config, endpoint = self.config, call.endpoint
        ends = now + (config.upload_timeout if endpoint.upload else config.total_timeout)
        ends = min(ends, deadline)
        # Until the first byte: an upload may be long under way before there is anything to answer.
        watched = self._watch.begin(loop, ends if endpoint.upload else min(ends, now + config.read_timeout))
        problem: FacturaOnlineError | None = None
        body, status, retry_after = None, 0, None
        try:
            response = await http.request(
                endpoint.method,
                call.url,
                headers=call.headers,
                data=_data(call.body),
                allow_redirects=False,
            )
            limit = config.max_list_bytes if endpoint.listing else config.max_answer_bytes
            body = await self._read(response, limit, watched, ends)
            status = response.status
            retry_after = response.headers.get("Retry-After") if status >= 400 else None
        except (aiohttp.ClientError, OSError, UnicodeError) as caught:
            problem = account(caught, call.url.host or "")
        except asyncio.CancelledError:
            if not watched.is_over():
                raise
            problem = RequestTimeoutError("no answer in time")
            problem.is_transient = True
        finally:
            self._watch.leave(watched)
        if problem is None and body is not None:
            answer = wire.Answer(endpoint, status, body, call.uid, retry_after, call.secrets)
            return wire.open_envelope(answer) if len(body) <= _LARGE else await _open_in_steps(answer)
        # Raised here, where aiohttp's exception (which shows the headers) is no longer its context.
        raise call.told(problem or OutcomeUnknownError("the answer is too large, and was not read"))

    async def _read(self, response: aiohttp.ClientResponse, limit: int, watched: Watched, ends: float) -> bytes | None:
        """Return the decoded body, or None if it is larger than `limit` bytes; then the connection is closed."""
        content = response.content
        try:
            body = await content.readany()
            if not content.at_eof():  # most answers come in one piece
                chunks = [body]
                size = len(body)
                while size <= limit and not content.at_eof():
                    watched.ends = min(ends, asyncio.get_running_loop().time() + self.config.read_timeout)
                    chunks.append(await content.readany())
                    size += len(chunks[-1])
                body = b"".join(chunks)
        except BaseException:
            response.close()
            raise
        if len(body) <= limit:
            return body
        response.close()
        return None


def _uid_text(uid: object) -> str:
    """Return the uid as it stands in a path, or "" for what is none."""
    if isinstance(uid, str):
        return uid
    return str(uid) if isinstance(uid, int) and not isinstance(uid, bool) and abs(uid) < _MOST_UID else ""


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
