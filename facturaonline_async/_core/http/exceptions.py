"""Mapping of aiohttp's exceptions to the package's errors."""

from __future__ import annotations

import asyncio
import traceback
from typing import Final, TypeVar

import aiohttp
from yarl import URL

from facturaonline_async._messages import message
from facturaonline_async.errors import FacturaOnlineError, NotSentError, OutcomeUnknownError, RequestTimeoutError

__all__ = [
    "Address",
    "ClosedError",
    "ForkedError",
    "StaleGrantError",
    "UnexpectedDataError",
    "map_exception",
    "strip_frames",
]

E = TypeVar("E", bound=BaseException)
F = TypeVar("F", bound=FacturaOnlineError)

#: Host and port.
Address = tuple[str, int]

_WHILE_CONNECTING: Final = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
    UnicodeError,
)


class UnexpectedDataError(aiohttp.ClientConnectionError):
    """Data arrived on a connection before the request was written. Nothing was sent."""


class ClosedError(aiohttp.ClientConnectionError):
    """The session was closed while the call was in flight."""


class ForkedError(aiohttp.ClientConnectionError):
    """This is a child, forked before the request was written. Nothing was sent."""


class StaleGrantError(aiohttp.ClientConnectionError):
    """The permission to create is so old that another process may act on its end.

    Args:
        is_begun: Whether bytes of the request were written. Its last piece was not.

    """

    def __init__(self, *, is_begun: bool) -> None:
        super().__init__()
        self.is_begun = is_begun


def map_exception(
    caught: aiohttp.ClientError | OSError | UnicodeError, url: URL, proxy: Address | None, *, may_be_sent: bool
) -> FacturaOnlineError:
    """Return the error that says whether the request was sent.

    The order of the checks matters, because some of aiohttp's exceptions are subclasses of others. The error keeps
    nothing of the exception, which may hold the request's headers.

    Args:
        caught: Exception from aiohttp, or a TimeoutError for the deadline.
        url: URL of the request.
        proxy: Host and port of the proxy, or None.
        may_be_sent: Whether the request may have been written to a connection.

    """
    if isinstance(caught, (ClosedError, ForkedError, StaleGrantError)):
        return _stopped(caught, may_be_sent=may_be_sent)
    if not may_be_sent or isinstance(caught, _WHILE_CONNECTING):
        return _not_sent(caught, url.host or "", proxy)
    match caught:
        case TimeoutError():
            return _transient(RequestTimeoutError(message("calls.no_answer_in_time")))
        case aiohttp.ClientResponseError():  # its status 400 is invented by aiohttp
            return _transient(OutcomeUnknownError(message("calls.not_http")))
        case _:
            return _transient(OutcomeUnknownError(message("calls.connection_broke", error=type(caught).__name__)))


def _stopped(caught: ClosedError | ForkedError | StaleGrantError, *, may_be_sent: bool) -> FacturaOnlineError:
    """Return the error for a request that this process itself stopped."""
    match caught:
        case ForkedError():
            return NotSentError(message("calls.forked_before_sent"))
        case StaleGrantError(is_begun=True):  # a server should ignore a request without its end, but may not
            return _transient(OutcomeUnknownError(message("calls.grant_too_old_in_body")))
        case StaleGrantError():
            return _transient(NotSentError(message("calls.grant_too_old")))
        case _ if may_be_sent:
            return OutcomeUnknownError(message("calls.closed_in_flight"))
        case _:
            return NotSentError(message("calls.closed_before_sent"))


def _not_sent(caught: Exception, server: str, proxy: Address | None) -> NotSentError:
    """Return the error for a failed connection to the server or the proxy."""
    route = message("calls.route", server=server, proxy=_proxy_name(proxy)) if proxy else server
    match caught:
        case aiohttp.ClientSSLError():
            return NotSentError(
                message("calls.no_tls_connection", peer=_peer(caught, route, proxy), reason=_reason(caught))
            )
        case aiohttp.InvalidURL() | UnicodeError():
            return NotSentError(message("calls.invalid_host", peer=route))
        case aiohttp.ClientHttpProxyError():
            return NotSentError(
                message(
                    "calls.proxy_wants_password" if caught.status == 407 else "calls.proxy_refused",
                    proxy=_proxy_name(proxy),
                    server=server,
                    status=caught.status,
                )
            )
        case aiohttp.ClientConnectorError():
            reason = _reason(caught) or type(caught).__name__
            return _transient(
                NotSentError(message("calls.no_connection", peer=_peer(caught, route, proxy), reason=reason))
            )
        case TimeoutError():
            return _transient(NotSentError(message("calls.no_connection_in_time", peer=route)))
        case UnexpectedDataError():
            return _transient(NotSentError(message("calls.answer_before_request", peer=route)))
        case _:
            name = type(caught).__name__
            return _transient(NotSentError(message("calls.connection_broke_before_sent", peer=route, error=name)))


def strip_frames(caught: E) -> E:
    """Return the same exception without traceback, cause and context.

    Frames of other libraries may hold secrets. The object and its message stay, because asyncio and anyio rely on them.
    An exception that is not a cancellation gets a note that says where it was raised, without locals.
    """
    arguments = next((each.args for each in _cancellations(caught) if each.args), ())
    if arguments:
        caught.args = arguments
    if isinstance(caught, Exception):
        caught.add_note(message("calls.raised_at", frames="".join(traceback.format_tb(caught.__traceback__))))
    caught.__cause__ = caught.__context__ = None
    return caught.with_traceback(None)


def _cancellations(caught: BaseException | None) -> list[asyncio.CancelledError]:
    """Return the exception and its contexts, as far as they are cancellations."""
    found: list[asyncio.CancelledError] = []
    while isinstance(caught, asyncio.CancelledError) and caught not in found:
        found.append(caught)
        caught = caught.__context__
    return found


def _transient(error: F) -> F:
    error.is_transient = True
    return error


def _peer(caught: aiohttp.ClientConnectorError, route: str, proxy: Address | None) -> str:
    """Return the name of the unreachable host: the proxy, or the server."""
    return _proxy_name(proxy) if (caught.host, caught.port) == proxy else route


def _proxy_name(proxy: Address | None) -> str:
    return message("calls.proxy") if proxy is None else message("calls.proxy_at", host=proxy[0], port=proxy[1])


def _reason(caught: Exception) -> str:
    """Return the operating system's or OpenSSL's text; it holds no request data."""
    cause = caught.os_error if isinstance(caught, aiohttp.ClientConnectorError) else caught
    return str(getattr(cause, "strerror", None) or getattr(cause, "reason", None) or "")
