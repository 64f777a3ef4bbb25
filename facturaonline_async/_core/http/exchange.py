"""Requests one after the other, with the whole answer of each.

A session's transport returns the data of an answer. A probe of the API also needs its status and headers, and whether
the server kept the connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, Final, Self

import aiohttp
from aiohttp.hdrs import ACCEPT, CONTENT_TYPE
from attrs import field, frozen

from facturaonline_async._core.http.exceptions import map_exception
from facturaonline_async._core.protocol.envelope import Headers
from facturaonline_async._core.request import PreparedRequest
from facturaonline_async._messages import message
from facturaonline_async.errors import FacturaOnlineError, OutcomeUnknownError

__all__ = ["Exchange", "ExchangeSession"]

_CHUNK: Final = 1 << 16


@frozen
class Exchange:
    """One request and its answer.

    Attributes:
        status: HTTP status.
        headers: Headers of the answer, by name without regard to case.
        body: Body of the answer, decoded; it may hold keys.
        is_reused: Whether the request went out on a connection that an earlier one had opened.
        started_at: Time of the event loop when the request began, in seconds.
        ended_at: Time of the event loop when the answer was there, in seconds.

    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    is_reused: bool
    started_at: float
    ended_at: float


class ExchangeSession:
    """One connection, on which requests are sent one after the other.

    Nothing is repeated, no redirect is followed, and no cookie and no proxy of the environment is used. Use it with
    ``async with``.

    Args:
        seconds: Maximum time of a request, in seconds.
        max_bytes: Maximum size of an answer, in bytes.

    """

    def __init__(self, seconds: float, max_bytes: int) -> None:
        self._seconds = seconds
        self._max_bytes = max_bytes
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        trace = aiohttp.TraceConfig()
        trace.on_connection_reuseconn.append(_note_reuse)
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=1),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self._seconds),
            trace_configs=[trace],
            trust_env=False,
        )
        self._http._retry_connection = False  # noqa: SLF001  # aiohttp would repeat a GET
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._http is not None:
            await self._http.close()

    async def send(self, request: PreparedRequest) -> Exchange:
        """Send a request, and return its answer, also one with an error status.

        Args:
            request: The request.

        Raises:
            FacturaOnlineError: There is no whole answer. The error says whether the request was sent, and holds no
                header.

        """
        assert self._http is not None  # noqa: S101  # entered
        loop, notes = asyncio.get_running_loop(), SimpleNamespace(is_reused=False)
        started_at = loop.time()
        headers = Headers(request.headers)
        headers[ACCEPT] = "application/json"
        if request.endpoint.method == "POST":
            headers[CONTENT_TYPE] = "application/json" if request.body is None else request.body.content_type
        problem: FacturaOnlineError
        try:
            async with self._http.request(
                request.endpoint.method,
                request.url,
                headers=headers,
                data=None if request.body is None else request.body.content,
                allow_redirects=False,
                trace_request_ctx=notes,
            ) as answer:
                body = bytearray()
                async for chunk in answer.content.iter_chunked(_CHUNK):
                    body += chunk
                    if len(body) > self._max_bytes:
                        break
                else:
                    is_reused = notes.is_reused
                    return Exchange(answer.status, answer.headers, bytes(body), is_reused, started_at, loop.time())
            problem = OutcomeUnknownError(message("calls.answer_too_large"))
        except (aiohttp.ClientError, OSError, UnicodeError) as caught:
            problem = map_exception(caught, request.url, None, may_be_sent=True)
        raise request.annotate(problem)


async def _note_reuse(session: object, context: Any, parameters: object) -> None:
    """Note in the request's context that its connection is not new."""
    del session, parameters
    context.trace_request_ctx.is_reused = True
