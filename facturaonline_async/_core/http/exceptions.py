"""Mapping of aiohttp's exceptions to the package's errors."""

from __future__ import annotations

import asyncio
import traceback
from typing import Final, TypeVar

import aiohttp
from yarl import URL

from facturaonline_async.errors import FacturaOnlineError, NotSentError, OutcomeUnknownError, RequestTimeoutError

__all__ = ["Address", "ClosedError", "ForkedError", "UnexpectedDataError", "map_exception", "strip_frames"]

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
    if isinstance(caught, ClosedError):
        if may_be_sent:
            return OutcomeUnknownError("the session was closed while the call was in flight")
        return NotSentError("the session was closed before the call was sent")
    if isinstance(caught, ForkedError):
        return NotSentError("the process was forked before the call was sent: the parent process sends it")
    if not may_be_sent or isinstance(caught, _WHILE_CONNECTING):
        return _not_sent(caught, url.host or "", proxy)
    match caught:
        case TimeoutError():
            return _transient(RequestTimeoutError("no answer in time"))
        case aiohttp.ClientResponseError():  # its status 400 is invented by aiohttp
            return _transient(OutcomeUnknownError("the answer is not HTTP"))
        case _:
            return _transient(OutcomeUnknownError(f"the connection broke ({type(caught).__name__})"))


def _not_sent(caught: Exception, server: str, proxy: Address | None) -> NotSentError:
    """Return the error for a failed connection to the server or the proxy."""
    route = f"{server} through {_proxy_name(proxy)}" if proxy else server
    match caught:
        case aiohttp.ClientSSLError():
            return NotSentError(
                f"no TLS connection to {_peer(caught, route, proxy)}: {_reason(caught)}. If the server omits an "
                "intermediate certificate, give Config(ssl_context=…) a context that trusts it"
            )
        case aiohttp.InvalidURL() | UnicodeError():
            return NotSentError(f"{route} is not a valid host: check the base URL and the proxy")
        case aiohttp.ClientHttpProxyError():
            remedy = ": give its user and password in Config(proxy=…)" if caught.status == 407 else ""
            return NotSentError(f"{_proxy_name(proxy)} refused to connect to {server} (HTTP {caught.status}){remedy}")
        case aiohttp.ClientConnectorError():
            reason = _reason(caught) or type(caught).__name__
            return _transient(NotSentError(f"no connection to {_peer(caught, route, proxy)}: {reason}"))
        case TimeoutError():
            return _transient(NotSentError(f"no connection to {route} in time"))
        case UnexpectedDataError():
            return _transient(NotSentError(f"{route} answered before the request was sent"))
        case _:
            name = type(caught).__name__
            return _transient(NotSentError(f"the connection to {route} broke before the request was sent ({name})"))


def strip_frames(caught: E) -> E:
    """Return the same exception without traceback, cause and context.

    Frames of other libraries may hold secrets. The object and its message stay, because asyncio and anyio rely on them.
    An exception that is not a cancellation gets a note that says where it was raised, without locals.
    """
    message = next((each.args for each in _cancellations(caught) if each.args), ())
    if message:
        caught.args = message
    if isinstance(caught, Exception):
        caught.add_note("Raised at:\n" + "".join(traceback.format_tb(caught.__traceback__)))
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
    return "the proxy" if proxy is None else f"the proxy {proxy[0]}:{proxy[1]}"


def _reason(caught: Exception) -> str:
    """Return the operating system's or OpenSSL's text; it holds no request data."""
    cause = caught.os_error if isinstance(caught, aiohttp.ClientConnectorError) else caught
    return str(getattr(cause, "strerror", None) or getattr(cause, "reason", None) or "")
