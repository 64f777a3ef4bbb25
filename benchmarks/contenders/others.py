"""What else is in use: a typical wrapper around aiohttp, httpx, and requests as the provider's sample has it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace, TracebackType
from typing import Any, Self

import aiohttp

from benchmarks.answers import HEADERS, company_fields, sello
from benchmarks.contenders.base import Contender, installed
from benchmarks.contenders.raw import company_form

__all__ = ["Httpx", "Requests", "Wrapper"]


def _files() -> dict[str, tuple[str, bytes, str]]:
    made = sello()
    return {
        "cer": ("csd.cer", bytes(made.cer), "application/octet-stream"),
        "key": ("csd.key", bytes(made.key), "application/octet-stream"),
    }


class Wrapper(Contender):
    """A wrapper as they are published: hooks that time each call, aiolimiter, ``await response.json()``."""

    name = "typical wrapper"
    needs = "aiolimiter"

    async def __aenter__(self) -> Self:
        trace = aiohttp.TraceConfig()
        trace.on_request_start.append(self._began)
        trace.on_request_end.append(self._ended)
        connector = aiohttp.TCPConnector(keepalive_timeout=60, ssl=self.context or True)
        self.http = aiohttp.ClientSession(connector=connector, headers=HEADERS, trace_configs=[trace])
        self.limiter = installed("aiolimiter").AsyncLimiter(1_000_000, 1)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.http.close()

    async def _began(self, _: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
        context.began = asyncio.get_running_loop().time()

    async def _ended(self, _: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
        context.took = asyncio.get_running_loop().time() - context.began

    async def _send(self, method: str, path: str, **more: Any) -> object:
        async with self.limiter, self.http.request(method, f"{self.url}{path}", **more) as response:
            return await response.json()

    async def get_serie(self, number: int) -> object:
        return await self._send("GET", f"/v4/series/{number}")

    async def create_serie(self, number: int) -> object:
        fields = {"letra": "F", "tipoDocumento": "factura", "folio": number + 1}
        return await self._send("POST", "/v4/series/create", json=fields)

    async def create_empresa(self, number: int) -> object:
        return await self._send("POST", "/v4/account/create", data=company_form(number))

    async def list_empresas(self, number: int) -> object:  # noqa: ARG002
        return await self._send("GET", "/v1/accounts")


class Httpx(Contender):
    """One `httpx.AsyncClient`, with room for all connections."""

    name = "httpx"
    needs = "httpx"
    slow = True

    async def __aenter__(self) -> Self:
        httpx = installed("httpx")
        most = self.concurrency
        self.http = httpx.AsyncClient(
            headers=HEADERS,
            verify=self.context or True,
            limits=httpx.Limits(max_connections=most, max_keepalive_connections=most, keepalive_expiry=60),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.http.aclose()

    async def get_serie(self, number: int) -> object:
        return (await self.http.get(f"{self.url}/v4/series/{number}")).json()

    async def create_serie(self, number: int) -> object:
        fields = {"letra": "F", "tipoDocumento": "factura", "folio": number + 1}
        return (await self.http.post(f"{self.url}/v4/series/create", json=fields)).json()

    async def create_empresa(self, number: int) -> object:
        url = f"{self.url}/v4/account/create"
        return (await self.http.post(url, data=company_fields(number), files=_files())).json()

    async def list_empresas(self, number: int) -> object:  # noqa: ARG002
        return (await self.http.get(f"{self.url}/v1/accounts")).json()


class Requests(Contender):
    """The provider's sample: ``requests.request(…)``, a connection for each call; in threads where many run at once."""

    name = "provider's sample (requests)"
    needs = "requests"
    slow = True

    async def __aenter__(self) -> Self:
        self._request: Callable[..., Any] = installed("requests").request
        return self

    async def run(self, work: str, calls: int) -> int:
        call: Callable[[int], object] = getattr(self, f"_{work}")

        def batch() -> None:
            if self.concurrency == 1:
                for number in range(calls):
                    call(number)
                return
            with ThreadPoolExecutor(self.concurrency) as threads:
                for _ in threads.map(call, range(calls)):
                    pass

        await asyncio.to_thread(batch)
        return calls

    def _send(self, method: str, path: str, **more: Any) -> object:
        headers = {**HEADERS, **more.pop("headers", {})}
        return json.loads(
            self._request(method, f"{self.url}{path}", headers=headers, verify=self.site.authority, **more).text
        )

    def _get_serie(self, number: int) -> object:
        return self._send("GET", f"/v4/series/{number}")

    def _create_serie(self, number: int) -> object:
        payload = json.dumps({"letra": "F", "tipoDocumento": "factura", "folio": number + 1})
        return self._send("POST", "/v4/series/create", data=payload, headers={"Content-Type": "application/json"})

    def _create_empresa(self, number: int) -> object:
        return self._send("POST", "/v4/account/create", data=company_fields(number), files=_files())

    def _list_empresas(self, _: int) -> object:
        return self._send("GET", "/v1/accounts")
