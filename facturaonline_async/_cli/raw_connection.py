"""One connection to the API, step by step, up to a request without keys.

The session of a client takes these steps at once, and its error names the last one only.
"""

from __future__ import annotations

import asyncio
import http.client
import io
import ipaddress
import re
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, Self
from urllib.parse import SplitResult, urlsplit

from attrs import define, field, frozen

from facturaonline_async._cli.daemon_thread import call_in_daemon

__all__ = ["Certificate", "Head", "NotHttpError", "RawConnection"]

_PORTS: Final = {"https": 443, "http": 80}
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?\r\n")


class NotHttpError(Exception):
    """The server closed the connection, or its answer is not HTTP."""


@frozen
class Certificate:
    """What the TLS of a connection is.

    Attributes:
        version: version of TLS, such as ``"TLSv1.3"``.
        issuer: name of the certificate's issuer; ``""`` if it has none.
        expires_at: end of its validity, in seconds since 1970.

    """

    version: str
    issuer: str
    expires_at: float


@frozen
class Head:
    """Status and headers of an answer.

    Attributes:
        status: HTTP status.
        headers: headers by name, without regard to case.
        sent_at: time of the event loop when the request was sent, in seconds.
        seconds: time from the request to the answer.

    """

    status: int
    headers: Mapping[str, str]
    sent_at: float
    seconds: float


@define
class RawConnection:
    """A connection to the server of a base URL, closed with `close`.

    A cancelled step ends at once.

    Attributes:
        url: parts of the base URL.
        addresses: IP addresses of the server; empty before `resolve`.

    """

    url: SplitResult
    addresses: tuple[str, ...] = ()
    _reader: asyncio.StreamReader | None = field(default=None, init=False)
    _writer: asyncio.StreamWriter | None = field(default=None, init=False)

    @classmethod
    def to(cls, base_url: str) -> Self:
        """Return a connection that is not open yet.

        Args:
            base_url: base URL in its normal form.

        """
        return cls(urlsplit(base_url))

    @property
    def host(self) -> str:
        """Name or address of the server."""
        return self.url.hostname or ""

    @property
    def port(self) -> int:
        """Port of the server."""
        return self.url.port or _PORTS[self.url.scheme]

    async def resolve(self) -> None:
        """Look up the addresses of the server.

        Raises:
            OSError: the name is unknown, or no name server answers.
            UnicodeError: the name is malformed.

        """
        host, port = self.host, self.port
        with suppress(ValueError):
            self.addresses = (str(ipaddress.ip_address(host)),)
            return
        found = await call_in_daemon(
            lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM), name="facturaonline-dns"
        )
        self.addresses = tuple(dict.fromkeys(str(address[0]) for *_, address in found))

    async def open(self) -> None:
        """Connect to the first address that accepts a connection.

        Raises:
            OSError: none does; the error is that of the last address.

        """
        problem = OSError()
        for address in self.addresses:
            try:
                self._reader, self._writer = await asyncio.open_connection(address, self.port)
            except OSError as error:
                problem = error
            else:
                return
        raise problem

    async def start_tls(self, context: ssl.SSLContext, *, seconds: float) -> Certificate:
        """Begin TLS, and verify the server's certificate.

        Args:
            context: TLS settings.
            seconds: maximum time of the handshake.

        Raises:
            OSError: the handshake failed (``ssl.SSLError``), or the server closed the connection.

        """
        writer = self._opened()[1]
        await writer.start_tls(context, server_hostname=self.host, ssl_handshake_timeout=seconds)
        tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
        # typeshed knows the pairs of names and values as nested tuples of any length.
        shown: dict[str, Any] = {**(tls.getpeercert() or {})}
        issuer: dict[str, str] = {name: value for part in shown.get("issuer", ()) for name, value in part}
        name = issuer.get("organizationName") or issuer.get("commonName") or ""
        return Certificate(tls.version() or "", name, ssl.cert_time_to_seconds(shown["notAfter"]))

    async def ask(self, *, keep_alive: bool = False) -> Head:
        """Ask for the head of the base URL, without keys.

        Args:
            keep_alive: whether the server may keep the connection open.

        Raises:
            NotHttpError: the answer is not HTTP, or there is none.
            OSError: the connection broke.

        """
        reader, writer = self._opened()
        loop = asyncio.get_running_loop()
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.url.port is None else f":{self.url.port}"
        connection = "keep-alive" if keep_alive else "close"
        request = f"HEAD {self.url.path or '/'} HTTP/1.1\r\nHost: {host}{port}\r\nConnection: {connection}\r\n\r\n"
        sent_at = loop.time()
        writer.write(request.encode("ascii"))
        try:
            await writer.drain()
            answer = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            raise NotHttpError from None
        line = _STATUS_LINE.match(answer)
        if line is None:
            raise NotHttpError
        try:
            headers = http.client.parse_headers(io.BytesIO(answer[line.end() :]))
        except http.client.HTTPException:
            raise NotHttpError from None
        return Head(int(line[1]), headers, sent_at, loop.time() - sent_at)  # type: ignore[arg-type]  # a mapping in all but name

    async def wait_closed(self) -> None:
        """Wait until the server closes the connection."""
        reader, _ = self._opened()
        try:
            while await reader.read(1 << 16):
                pass
        except OSError:
            return

    def close(self) -> None:
        """Close the connection, if it is open."""
        if self._writer is not None:
            self._writer.transport.abort()
            self._writer = self._reader = None

    def _opened(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        assert self._reader is not None  # noqa: S101  # `open` comes first
        assert self._writer is not None  # noqa: S101  # as above
        return self._reader, self._writer
