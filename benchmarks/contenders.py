"""Who is compared in the calls: this library, and aiohttp as people write it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import ClassVar, Final, Self

import aiohttp

from benchmarks.answers import API_KEY, HEADERS, RFC, SECRET_KEY, UIDS, company_fields, sello
from benchmarks.figures import LIBRARY, RAW
from benchmarks.server import Site
from facturaonline_async import Config, Credentials, NuevaEmpresa, Rate, Sello, connect

__all__ = ["CONTENDERS", "Contender", "Library", "Raw"]


class Contender:
    """Makes calls over a site's HTTP or HTTPS, up to `concurrency` of them at once; opened by ``async with``."""

    name: ClassVar[str]

    def __init__(self, site: Site, scheme: str = "http", concurrency: int = 1) -> None:
        self.url = site.url(scheme)
        self.context = site.ssl_context if scheme == "https" else None
        self.concurrency = concurrency
        self.stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        raise NotImplementedError

    async def __aexit__(self, *_: object) -> None:
        await self.stack.aclose()

    async def get_serie(self, number: int) -> object:
        """Read one serie, whose uid is one of `UIDS`."""
        raise NotImplementedError

    async def create_empresa(self, number: int) -> object:
        """Create one company, from its data and the bytes of its certificate and key."""
        raise NotImplementedError

    async def list_empresas(self, number: int) -> object:
        """Read the list of all companies."""
        raise NotImplementedError

    async def run(self, work: str, calls: int) -> int:
        """Do the work so many times; return how often."""
        call: Callable[[int], Awaitable[object]] = getattr(self, work)
        numbers = iter(UIDS[:calls])

        async def worker() -> None:
            for number in numbers:
                await call(number)

        await asyncio.gather(*(worker() for _ in range(self.concurrency)))
        return calls


class Raw(Contender):
    """What people write: ``async with session.get(…) as response: json.loads(await response.read())``."""

    name = RAW

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(keepalive_timeout=60, ssl=self.context or True)
        self.http = await self.stack.enter_async_context(aiohttp.ClientSession(connector=connector, headers=HEADERS))
        return self

    async def get_serie(self, number: int) -> object:
        async with self.http.get(f"{self.url}/v4/series/{number}") as response:
            return json.loads(await response.read())

    async def create_empresa(self, number: int) -> object:
        form = aiohttp.FormData(company_fields(number))
        form.add_field("cer", bytes(sello().cer), filename="csd.cer", content_type="application/octet-stream")
        form.add_field("key", bytes(sello().key), filename="csd.key", content_type="application/octet-stream")
        async with self.http.post(f"{self.url}/v4/account/create", data=form) as response:
            return json.loads(await response.read())

    async def list_empresas(self, number: int) -> object:  # noqa: ARG002
        async with self.http.get(f"{self.url}/v1/accounts") as response:
            return json.loads(await response.read())


class Library(Contender):
    """All of it: limits that are counted and never reached, deadlines, the envelope's verdict, typed values.

    Certificates are not checked: aiohttp alone checks none.
    """

    name = LIBRARY

    async def __aenter__(self) -> Self:
        config = Config(
            rates=Rate(100_000, 1),
            concurrency=self.concurrency,
            concurrency_per_key=self.concurrency,
            keepalive=60,
            ssl_context=self.context,
            check_sello=False,
        )
        keys = Credentials(api_key=API_KEY, secret_key=SECRET_KEY)
        self.client = await self.stack.enter_async_context(connect(keys, base_url=self.url, config=config))
        return self

    async def get_serie(self, number: int) -> object:
        return await self.client.series.get(number)

    async def create_empresa(self, number: int) -> object:
        nueva = NuevaEmpresa(
            razon_social=f"ESCUELA KEMPER URGATE {number}",
            rfc=RFC,
            codpos="42501",
            email="empresa@example.com",
            regimen="601",
            regimen_nomina="601",
            calle="Avenida Connecticut",
            exterior="1989",
            interior="32",
            colonia="Peñón de los Baños",
            ciudad="Paracho",
            delegacion="Arandas",
            estado="Michoacán",
            telefono="3344556677",
            curp="PEPJ901010HJCRRN03",
            mailtomyself=True,
            mailtomyconta=True,
            mail_conta="contador@example.com",
            cant_folios_min=66,
            csd=Sello(sello().cer, sello().key, sello().password),
        )
        return await self.client.empresas.create(nueva)

    async def list_empresas(self, number: int) -> object:  # noqa: ARG002
        return await self.client.empresas.list()


CONTENDERS: Final = (Raw, Library)
