"""Base URLs of the provider, and the normal form of a base URL."""

from __future__ import annotations

import ipaddress
import re
from typing import Final, Literal, TypeAlias
from urllib.parse import SplitResult, urlsplit

from facturaonline_async._messages import Message, message
from facturaonline_async.errors import InvalidInputError

__all__ = [
    "FACTURA_COM_PRODUCTION",
    "FACTURA_COM_SANDBOX",
    "PRODUCTION",
    "SANDBOX",
    "Environment",
    "environment_of",
    "is_for_tests",
    "normalize",
]

#: Kind of a host: "local" is a loopback address, where only an emulator or a proxy can be.
Environment: TypeAlias = Literal["production", "sandbox", "local", "unknown"]

PRODUCTION: Final = "https://facturaonline.com.mx/api"
SANDBOX: Final = "https://sandbox.facturaonline.com.mx/api"
FACTURA_COM_PRODUCTION: Final = "https://api.factura.com"
FACTURA_COM_SANDBOX: Final = "https://sandbox.factura.com/api"

_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_NOT_IN_A_URL: Final = re.compile(r"[^\x21-\x7e]|\\")
_HOST_NAME: Final = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")


def normalize(value: str | None) -> str | None:
    """Return the normal form of a base URL; None stays None.

    One host has one normal form: scheme and host in lower case, no default port, no dot after the host, no slash at
    the end, an IP address in its shortest form. The path is not changed, because servers distinguish case and
    percent-encoding.

    Args:
        value: the URL.

    Raises:
        InvalidInputError: `value` is not an http(s) URL in ASCII; or it holds a user, a query or a fragment; or it
            would send the keys unencrypted to another machine.

    """
    if value is None:
        return None
    try:
        parts = urlsplit(value)
        port = parts.port
        host = _host(parts)
    except (ValueError, TypeError, AttributeError):
        raise _error(message("values.base_url_not_url")) from None
    if parts.scheme not in _DEFAULT_PORTS or not host or port == 0 or _NOT_IN_A_URL.search(value):
        raise _error(message("values.base_url_not_http"))
    if parts.username is not None or parts.password is not None or "?" in value or "#" in value:
        raise _error(message("values.base_url_with_query"))
    if parts.scheme == "http" and not _is_loopback(host):
        raise InvalidInputError(message("values.base_url_unencrypted"), field="base_url")
    if any(segment in {".", ".."} for segment in parts.path.split("/")):
        raise _error(message("values.base_url_with_dots"))
    address = f"[{host}]" if ":" in host else host
    suffix = "" if port in {None, _DEFAULT_PORTS[parts.scheme]} else f":{port}"
    return f"{parts.scheme}://{address}{suffix}{parts.path.rstrip('/')}"


def environment_of(base_url: str) -> Environment:
    """Return which kind of host a base URL is.

    Args:
        base_url: base URL in its normal form.

    """
    if base_url in {PRODUCTION, FACTURA_COM_PRODUCTION}:
        return "production"
    if base_url in {SANDBOX, FACTURA_COM_SANDBOX}:
        return "sandbox"
    return "local" if _is_loopback(urlsplit(base_url).hostname or "") else "unknown"


def is_for_tests(base_url: str) -> bool:
    """Return whether nothing real is changed at a base URL: a sandbox, or loopback.

    Args:
        base_url: base URL in its normal form.

    """
    return environment_of(base_url) in {"sandbox", "local"}


def _error(reason: Message) -> InvalidInputError:
    return InvalidInputError(reason.then(message("values.base_url_example", url=SANDBOX)), field="base_url")


def _host(parts: SplitResult) -> str:
    """Return the host in its normal form, or "" if there is none.

    Raises:
        ValueError: the host is malformed.

    """
    host = (parts.hostname or "").removesuffix(".")
    if "[" in parts.netloc:
        return str(ipaddress.IPv6Address(host))
    host.encode("idna")  # raises for labels that are empty or too long
    return host if _HOST_NAME.fullmatch(host) else ""


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
