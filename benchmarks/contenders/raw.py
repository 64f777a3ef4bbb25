"""aiohttp without a library, in two ways, and what is possible without aiohttp."""

from __future__ import annotations

import asyncio
import json
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from benchmarks.answers import HEADERS, company_fields, sello
from benchmarks.contenders.base import Contender
from facturaonline_async._core.protocol.bodies import Body, File, Value, form

__all__ = ["Floor", "Identical", "IdenticalTimed", "Idiomatic", "company_body", "company_form"]


def company_form(number: int) -> aiohttp.FormData:
    """Return a company as aiohttp's own form."""
    form_data = aiohttp.FormData(company_fields(number))
    made = sello()
    form_data.add_field("cer", bytes(made.cer), filename="csd.cer", content_type="application/octet-stream")
    form_data.add_field("key", bytes(made.key), filename="csd.key", content_type="application/octet-stream")
    return form_data


def company_body(number: int) -> Body:
    """Return a company as a form that is bytes."""
    made = sello()
    fields: dict[str, Value] = {**company_fields(number)}
    fields["cer"] = File(name="csd.cer", content_type="application/octet-stream", content=made.cer)
    fields["key"] = File(name="csd.key", content_type="application/octet-stream", content=made.key)
    return form(fields)


class _Aiohttp(Contender):
    http: aiohttp.ClientSession

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.http.close()


class Idiomatic(_Aiohttp):
    """What people write: ``async with session.get(…) as response: json.loads(await response.read())``."""

    name = "raw aiohttp"

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(keepalive_timeout=60, ssl=self.context or True)
        self.http = aiohttp.ClientSession(connector=connector, headers=HEADERS)
        return self

    async def get_serie(self, number: int) -> object:
        async with self.http.get(f"{self.url}/v4/series/{number}") as response:
            return json.loads(await response.read())

    async def create_serie(self, number: int) -> object:
        fields = {"letra": "F", "tipoDocumento": "factura", "folio": number + 1}
        async with self.http.post(f"{self.url}/v4/series/create", json=fields) as response:
            return json.loads(await response.read())

    async def create_empresa(self, number: int) -> object:
        async with self.http.post(f"{self.url}/v4/account/create", data=company_form(number)) as response:
            return json.loads(await response.read())

    async def list_empresas(self, number: int) -> object:  # noqa: ARG002
        async with self.http.get(f"{self.url}/v1/accounts") as response:
            return json.loads(await response.read())


class Identical(_Aiohttp):
    """The same calls of aiohttp that this library makes, and `json.loads`: what is left of the cost is aiohttp's."""

    name = "aiohttp, identical calls"
    timeout = aiohttp.ClientTimeout(total=None, connect=5)

    async def __aenter__(self) -> Self:
        self.http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60, ssl=self.context or True),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=self.timeout,
        )
        self.http._retry_connection = False  # noqa: SLF001
        self.root = URL(self.url, encoded=True)
        self.headers = CIMultiDict({**HEADERS, "Accept": "application/json"})
        return self

    async def _send(
        self, method: str, path: str, content_type: str = "application/json", data: bytes | None = None
    ) -> Any:
        headers = self.headers
        if method == "POST":
            headers = CIMultiDict(headers, **{"Content-Type": content_type})
        url = self.root.with_path(f"/api{path}", encoded=True)
        response = await self.http.request(method, url, headers=headers, data=data, allow_redirects=False)
        content = response.content
        body = await content.readany()
        while not content.at_eof():
            body += await content.readany()
        return json.loads(body)

    async def get_serie(self, number: int) -> object:
        return await self._send("GET", f"/v4/series/{number}")

    async def create_serie(self, number: int) -> object:
        fields = {"letra": "F", "tipoDocumento": "factura", "folio": number + 1}
        return await self._send("POST", "/v4/series/create", data=json.dumps(fields).encode())

    async def create_empresa(self, number: int) -> object:
        body = company_body(number)
        return await self._send("POST", "/v4/account/create", body.content_type, body.content)

    async def list_empresas(self, number: int) -> object:  # noqa: ARG002
        return await self._send("GET", "/v1/accounts")


class IdenticalTimed(Identical):
    """The same, and aiohttp watches the time, too: what this library does by itself."""

    name = "aiohttp, identical calls and time-outs"
    timeout = aiohttp.ClientTimeout(total=30, connect=5, sock_read=20)


class _Exchange(asyncio.Protocol):
    """One connection, one request at a time, an answer with Content-Length: as little as can be."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._missing = 0
        self.answer: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if not self._parts:
            end = data.index(b"\r\n\r\n") + 4
            at = data.index(b"Content-Length:") + 15
            self._missing = end + int(data[at : data.index(b"\r\n", at)])
        self._parts.append(data)
        self._missing -= len(data)
        if not self._missing and self.answer is not None:
            whole = data if len(self._parts) == 1 else b"".join(self._parts)
            self._parts.clear()
            self.answer.set_result(whole[whole.index(b"\r\n\r\n") + 4 :])


class Floor(Contender):
    """A bare asyncio Protocol and `json.loads`: no time-outs, no errors, no checks. Nobody should use it."""

    name = "asyncio floor"

    async def __aenter__(self) -> Self:
        self._free: list[_Exchange] = []
        parts = urlsplit(self.url)
        self._address = parts.hostname or "", parts.port or 0
        lines = [f"Host: {parts.netloc}", *(f"{name}: {value}" for name, value in HEADERS.items())]
        self._head = "\r\n".join([*lines, "Accept: application/json", ""]).encode()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for exchange in self._free:
            exchange.transport.abort()

    async def _send(self, line: bytes, content_type: bytes = b"", body: bytes = b"") -> Any:
        loop = asyncio.get_running_loop()
        if self._free:
            exchange = self._free.pop()
        else:
            _, exchange = await loop.create_connection(_Exchange, *self._address, ssl=self.context)
        exchange.answer = loop.create_future()
        more = b"Content-Type: %b\r\nContent-Length: %d\r\n" % (content_type, len(body)) if body else b""
        exchange.transport.write(b"%b HTTP/1.1\r\n%b%b\r\n%b" % (line, self._head, more, body))
        answer = await exchange.answer
        self._free.append(exchange)
        return json.loads(answer)

    async def get_serie(self, number: int) -> object:
        return await self._send(b"GET /api/v4/series/%d" % number)

    async def create_serie(self, number: int) -> object:
        body = json.dumps({"letra": "F", "tipoDocumento": "factura", "folio": number + 1}).encode()
        return await self._send(b"POST /api/v4/series/create", b"application/json", body)

    async def create_empresa(self, number: int) -> object:
        body = company_body(number)
        return await self._send(b"POST /api/v4/account/create", body.content_type.encode(), body.content)

    async def list_empresas(self, number: int) -> object:  # noqa: ARG002
        return await self._send(b"GET /api/v1/accounts")
