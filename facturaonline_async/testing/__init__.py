"""Tools for tests: an emulator of FacturaOnline's API, and test certificates.

The emulator is a real HTTP server on loopback, in the process of the test. It has all endpoints of series and companies
with the API's own quirks, injects faults on demand, and logs every request. With pytest-asyncio and
``asyncio_mode = "auto"``::

    import pytest_asyncio
    from facturaonline_async import NuevaEmpresa, connect
    from facturaonline_async.testing import Emulator, Fault, make_sello

    @pytest_asyncio.fixture
    async def emulator():
        async with Emulator() as emulator:
            yield emulator

    @pytest_asyncio.fixture
    async def client(emulator):
        async with connect(emulator.credentials, base_url=emulator.base_url) as client:
            yield client

    async def test_a_lost_answer_makes_no_second_serie(emulator, client):
        emulator.inject(Fault.drop_after_commit(), endpoint="series.create")
        await client.series.ensure(letra="F", tipo_documento="factura")
        assert len(emulator.state["series"]) == 1
        assert emulator.count("series.create") == 1

    async def test_a_company_is_made_with_its_certificate(emulator, client):
        sello = make_sello("EKU9003173C9")
        empresa = await client.empresas.ensure(
            NuevaEmpresa(
                razon_social="Escuela Kemper Urgate",
                rfc="EKU9003173C9",
                codpos="42501",
                email="a@example.com",
                regimen="601",
                regimen_nomina="601",
                csd=sello,
            )
        )
        assert emulator.state["empresas"][empresa.uid]["rfc"] == "EKU9003173C9"

pytest finds two fixtures without any of that: ``facturaonline_emulator``, an emulator for one test in a thread of its
own, which serves synchronous tests and those of every event loop, and ``facturaonline_client``, its client::

    def test_a_synchronous_test_client_needs_an_emulator_in_a_thread(facturaonline_emulator):
        with TestClient(make_app(facturaonline_emulator.base_url)) as http:
            assert http.get("/series").json() == []

    async def test_the_client_belongs_to_the_loop_of_the_test(facturaonline_client):
        assert await facturaonline_client.series.list() == []

Without pytest, `emulator_in_thread` is a context manager. ``emulator.requests`` has one `Request` for each request that
the emulator read, without keys and passwords.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from facturaonline_async.testing._emulator.emulator import Emulator
    from facturaonline_async.testing._emulator.faults import Fault
    from facturaonline_async.testing._emulator.request_log import Request
    from facturaonline_async.testing._in_thread import emulator_in_thread
    from facturaonline_async.testing._sellos import make_sello
else:
    from facturaonline_async._lazy import lazy_names

    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "_emulator.emulator": ["Emulator"],
            "_emulator.faults": ["Fault"],
            "_emulator.request_log": ["Request"],
            "_in_thread": ["emulator_in_thread"],
            "_sellos": ["make_sello"],
        },
    )

__all__ = ["Emulator", "Fault", "Request", "emulator_in_thread", "make_sello"]
