"""Empresas: the six endpoints respond as documented, quirks included."""

from __future__ import annotations

import base64
import re
from typing import Any

import aiohttp
import pytest

from facturaonline_async.testing import Emulator

from . import samples
from .caller import CSD, FIEL, Caller, headers, upload

pytestmark = pytest.mark.virtual_clock

MAIN = "607a062eae2bb"
REQUIRED = ["razons", "rfc", "codpos", "email", "regimen_nomina", "password", "cer", "key"]
SMALL_FORM = {name: samples.FORM[name] for name in REQUIRED if name in samples.FORM}


def required(*names: str) -> dict[str, Any]:
    return {"status": "error", "message": {name: [f"El campo {name} es requerido"] for name in names}}


def shape(content: Any) -> Any:
    """Reduce an answer to its keys and the types of its values."""
    if isinstance(content, dict):
        return {name: shape(value) for name, value in content.items()}
    return [shape(value) for value in content] if isinstance(content, list) else type(content).__name__


def stable(answer: dict[str, Any]) -> dict[str, Any]:
    """Leave out what differs from account to account."""
    differs = {"acco_id", "acco_uid", "acco_create", "acco_lastupdate", "acco_user_id", "acco_cer_no"}
    return {
        name: value
        for name, value in answer["0"].items()
        if name not in differs and not re.search(r"_path$|_api_key$|_secret_key$|_fiel_(cer|key)$", name)
    }


async def test_the_list_has_the_documented_shape_and_values(emulator: Emulator, caller: Caller) -> None:
    same = ("razon_social", "rfc", "curp", "calle", "exterior", "interior", "codpos", "estado")
    emulator.state["empresas"][MAIN].update({name: samples.EMPRESA["data"][name] for name in same})
    emulator.add_empresa(rfc="CACX7605101P8", razon_social="XOCHILT CASAS CHAVEZ", regimen="612", codpos="10740")
    answer = await caller.get("/v1/accounts")

    assert shape(samples.EMPRESAS_LIST) == shape(answer)
    for documented, shown in zip(samples.EMPRESAS_LIST["data"], answer["data"], strict=True):
        names = [*same, "regimen_fiscal"]
        assert [documented[name] for name in names] == [shown[name] for name in names]


async def test_the_detail_and_the_current_company_have_the_documented_shape(caller: Caller) -> None:
    detail = await caller.get(f"/v1/account/{MAIN}")

    assert shape(samples.EMPRESA) == shape(detail)
    assert list(samples.EMPRESA["data"]) == list(detail["data"])
    assert detail == await caller.get("/v1/current/account")


async def test_the_current_company_is_that_of_the_keys(emulator: Emulator) -> None:
    norte = emulator.add_empresa(rfc="XIQB891116QE4")
    async with Caller(emulator, emulator.credentials_of(norte)) as of_norte:
        assert norte == (await of_norte.get("/v1/current/account"))["data"]["uid"]


async def test_any_company_of_the_account_lists_and_reads_all_of_them(emulator: Emulator) -> None:
    norte = emulator.add_empresa(rfc="XIQB891116QE4")
    async with Caller(emulator, emulator.credentials_of(norte)) as of_norte:
        assert [MAIN, norte] == [row["uid"] for row in (await of_norte.get("/v1/accounts"))["data"]]
        assert MAIN == (await of_norte.get(f"/v1/account/{MAIN}"))["data"]["uid"]


async def test_the_documented_create_is_answered_as_documented(caller: Caller) -> None:
    answer = await caller.post("/v4/account/create", data=upload())

    assert shape(samples.EMPRESA_CREATED) == shape(answer)
    assert list(samples.EMPRESA_CREATED["0"]) == list(answer["0"])
    assert stable(samples.EMPRESA_CREATED) == stable(answer)
    assert re.fullmatch(r"[0-9a-f]{13}", answer["0"]["acco_uid"])


async def test_the_documented_update_is_answered_as_documented(caller: Caller) -> None:
    uid = await caller.create_empresa()
    answer = await caller.post(
        f"/v4/account/{uid}/update",
        data=upload({"razons": "tu razon social", "password": "password", "fielpassword": "password"}),
    )

    assert shape(samples.EMPRESA_UPDATED) == shape(answer)
    assert list(samples.EMPRESA_UPDATED["0"]) == list(answer["0"])
    assert stable(samples.EMPRESA_UPDATED) == stable(answer)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", answer["0"]["acco_lastupdate"])


async def test_a_created_company_reads_back_in_the_spelling_of_the_detail(caller: Caller) -> None:
    uid = await caller.create_empresa(razons="Niños & Cía", regimen="601")
    row = (await caller.get(f"/v1/account/{uid}"))["data"]

    assert ("NIÑOS & CÍA", "FUNK123456PH7", "General de Ley Personas Morales", "123", "4") == tuple(
        row[name] for name in ("razon_social", "rfc", "regimen_fiscal", "exterior", "interior")
    )


async def test_keys_of_reads_are_ready_for_headers_and_keys_of_create_and_update_are_not(
    emulator: Emulator, caller: Caller
) -> None:
    created = (await caller.post("/v4/account/create", data=upload()))["0"]
    uid = created["acco_uid"]
    updated = (await caller.post(f"/v4/account/{uid}/update", data={"calle": "x"}))["0"]
    read = (await caller.get(f"/v1/account/{uid}"))["data"]

    for name in ("api_key", "secret_key"):
        assert re.fullmatch(r"\$2y\$10\$[./A-Za-z0-9]{53}", created[f"acco_{name}"])
        assert created[f"acco_{name}"] == updated[f"acco_{name}"] == base64.b64decode(read[name]).decode()
        assert read[name].startswith("JDJ5JDEwJ")
    good = {"F-Api-Key": read["api_key"], "F-Secret-Key": read["secret_key"]}
    raw = {"F-Api-Key": created["acco_api_key"], "F-Secret-Key": created["acco_secret_key"]}
    assert headers(emulator.credentials_of(uid)) == good
    assert uid == (await caller.get("/v1/current/account", headers=good))["data"]["uid"]
    assert "error" == (await caller.get("/v1/current/account", headers=raw))["status"]


async def test_a_second_create_of_the_same_rfc_makes_a_second_company(emulator: Emulator, caller: Caller) -> None:
    first, second = await caller.create_empresa(), await caller.create_empresa()

    assert first < second
    assert 3 == len(emulator.state["empresas"])


@pytest.mark.parametrize("name", REQUIRED)
async def test_a_create_is_refused_without_each_required_field(emulator: Emulator, caller: Caller, name: str) -> None:
    fields = {other: text for other, text in SMALL_FORM.items() if other != name}
    files = {other: content for other, content in CSD.items() if other != name}

    assert required(name) == await caller.post("/v4/account/create", data=upload(fields, files))
    assert 1 == len(emulator.state["empresas"])


async def test_a_create_with_only_the_required_fields_succeeds(emulator: Emulator, caller: Caller) -> None:
    answer = await caller.post("/v4/account/create", data=upload(SMALL_FORM, CSD))

    assert "create" == answer["status"]
    assert ("", "", "") == tuple(answer["0"][name] for name in ("acco_fiel_cer", "acco_regimen", "acco_calle"))
    assert 2 == len(emulator.state["empresas"])


async def test_a_refused_create_equals_the_documented_refusal(caller: Caller) -> None:
    fields = {name: text for name, text in samples.FORM.items() if name != "razons"}

    assert samples.RAZONS_MISSING == await caller.post("/v4/account/create", data=upload(fields))


@pytest.mark.parametrize("blank", ["", "  "])
async def test_a_blank_required_field_counts_as_missing(caller: Caller, blank: str) -> None:
    answer = await caller.post("/v4/account/create", data=upload({**SMALL_FORM, "rfc": blank}, CSD))

    assert required("rfc") == answer


async def test_certificates_may_come_as_base64_text(emulator: Emulator, caller: Caller) -> None:
    texts = {
        "csd_cer_b64": base64.b64encode(CSD["cer"]).decode(),
        "csd_key_b64": base64.b64encode(CSD["key"]).decode(),
        "fiel_cer_b64": base64.b64encode(FIEL["fielcer"]).decode(),
        "fiel_key_b64": base64.b64encode(FIEL["fielkey"]).decode(),
        "fielpassword": "12345678a",
    }
    answer = await caller.post("/v4/account/create", data={**SMALL_FORM, **texts})

    assert "create" == answer["status"]
    assert all(answer["0"][name] for name in ("acco_cer_path", "acco_key_path", "acco_fiel_cer", "acco_fiel_key"))


async def test_invalid_base64_text_is_refused(caller: Caller) -> None:
    answer = await caller.post("/v4/account/create", data={**SMALL_FORM, "csd_cer_b64": "%%", "csd_key_b64": "YQ=="})

    assert {"csd_cer_b64": ["El campo csd_cer_b64 no es un archivo en base64"]} == answer["message"]


async def test_a_certificate_in_a_text_field_is_no_file(caller: Caller) -> None:
    answer = await caller.post("/v4/account/create", data={**SMALL_FORM, "cer": "YQ==", "key": "YQ=="})

    assert required("cer", "key") == answer


@pytest.mark.parametrize("group", [("cer", "key", "password"), ("fielcer", "fielkey", "fielpassword")])
@pytest.mark.parametrize("left_out", [0, 1, 2])
async def test_certificate_key_and_password_are_required_together(
    caller: Caller, group: tuple[str, str, str], left_out: int
) -> None:
    sent = [name for name in group if name != group[left_out]]
    fields = {name: "12345678a" for name in sent if "password" in name}
    files = {name: b"x" for name in sent if "password" not in name}

    answer = await caller.post(f"/v4/account/{MAIN}/update", data=upload(fields, files))
    assert required(group[left_out]) == answer


async def test_a_fiel_without_its_password_is_refused_on_create_too(caller: Caller) -> None:
    assert required("fielpassword") == await caller.post("/v4/account/create", data=upload(SMALL_FORM))


async def test_an_update_changes_only_the_sent_fields(emulator: Emulator, caller: Caller) -> None:
    uid = await caller.create_empresa()
    before = dict(emulator.state["empresas"][uid])
    await caller.post(f"/v4/account/{uid}/update", data={"calle": "", "numero_exterior": "99"})
    after = emulator.state["empresas"][uid]

    assert {"calle": "", "exterior": "99"} == {
        name: after[name] for name in before if name != "lastupdate" and after[name] != before[name]
    }


async def test_an_update_needs_at_least_one_known_field(caller: Caller) -> None:
    text = "Es necesario enviar al menos un parámetro para actualizar la empresa"

    for body in ({"unknown": "x"}, {}):
        assert {"status": "error", "message": text} == await caller.post(f"/v4/account/{MAIN}/update", data=body)


async def test_an_update_cannot_blank_required_fields(emulator: Emulator, caller: Caller) -> None:
    assert required("rfc") == await caller.post(f"/v4/account/{MAIN}/update", data={"rfc": "", "calle": "x"})
    assert "Calle del Emulador" == emulator.state["empresas"][MAIN]["calle"]


async def test_a_read_returns_the_ciudad_under_the_name_delegacion(emulator: Emulator, caller: Caller) -> None:
    answer = await caller.post("/v4/account/create", data=upload())

    assert (
        "Santiaguito" == samples.FORM["delegacion"] == emulator.state["empresas"][answer["0"]["acco_uid"]]["delegacion"]
    )
    assert "Arandas" == samples.FORM["ciudad"] == answer["0"]["acco_delegacion"]


async def test_a_logo_is_stored_with_its_file_suffix(caller: Caller) -> None:
    body = aiohttp.FormData()
    body.add_field("logo", b"picture", filename="our logo.png")
    answer = await caller.post(f"/v4/account/{MAIN}/update", data=body)

    assert f"{MAIN}_logo.png" == answer["0"]["acco_logo_path"]


async def test_unknown_uids_are_not_found_in_the_words_of_each_endpoint(caller: Caller) -> None:
    unknown = {"status": "error", "message": "La empresa no existe"}

    assert unknown == await caller.get("/v1/account/5670a524cfc65")
    assert unknown == await caller.post("/v4/account/5670a524cfc65/update", data={"calle": "x"})
    assert samples.EMPRESA_TO_DELETE_UNKNOWN == await caller.post(
        "/v4/account/5670a524cfc65/delete", data={"_method": "delete"}
    )


@pytest.mark.parametrize("method", ["delete", "DELETE"])
async def test_a_deleted_company_is_gone_with_its_keys_and_its_series(
    emulator: Emulator, caller: Caller, method: str
) -> None:
    norte = emulator.add_empresa(rfc="XIQB891116QE4")
    emulator.add_serie(norte, letra="N", tipo_documento="factura")
    main_serie = emulator.add_serie(MAIN, letra="M", tipo_documento="factura")
    keys = headers(emulator.credentials_of(norte))

    assert samples.EMPRESA_DELETED == await caller.post(f"/v4/account/{norte}/delete", data={"_method": method})
    assert samples.EMPRESA_TO_DELETE_UNKNOWN == await caller.post(
        f"/v4/account/{norte}/delete", data={"_method": method}
    )
    assert "error" == (await caller.get("/v1/current/account", headers=keys))["status"]
    assert {"empresas": [MAIN], "series": [main_serie]} == {name: list(rows) for name, rows in emulator.state.items()}


@pytest.mark.parametrize(
    "body",
    [
        {"data": {"_method": "put"}},
        {"data": {}},
        {"json": {"_method": "delete"}},
        {"data": b"_method=delete", "type": "application/json"},
        {"data": b"_method=delete", "type": "text/plain"},
    ],
)
async def test_a_delete_without_its_form_field_gets_a_405_page(
    emulator: Emulator, caller: Caller, body: dict[str, Any]
) -> None:
    content_type = {"Content-Type": body.pop("type")} if "type" in body else {}
    response, page = await caller.raw(
        "POST", f"/v4/account/{MAIN}/delete", headers={**caller.headers, **content_type}, **body
    )

    assert (405, "text/html") == (response.status, response.content_type)
    assert page.startswith(b"<!DOCTYPE html>")
    assert [MAIN] == list(emulator.state["empresas"])


async def test_a_multipart_delete_is_accepted(emulator: Emulator, caller: Caller) -> None:
    body = upload({"_method": "delete"}, {})

    assert samples.EMPRESA_DELETED == await caller.post(f"/v4/account/{MAIN}/delete", data=body)
    with pytest.raises(LookupError, match="main"):
        _ = emulator.credentials


async def test_a_new_company_can_be_listed_and_read_after_its_lags() -> None:
    async with Emulator(list_lag=3600, read_lag=60) as emulator, Caller(emulator) as caller:
        uid = await caller.create_empresa()
        row = emulator.state["empresas"][uid]

        assert [MAIN] == [shown["uid"] for shown in (await caller.get("/v1/accounts"))["data"]]
        assert {"status": "error", "message": "La empresa no existe"} == await caller.get(f"/v1/account/{uid}")

        row["created_at"] -= 60
        assert uid == (await caller.get(f"/v1/account/{uid}"))["data"]["uid"]
        assert [MAIN] == [shown["uid"] for shown in (await caller.get("/v1/accounts"))["data"]]

        row["created_at"] -= 3540
        assert [MAIN, uid] == [shown["uid"] for shown in (await caller.get("/v1/accounts"))["data"]]
