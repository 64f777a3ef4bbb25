"""This library."""

from __future__ import annotations

from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from benchmarks.answers import API_KEY, RFC, SECRET_KEY, sello
from benchmarks.contenders.base import Contender
from facturaonline_async import Config, Credentials, NuevaEmpresa, Rate, Sello, connect

__all__ = ["Library", "nueva_empresa"]


def nueva_empresa(number: int) -> NuevaEmpresa:
    """Return a company, from its data and the bytes of its certificate and key."""
    made = sello()
    return NuevaEmpresa(
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
        csd=Sello(made.cer, made.key, made.password),
    )


class Library(Contender):
    """All of it: limits that are counted and never reached, deadlines, the envelope's verdict, typed values.

    Certificates are not checked: loading a private key takes some 30 ms, whoever does it (``bench_checks``).
    """

    name = "this library"

    async def __aenter__(self) -> Self:
        config = Config(
            rates=Rate(100_000, 1),
            concurrency=self.concurrency,
            concurrency_per_key=self.concurrency,
            keepalive=60,
            ssl_context=self.context,
            check_sello=False,
        )
        self._stack = AsyncExitStack()
        keys = Credentials(api_key=API_KEY, secret_key=SECRET_KEY)
        self.client = await self._stack.enter_async_context(connect(keys, base_url=self.url, config=config))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def get_serie(self, number: int) -> object:
        return await self.client.series.get(number)

    async def create_serie(self, number: int) -> None:
        await self.client.series.create(letra="F", tipo_documento="factura", folio=number + 1)

    async def create_empresa(self, number: int) -> object:
        return await self.client.empresas.create(nueva_empresa(number))

    async def list_empresas(self, number: int) -> object:  # noqa: ARG002
        return await self.client.empresas.list()
