"""SessionManager: the connection pool, the limiter and the attempts. The only owner of a socket.

aiohttp's pool is left unlimited behind our own first-come-first-served gate: its own limit starves waiters and lets the
wait eat their time-out. Cookies, redirects and the environment's proxies are off: each of them has carried one
company's keys or session to a place where they did not belong.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self

import aiohttp
from attrs import field, frozen
from yarl import URL

from facturaonline_async import retry, wire
from facturaonline_async.config import Config, Credentials, Secret
from facturaonline_async.endpoint import Endpoint
from facturaonline_async.errors import (
    FacturaOnlineError,
    InvalidInputError,
    LimiterWaitError,
    NotSentError,
    OutcomeUnknownError,
    RequestTimeoutError,
)
from facturaonline_async.flight import SharedReads, Turns
from facturaonline_async.forms import Body
from facturaonline_async.limits import LocalLimiter, RateLimiter

__all__ = ["SessionManager"]

_UID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


@frozen(kw_only=True)
class _Call:
    """A request, ready to be sent as often as needed."""

    endpoint: Endpoint
    url: URL
    headers: wire.Headers
    body: Body | None
    uid: int | str | None
    key: str
    secrets: tuple[Secret, ...] = field(repr=False)

    def failed(self, kind: type[FacturaOnlineError], message: str, *, is_transient: bool = False) -> FacturaOnlineError:
        """Return an error that tells which call it was."""
        error = kind(message, endpoint=self.endpoint.name, uid=self.uid)
        error.is_transient = is_transient
        return error


class SessionManager:
    """Connections, limits and repeats, for any number of `FacturaOnline` and key pairs. The only thing with a life.

    Use it as ``async with SessionManager(config) as session:``. It belongs to the event loop that it is first used in,
    and to one process: several workers are several sessions, each with limits of its own.

    Cancelling a call gives back its connection, its place and its turn. A write that is cancelled in flight may have
    happened all the same.

    Args:
        config: must have a ``base_url``.
        limiter: takes the place of the limits in `config` (not of its ``concurrency``). It is not closed with the
            session.

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
        self._limiter = limiter
        self._gate = LocalLimiter(
            rates=() if limiter else config.rates,
            endpoint_rates={} if limiter else config.endpoint_rates,
            total_rates=() if limiter else config.total_rates,
            host_rates=() if limiter else config.host_rates,
            concurrency=config.concurrency,
            concurrency_per_key=config.concurrency_per_key,
        )
        self._base_url = config.base_url
        self._http: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else "open" if self._http else "not started"
        return f"<SessionManager {self._base_url}: {state}, {self._gate!r}>"

    async def __aenter__(self) -> Self:
        self._running()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections. Calls in flight fail; calls that wait for their turn are never sent."""
        self._is_closed = True
        await self.shared.aclose()
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
    ) -> wire.Reply:
        """Send one call, again where that is harmless, and return the API's yes.

        Raises:
            FacturaOnlineError: of the kind that tells whether the call happened.

        """
        http = self._running()
        call = self._call(endpoint, credentials, uid, query, body)
        clock = asyncio.get_running_loop().time
        deadline: float | None = None
        attempt = 0
        while True:
            came = clock()
            await self._enter(call)
            now = clock()
            # The deadline starts with the first turn, and waiting for a later turn does not count against it.
            deadline = now + self.config.deadline if deadline is None else deadline + now - came
            try:
                return await self._attempt(http, call, deadline - now)
            except FacturaOnlineError as error:
                wait = retry.wait_before_repeat(
                    error, endpoint, self.config.retry, attempt=attempt, uniform=random.uniform
                )
                if wait is None or clock() + wait >= deadline:
                    raise
            finally:
                self._gate.release(call.key)
            await asyncio.sleep(wait)
            attempt += 1

    # ── Before ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _running(self) -> aiohttp.ClientSession:
        """Return the HTTP session, started in the running loop at the first use."""
        loop = asyncio.get_running_loop()
        if self._is_closed:
            raise NotSentError("this session is closed: make a new SessionManager, and keep it open while you call")
        if self._http is None:
            self._loop = loop
            self._http = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0, keepalive_timeout=self.config.keepalive, ssl=self.config.ssl_context or True
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                proxy=self.config.proxy,
                trust_env=False,
            )
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
            if not isinstance(uid, (int, str)) or isinstance(uid, bool) or not _UID.fullmatch(str(uid)):
                raise InvalidInputError(
                    f"uid must be 1 to 64 letters, digits, '-' or '_', and was {uid!r:.80}.",
                    field="uid",
                    endpoint=endpoint.name,
                )
            path = path.replace("{uid}", str(uid))
        url = URL(self._base_url + path, encoded=True)
        headers = wire.headers(credentials, self.config.plugin)
        if body is not None:
            headers["Content-Type"] = body.content_type
        elif endpoint.method == "POST":
            headers["Content-Type"] = "application/json"  # as in the provider's samples of calls without a body
        return _Call(
            endpoint=endpoint,
            url=url.with_query(query) if query else url,
            headers=headers,
            body=body,
            uid=uid,
            key=credentials.fingerprint,
            secrets=(credentials.api_key, credentials.secret_key, *(body.secrets if body else ())),
        )

    async def _enter(self, call: _Call) -> None:
        """Wait for a turn and a place."""
        name, max_wait = call.endpoint.name, self.config.max_wait
        try:
            if self._limiter is None:
                await self._gate.acquire(name, call.key, max_wait=max_wait)
            else:
                await self._enter_by(self._limiter, name, call.key, max_wait)
        except LimiterWaitError as error:
            error.endpoint = name
            raise
        if self._is_closed:
            self._gate.release(call.key)
            raise call.failed(NotSentError, "the session was closed while the call was waiting")

    async def _enter_by(self, limiter: RateLimiter, name: str, key: str, max_wait: float | None) -> None:
        """Wait for a place, then for the limiter that was given: the turn must be the last thing before the start."""
        clock = asyncio.get_running_loop().time
        came = clock()
        await self._gate.acquire("", key, max_wait=max_wait)
        try:
            left = None if max_wait is None else max(0.0, came + max_wait - clock())
            await limiter.acquire(name, key, max_wait=left)
        except BaseException:
            self._gate.release(key)
            raise

    # ── One exchange ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _attempt(self, http: aiohttp.ClientSession, call: _Call, left: float) -> wire.Reply:
        """Send the call once, and read the answer within `left` seconds."""
        answer = await self._exchange(http, call, left)
        if isinstance(answer, FacturaOnlineError):
            raise answer  # here, where aiohttp's exception (which shows the headers) is no longer its context
        return wire.open_envelope(answer)

    async def _exchange(
        self, http: aiohttp.ClientSession, call: _Call, left: float
    ) -> wire.Answer | FacturaOnlineError:
        """Return what came back, or the error that says what is known when nothing readable did."""
        config, endpoint = self.config, call.endpoint
        try:
            response = await http.request(
                endpoint.method,
                call.url,
                headers=call.headers,
                data=call.body.content if call.body else None,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    total=min(left, config.upload_timeout if endpoint.upload else config.total_timeout),
                    connect=config.connect_timeout,
                    sock_read=config.read_timeout,
                ),
            )
            body = await _read(response, config.max_list_bytes if endpoint.listing else config.max_answer_bytes)
        except (aiohttp.ClientError, OSError) as caught:
            return _account(caught, call)
        if body is None:
            return call.failed(OutcomeUnknownError, "the answer is too large, and was not read")
        return wire.Answer(
            endpoint=endpoint,
            uid=call.uid,
            status=response.status,
            body=body,
            retry_after=response.headers.get("Retry-After"),
            secrets=call.secrets,
        )


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes | None:
    """Return the decoded body, or None if it is larger than `limit` bytes. Closes the connection unless it is whole."""
    chunks: list[bytes] = []
    try:
        while chunk := await response.content.readany():
            chunks.append(chunk)
            limit -= len(chunk)
            if limit < 0:
                response.close()
                return None
    except BaseException:
        response.close()
        raise
    return b"".join(chunks)


def _account(caught: aiohttp.ClientError | OSError, call: _Call) -> FacturaOnlineError:
    """Say what is known after aiohttp's exception. The order matters: several of them are kinds of others."""
    name = type(caught).__name__
    match caught:
        case aiohttp.ClientSSLError():
            return call.failed(
                NotSentError,
                f"no TLS connection to {call.url.host}: {_reason(caught)}. If the server leaves out a certificate of "
                "its chain, give Config(ssl_context=…) one that knows it",
            )
        case aiohttp.ClientHttpProxyError():
            return call.failed(NotSentError, f"the proxy refused the connection (HTTP {caught.status})")
        case aiohttp.ConnectionTimeoutError() | aiohttp.ClientConnectorError():
            return call.failed(
                NotSentError, f"no connection to {call.url.host}: {_reason(caught) or name}", is_transient=True
            )
        case TimeoutError():
            return call.failed(RequestTimeoutError, "no answer in time", is_transient=True)
        case aiohttp.ClientResponseError():  # its status 400 is aiohttp's invention
            return call.failed(OutcomeUnknownError, "the answer is not HTTP", is_transient=True)
        case _:
            return call.failed(OutcomeUnknownError, f"the connection broke ({name})", is_transient=True)


def _reason(caught: Exception) -> str:
    """Return the operating system's or OpenSSL's own words, which hold nothing of the request."""
    cause = caught.os_error if isinstance(caught, aiohttp.ClientConnectorError) else caught
    return str(getattr(cause, "strerror", None) or getattr(cause, "reason", None) or "")
