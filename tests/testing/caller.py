"""A caller of the emulator that shares nothing with the package's client: plain aiohttp."""

from __future__ import annotations

import json
from types import TracebackType
from typing import Any, Self

import aiohttp

from facturaonline_async.config import Credentials
from facturaonline_async.testing import Emulator

from .samples import FORM

__all__ = ["CSD", "FIEL", "Caller", "headers", "upload"]

CSD = {"cer": b"a csd certificate \r\n--", "key": b"a csd key \x00\xff"}
FIEL = {"fielcer": b"a fiel certificate", "fielkey": b"a fiel key"}


def headers(credentials: Credentials) -> dict[str, str]:
    """Return the headers that carry a key pair."""
    return {"F-Api-Key": credentials.api_key.reveal(), "F-Secret-Key": credentials.secret_key.reveal()}


def upload(fields: dict[str, str] | None = None, files: dict[str, bytes] | None = None) -> aiohttp.FormData:
    """Return a multipart form; by default the whole documented one."""
    body = aiohttp.FormData(default_to_multipart=True)
    for name, text in (FORM if fields is None else fields).items():
        body.add_field(name, text)
    for name, content in ({**CSD, **FIEL} if files is None else files).items():
        body.add_field(name, content, filename=f"my.{name[-3:]}", content_type="application/octet-stream")
    return body


class Caller:
    """Calls an emulator with the keys of one company, the main one by default."""

    def __init__(self, emulator: Emulator, credentials: Credentials | None = None) -> None:
        self.emulator = emulator
        self.headers = headers(credentials or emulator.credentials)
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._session.close()

    async def raw(self, method: str, path: str, **more: Any) -> tuple[aiohttp.ClientResponse, bytes]:
        """Call and return the response with its body."""
        more = {"headers": self.headers, "allow_redirects": False, **more}
        response = await self._session.request(method, self.emulator.base_url + path, **more)
        return response, await response.read()

    async def get(self, path: str, **more: Any) -> Any:
        """GET and return the JSON."""
        return json.loads((await self.raw("GET", path, **more))[1])

    async def post(self, path: str, **more: Any) -> Any:
        """POST and return the JSON."""
        return json.loads((await self.raw("POST", path, **more))[1])

    async def status(self, method: str, path: str, **more: Any) -> int:
        """Call and return the HTTP status."""
        return (await self.raw(method, path, **more))[0].status

    async def create_serie(self, letra: str = "F", tipo_documento: str = "factura") -> Any:
        """Create a serie and return the JSON."""
        return await self.post("/v4/series/create", json={"letra": letra, "tipoDocumento": tipo_documento})

    async def create_empresa(self, **fields: str) -> str:
        """Create a company and return its uid."""
        answer = await self.post("/v4/account/create", data=upload({**FORM, **fields}))
        return str(answer["0"]["acco_uid"])
