"""What is known when nothing readable came back: aiohttp's exceptions as errors of ours."""

from __future__ import annotations

import asyncio
import traceback
from typing import Final, TypeVar

import aiohttp
from yarl import URL

from facturaonline_async.errors import FacturaOnlineError, NotSentError, OutcomeUnknownError, RequestTimeoutError

__all__ = ["Address", "ClosedError", "ForkedError", "UnaskedError", "bare", "map_exception"]

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


class UnaskedError(aiohttp.ClientConnectionError):
    """Something came over a connection before the request was written to it. Nothing was sent."""


class ClosedError(aiohttp.ClientConnectionError):
    """The session was closed while the call was in flight."""


class ForkedError(aiohttp.ClientConnectionError):
    """The process was forked before the request was written, and this is the child. Nothing was sent."""


def map_exception(
    caught: aiohttp.ClientError | OSError | UnicodeError, url: URL, proxy: Address | None, *, may_be_sent: bool
) -> FacturaOnlineError:
    """Say whether the call happened. The order matters: several of aiohttp's exceptions are kinds of others.

    The error keeps nothing of the exception, which may hold the request's headers.

    Args:
        caught: what aiohttp raised, or a TimeoutError for the deadline.
        url: what was asked.
        proxy: host and port of the proxy, or None.
        may_be_sent: False where a connection was still being made, whatever was raised.

    """
    if isinstance(caught, ClosedError):
        if may_be_sent:
            return OutcomeUnknownError("the session was closed while the call was in flight")
        return NotSentError("the session was closed before the call was sent")
    if isinstance(caught, ForkedError):
        return NotSentError("the process was forked before the call was sent: the parent process sends it")
    if not may_be_sent or isinstance(caught, _WHILE_CONNECTING):
        return _unsent(caught, url.host or "", proxy)
    match caught:
        case TimeoutError():
            return _transient(RequestTimeoutError("no answer in time"))
        case aiohttp.ClientResponseError():  # its status 400 is aiohttp's invention
            return _transient(OutcomeUnknownError("the answer is not HTTP"))
        case _:
            return _transient(OutcomeUnknownError(f"the connection broke ({type(caught).__name__})"))


def _unsent(caught: Exception, server: str, proxy: Address | None) -> NotSentError:
    """Say why there was no connection: to the server, to the proxy, or to the server through the proxy."""
    way = f"{server} through {_named(proxy)}" if proxy else server
    match caught:
        case aiohttp.ClientSSLError():
            return NotSentError(
                f"no TLS connection to {_peer(caught, way, proxy)}: {_reason(caught)}. If the server leaves out a "
                "certificate of its chain, give Config(ssl_context=…) one that knows it"
            )
        case aiohttp.InvalidURL() | UnicodeError():
            return NotSentError(f"{way} is no host that can be asked: is the base URL, or the proxy, right?")
        case aiohttp.ClientHttpProxyError():
            remedy = ": give its user and password in Config(proxy=…)" if caught.status == 407 else ""
            return NotSentError(f"{_named(proxy)} refused to connect to {server} (HTTP {caught.status}){remedy}")
        case aiohttp.ClientConnectorError():
            reason = _reason(caught) or type(caught).__name__
            return _transient(NotSentError(f"no connection to {_peer(caught, way, proxy)}: {reason}"))
        case TimeoutError():
            return _transient(NotSentError(f"no connection to {way} in time"))
        case UnaskedError():
            return _transient(NotSentError(f"{way} answered before the request was sent"))
        case _:
            name = type(caught).__name__
            return _transient(NotSentError(f"the connection to {way} broke before the request was sent ({name})"))


def bare(caught: E) -> E:
    """Return the exception without the frames that it went through: other libraries' frames hold what they like.

    It stays the same object with the same message, which asyncio and anyio go by. Where a fault of a library's own is
    not foreseen, a note says where it was raised, without any locals.
    """
    message = next((each.args for each in _cancellations(caught) if each.args), ())
    if message:
        caught.args = message
    if isinstance(caught, Exception):
        caught.add_note("Raised at:\n" + "".join(traceback.format_tb(caught.__traceback__)))
    caught.__cause__ = caught.__context__ = None
    return caught.with_traceback(None)


def _cancellations(caught: BaseException | None) -> list[asyncio.CancelledError]:
    """Return the exception and those behind it, as long as they are cancellations: one may stand for another."""
    found: list[asyncio.CancelledError] = []
    while isinstance(caught, asyncio.CancelledError) and caught not in found:
        found.append(caught)
        caught = caught.__context__
    return found


def _transient(error: F) -> F:
    error.is_transient = True
    return error


def _peer(caught: aiohttp.ClientConnectorError, way: str, proxy: Address | None) -> str:
    """Name the machine that could not be reached: the proxy, or the server behind it."""
    return _named(proxy) if (caught.host, caught.port) == proxy else way


def _named(proxy: Address | None) -> str:
    return "the proxy" if proxy is None else f"the proxy {proxy[0]}:{proxy[1]}"


def _reason(caught: Exception) -> str:
    """Return the operating system's or OpenSSL's own words, which hold nothing of the request."""
    cause = caught.os_error if isinstance(caught, aiohttp.ClientConnectorError) else caught
    return str(getattr(cause, "strerror", None) or getattr(cause, "reason", None) or "")
