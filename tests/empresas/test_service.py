"""EmpresaService against the emulator."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import pickle
import traceback
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from attrs import evolve

from facturaonline_async import (
    CambiosEmpresa,
    CorreoSmtp,
    Credentials,
    Empresa,
    FacturaOnline,
    InvalidInputError,
    NotFoundError,
    NuevaEmpresa,
    OutcomeUnknownError,
    Secret,
    Sello,
    UnreadableAnswerError,
    ValidationError,
    connect,
)
from facturaonline_async._core.known_companies import normalize_rfc
from facturaonline_async.config import Upload
from facturaonline_async.empresas._wire import write_cambios
from facturaonline_async.testing import Emulator, Fault
from tests.conftest import QUICK
from tests.plans import nueva
from tests.replay import replaying

pytestmark = pytest.mark.virtual_clock

MAIN = "607a062eae2bb"
CSD = Sello(b"the certificate", b"the private key", "clave csd")
FIEL = Sello(b"the e.firma", b"its private key", "clave fiel")
PNG = b"\x89PNG\r\n\x1a\n..."

NUEVA = NuevaEmpresa(
    razon_social="Ñandú & Compañía",
    rfc="ÑAN&010101ABC",
    codpos="06500",
    email="a@example.com",
    regimen="601",
    regimen_nomina="601",
    csd=CSD,
)

FULL = evolve(
    NUEVA,
    fiel=FIEL,
    calle="Calle",
    exterior="1",
    interior="2",
    colonia="Centro",
    estado="Jalisco",
    ciudad="Guadalajara",
    delegacion="Centro",
    telefono="3344556677",
    curp="PEPJ901010HJCRRN03",
    mailtomyself=True,
    mailtomyconta=False,
    mail_conta="c@example.com",
    cant_folios_min=66,
    smtp=CorreoSmtp(email="s@example.com", password="clave smtp", host="smtp.example.com", port=587, encryption="tls"),
    logo=PNG,
)


PASSWORD = "top secret"


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# ── Requests ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_create_sends_every_attribute_under_the_apis_name(client: FacturaOnline, emulator: Emulator) -> None:
    await client.empresas.create(FULL)
    (request,) = emulator.requests
    assert request.content_type.startswith("multipart/form-data; boundary=")
    masked = {name for name in request.fields if "password" in name}
    assert masked == {"password", "fielpassword", "smtp_password"}
    assert {name: value for name, value in request.fields.items() if name not in masked} == {
        "razons": "Ñandú & Compañía",
        "rfc": "ÑAN&010101ABC",
        "codpos": "06500",
        "email": "a@example.com",
        "regimen": "601",
        "regimen_nomina": "601",
        "calle": "Calle",
        "numero_exterior": "1",
        "numero_interior": "2",
        "colonia": "Centro",
        "estado": "Jalisco",
        "ciudad": "Guadalajara",
        "delegacion": "Centro",
        "telefono": "3344556677",
        "curp": "PEPJ901010HJCRRN03",
        "mailtomyself": "1",
        "mailtomyconta": "0",
        "mail_conta": "c@example.com",
        "cant_folios_min": "66",
        "smtp": "1",
        "smtp_email": "s@example.com",
        "smtp_port": "587",
        "smtp_host": "smtp.example.com",
        "smtp_encryption": "tls",
    }
    assert {name: (file.filename, file.sha256) for name, file in request.files.items()} == {
        "cer": ("csd.cer", sha(CSD.cer)),
        "key": ("csd.key", sha(CSD.key)),
        "fielcer": ("fiel.cer", sha(FIEL.cer)),
        "fielkey": ("fiel.key", sha(FIEL.key)),
        "logo": ("logo.png", sha(PNG)),
    }
    (row,) = (row for row in emulator.state["empresas"].values() if not row.get("main"))
    assert (row["password"], row["fielpassword"], row["smtp_password"]) == ("clave csd", "clave fiel", "clave smtp")


async def test_empty_optional_texts_are_not_sent(client: FacturaOnline, emulator: Emulator) -> None:
    await client.empresas.create(NUEVA)
    (request,) = emulator.requests
    assert set(request.fields) == {"razons", "rfc", "codpos", "email", "regimen", "regimen_nomina", "password"}
    assert set(request.files) == {"cer", "key"}


@pytest.mark.parametrize(("logo", "kind"), [(None, "application/x-www-form-urlencoded"), (PNG, "multipart/form-data")])
async def test_certificates_can_be_sent_as_base64_texts(emulator: Emulator, logo: bytes | None, kind: str) -> None:
    config = evolve(QUICK, upload="base64")
    async with connect(emulator.credentials, base_url=emulator.base_url, config=config) as client:
        await client.empresas.create(evolve(NUEVA, fiel=FIEL, logo=logo))
    (request,) = emulator.requests
    assert request.content_type.startswith(kind)
    assert {name: file.sha256 for name, file in request.files.items() if name != "logo"} == {
        "csd_cer_b64": sha(CSD.cer),
        "csd_key_b64": sha(CSD.key),
        "fiel_cer_b64": sha(FIEL.cer),
        "fiel_key_b64": sha(FIEL.key),
    }


async def test_an_update_sends_only_the_attributes_that_are_set(client: FacturaOnline, emulator: Emulator) -> None:
    uid = emulator.add_empresa(rfc="CACX7605101P8", calle="Vieja", colonia="Centro")
    updated = await client.empresas.update(uid, CambiosEmpresa(calle="", exterior="7", mailtomyself=False))
    (request,) = emulator.requests
    assert request.fields == {"calle": "", "numero_exterior": "7", "mailtomyself": "0"}
    assert (updated.calle, updated.exterior, updated.colonia) == ("", "7", "Centro")


async def test_an_update_may_carry_new_certificates(client: FacturaOnline, emulator: Emulator) -> None:
    await client.empresas.update(MAIN, CambiosEmpresa(csd=CSD, fiel=FIEL))
    (request,) = emulator.requests
    assert {name: file.sha256 for name, file in request.files.items()} == {
        "cer": sha(CSD.cer),
        "key": sha(CSD.key),
        "fielcer": sha(FIEL.cer),
        "fielkey": sha(FIEL.key),
    }
    row = emulator.state["empresas"][MAIN]
    assert (row["password"], row["fielpassword"]) == ("clave csd", "clave fiel")


async def test_an_empty_update_is_refused_before_anything_is_sent(client: FacturaOnline, emulator: Emulator) -> None:
    with pytest.raises(InvalidInputError, match="cambios is empty"):
        await client.empresas.update(MAIN, CambiosEmpresa())
    assert emulator.requests == ()


async def test_a_delete_is_sent_as_a_form(client: FacturaOnline, emulator: Emulator) -> None:
    uid = emulator.add_empresa(rfc="CACX7605101P8")
    await client.empresas.delete(uid)
    (request,) = emulator.requests
    assert (request.method, request.content_type, request.fields) == (
        "POST",
        "application/x-www-form-urlencoded",
        {"_method": "delete"},
    )
    assert uid not in emulator.state["empresas"]


# ── Responses ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_result_of_a_create_has_data_but_no_keys(client: FacturaOnline) -> None:
    created = await client.empresas.create(FULL)
    assert (created.razon_social, created.rfc, created.regimen_fiscal) == (
        "ÑANDÚ & COMPAÑÍA",
        "ÑAN&010101ABC",
        "General de Ley Personas Morales",
    )
    assert (created.regimen, created.telefono, created.mail_conta, created.has_smtp) == (
        "601",
        "3344556677",
        "c@example.com",
        True,
    )
    with pytest.raises(InvalidInputError, match="has no keys"):
        client.for_empresa(created)


async def test_reads_return_the_companys_own_keys(client: FacturaOnline, emulator: Emulator) -> None:
    uid = emulator.add_empresa(rfc="CACX7605101P8")
    reads = [
        await client.empresas.get(uid),
        *[empresa for empresa in await client.empresas.list() if empresa.uid == uid],
        await client.empresas.find("CACX7605101P8"),
        await FacturaOnline(client.session, emulator.credentials_of(uid)).empresas.current(),
    ]
    assert [empresa and empresa.credentials for empresa in reads] == [emulator.credentials_of(uid)] * 4


async def test_the_repr_of_a_company_masks_its_keys(client: FacturaOnline, emulator: Emulator) -> None:
    empresa = await client.empresas.get(MAIN)
    key = emulator.credentials.api_key.reveal()
    assert key not in repr(empresa) + repr(attrs.asdict(empresa)) + str(vars(empresa))


@pytest.mark.parametrize("field", ["interior", "curp", "calle", "email"])
@pytest.mark.parametrize("value", ["", None, 32])
async def test_any_text_may_be_empty_null_or_a_number(field: str, value: object) -> None:
    row = {"uid": "607a062eae2bb", "rfc": "EKU9003173C9", field: value}
    async with replaying(json.dumps({"status": "success", "data": row})) as (client, _):
        empresa = await client.empresas.current()
    assert getattr(empresa, field) == ("32" if value == 32 else "")


async def test_a_create_with_odd_values_in_its_response_succeeds() -> None:
    row = {"acco_uid": "64efdcdce7927", "acco_apps": [], "acco_email_settings": {"a": 1}, "acco_main": False}
    async with replaying(json.dumps({"status": "create", "0": row})) as (client, _):
        created = await client.empresas.create(NUEVA)
    assert (created.uid, created.is_main, created.extra) == (
        "64efdcdce7927",
        False,
        {"acco_email_settings": '{"a": 1}'},
    )


async def test_a_response_that_repeats_passwords_shows_none(caplog: pytest.LogCaptureFixture) -> None:
    row = {"acco_uid": "64efdcdce7927", "acco_psswrd_cer": "clave csd", "acco_nota": "con clave csd", "acco_main": "??"}
    async with replaying(json.dumps({"status": "create", "0": row})) as (client, server):
        created = await client.empresas.create(NUEVA, validate=False)
        server.body = json.dumps({"status": "create", "0": row | {"acco_main": "clave csd"}}).encode()
        updated = await client.empresas.update("64efdcdce7927", CambiosEmpresa(csd=CSD), validate=False)
    assert (created.is_main, created.extra) == (None, {"acco_nota": "con ***", "acco_main": "??"})
    assert (updated.is_main, updated.extra) == (None, {"acco_nota": "con ***", "acco_main": "***"})
    assert "clave csd" not in f"{vars(created)}{pickle.dumps(updated)!r}{caplog.text}"


@pytest.mark.parametrize("payload", [None, {}, [], {"acco_uid": ""}, {"acco_uid": None}])
async def test_a_create_whose_response_has_no_uid_raises_an_error_that_says_it_was_done(payload: object) -> None:
    async with replaying(json.dumps({"status": "create", "0": payload})) as (client, _):
        with pytest.raises(UnreadableAnswerError):
            await client.empresas.create(NUEVA)


async def test_an_odd_fact_or_a_new_field_makes_no_list_unreadable() -> None:
    rows = [
        {"uid": "1", "rfc": "EKU9003173C9", "nuevo": {"a": 1}, "password": "clave"},
        {"uid": "2", "rfc": "CACX7605101P8"},
    ]
    async with replaying(json.dumps({"response": "success", "data": rows})) as (client, _):
        first, second = await client.empresas.list()
    assert (first.extra, second.extra, second.created_on) == ({"nuevo": '{"a": 1}'}, {}, None)


@pytest.mark.parametrize("name", ["acco_id", "acco_user_id"])
@pytest.mark.parametrize("echo", ["clave csd", "12345678"])
async def test_a_password_in_the_place_of_a_number_is_masked(name: str, echo: str) -> None:
    smtp = CorreoSmtp(email="a@b.mx", password=Secret(echo), port=587, host="mail.b.mx")
    row = {"acco_uid": "64efdcdce7927", name: echo}
    async with replaying(json.dumps({"status": "create", "0": row})) as (client, _):
        updated = await client.empresas.update("64efdcdce7927", CambiosEmpresa(smtp=smtp), validate=False)
    assert updated.extra == {name: "***"}


@pytest.mark.parametrize("call", ["list", "filtered", "iterate", "current", "get"])
async def test_the_keys_of_the_request_are_masked_in_what_is_read(call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "propia-0123456789"  # does not look like a key of the API, which is masked anywhere
    monkeypatch.setattr("tests.replay.CREDENTIALS", Credentials(api_key=key, secret_key="otra-0123456789"))
    async with replaying("") as (client, server):
        row = {"uid": "1", "rfc": "EKU9003173C9", "eco": f"de {key}", key: "1", "color": "red"}
        rows = call in {"list", "filtered", "iterate"}
        server.body = json.dumps({"response": "success", "data": [row] if rows else row}).encode()
        match call:
            case "list":
                (empresa,) = await client.empresas.list()
            case "filtered":
                (empresa,) = await client.empresas.list(rfc="EKU9003173C9")
            case "iterate":
                (empresa,) = [each async for each in client.empresas.iterate()]
            case "current":
                empresa = await client.empresas.current()
            case _:
                empresa = await client.empresas.get("1")
    assert empresa.extra == {"eco": "de ***", "***": "1", "color": "red"}


# ── Lists ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_find_ignores_case_blanks_and_decomposed_accents(client: FacturaOnline, emulator: Emulator) -> None:
    uid = emulator.add_empresa(rfc="HAÑ930228SM9")
    for spelling in ("HAÑ930228SM9", " haÑ930228sm9 ", "HAN\u0303930228SM9"):
        found = await client.empresas.find(spelling)
        assert found is not None
        assert found.uid == uid
    assert await client.empresas.find("HAN930228SM9") is None


@pytest.mark.parametrize(
    ("given", "normal"), [("l&o950913msa", "L&O950913MSA"), (" oño120726rx3\n", "OÑO120726RX3"), ("n\u0303", "Ñ")]
)
def test_rfcs_are_normalised(given: str, normal: str) -> None:
    assert normalize_rfc(given) == normal


async def test_filters_are_sent_and_may_be_ignored_by_the_host() -> None:
    for paging, expected in ((True, ["L&O950913MSA"]), (False, ["EMU200101PP5", "L&O950913MSA"])):
        async with Emulator(paging=paging) as emulator:
            emulator.add_empresa(rfc="L&O950913MSA")
            async with connect(emulator.credentials, base_url=emulator.base_url) as client:
                assert [empresa.rfc for empresa in await client.empresas.list(rfc="L&O950913MSA")] == expected


@pytest.mark.parametrize("paging", [True, False])
@pytest.mark.parametrize(("companies", "per_page", "pages"), [(9, 3, 4), (8, 3, 3), (0, 3, 1), (2, 100, 1), (2, 3, 1)])
async def test_iterate_yields_every_company_once_on_either_host(
    *,
    paging: bool,
    companies: int,
    per_page: int,
    pages: int,
) -> None:
    async with Emulator(paging=paging) as emulator:
        uids = {MAIN} | {emulator.add_empresa(rfc=f"AAA0101{number:02}AA{number}") for number in range(companies)}
        async with connect(emulator.credentials, base_url=emulator.base_url) as client:
            seen = [empresa.uid async for empresa in client.empresas.iterate(per_page=per_page)]
        first = emulator.requests[0]
    assert (len(seen), set(seen)) == (companies + 1, uids)
    assert first.query == {"page": "1", "per_page": str(per_page), "perPage": str(per_page)}
    if paging:
        assert len(emulator.requests) == pages


async def test_iterate_stops_if_a_host_always_returns_the_same_page() -> None:
    """The host returns a full page for every page number."""
    row = {"uid": "607a062eae2bb", "rfc": "EKU9003173C9"}
    async with replaying(json.dumps({"response": "success", "data": [row]})) as (client, server):
        assert [empresa.uid async for empresa in client.empresas.iterate(per_page=1)] == ["607a062eae2bb"]
    assert [asked.query["page"] for asked in server.asked] == ["1", "2"]


async def test_iterate_continues_if_a_host_returns_smaller_pages_than_requested() -> None:
    """The host has a page size of its own and does not return the number of pages."""
    async with Emulator(paging=True) as emulator:
        uids = {MAIN} | {emulator.add_empresa(rfc=f"AAA010101{number:03}") for number in range(9)}
        rows = [{"uid": uid, "rfc": "x"} for uid in sorted(uids)]
        for start in range(0, 12, 3):
            page = {"response": "success", "data": rows[start : start + 3]}
            emulator.inject(Fault.status(200, body=page), endpoint="empresas.list")
        async with connect(emulator.credentials, base_url=emulator.base_url) as client:
            seen = [empresa.uid async for empresa in client.empresas.iterate(per_page=100)]
    assert seen == [row["uid"] for row in rows[:10]]


@pytest.mark.parametrize("per_page", [0, -1, True, 1.5, "10"])
async def test_iterate_refuses_a_page_size_that_is_not_a_positive_integer(client: FacturaOnline, per_page: int) -> None:
    with pytest.raises(InvalidInputError, match="per_page"):
        await anext(client.empresas.iterate(per_page=per_page))


async def test_a_missing_company_raises_not_found(client: FacturaOnline) -> None:
    with pytest.raises(NotFoundError):
        await client.empresas.get("64efdcdce7927")
    with pytest.raises(NotFoundError, match="no existe"):
        await client.empresas.delete("64efdcdce7927")
    with pytest.raises(NotFoundError):
        await client.empresas.update("64efdcdce7927", CambiosEmpresa(calle="x"))


# ── ensure ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_ensure_creates_once_and_returns_keys(client: FacturaOnline, emulator: Emulator) -> None:
    first = await client.empresas.ensure(NUEVA)
    second = await client.empresas.ensure(evolve(NUEVA, razon_social="Otra", rfc=" ñan&010101abc "))
    assert first == second
    assert first.credentials == emulator.credentials_of(first.uid)
    assert (emulator.count("empresas.create"), len(emulator.state["empresas"])) == (1, 2)


async def test_ensure_waits_until_a_new_company_is_readable() -> None:
    async with Emulator(read_lag=0.3, list_lag=0.3) as emulator:
        config = evolve(QUICK, deadline=5)
        async with connect(emulator.credentials, base_url=emulator.base_url, config=config) as client:
            empresa = await client.empresas.ensure(NUEVA)
        assert empresa.credentials == emulator.credentials_of(empresa.uid)
        assert emulator.count("empresas.create") == 1


async def test_ensure_names_a_created_company_that_never_becomes_readable() -> None:
    async with Emulator(read_lag=600) as emulator:
        async with connect(emulator.credentials, base_url=emulator.base_url, config=QUICK) as client:
            with pytest.raises(UnreadableAnswerError, match="look for it later") as unreadable:
                await client.empresas.ensure(NUEVA)
        assert unreadable.value.uid in emulator.state["empresas"]


@pytest.mark.parametrize(
    "fault", [Fault.drop_after_commit, Fault.garbage, Fault.html_page, lambda: Fault.status(502, commit=True)]
)
async def test_ensure_after_a_lost_response_finds_the_created_company(
    client: FacturaOnline, emulator: Emulator, fault: Callable[[], Fault]
) -> None:
    emulator.inject(fault(), endpoint="empresas.create")
    empresa = await client.empresas.ensure(NUEVA)
    assert (emulator.count("empresas.create"), empresa.credentials) == (1, emulator.credentials_of(empresa.uid))


async def test_ensure_never_creates_twice_even_if_nothing_was_created(
    client: FacturaOnline, emulator: Emulator
) -> None:
    emulator.inject(Fault.drop_before_commit(), endpoint="empresas.create")
    with pytest.raises(OutcomeUnknownError):
        await client.empresas.ensure(NUEVA)
    assert (emulator.count("empresas.create"), len(emulator.state["empresas"])) == (1, 1)


async def test_concurrent_ensures_of_one_rfc_create_one_company(client: FacturaOnline, emulator: Emulator) -> None:
    empresas = await asyncio.gather(*(client.empresas.ensure(NUEVA) for _ in range(20)))
    assert (len({empresa.uid for empresa in empresas}), emulator.count("empresas.create")) == (1, 1)


# ── Values ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("field", ["razon_social", "rfc", "codpos", "email", "regimen_nomina"])
@pytest.mark.parametrize("value", ["", "  ", None])
def test_a_required_attribute_must_not_be_empty(field: str, value: Any) -> None:
    with pytest.raises(InvalidInputError, match=field) as refused:
        evolve(NUEVA, **{field: value})
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("codpos", 42501),
        ("calle", b"x"),
        ("calle", "una\ndos"),
        ("calle", "una\tdos"),
        ("razon_social", "nul\0"),
        ("colonia", "medio \ud83d carácter"),
        ("email", "a@b.mx\r\nBcc: x"),
        ("mailtomyself", "yes"),
        ("cant_folios_min", "66"),
        ("cant_folios_min", -1),
        ("csd", b"certificate"),
        ("fiel", "f.cer"),
        ("smtp", {"host": "x"}),
        ("logo", "logo.png"),
        ("logo", PNG + bytes(2**20)),
    ],
)
@pytest.mark.parametrize("build", [lambda **more: evolve(NUEVA, **more), CambiosEmpresa], ids=["nueva", "cambios"])
def test_an_invalid_value_is_refused_and_the_error_names_its_field(
    build: Callable[..., object], field: str, value: object
) -> None:
    with pytest.raises(InvalidInputError, match=field) as refused:
        build(**{field: value})
    assert refused.value.field == field


async def test_a_lone_surrogate_in_a_password_is_refused_and_the_rest_masked(client: FacturaOnline) -> None:
    csd = Sello(b"c", b"k", PASSWORD + "\ud800")
    with pytest.raises(InvalidInputError, match="password") as refused:
        await client.empresas.create(evolve(NUEVA, csd=csd))
    assert PASSWORD not in "".join(traceback.format_exception(refused.value))
    assert (refused.value.__cause__, refused.value.__context__) == (None, None)


async def test_a_base64_key_is_in_no_traceback_and_masked_in_responses() -> None:
    key = base64.b64encode(b"private-key-bytes").decode()
    fine = CambiosEmpresa(csd=Sello(b"c", b"private-key-bytes", "clave"))
    with pytest.raises(InvalidInputError, match="fielpassword") as refused:
        write_cambios(evolve(fine, fiel=Sello(b"c", b"k", "a\nb")), "base64")
    frames = [frame.f_locals for frame, _ in traceback.walk_tb(refused.tb.tb_next)]
    assert key not in repr(frames)
    assert Secret(key) in write_cambios(fine, "base64").secrets


async def test_a_large_logo_is_sent_without_a_warning(client: FacturaOnline, emulator: Emulator) -> None:
    picture = PNG + bytes(2**20 - len(PNG))
    await client.empresas.create(evolve(NUEVA, logo=picture))
    assert emulator.requests[-1].files["logo"].sha256 == sha(picture)


async def test_each_caller_of_find_all_gets_a_list_of_its_own(client: FacturaOnline, emulator: Emulator) -> None:
    emulator.add_empresa(rfc="EKU9003173C9")
    both = await asyncio.gather(*(client.empresas.find_all("EKU9003173C9") for _ in range(2)))
    both[0].clear()
    assert [empresa.rfc for empresa in both[1]] == ["EKU9003173C9"]


async def test_find_refuses_an_empty_rfc(client: FacturaOnline, emulator: Emulator) -> None:
    emulator.state["empresas"][MAIN]["rfc"] = ""
    with pytest.raises(InvalidInputError, match="rfc is empty"):
        await client.empresas.find("  ")
    assert await client.empresas.find("EKU9003173C9") is None


@pytest.mark.parametrize("build", [lambda **more: evolve(NUEVA, **more), CambiosEmpresa])
def test_a_logo_must_be_a_picture(build: Callable[..., object]) -> None:
    with pytest.raises(InvalidInputError, match="logo"):
        build(logo=b"GIF89a")
    assert build(logo=b"\xff\xd8\xff\xe0")


async def test_a_validation_error_names_the_missing_field(client: FacturaOnline, emulator: Emulator) -> None:
    body = {"status": "error", "message": {"razons": ["El campo razons es requerido"]}}
    emulator.inject(Fault.status(200, body=body), endpoint="empresas.create")
    with pytest.raises(ValidationError) as refused:
        await client.empresas.create(NUEVA)
    assert refused.value.fields == {"razons": ("El campo razons es requerido",)}


@pytest.mark.parametrize("upload", ["multipart", "base64"])
async def test_no_password_shows_if_a_server_echoes_the_request(upload: Upload) -> None:
    page = "<html>Whoops: password=clave csd fiel=clave+fiel smtp=clave%20smtp b64=" + "x" * 20 + "</html>"
    async with replaying(page, status=500, config=evolve(QUICK, upload=upload)) as (client, _):
        with pytest.raises(OutcomeUnknownError) as failed:
            await client.empresas.create(FULL)
    shown = "".join(traceback.format_exception(failed.value)) + failed.value.snippet
    assert "clave" not in shown
    assert "***" in failed.value.snippet


def test_the_repr_of_new_data_masks_its_secrets() -> None:
    shown = repr(FULL) + repr(attrs.asdict(FULL)) + repr(CambiosEmpresa(csd=CSD, smtp=FULL.smtp))
    assert ("clave" in shown, "private key" in shown) == (False, False)
    assert isinstance(FULL.smtp and FULL.smtp.password, Secret)


def test_an_empresa_can_be_constructed_in_tests() -> None:
    empresa = Empresa(uid="x", rfc="EKU9003173C9", api_key=Secret("a"), secret_key=Secret("b"))
    assert empresa.credentials.api_key.reveal() == "a"


# ── Refused values ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"csd": Sello(b"", b"key", "p")}, "cer"),
        ({"csd": Sello(b"cer", b"", "p")}, "key"),
        ({"csd": Sello(b"c" * (2**20 + 1), b"key", "p")}, "cer"),
        ({"csd": Sello(b"cer", b"key", "")}, "password"),
        ({"csd": Sello(b"cer", b"key", "clave\nsecreta")}, "password"),
        ({"fiel": Sello(b"cer", b"", "p")}, "fielkey"),
        ({"fiel": Sello(b"cer", b"key", "clave\x00secreta")}, "fielpassword"),
        ({"smtp": CorreoSmtp(email="a@b.mx", password="a\rb", host="h", port=1)}, "smtp.password"),
    ],
)
@pytest.mark.parametrize("method", ["create", "update"])
async def test_an_invalid_file_or_password_is_refused_before_anything_is_sent(
    client: FacturaOnline, emulator: Emulator, more: dict[str, Any], field: str, method: str
) -> None:
    calls = {
        "create": lambda: client.empresas.create(nueva("EKU9003173C9", **more)),
        "update": lambda: client.empresas.update("607a062eae2bb", CambiosEmpresa(**more)),
    }
    with pytest.raises(InvalidInputError) as refused:
        await calls[method]()
    assert (refused.value.field, emulator.requests) == (field, ())
    assert "secreta" not in str(refused.value)


@pytest.mark.parametrize("filters", [{"rfc": "a\x00b"}, {"razon_social": "\ud800"}, {"rfc": 3}])
async def test_a_filter_that_is_not_a_text_is_refused(
    client: FacturaOnline, emulator: Emulator, filters: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await client.empresas.list(**filters)
    assert ([refused.value.field], emulator.requests) == (list(filters), ())
