"""The API as type checkers see it. Checked, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import date
from typing import Literal, assert_type

from facturaonline_async import (
    SANDBOX,
    CambiosEmpresa,
    Config,
    CorreoSmtp,
    Credentials,
    Empresa,
    FacturaOnline,
    NuevaEmpresa,
    Rate,
    Secret,
    Sello,
    Serie,
    SessionManager,
    TipoDocumento,
    ValidationError,
    bulk,
    connect,
)
from facturaonline_async.provision import (
    Plan,
    PlanRow,
    PlanSerie,
    RowOutcome,
    Run,
    RunReport,
    State,
    ValueRow,
    provision,
)
from facturaonline_async.testing import Emulator, Fault, make_sello


async def connecting() -> None:
    config = Config(rates=Rate(10, 1), endpoint_rates={"series.create": (Rate(1, 1),)}, upload="base64")
    async with connect(Credentials(api_key="a", secret_key=Secret("b")), base_url=SANDBOX, config=config) as client:
        assert_type(client, FacturaOnline)
        assert_type(client.session, SessionManager)
    client = await connect()
    assert_type(client, FacturaOnline)
    await client.aclose()
    async with SessionManager(config) as session:
        assert_type(FacturaOnline(session, Credentials(api_key="a", secret_key="b")), FacturaOnline)


async def series(client: FacturaOnline) -> None:
    assert_type(await client.series.list(), list[Serie])
    assert_type(await client.series.get(1), Serie)
    assert_type(await client.series.get("1"), Serie)
    assert_type(await client.series.find(letra="F", tipo_documento="factura"), Serie | None)
    assert_type(await client.series.find_all(letra="F", tipo_documento="factura"), list[Serie])
    serie = await client.series.ensure(letra="F", tipo_documento=TipoDocumento.FACTURA, folio=1)
    assert_type(serie, Serie)
    assert_type(serie.uid, int)
    assert_type(serie.is_active, bool)
    await client.series.create(letra="F", tipo_documento="anything")
    await client.series.activate(serie.uid)
    await client.series.deactivate(serie.uid)
    await client.series.delete(serie.uid)
    await client.series.create("F", "factura")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def empresas(client: FacturaOnline) -> None:
    csd = await Sello.from_files("a.cer", "a.key", password="x")
    assert_type(csd, Sello)
    assert_type(csd.cer, bytes)
    assert_type(csd.password, Secret)
    nueva = NuevaEmpresa(
        razon_social="x",
        rfc="EKU9003173C9",
        codpos="42501",
        email="a@b.mx",
        regimen="601",
        regimen_nomina="601",
        csd=csd,
        fiel=make_sello("EKU9003173C9", kind="fiel"),
        smtp=CorreoSmtp(email="a@b.mx", password="x", host="h", port=587),
    )
    empresa = await client.empresas.ensure(nueva)
    assert_type(empresa, Empresa)
    assert_type((empresa.created_on, empresa.updated_on), tuple[date | None, date | None])
    assert_type((empresa.is_main, empresa.cant_folios_min), tuple[bool | None, int | None])
    assert_type((empresa.csd_cer_name, empresa.extra), tuple[str, Mapping[str, str]])
    assert_type(empresa.rfc, str)
    assert_type(empresa.telefono, str)
    assert_type(empresa.credentials, Credentials)
    assert_type(client.for_empresa(empresa), FacturaOnline)
    assert_type(await client.empresas.list(rfc="x"), list[Empresa])
    assert_type(await client.empresas.find("x"), Empresa | None)
    assert_type(await client.empresas.update("x", CambiosEmpresa(calle="")), Empresa)
    assert_type(await client.empresas.current(), Empresa)
    pages: AsyncIterator[Empresa] = client.empresas.iterate(per_page=10)
    async for each in pages:
        assert_type(each, Empresa)
    await client.empresas.delete("x")
    nueva.rfc = "y"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


async def many(client: FacturaOnline) -> None:
    async with bulk.stream(range(3), client.series.get, concurrency=2) as outcomes:
        async for outcome in outcomes:
            assert_type(outcome.result(), Serie)
            assert_type(outcome.error, Exception | None)
    done = await bulk.run(["a"], client.empresas.get)
    assert_type(done[0].item, str)
    assert_type(done[0].result(), Empresa)


async def provisioning(client: FacturaOnline, nueva: NuevaEmpresa) -> None:
    serie = PlanSerie(letra="F", tipo_documento="factura")
    row: PlanRow = ValueRow(nueva=nueva, series=(serie,), existing="update")
    plan = Plan.from_values([(nueva, [serie]), row])
    assert_type(Plan.from_file("plan.toml").rows[0], PlanRow)
    assert_type(plan.rows[0].existing, Literal["adopt", "update", "fail"] | None)
    async with provision(client, plan) as run:
        assert_type(run, Run)
        async for outcome in run:
            assert_type(outcome, RowOutcome)
            assert_type(outcome.state, State)
    assert_type(run.report, RunReport)


async def testing() -> None:
    async with Emulator() as emulator:
        emulator.inject(Fault.throttle(3), endpoint="series.create", times=2)
        assert_type(emulator.credentials, Credentials)
        assert_type(emulator.base_url, str)


def errors(error: ValidationError) -> None:
    assert_type(error.fields, dict[str, tuple[str, ...]])
    assert_type(error.status, int | None)
