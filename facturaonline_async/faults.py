"""What is known when nothing readable came back: aiohttp's exceptions as errors of ours."""

from __future__ import annotations

import aiohttp

from facturaonline_async.errors import FacturaOnlineError, NotSentError, OutcomeUnknownError, RequestTimeoutError

__all__ = ["account"]


def account(caught: aiohttp.ClientError | OSError | UnicodeError, host: str) -> FacturaOnlineError:
    """Say whether the call happened. The order matters: several of aiohttp's exceptions are kinds of others.

    The error keeps nothing of the exception, which may hold the request's headers.
    """
    name = type(caught).__name__
    match caught:
        case aiohttp.ClientSSLError():
            return NotSentError(
                f"no TLS connection to {host}: {_reason(caught)}. If the server leaves out a certificate of its chain, "
                "give Config(ssl_context=…) one that knows it"
            )
        case aiohttp.InvalidURL() | UnicodeError():
            return NotSentError(f"{host} is no host that can be asked: is the base URL, or the proxy, right?")
        case aiohttp.ClientHttpProxyError():
            return NotSentError(f"the proxy refused the connection (HTTP {caught.status})")
        case aiohttp.ConnectionTimeoutError() | aiohttp.ClientConnectorError():
            return _transient(NotSentError(f"no connection to {host}: {_reason(caught) or name}"))
        case TimeoutError():
            return _transient(RequestTimeoutError("no answer in time"))
        case aiohttp.ClientResponseError():  # its status 400 is aiohttp's invention
            return _transient(OutcomeUnknownError("the answer is not HTTP"))
        case _:
            return _transient(OutcomeUnknownError(f"the connection broke ({name})"))


def _transient(error: FacturaOnlineError) -> FacturaOnlineError:
    error.is_transient = True
    return error


def _reason(caught: Exception) -> str:
    """Return the operating system's or OpenSSL's own words, which hold nothing of the request."""
    cause = caught.os_error if isinstance(caught, aiohttp.ClientConnectorError) else caught
    return str(getattr(cause, "strerror", None) or getattr(cause, "reason", None) or "")
