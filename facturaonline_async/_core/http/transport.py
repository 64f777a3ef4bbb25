"""HTTP transport: one exchange per attempt; the only owner of sockets.

Problem
    After a failed create, the caller must know whether the request was sent. The API has no idempotency key, so a
    request must never be sent twice by the pool, its rest must not leave after the caller gave up, and an old answer
    must not be taken as the answer to a new request. Errors must not hold keys, passwords or bodies.

Why not a plain client
    aiohttp provides sockets, TLS and HTTP parsing. Its defaults do not fit: the pool's limit starves waiters and
    counts the wait against the timeout; a GET is silently sent again after a disconnect; cookies, redirects and the
    environment's proxies have carried one company's keys to another place; its timeouts cost an eighth of a small
    call; its exceptions and frames hold the request.

Algorithm
    `attempt` runs one exchange. ``may_be_sent`` of its `Deadline` separates "not sent" from "outcome unknown"::

        start deadline        connect                 Request.send              read             finish
        may_be_sent=True ──▶  may_be_sent=False ──▶   check connection    ──▶   body by     ──▶  parse_envelope
              │               (new connection)        may_be_sent=True          deadline         Reply or error
              │ kept connection     │                 add keys, write               │
              └─────────────────────┼──────▶────────────────┤                       │
                                    ▼                       ▼                       ▼
                               NotSentError         unexpected data: close,   OutcomeUnknownError;
                                                    use next connection       reset with an RST

    All deadlines share one timer (`DeadlineTimer`). An expired deadline cancels the task, and `attempt` converts that
    cancellation into an error. Errors are returned, not raised: a raised error would carry frames with the headers.

Invariants, and the test of each (tests/core/http, unless another file is named)
    - No byte sent means `NotSentError`: `test_a_timeout_while_connecting_means_not_sent`,
      `test_data_on_a_new_connection_before_the_request_means_not_sent`.
    - A kept connection means that the request may have been sent:
      `test_a_request_over_a_kept_connection_may_have_been_sent`.
    - An answer belongs to the request sent before it: `test_unread_data_is_not_taken_for_the_answer_to_the_next_call`,
      `test_a_partial_unexpected_answer_is_detected`.
    - One attempt sends at most once: `test_a_read_is_sent_once_per_granted_start` (tests/core/test_engine.py),
      `test_a_create_is_not_sent_over_a_connection_that_the_server_closed`.
    - An abandoned request is not sent on: `test_the_rest_of_an_abandoned_request_is_never_sent`,
      `test_the_kernel_stops_sending_within_the_longest_attempt`.
    - No frame and no error holds keys: `test_no_frame_of_a_call_in_flight_holds_the_keys`,
      `test_an_abandoned_call_leaves_no_frame_with_keys`.
    - A create whose permission is too old is not sent, nor is the end of its body:
      `test_a_create_is_not_sent_when_its_permission_is_too_old_at_the_connection`,
      `test_the_end_of_a_large_body_is_not_sent_after_the_permission_has_run_out`.
    - The caller's cancellation stays a cancellation:
      `test_a_cancellation_at_the_moment_of_the_deadline_stays_a_cancellation`.
    - Closing ends every call before it returns, and cancels none:
      `test_closing_ends_calls_in_flight_before_it_returns_and_cancels_none`.
    - A forked child does not touch the parent's connections:
      `test_a_child_that_runs_the_loop_leaves_the_parents_answer_unread` (tests/core/test_fork.py).
"""

from __future__ import annotations

import asyncio
import io
import time
from typing import TYPE_CHECKING, Final

import aiohttp
from aiohttp.hdrs import CONTENT_TYPE
from yarl import URL

from facturaonline_async._core import retry
from facturaonline_async._core.http.connections import Connector, GrantedBody, proxy_headers, request_class
from facturaonline_async._core.http.deadlines import Deadline, DeadlineTimer
from facturaonline_async._core.http.exceptions import (
    ClosedError,
    StaleGrantError,
    UnexpectedDataError,
    map_exception,
    strip_frames,
)
from facturaonline_async._core.protocol import envelope
from facturaonline_async._core.protocol.json import LONG, find_rows
from facturaonline_async._core.request import PreparedRequest
from facturaonline_async._core.shared import grace_of
from facturaonline_async._messages import message
from facturaonline_async.config import Config
from facturaonline_async.errors import FacturaOnlineError, NotSentError, OutcomeUnknownError

if TYPE_CHECKING:  # a process that only reads makes none
    from facturaonline_async._core.protocol.bodies import Body

__all__ = ["Transport"]

_LARGE: Final = 1 << 17
"""Size in bytes above which a body is read or sent in several steps, so that other tasks can run."""


class Transport:
    """Connection pool that sends a prepared request once per attempt.

    Attributes:
        http: The pool; None until the first attempt makes it in the running loop.

    """

    def __init__(self, config: Config) -> None:
        self.http: aiohttp.ClientSession | None = None
        self._config = config
        self._deadline_timer = DeadlineTimer()
        self._is_closed = False
        self._grace = grace_of(config)
        proxy = URL(config.proxy.reveal()) if config.proxy else None
        self._proxy = None if proxy is None else (proxy.raw_host or "", proxy.port or 0)

    async def aclose(self) -> None:
        """Abort all calls in flight, wait until they have ended, and close the pool.

        Calls end before the pool closes. Otherwise aiohttp would cancel its DNS queries, so that a waiting call looked
        cancelled by its caller, and a TLS handshake would continue.
        """
        self._is_closed = True
        try:
            await self._deadline_timer.aclose()
        finally:
            if self.http is not None:
                await self.http.close()

    def abandon(self) -> None:
        """Drop all connections in a forked child without closing them.

        They belong to the parent, and so does the loop's selector.
        """
        self._is_closed = True
        self._deadline_timer.close()
        if self.http is not None:
            self.http.detach()

    def _start(self) -> aiohttp.ClientSession:
        """Make the pool in the running loop."""
        config, deadlines = self._config, self._deadline_timer.deadlines
        proxy = URL(config.proxy.reveal()) if config.proxy else None
        proxy_auth = None if proxy is None else proxy_headers(proxy)
        # Without TLS the proxy reads the requests, which carry its credentials; with TLS it opens a tunnel.
        is_read_by_proxy = (config.base_url or "").startswith("http:")
        self.http = aiohttp.ClientSession(
            connector=Connector(
                deadlines,
                proxy_auth,
                max(config.total_timeout, config.upload_timeout),
                keepalive_timeout=config.keepalive,
                ssl=config.ssl_context or True,
            ),
            request_class=request_class(deadlines, proxy_auth if is_read_by_proxy else None),
            cookie_jar=aiohttp.DummyCookieJar(),
            proxy=None if proxy is None else proxy.with_user(None),  # its repr would show the password
            timeout=aiohttp.ClientTimeout(total=None, connect=config.connect_timeout),
            trust_env=False,
        )
        # aiohttp repeats a GET by itself when the server has dropped the connection, bypassing the limiter.
        self.http._retry_connection = False  # noqa: SLF001
        return self.http

    async def attempt(
        self, call: PreparedRequest, loop: asyncio.AbstractEventLoop, asked_at: float | None = None
    ) -> envelope.Reply | FacturaOnlineError:
        """Send the request once, and read the answer before the deadline.

        Args:
            call: The request.
            loop: The running loop.
            asked_at: Time of `shared_clock` at which the permission to send was asked for; None if no other process
                acts on its age.

        Returns:
            The reply, or the error. Errors are returned because a raised one would carry frames with headers and
            bodies.

        """
        if self._is_closed:
            return call.annotate(NotSentError(message("calls.closed_before_sent")))
        config, endpoint = self._config, call.endpoint
        expires_at = min(
            call.started_at + (config.upload_timeout if endpoint.upload else config.total_timeout), call.deadline
        )
        # The read timeout does not apply to an upload, which can take long before the server can answer.
        first_byte_by = expires_at if endpoint.upload else min(expires_at, call.started_at + config.read_timeout)
        send_by = None if asked_at is None else asked_at + self._grace
        answer: envelope.RawResponse | None = None
        while answer is None:
            deadline = self._deadline_timer.start(loop, first_byte_by, call.headers)
            deadline.send_by = send_by
            try:
                response = await (self.http or self._start()).request(
                    endpoint.method,
                    call.url,
                    headers=_headers(call),
                    data=_data(call.body, deadline),
                    allow_redirects=False,
                )
                limit = config.max_list_bytes if endpoint.listing else config.max_answer_bytes
                content = response.content
                # Most bodies arrive together with their headers: skipping the wait saves 1 % of a call.
                if content.is_eof():
                    body = content.read_nowait()
                else:
                    body = await self._read(response, limit, deadline, expires_at)
                if len(body) > limit:
                    deadline.abort()
                    return call.annotate(OutcomeUnknownError(message("calls.answer_too_large")))
                retry_after = _retry_after(response) if response.status >= 400 else None
                rows = await _find_rows(body) if len(body) > LONG else None
                answer = envelope.RawResponse(
                    endpoint, response.status, body, call.uid, retry_after, call.secrets, rows
                )
                del body  # would show in a traceback
                failure = None
            except BaseException as caught:  # noqa: BLE001  # raised again below, without aiohttp's frames
                failure = self._map_failure(caught, call, deadline)
            finally:
                self._deadline_timer.finish(deadline)
            if isinstance(failure, FacturaOnlineError):
                return call.annotate(failure)
            if failure is not None:
                try:
                    raise failure
                finally:
                    del failure  # breaks the cycle between the exception and this frame
        try:
            return envelope.parse_envelope(answer)
        except FacturaOnlineError as error:
            return error.with_traceback(None)

    def _map_failure(self, caught: BaseException, call: PreparedRequest, deadline: Deadline) -> BaseException | None:
        """Return the exception that ends the attempt; None to use another connection."""
        if isinstance(caught, UnexpectedDataError) and deadline.may_be_sent:
            return None  # it was a kept connection, and is closed now
        deadline.abort()
        if isinstance(caught, asyncio.CancelledError) and deadline.absorb_cancellation():
            caught = ClosedError() if deadline.is_closed else TimeoutError()
        elif isinstance(caught.__cause__, StaleGrantError):  # raised in the task that writes the body
            caught = caught.__cause__
        if isinstance(caught, (aiohttp.ClientError, OSError, UnicodeError)):
            return map_exception(caught, call.url, self._proxy, may_be_sent=deadline.may_be_sent)
        return strip_frames(caught)

    async def _read(self, response: aiohttp.ClientResponse, limit: int, deadline: Deadline, expires_at: float) -> bytes:
        """Return the decoded body; above `limit` bytes, close the connection."""
        content, loop = response.content, asyncio.get_running_loop()
        whole = io.BytesIO()  # its repr does not show the content
        try:
            while whole.tell() <= limit and not content.at_eof():
                self._deadline_timer.extend(loop, deadline, min(expires_at, loop.time() + self._config.read_timeout))
                whole.write(await content.readany())
        except BaseException:
            response.close()
            raise
        if whole.tell() > limit:
            response.close()
        return whole.getvalue()


async def _find_rows(body: bytes) -> slice | None:
    """Return the place of a body's long list; other tasks run meanwhile."""
    place = None
    for found in find_rows(body):
        place = found
        await asyncio.sleep(0)
    return place


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    """Return the server-requested pause in seconds, or None.

    A date is compared with the server's clock.
    """
    if (header := response.headers.get("Retry-After")) is None:
        return None
    now = retry.read_date(response.headers.get("Date", ""))
    return retry.read_retry_after(header, time.time() if now is None else now)


def _headers(call: PreparedRequest) -> dict[str, str] | None:
    """Return the headers of this request that are not secret."""
    if call.endpoint.method != "POST":
        return None
    # Without a body, the provider's samples send this type.
    return {CONTENT_TYPE: "application/json" if call.body is None else call.body.content_type}


def _data(body: Body | None, deadline: Deadline) -> bytes | io.BytesIO | GrantedBody | None:
    """Return the body for aiohttp.

    A small body is sent together with the headers, a large one in chunks.
    """
    if body is None:
        return None
    if deadline.send_by is not None:
        return GrantedBody(body.content, deadline)
    return body.content if len(body.content) <= _LARGE else io.BytesIO(body.content)
