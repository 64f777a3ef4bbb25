"""All endpoints against the answers on the provider's own pages, word for word: one success and one refusal each."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from datetime import date
from typing import Any

import pytest

from facturaonline_async import (
    AuthenticationError,
    CambiosEmpresa,
    Empresa,
    FacturaOnline,
    FacturaOnlineError,
    InvalidInputError,
    NotFoundError,
    NuevaEmpresa,
    Secret,
    Sello,
    Serie,
    ValidationError,
)
from facturaonline_async._endpoints import ENDPOINTS
from facturaonline_async.testing import Emulator
from tests.replay import recorded, replaying

Call = Callable[[FacturaOnline], Awaitable[Any]]

NUEVA = NuevaEmpresa(
    razon_social="Razon de prueba",
    rfc="FUNK123456PH7",
    codpos="44444",
    email="a@example.com",
    regimen="612",
    regimen_nomina="612",
    csd=Sello(b"certificate", b"key", "12345678a"),
)

R = Serie(uid=19843, letra="R", tipo_documento="factura", descripcion="Factura", estatus="Activa")
KEMPER = Empresa(
    uid="607a062eae2bb",
    razon_social="ESCUELA KEMPER URGATE",
    rfc="EKU9003173C9",
    regimen_fiscal="General de Ley Personas Morales",
    curp="PEPJ901010HJCRRN03",
    calle="Avenida connecticut",
    exterior="1989",
    interior="32",
    colonia="Bosques de Tepatitlan",
    codpos="42501",
    ciudad="Paracho",
    estado="Michoacan",
    email="[email\xa0protected]",
    logo_name="file_name.png",
    csd_cer_name="file_name.cer",
    csd_key_name="file_name.key",
    fiel_cer_name="file_name.cer",
    fiel_key_name="file_name.key",
    api_key=Secret("Tu API key"),
    secret_key=Secret("Tu Secret key"),
)

#: The uid in the path, and the call.
CALLS: dict[str, tuple[str, Call]] = {
    "series.list": ("", lambda client: client.series.list()),
    "series.get": ("19843", lambda client: client.series.get(19843)),
    "series.create": ("", lambda client: client.series.create(letra="RR", tipo_documento="factura", folio=1)),
    "series.deactivate": ("19844", lambda client: client.series.deactivate(19844)),
    "series.activate": ("19844", lambda client: client.series.activate(19844)),
    "series.delete": ("19845", lambda client: client.series.delete(19845)),
    "empresas.list": ("", lambda client: client.empresas.list()),
    "empresas.current": ("", lambda client: client.empresas.current()),
    "empresas.get": ("61e20b1903bad", lambda client: client.empresas.get("61e20b1903bad")),
    "empresas.create": ("", lambda client: client.empresas.create(NUEVA, validate=False)),
    "empresas.update": (
        "61e20b1903bad",
        lambda client: client.empresas.update("61e20b1903bad", CambiosEmpresa(calle="Otra")),
    ),
    "empresas.delete": ("64efdcdce7927", lambda client: client.empresas.delete("64efdcdce7927")),
}

#: What the recorded refusals are, where they are not wrong keys; and the statuses that would contradict their texts.
REFUSALS: dict[str, tuple[type[FacturaOnlineError], set[int]]] = {
    "empresas.create": (ValidationError, {401, 403, 404}),
    "empresas.delete": (NotFoundError, {401, 403}),
}


def test_the_twelve_endpoints_are_all_called_by_these_tests() -> None:
    assert len(ENDPOINTS) == 12
    assert set(CALLS) == set(ENDPOINTS)


def test_the_client_and_the_emulator_have_the_same_endpoints() -> None:
    """Both tables were written by hand, from the same pages."""
    ours = {name: (endpoint.method, endpoint.path) for name, endpoint in ENDPOINTS.items()}
    assert ours == dict(Emulator.ENDPOINTS)


def case(endpoint: str, refused: str = "") -> str:
    resource, verb = endpoint.split(".")
    return recorded(resource, verb + refused)


@pytest.mark.parametrize("endpoint", CALLS)
async def test_each_recorded_success_is_read_after_one_request(endpoint: str) -> None:
    uid, call = CALLS[endpoint]
    async with replaying(case(endpoint)) as (client, server):
        await call(client)
    expected = ENDPOINTS[endpoint].method, "/api" + ENDPOINTS[endpoint].path.replace("{uid}", uid)
    assert [(asked.method, asked.path) for asked in server.asked] == [expected]


@pytest.mark.parametrize(
    ("endpoint", "status"),
    [
        (endpoint, status)
        for endpoint in CALLS
        for status in (200, 400, 401, 403, 404, 422)
        if status not in REFUSALS.get(endpoint, (None, set[int]()))[1]
    ],
)
async def test_each_recorded_refusal_raises_its_error_at_any_status(endpoint: str, status: int) -> None:
    expected = REFUSALS[endpoint][0] if endpoint in REFUSALS else AuthenticationError
    async with replaying(case(endpoint, ".refused"), status=status) as (client, server):
        with pytest.raises(FacturaOnlineError) as refused:
            await CALLS[endpoint][1](client)
    assert (type(refused.value), len(server.asked)) == (expected, 1)
    echoed = json.loads(server.body)
    shown = f"{refused.value}{refused.value.snippet}{vars(refused.value)}"
    assert not any(echoed.get(key) and echoed[key] in shown for key in ("Data", "Secret"))


async def test_series_are_read_from_the_recorded_list() -> None:
    async with replaying(case("series.list")) as (client, _):
        series = await client.series.list()
    assert series == [
        R,
        Serie(uid=18379, letra="COP", tipo_documento="pago", descripcion="Complemento Pago", estatus="Activa"),
        Serie(uid=17813, letra="NDB", tipo_documento="nota_debito", descripcion="Nota de Débito", estatus="Activa"),
        Serie(uid=17327, letra="RT", tipo_documento="retencion", descripcion="Retención", estatus="Activa"),
    ]
    assert all(serie.is_active for serie in series)


async def test_a_serie_is_read_from_the_recorded_detail() -> None:
    async with replaying(case("series.get")) as (client, _):
        assert await client.series.get("19843") == R


async def test_empresas_are_read_from_the_recorded_list() -> None:
    async with replaying(case("empresas.list")) as (client, _):
        first, second = await client.empresas.list()
    assert first == KEMPER
    assert (second.rfc, second.curp, second.codpos) == ("CACX7605101P8", "", "10740")


@pytest.mark.parametrize("endpoint", ["empresas.get", "empresas.current"])
async def test_an_empresa_is_read_from_the_recorded_detail(endpoint: str) -> None:
    async with replaying(case(endpoint)) as (client, _):
        assert await CALLS[endpoint][1](client) == KEMPER


async def test_a_created_empresa_is_read_from_the_recorded_answer_without_its_unready_keys() -> None:
    async with replaying(case("empresas.create")) as (client, _):
        created = await client.empresas.create(NUEVA, validate=False)
    assert (created.uid, created.razon_social, created.exterior) == ("64efdcdce7927", "RAZON DE PRUEBA", "123")
    assert created.regimen_fiscal == "Personas Físicas con Actividades Empresariales y Profesionales"
    assert (created.csd_cer_name, created.csd_key_name) == ("fiel_name.cer", "fiel_name.key")
    assert (created.regimen, created.codpos, created.cant_folios_min) == ("612", "44444", 66)
    assert (created.created_on, created.updated_on, created.is_main) == (date(2023, 8, 30), None, None)
    assert (created.mailtomyself, created.mailtomyconta, created.has_smtp) == (True, True, True)
    assert created.extra == {"acco_user_id": "1364", "acco_id": "1521"}
    with pytest.raises(InvalidInputError, match=r"get\('64efdcdce7927'\)"):
        _ = created.credentials


async def test_an_updated_empresa_is_read_from_the_recorded_answer_without_its_passwords() -> None:
    async with replaying(case("empresas.update")) as (client, _):
        updated = await client.empresas.update("61e20b1903bad", CambiosEmpresa(calle="Otra"))
    assert (updated.uid, updated.logo_name) == ("61e20b1903bad", "file_name.jpg")
    assert (updated.created_on, updated.updated_on) == (date(2023, 1, 14), date(2023, 5, 16))
    assert (updated.is_main, updated.is_deleted, updated.cant_folios_min) == (False, False, 66)
    assert (updated.csd_numero, updated.fiel_key_name) == ("no_cer", "file_name.key")
    assert dict(updated.extra) == {
        "acco_id": "1954",
        "acco_pem_path": "file_name.pem",
        "acco_user_id": "1765",
        "acco_pdf": '{"background":"#20436F","color":"#ffffff"}',
    }
    assert not {"password", "apikey", "secretkey"} & set(re.findall(r"\w+", repr(updated) + repr(vars(updated))))


async def test_a_validation_error_names_the_recorded_missing_field() -> None:
    async with replaying(case("empresas.create", ".refused")) as (client, _):
        with pytest.raises(ValidationError) as refused:
            await client.empresas.create(NUEVA, validate=False)
    assert refused.value.fields == {"razons": ("El campo razons es requerido",)}


async def test_wrong_keys_and_a_missing_empresa_raise_different_errors() -> None:
    async with replaying(case("empresas.delete", ".wrong_keys")) as (client, _):
        with pytest.raises(AuthenticationError):
            await client.empresas.delete("64efdcdce7927")
