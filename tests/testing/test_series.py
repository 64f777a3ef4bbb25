"""Series: the six endpoints answer as the documentation shows, and belong to the company of the keys."""

from __future__ import annotations

from typing import Any

import pytest

from facturaonline_async.testing import Emulator, Fault

from . import samples
from .caller import Caller

pytestmark = pytest.mark.virtual_clock

SERIE_NOT_FOUND = {"status": "error", "message": "La serie no existe"}


async def test_a_list_equals_the_documented_one(emulator: Emulator, caller: Caller) -> None:
    main = emulator.state["empresas"]["607a062eae2bb"]
    for row in reversed(samples.SERIES_LIST["data"]):
        emulator.state["series"][row["SerieID"]] = {
            "empresa": main["uid"],
            "letra": row["SerieName"],
            "tipo_documento": row["SerieType"],
        }

    assert samples.SERIES_LIST == await caller.get("/v4/series")


async def test_a_detail_equals_the_documented_one(emulator: Emulator, caller: Caller) -> None:
    emulator.state["series"][19843] = {"letra": "R", "tipo_documento": "factura"}

    assert samples.SERIE == await caller.get("/v4/series/19843")


async def test_the_answer_to_a_create_has_no_id_and_the_serie_is_active_from_folio_1(
    emulator: Emulator, caller: Caller
) -> None:
    assert samples.SERIE_CREATED == await caller.create_serie("RR", "factura")

    (serie_id, row), *others = emulator.state["series"].items()
    assert [] == others
    assert isinstance(serie_id, int)
    assert ("607a062eae2bb", "RR", "factura", 1, "Activa") == tuple(
        row[name] for name in ("empresa", "letra", "tipo_documento", "folio", "estatus")
    )


async def test_a_second_create_of_the_same_serie_makes_a_second_one(emulator: Emulator, caller: Caller) -> None:
    assert samples.SERIE_CREATED == await caller.create_serie("F")
    assert samples.SERIE_CREATED == await caller.create_serie("F")

    first, second = emulator.state["series"]
    assert second > first


@pytest.mark.parametrize("folio", [5, "5"])
async def test_a_folio_may_be_a_number_or_its_digits(emulator: Emulator, caller: Caller, folio: object) -> None:
    body = {"letra": "F", "tipoDocumento": "factura", "folio": folio}

    assert samples.SERIE_CREATED == await caller.post("/v4/series/create", json=body)
    assert [5] == [row["folio"] for row in emulator.state["series"].values()]


@pytest.mark.parametrize("folio", ["x", -1, 1.5, True, [], "\u0661"])
async def test_a_folio_that_is_not_a_number_is_refused(emulator: Emulator, caller: Caller, folio: object) -> None:
    answer = await caller.post("/v4/series/create", json={"letra": "F", "tipoDocumento": "factura", "folio": folio})

    assert {"status": "error", "message": {"folio": ["El campo folio debe ser numérico"]}} == answer
    assert {} == emulator.state["series"]


@pytest.mark.parametrize(
    ("body", "missing"),
    [
        ({}, ["letra", "tipoDocumento"]),
        ({"letra": "F"}, ["tipoDocumento"]),
        ({"letra": " ", "tipoDocumento": "factura"}, ["letra"]),
        ({"letra": None, "tipoDocumento": ""}, ["letra", "tipoDocumento"]),
        (["letra"], ["letra", "tipoDocumento"]),
    ],
)
async def test_a_create_names_all_missing_fields(
    emulator: Emulator, caller: Caller, body: object, missing: list[str]
) -> None:
    answer = await caller.post("/v4/series/create", json=body)

    assert {"status": "error", "message": {name: [f"El campo {name} es requerido"] for name in missing}} == answer
    assert {} == emulator.state["series"]


@pytest.mark.parametrize(
    "body",
    [
        {"data": {"letra": "F", "tipoDocumento": "factura"}},
        {"data": b'{"letra":"F","tipoDocumento":"factura"}', "content": "text/plain"},
        {"data": b'{"letra":"F","tipoDocumento":"factura","folio":NaN}', "content": "application/json"},
        {"data": b'\xef\xbb\xbf{"letra":"F","tipoDocumento":"factura"}', "content": "application/json"},
        {"data": b'{"letra":"F","tipoDocumento":"factura"', "content": "application/json"},
        {"data": b"[" * 100_000, "content": "application/json"},
    ],
)
async def test_a_body_that_is_not_json_is_not_read(emulator: Emulator, caller: Caller, body: dict[str, Any]) -> None:
    content_type = {"Content-Type": body["content"]} if "content" in body else {}
    answer = await caller.post("/v4/series/create", data=body["data"], headers={**caller.headers, **content_type})

    assert ["letra", "tipoDocumento"] == list(answer["message"])
    assert {} == emulator.state["series"]


async def test_a_serie_is_paused_and_activated_in_the_documented_words(emulator: Emulator, caller: Caller) -> None:
    uid = emulator.add_serie("607a062eae2bb", letra="F", tipo_documento="factura")

    assert samples.SERIE_DEACTIVATED == await caller.post(f"/v4/series/{uid}/down")
    assert "Pausada" == (await caller.get(f"/v4/series/{uid}"))["data"]["SerieStatus"]
    assert samples.SERIE_DEACTIVATED == await caller.post(f"/v4/series/{uid}/down")
    assert samples.SERIE_ACTIVATED == await caller.post(f"/v4/series/{uid}/up")
    assert "Activa" == (await caller.get(f"/v4/series/{uid}"))["data"]["SerieStatus"]


async def test_a_deleted_serie_is_gone(emulator: Emulator, caller: Caller) -> None:
    uid = emulator.add_serie("607a062eae2bb", letra="F", tipo_documento="factura")

    assert samples.SERIE_DELETED == await caller.post(f"/v4/series/{uid}/drop")
    assert SERIE_NOT_FOUND == await caller.post(f"/v4/series/{uid}/drop")
    assert {"status": "success", "data": []} == await caller.get("/v4/series")


@pytest.mark.parametrize(("method", "suffix"), [("GET", ""), ("POST", "/up"), ("POST", "/down"), ("POST", "/drop")])
@pytest.mark.parametrize("uid", ["1", "create", "x" * 30, "9" * 30])
async def test_an_unknown_uid_is_not_found(caller: Caller, method: str, suffix: str, uid: str) -> None:
    call = caller.get if method == "GET" else caller.post

    assert SERIE_NOT_FOUND == await call(f"/v4/series/{uid}{suffix}")


@pytest.mark.parametrize("suffix", ["/up", "/down", "/drop"])
async def test_a_serie_of_another_company_is_not_found(emulator: Emulator, caller: Caller, suffix: str) -> None:
    norte = emulator.add_empresa(rfc="XIQB891116QE4")
    uid = emulator.add_serie(norte, letra="N", tipo_documento="factura")

    assert SERIE_NOT_FOUND == await caller.get(f"/v4/series/{uid}")
    assert SERIE_NOT_FOUND == await caller.post(f"/v4/series/{uid}{suffix}")
    assert "Activa" == emulator.state["series"][uid]["estatus"]


async def test_a_serie_is_created_in_the_company_of_the_keys(emulator: Emulator, caller: Caller) -> None:
    norte = emulator.add_empresa(rfc="XIQB891116QE4")
    async with Caller(emulator, emulator.credentials_of(norte)) as of_norte:
        await of_norte.create_serie("N")
        await caller.create_serie("M")

        assert ["N"] == [row["SerieName"] for row in (await of_norte.get("/v4/series"))["data"]]
        assert ["M"] == [row["SerieName"] for row in (await caller.get("/v4/series"))["data"]]


@pytest.mark.parametrize(
    ("tipo", "description"),
    [("carta_porte", "Carta Porte"), ("nomina", "Nómina"), ("tipo_del_futuro", "Tipo Del Futuro")],
)
async def test_any_tipo_documento_is_accepted_and_gets_a_description(
    caller: Caller, tipo: str, description: str
) -> None:
    await caller.create_serie("F", tipo)

    (row,) = (await caller.get("/v4/series"))["data"]
    assert (tipo, description) == (row["SerieType"], row["SerieDescription"])


async def test_the_list_shows_a_new_serie_after_the_lag_and_the_detail_at_once() -> None:
    async with Emulator(list_lag=3600) as emulator, Caller(emulator) as caller:
        emulator.add_serie("607a062eae2bb", letra="OLD", tipo_documento="factura")
        await caller.create_serie("NEW")
        uid = max(emulator.state["series"])

        assert ["OLD"] == [row["SerieName"] for row in (await caller.get("/v4/series"))["data"]]
        assert "NEW" == (await caller.get(f"/v4/series/{uid}"))["data"]["SerieName"]

        emulator.state["series"][uid]["created_at"] -= 3600
        assert ["NEW", "OLD"] == [row["SerieName"] for row in (await caller.get("/v4/series"))["data"]]


async def test_a_fault_does_not_affect_the_next_call(emulator: Emulator, caller: Caller) -> None:
    emulator.inject(Fault.status(500), endpoint="series.list")

    assert 500 == await caller.status("GET", "/v4/series")
    assert 200 == await caller.status("GET", "/v4/series")
