"""``facturaonline series …`` and ``facturaonline empresas …``, as people run them: in a process of its own."""

from __future__ import annotations

import asyncio
import hashlib
import re
import shlex
import stat
from pathlib import Path
from typing import Any

import attrs
import pytest

from facturaonline_async import CambiosEmpresa, Empresa, NuevaEmpresa
from facturaonline_async._cli.output import attributes
from facturaonline_async._text import printable
from facturaonline_async.testing import Emulator, Fault, make_sello
from tests.cli.test_app import COMMAND, Ran, environment, interrupted, run
from tests.plans import certify, private_key
from tests.terminals import at_terminal

pytestmark = pytest.mark.slow

MAIN = "607a062eae2bb"
RFC = "EKU9003173C9"
PASSWORD = "12345678a"
OPEN = {"FACTURAONLINE_SELLO_PASSWORD": PASSWORD}


@pytest.fixture
def sello(tmp_path: Path) -> tuple[Path, Path]:
    certify(tmp_path, [RFC])
    return tmp_path / "c" / f"{RFC}.cer", tmp_path / "c" / f"{RFC}.key"


@pytest.fixture
def nueva(sello: tuple[Path, Path]) -> list[object]:
    """Return the options that a company cannot be without."""
    cer, key = sello
    texts = ["--razon-social", "Ñandú", "--rfc", RFC, "--codpos", "06500", "--email", "a@example.com"]
    return [*texts, "--regimen-nomina", "601", "--cer", cer, "--key", key]


def writes(emulator: Emulator) -> list[str]:
    """Return the calls that were not reads."""
    return [request.endpoint for request in emulator.requests if request.method == "POST"]


# ── series ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_series_are_listed_in_a_table(emulator: Emulator) -> None:
    emulator.add_serie(MAIN, letra="F", tipo_documento="factura")
    emulator.add_serie(MAIN, letra="NC", tipo_documento="nota_credito", estatus="Pausada")
    ran = await run("series", "list", emulator=emulator)
    assert (ran.code, ran.err, [re.split(r" {2,}", line) for line in ran.out.splitlines()]) == (
        0,
        "",
        [
            ["uid", "letra", "tipo_documento", "descripcion", "estatus"],
            ["19847", "NC", "nota_credito", "Nota de Crédito", "Pausada"],
            ["19846", "F", "factura", "Factura", "Activa"],
        ],
    )


async def test_series_are_listed_as_json(emulator: Emulator) -> None:
    assert (await run("series", "list", "--json", emulator=emulator)).json == []
    emulator.add_serie(MAIN, letra="F", tipo_documento="factura", estatus="Pausada")
    told = {"uid": 19846, "letra": "F", "tipo_documento": "factura", "descripcion": "Factura"}
    state = {"estatus": "Pausada", "is_active": False}
    assert (await run("series", "list", "--json", emulator=emulator)).json == [told | state]
    assert (await run("series", "get", 19846, "--json", emulator=emulator)).json == told | state


async def test_an_empty_list_is_one_line(emulator: Emulator) -> None:
    assert (await run("series", "list", emulator=emulator)).out == "No series.\n"


async def test_one_serie_is_shown(emulator: Emulator) -> None:
    uid = emulator.add_serie(MAIN, letra="F", tipo_documento="factura")
    ran = await run("series", "get", uid, emulator=emulator)
    assert (ran.code, dict(line.split(maxsplit=1) for line in ran.out.splitlines())) == (
        0,
        {"uid": "19846", "letra": "F", "tipo_documento": "factura", "descripcion": "Factura", "estatus": "Activa"},
    )
    assert emulator.count("series.get") == 1


async def test_a_serie_is_created_with_one_call(emulator: Emulator) -> None:
    order = ("series", "create", "--letra", "F", "--tipo", "factura", "--folio", 501)
    ran = await run(*order, emulator=emulator)
    assert (ran.code, ran.out, ran.err) == (0, "Created the serie F factura.\n", "")
    ((_, row),) = emulator.state["series"].items()
    assert (row["letra"], row["tipo_documento"], row["folio"], row["empresa"]) == ("F", "factura", 501, MAIN)
    assert [request.endpoint for request in emulator.requests] == ["series.create"]
    again = await run(*order, "--json", emulator=emulator)
    assert again.json == {"letra": "F", "tipo_documento": "factura", "folio": 501}


async def test_an_undocumented_tipo_is_sent_with_a_warning(emulator: Emulator) -> None:
    ran = await run("series", "create", "--letra", "F", "--tipo", "nomina", "--json", emulator=emulator)
    assert (ran.code, "nomina is not a documented" in ran.err, writes(emulator)) == (0, True, ["series.create"])


@pytest.mark.parametrize("verb", ["create", "ensure"])
@pytest.mark.parametrize(("tipo", "meant"), [("facturas", "factura"), ("Factura", "factura"), ("fatcura", "factura")])
async def test_a_misspelt_tipo_is_refused(emulator: Emulator, verb: str, tipo: str, meant: str) -> None:
    ran = await run("series", verb, "--letra", "F", "--tipo", tipo, emulator=emulator)
    assert (ran.code, f"did you mean {meant}?" in ran.err, writes(emulator)) == (2, True, [])


async def test_any_tipo_allows_a_near_miss_and_no_case_variant(emulator: Emulator) -> None:
    meant = ("series", "create", "--letra", "F", "--any-tipo", "--tipo")
    near = await run(*meant, "facturas", emulator=emulator)
    certain = await run(*meant, "Factura", emulator=emulator)
    assert (near.code, "warning" in near.err, certain.code, writes(emulator)) == (0, False, 2, ["series.create"])


@pytest.mark.parametrize("tipo", ["facturas", "Factura"])
async def test_ensure_accepts_a_misspelt_tipo_that_the_account_has(emulator: Emulator, tipo: str) -> None:
    emulator.add_serie(MAIN, letra="F", tipo_documento=tipo)
    ran = await run("series", "ensure", "--letra", "G", "--tipo", tipo, emulator=emulator)
    assert (ran.code, writes(emulator)) == (0, ["series.create"])


async def test_a_second_ensure_of_a_serie_creates_nothing(emulator: Emulator) -> None:
    order = ("series", "ensure", "--letra", "F", "--tipo", "factura", "--json")
    first = await run(*order, emulator=emulator)
    second = await run(*order, emulator=emulator)
    assert (first.code, first.json["uid"], first.json) == (0, 19846, second.json)
    assert writes(emulator) == ["series.create"]


async def test_a_serie_is_paused_and_made_active_again(emulator: Emulator) -> None:
    uid = emulator.add_serie(MAIN, letra="F", tipo_documento="factura")
    ran = await run("series", "deactivate", uid, emulator=emulator)
    assert (ran.code, ran.out, emulator.state["series"][uid]["estatus"]) == (
        0,
        f"The serie {uid} is paused.\n",
        "Pausada",
    )
    ran = await run("series", "activate", uid, "--json", emulator=emulator)
    assert (ran.code, ran.json) == (0, {"uid": uid, "is_active": True})
    assert (emulator.state["series"][uid]["estatus"], writes(emulator)) == (
        "Activa",
        ["series.deactivate", "series.activate"],
    )


# ── Another company's keys ────────────────────────────────────────────────────────────────────────────────────────────


async def test_empresa_option_takes_an_rfc_or_a_uid(emulator: Emulator) -> None:
    uid = emulator.add_empresa(rfc=RFC)
    for letra, empresa in (("A", RFC.lower()), ("B", uid)):
        order = ("series", "create", "--letra", letra, "--tipo", "factura", "--empresa", empresa)
        assert (await run(*order, emulator=emulator)).code == 0
    assert {row["empresa"] for row in emulator.state["series"].values()} == {uid}
    listed = await run("series", "list", "--json", "--empresa", RFC, emulator=emulator)
    assert ([serie["letra"] for serie in listed.json], emulator.requests[-1].empresa) == (["B", "A"], uid)
    assert (await run("series", "list", "--json", emulator=emulator)).json == []


async def test_an_ambiguous_or_unknown_company_is_refused_and_nothing_is_sent(emulator: Emulator) -> None:
    uids = [emulator.add_empresa(rfc=RFC), emulator.add_empresa(rfc=RFC)]
    keyless = emulator.add_empresa(rfc="AAA010101AAA", api_key="", secret_key="")
    create = ("series", "create", "--letra", "A", "--tipo", "factura", "--empresa")
    several = await run(*create, RFC, emulator=emulator)
    assert (several.code, all(uid in several.err for uid in uids)) == (2, True)
    for empresa, hint in (("XIQB891116QE4", "No empresa"), ("60", "no existe"), (keyless, "gave no keys")):
        ran = await run(*create, empresa, emulator=emulator)
        assert (ran.code, hint in ran.err, ran.out) == (1, True, "")
    other = {"status": "success", "data": {"uid": MAIN, "api_key": "a", "secret_key": "b"}}
    emulator.inject(Fault.status(200, body=other), endpoint="empresas.get")
    ran = await run(*create, uids[0], emulator=emulator)
    assert (ran.code, "with another uid" in ran.err, writes(emulator)) == (1, True, [])


# ── empresas ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_companies_are_listed_in_a_table(emulator: Emulator) -> None:
    uid = emulator.add_empresa(rfc=RFC, razon_social="Compañía", codpos="06500", email="a@example.com")
    ran = await run("empresas", "list", emulator=emulator)
    lines = [re.split(r" {2,}", line) for line in ran.out.splitlines()]
    assert (ran.code, ran.err) == (0, "")
    assert lines[0] == ["uid", "rfc", "razon_social", "regimen_fiscal", "codpos", "email"]
    assert lines[2] == [uid, RFC, "Compañía", "General de Ley Personas Morales", "06500", "a@example.com"]


@pytest.mark.parametrize("paging", [False, True])
async def test_filters_work_also_if_the_server_ignores_them(*, paging: bool) -> None:
    async with Emulator(paging=paging) as emulator:
        uid = emulator.add_empresa(rfc=RFC, razon_social="ESCUELA KEMPER")
        for option, value, asked in (("--rfc", f" {RFC.lower()}", RFC), ("--razon-social", "kemper", "kemper")):
            ran = await run("empresas", "list", option, value, "--json", emulator=emulator)
            assert [each["uid"] for each in ran.json] == [uid]
            assert emulator.requests[-1].query == {option[2:].replace("-", "_"): asked}


async def test_a_table_too_wide_for_the_terminal_is_shown_in_blocks(emulator: Emulator) -> None:
    emulator.add_empresa(rfc=RFC, razon_social="C" * 70)
    ran = await run("empresas", "list", emulator=emulator, env={"COLUMNS": "40"})
    blocks = [dict(line.split(maxsplit=1) for line in block.splitlines()) for block in ran.out.split("\n\n")]
    assert [block["rfc"] for block in blocks] == ["EMU200101PP5", RFC]
    assert blocks[1]["razon_social"] == "C" * 70


async def test_output_to_a_pipe_has_no_line_breaks_within_a_row(emulator: Emulator) -> None:
    emulator.add_empresa(rfc=RFC, razon_social="C" * 300)
    code = "import os; os.environ.pop('COLUMNS'); from facturaonline_async._cli import main; main()"
    process = await asyncio.create_subprocess_exec(
        COMMAND[0], "-c", code, "empresas", "list", stdout=asyncio.subprocess.PIPE, env=environment(emulator)
    )
    out, _ = await process.communicate()
    assert re.search(rf"^\w+  {RFC}  C{{300}}", out.decode(), re.MULTILINE)


async def test_get_find_and_current_show_one_company(emulator: Emulator) -> None:
    uid = emulator.add_empresa(rfc=RFC, interior="", calle="Reforma")
    for order, expected in ((("get", uid), uid), (("find", RFC.lower()), uid), (("current",), MAIN)):
        shown = await run("empresas", *order, emulator=emulator)
        as_json = await run("empresas", *order, "--json", emulator=emulator)
        told = dict(line.split(maxsplit=1) for line in shown.out.splitlines())
        assert (shown.code, told["uid"], as_json.json["uid"]) == (0, expected, expected)
        assert told == {name: value for name, value in as_json.json.items() if value}
    assert {request.endpoint for request in emulator.requests} == {"empresas.get", "empresas.list", "empresas.current"}


async def test_json_has_the_names_of_the_attributes_and_no_keys(emulator: Emulator) -> None:
    ran = await run("empresas", "current", "--json", emulator=emulator)
    assert ran.json.keys() == attrs.fields_dict(Empresa).keys() - {"api_key", "secret_key"}


async def test_dates_flags_and_further_facts_are_shown_in_words_and_as_json(emulator: Emulator) -> None:
    uid = emulator.add_empresa(rfc=RFC, create="2023-01-14", folios_alert="66", cer="csd.cer")
    shown = await run("empresas", "update", uid, "--calle", "Reforma", "--mailtomyself", emulator=emulator)
    as_json = await run("empresas", "update", uid, "--calle", "Reforma", "--json", emulator=emulator)
    told = dict(line.split(maxsplit=1) for line in shown.out.splitlines())
    names = ("created_on", "mailtomyself", "is_main", "cant_folios_min", "csd_cer_name", "acco_user_id")
    assert [told[name] for name in names] == ["2023-01-14", "yes", "no", "66", "csd.cer", "1364"]
    assert ("extra" in told, "mailtomyconta" in told) == (False, False)
    assert [as_json.json[name] for name in names[:-1]] == ["2023-01-14", True, False, 66, "csd.cer"]
    assert (as_json.json["mailtomyconta"], as_json.json["extra"]["acco_user_id"]) == (None, "1364")


async def test_not_found_is_one_line_and_exit_code_1(emulator: Emulator) -> None:
    for order in (("empresas", "find", RFC), ("empresas", "get", "60"), ("series", "get", "60")):
        ran = await run(*order, emulator=emulator)
        hints = ran.err.count("give --empresa RFC.\n")  # a line of its own, for a serie
        assert (ran.code, ran.out, ran.err.count("\n"), hints) == (1, "", 1 + hints, "series" in order)


async def test_a_company_is_created_with_one_call(nueva: list[object], emulator: Emulator) -> None:
    ran = await run("empresas", "create", *nueva, "--json", emulator=emulator, env=OPEN)
    uid = ran.json["uid"]
    assert (ran.code, ran.json["rfc"], [request.endpoint for request in emulator.requests]) == (
        0,
        RFC,
        ["empresas.create"],
    )
    assert emulator.state["empresas"][uid]["password"] == PASSWORD


async def test_a_second_ensure_of_a_company_creates_nothing(nueva: list[object], emulator: Emulator) -> None:
    first = await run("empresas", "ensure", *nueva, emulator=emulator, env=OPEN)
    second = await run("empresas", "ensure", *nueva, emulator=emulator, env=OPEN)
    assert (first.code, first.out, writes(emulator)) == (0, second.out, ["empresas.create"])
    assert f"rfc           {RFC}\n" in first.out


async def test_every_attribute_of_a_company_has_an_option(
    nueva: list[object], tmp_path: Path, emulator: Emulator
) -> None:
    texts = {
        name: f"{name}@x"
        for name, field in attrs.fields_dict(attrs.resolve_types(NuevaEmpresa)).items()
        if field.type is str and field.default == "" and name not in {"regimen", "curp"}
    }
    fiel = make_sello(RFC, kind="fiel", private_key=private_key(), password="otra")
    (tmp_path / "f.cer").write_bytes(fiel.cer)
    (tmp_path / "f.key").write_bytes(fiel.key)
    (tmp_path / "logo.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    files = {"fielcer": "f.cer", "fielkey": "f.key", "logo": "logo.png"}
    options = [f"--{name.replace('_', '-')}={value}" for name, value in texts.items()]
    options += [f"--{name}={tmp_path / file}" for name, file in files.items()]
    options += ["--mailtomyself", "--no-mailtomyconta", "--cant-folios-min=7", "--regimen=601"]
    options += ["--curp=PEPJ901010HJCRRN03", "--smtp-email=s@x.mx", "--smtp-host=h.mx", "--smtp-port=587"]
    secrets = {"FACTURAONLINE_FIEL_PASSWORD": "otra", "FACTURAONLINE_SMTP_PASSWORD": "correo-secreto"}
    ran = await run(
        "empresas", "create", *nueva, *options, "--smtp-encryption=tls", emulator=emulator, env=OPEN | secrets
    )
    assert ran.code == 0, ran.err
    (request,) = emulator.requests
    sent = request.fields
    assert sorted(value for value in sent.values() if value.endswith("@x")) == sorted(texts.values())
    assert [sent[name] for name in ("mailtomyself", "mailtomyconta", "cant_folios_min", "regimen", "curp")] == [
        *("1", "0", "7", "601", "PEPJ901010HJCRRN03"),
    ]
    assert [sent[f"smtp_{name}"] for name in ("email", "host", "port", "encryption")] == [
        *("s@x.mx", "h.mx", "587", "tls"),
    ]
    assert request.files["fielkey"].sha256 == hashlib.sha256(fiel.key).hexdigest()
    assert request.files.keys() == {"cer", "key", "fielcer", "fielkey", "logo"}
    row = emulator.state["empresas"][dict(line.split(maxsplit=1) for line in ran.out.splitlines())["uid"]]
    assert (row["password"], row["fielpassword"], row["smtp_password"]) == (PASSWORD, "otra", "correo-secreto")


async def test_an_update_sends_only_the_given_options(sello: tuple[Path, Path], emulator: Emulator) -> None:
    uid = emulator.add_empresa(rfc=RFC, calle="Reforma", email="b@example.com")
    ran = await run("empresas", "update", uid, "--email", "a@example.com", "--calle", "", "--json", emulator=emulator)
    assert (ran.code, ran.json["email"], ran.json["calle"]) == (0, "a@example.com", "")
    assert emulator.requests[-1].fields == {"email": "a@example.com", "calle": ""}
    more = ("--cer", sello[0], "--key", sello[1])
    assert (await run("empresas", "update", uid, *more, emulator=emulator, env=OPEN)).code == 0
    assert (set(emulator.requests[-1].files), writes(emulator)) == ({"cer", "key"}, ["empresas.update"] * 2)


async def test_a_decomposed_text_is_sent_composed_with_a_warning(emulator: Emulator) -> None:
    uid = emulator.add_empresa(rfc=RFC)
    ran = await run("empresas", "update", uid, "--calle", "Pen\u0303a", emulator=emulator)
    assert emulator.requests[-1].fields == {"calle": "Peña"}
    assert ran.err == "warning: calle was given with decomposed characters (NFD), and is sent composed (NFC).\n"


def test_changes_have_the_same_attributes_as_new_companies() -> None:
    assert attrs.fields_dict(CambiosEmpresa).keys() == attrs.fields_dict(NuevaEmpresa).keys()


async def test_warnings_are_shown(tmp_path: Path, emulator: Emulator) -> None:
    uid = emulator.add_empresa(rfc=RFC)
    ran = await run("empresas", "update", uid, "--rfc", "AAA010101000", emulator=emulator)
    assert (ran.code, ran.err.startswith("warning: empresas.update: "), "check digit" in ran.err) == (0, True, True)


async def test_get_update_and_delete_take_an_rfc(emulator: Emulator) -> None:
    uid = emulator.add_empresa(rfc=RFC, email="old@example.com")

    shown = await run("empresas", "get", RFC.lower(), "--json", emulator=emulator)
    changed = await run("empresas", "update", RFC, "--email", "new@example.com", emulator=emulator)
    email = emulator.state["empresas"][uid]["email"]
    deleted = await run("empresas", "delete", RFC, "--yes", emulator=emulator)

    assert (shown.json["uid"], changed.code, email) == (uid, 0, "new@example.com")
    assert (deleted.code, uid in emulator.state["empresas"]) == (0, False)


@pytest.mark.parametrize("command", [("get",), ("update", "--email", "a@example.com"), ("delete", "--yes")])
async def test_an_rfc_of_two_companies_is_refused(command: tuple[str, ...], emulator: Emulator) -> None:
    uids = [emulator.add_empresa(rfc=RFC) for _ in range(2)]

    ran = await run("empresas", command[0], RFC, *command[1:], emulator=emulator)

    assert (ran.code, all(uid in ran.err for uid in uids), writes(emulator)) == (2, True, [])


@pytest.mark.parametrize("command", ["get", "activate", "deactivate"])
async def test_a_serie_that_is_not_found_hints_at_the_option_empresa(command: str, emulator: Emulator) -> None:
    emulator.add_empresa(rfc=RFC)

    ran = await run("series", command, 1, emulator=emulator)
    of_empresa = await run("series", command, 1, "--empresa", RFC, emulator=emulator)

    assert (ran.code, "give --empresa RFC" in ran.err) == (1, True)
    assert (of_empresa.code, "give --empresa RFC" in of_empresa.err) == (1, False)


# ── Deleting ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def deletable(emulator: Emulator, resource: str) -> tuple[Any, str]:
    """Return the uid of something to delete, and what a question about it must name."""
    if resource == "series":
        return emulator.add_serie(MAIN, letra="F", tipo_documento="factura"), "serie F factura"
    return emulator.add_empresa(rfc=RFC, razon_social="Compañía"), f"empresa {RFC} Compañía"


@pytest.mark.parametrize("resource", ["series", "empresas"])
async def test_delete_asks_and_deletes_only_after_yes(resource: str, emulator: Emulator) -> None:
    uid, name = deletable(emulator, resource)
    for answer in ("n", "", "x"):
        ran = await at_terminal(resource, "delete", uid, answers=[("[y/N]", f"{answer}\n")], emulator=emulator)
        assert (ran.code, ran.out, f"Delete the {name} (uid {uid}" in ran.err) == (1, "", True)
        assert ("Nothing was deleted." in ran.err, uid in emulator.state[resource]) == (True, True)
    ran = await at_terminal(resource, "delete", uid, answers=[("[y/N]", "y\n")], emulator=emulator)
    assert (ran.code, ran.out.startswith(f"Deleted the {name} (uid {uid}")) == (0, True)
    assert (uid in emulator.state[resource], writes(emulator)) == (False, [f"{resource}.delete"])


@pytest.mark.parametrize("resource", ["series", "empresas"])
async def test_delete_asks_in_the_language_of_the_person_also_with_json(resource: str, emulator: Emulator) -> None:
    uid, name = deletable(emulator, resource)
    delete = ("--lang", "es", resource, "delete", uid, "--json")
    ran = await at_terminal(*delete, answers=[("[s/N]", "n\n")], emulator=emulator)

    assert (ran.code, f"¿Eliminar la {name} (uid {uid}" in ran.err, "No se eliminó nada." in ran.err) == (1, True, True)


@pytest.mark.parametrize("resource", ["series", "empresas"])
async def test_without_a_terminal_delete_needs_the_option_yes(resource: str, emulator: Emulator) -> None:
    uid, _ = deletable(emulator, resource)
    ran = await run(resource, "delete", uid, emulator=emulator)
    assert (ran.code, "--yes" in ran.err, emulator.requests) == (2, True, ())
    ran = await run(resource, "delete", uid, "--yes", "--json", emulator=emulator)
    assert (ran.code, ran.json["uid"], uid in emulator.state[resource]) == (0, uid, False)
    assert (await run(resource, "delete", uid, "--yes", emulator=emulator)).code == 1
    assert writes(emulator) == [f"{resource}.delete"]


@pytest.mark.parametrize("resource", ["series", "empresas"])
async def test_a_delete_whose_answer_is_lost_is_not_sent_again(resource: str, emulator: Emulator) -> None:
    uid, _ = deletable(emulator, resource)
    emulator.inject(Fault.drop_after_commit(), endpoint=f"{resource}.delete", times=None)
    ran = await run(resource, "delete", uid, "--yes", emulator=emulator)
    assert (ran.code, writes(emulator)) == (0, [f"{resource}.delete"])


@pytest.mark.parametrize("resource", ["series", "empresas"])
async def test_delete_refuses_an_answer_about_another_uid(resource: str, emulator: Emulator) -> None:
    uid, _ = deletable(emulator, resource)
    data = {"uid": MAIN, "SerieID": 1, "SerieName": "F", "SerieType": "factura"}
    emulator.inject(Fault.status(200, body={"status": "success", "data": data}), endpoint=f"{resource}.get")
    ran = await run(resource, "delete", uid, "--yes", emulator=emulator)
    assert (ran.code, "with another uid" in ran.err, writes(emulator)) == (1, True, [])


async def test_a_serie_of_another_company_is_deleted_with_that_companys_keys(emulator: Emulator) -> None:
    empresa = emulator.add_empresa(rfc=RFC)
    uid = emulator.add_serie(empresa, letra="F", tipo_documento="factura")
    assert (await run("series", "delete", uid, "--yes", emulator=emulator)).code == 1
    ran = await run("series", "delete", uid, "--yes", "--empresa", RFC, emulator=emulator)
    assert (ran.code, uid in emulator.state["series"], emulator.requests[-1].empresa) == (0, False, empresa)


async def test_ctrl_c_at_the_question_deletes_nothing(emulator: Emulator) -> None:
    uid, _ = deletable(emulator, "series")
    ran = await at_terminal("series", "delete", uid, answers=[("[y/N]", "\x03")], emulator=emulator)
    assert (ran.code, "Nothing was changed." in ran.err, "Traceback" in ran.err) == (130, True, False)
    assert writes(emulator) == []


# ── Passwords and keys ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_password_is_asked_for_without_showing_it(nueva: list[object], emulator: Emulator) -> None:
    ran = await at_terminal(
        "empresas", "create", *nueva, "--json", answers=[("Contraseña (CSD):", f"{PASSWORD}\n")], emulator=emulator
    )
    assert (ran.code, PASSWORD in ran.out + ran.err, "Traceback" in ran.err) == (0, False, False)
    assert emulator.state["empresas"][ran.json["uid"]]["password"] == PASSWORD


async def test_ctrl_c_at_the_password_sends_nothing(nueva: list[object], emulator: Emulator) -> None:
    ran = await at_terminal("empresas", "create", *nueva, answers=[("(CSD):", "\x03")], emulator=emulator)
    assert (ran.code, "Nothing was changed." in ran.err, "Traceback" in ran.err) == (130, True, False)
    assert emulator.requests == ()


async def from_stdin(given: bytes, *arguments: object, emulator: Emulator) -> Ran:
    return await run(*arguments, emulator=emulator, env=OPEN, given=given)


async def test_passwords_come_from_the_standard_input_each_in_a_line(nueva: list[object], emulator: Emulator) -> None:
    smtp = ("--smtp-email=s@x.mx", "--smtp-host=h.mx", "--smtp-port=587", "--password-stdin", "--json")
    ran = await from_stdin(f"{PASSWORD}\r\nñ correo\n".encode(), "empresas", "create", *nueva, *smtp, emulator=emulator)
    row = emulator.state["empresas"][ran.json["uid"]]
    assert (ran.code, row["password"], row["smtp_password"]) == (0, PASSWORD, "ñ correo")


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        (b"", "standard input has no line"),
        (b"\n", "standard input has no line"),
        (b"clave-\xff\n", "not UTF-8"),
        (b"otra-clave\n", "wrong_password"),
    ],
)
async def test_an_invalid_password_is_not_sent_and_not_shown(
    given: bytes, hint: str, nueva: list[object], emulator: Emulator
) -> None:
    ran = await from_stdin(given, "empresas", "create", *nueva, "--password-stdin", emulator=emulator)
    assert (ran.code, emulator.requests, "Traceback" in ran.err) == (2, (), False)
    assert (hint in ran.err, "clave-" in ran.err, "-clave" in ran.err) == (True, False, False)


async def test_without_a_password_and_a_terminal_the_error_names_the_options(
    nueva: list[object], emulator: Emulator
) -> None:
    ran = await run("empresas", "create", *nueva, emulator=emulator)
    assert (ran.code, "--password-stdin" in ran.err, "FACTURAONLINE_SELLO_PASSWORD" in ran.err) == (2, True, True)


async def test_keys_out_writes_a_new_private_file(tmp_path: Path, emulator: Emulator) -> None:
    uid = emulator.add_empresa(rfc=RFC)
    path = tmp_path / "norte.env"
    ran = await run("empresas", "get", uid, "--keys-out", path, emulator=emulator)
    keys = dict(line.split("=", 1) for line in path.read_text().splitlines())
    assert (ran.code, stat.S_IMODE(path.stat().st_mode), str(path) in ran.err) == (0, 0o600, True)
    assert {name: shlex.split(value)[0] for name, value in keys.items()} == {
        "FACTURAONLINE_API_KEY": emulator.credentials_of(uid).api_key.reveal(),
        "FACTURAONLINE_SECRET_KEY": emulator.credentials_of(uid).secret_key.reveal(),
    }
    assert not any(value in ran.out + ran.err for value in keys.values())
    as_them = await run("empresas", "current", "--json", emulator=emulator, env=keys)
    assert as_them.json["uid"] == uid


async def test_keys_out_never_overwrites_a_file(tmp_path: Path, emulator: Emulator) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("file", "link"):
        ran = await run("empresas", "get", MAIN, "--keys-out", tmp_path / name, emulator=emulator)
        assert (ran.code, "exists already" in ran.err, emulator.requests) == (2, True, ())
    assert ((tmp_path / "file").read_text(), (tmp_path / "nowhere").exists()) == ("mine", False)


async def test_without_keys_in_the_answer_keys_out_makes_no_file(tmp_path: Path, emulator: Emulator) -> None:
    uid = emulator.add_empresa(rfc=RFC, api_key="", secret_key="")
    ran = await run("empresas", "get", uid, "--keys-out", tmp_path / "keys", emulator=emulator)
    assert (ran.code, "gave no keys" in ran.err, (tmp_path / "keys").exists()) == (1, True, False)


async def test_a_folder_for_keys_that_does_not_exist_is_named(tmp_path: Path, emulator: Emulator) -> None:
    ran = await run("empresas", "get", MAIN, "--keys-out", tmp_path / "none" / "keys", emulator=emulator)
    assert (ran.code, ran.err) == (
        2,
        (
            f"--keys-out {tmp_path / 'none' / 'keys'} cannot be written: "
            f"the folder {tmp_path / 'none'} does not exist. Create it, or give another path.\n"
        ),
    )


async def test_keys_that_cannot_be_written_leave_no_file(tmp_path: Path, emulator: Emulator) -> None:
    full = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0));"
    code = f"{full} from facturaonline_async._cli import main; main()"
    process = await asyncio.create_subprocess_exec(
        *(COMMAND[0], "-c", code, "empresas", "get", MAIN, "--keys-out", str(tmp_path / "keys")),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={name: value for name, value in environment(emulator).items() if not name.startswith("COVERAGE")},
    )
    out, err = await process.communicate()
    assert (process.returncode, out, err.decode()) == (1, b"", "File too large\n")
    assert not (tmp_path / "keys").exists()


async def test_no_output_shows_a_key_or_a_password(nueva: list[object], emulator: Emulator) -> None:
    uid = emulator.add_empresa(rfc="AAA010101AAA", razon_social="x")
    pairs = [emulator.credentials, emulator.credentials_of(uid)]
    secrets = [PASSWORD, *(key.reveal() for pair in pairs for key in (pair.api_key, pair.secret_key))]
    emulator.state["empresas"][MAIN]["calle"] = secrets[1]
    for endpoint, echoed in (("empresas.create", secrets), ("series.list", secrets[1:])):
        emulator.inject(Fault.status(422, body={"message": " ".join(echoed)}), endpoint=endpoint)
    orders: list[tuple[object, ...]] = [
        *(("empresas", *order) for order in (("list",), ("current",), ("get", uid), ("find", "AAA010101AAA"))),
        *(("empresas", verb, *nueva) for verb in ("create", "create", "ensure")),
        *(("series", "list"), ("series", "list", "--empresa", uid), ("empresas", "update", uid, "--calle", "y")),
    ]
    for order in orders:
        for more in ((), ("--json",)):
            ran = await run(*order, *more, emulator=emulator, env=OPEN)
            assert not [secret for secret in secrets if secret in ran.out + ran.err], order
    wrong = await run("series", "list", emulator=emulator, env={"FACTURAONLINE_API_KEY": "JDJ5JDEwJG5vbmU="})
    assert (wrong.code, "JDJ5" in wrong.err, "$2y$" in wrong.err) == (1, False, False)


def test_a_text_that_looks_like_a_secret_is_masked() -> None:
    empresa = Empresa(uid="1", extra={"acco_pdf": '{"password": "hola"}'}, calle="JDJ5JDEwJG5vbmVub25l")
    assert (attributes(empresa)["extra"], attributes(empresa)["calle"]) == ({"acco_pdf": '{"password": "***"}'}, "***")


# ── Terminals ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Ñandú & 漢字 [red]", "Ñandú & 漢字 [red]"),
        ("\x1b[31mA\x07\r\n\u202eB\x9b", "�[31mA�  �B�"),
        ("\ud800\u2028\xa0", "�  "),
    ],
)
def test_printable_replaces_control_characters(text: str, shown: str) -> None:
    assert printable(text) == shown


async def test_control_characters_and_markup_in_texts_of_the_api_are_shown_as_text(emulator: Emulator) -> None:
    evil = "\x1b]0;x\x07[bold]A\x9b31m\u202eB\rC"
    uid = emulator.add_empresa(rfc=RFC, razon_social=evil)
    serie = emulator.add_serie(MAIN, letra=evil, tipo_documento="factura")
    emulator.inject(Fault.status(200, body={"status": "error", "message": evil}), endpoint="empresas.current")
    runs = [
        *[await run("empresas", *order, emulator=emulator) for order in (("list",), ("get", uid), ("current",))],
        await run("empresas", "list", emulator=emulator, env={"COLUMNS": "20"}),
        await run("empresas", "list", "--json", emulator=emulator),
        await run("series", "list", emulator=emulator),
        await run("series", "delete", serie, "--yes", emulator=emulator),
    ]
    for ran in runs:
        shown = ran.out + ran.err
        assert ("[bold]A" in shown, [c for c in shown if not c.isprintable() and c != "\n"]) == (True, [])
    ran = await at_terminal("empresas", "delete", uid, answers=[("[y/N]", "n\n")], emulator=emulator)
    assert ("[bold]A" in ran.err, [c for c in ran.err if not c.isprintable() and c not in "\r\n"]) == (True, [])


async def test_output_works_on_a_terminal_with_ascii_only(emulator: Emulator) -> None:
    uid = emulator.add_empresa(rfc=RFC, razon_social="Ñandú")
    ascii_only = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    for order in (("list",), ("delete", uid, "--yes")):
        ran = await run("empresas", *order, emulator=emulator, env=ascii_only)
        assert (ran.code, f"{RFC}" in ran.out, "and" in ran.out, ran.err) == (0, True, True, "")


# ── How it ends ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("fault", [Fault.drop_after_commit(), Fault.garbage(), Fault.status(500)])
async def test_an_unknown_outcome_has_exit_code_3(fault: Fault, nueva: list[object], emulator: Emulator) -> None:
    for resource, options in (("series", ("--letra", "F", "--tipo", "factura")), ("empresas", tuple(nueva))):
        emulator.inject(fault, endpoint=f"{resource}.create")
        ran = await run(resource, "create", *options, emulator=emulator, env=OPEN)
        assert (ran.code, "it may have been done. Look before you repeat it." in ran.err, ran.out) == (3, True, "")
        assert emulator.count(f"{resource}.create") == 1


async def test_an_unreadable_success_of_a_create_warns_against_a_repeat(
    nueva: list[object], emulator: Emulator
) -> None:
    emulator.inject(Fault.status(200, body={"status": "create", "0": {}}, commit=True), endpoint="empresas.create")
    ran = await run("empresas", "create", *nueva, emulator=emulator, env=OPEN)
    assert (ran.code, "do not repeat it" in ran.err, ran.out) == (3, True, "")


@pytest.mark.parametrize("resource", ["series", "empresas"])
async def test_a_delete_with_an_unknown_outcome_has_exit_code_3(resource: str, emulator: Emulator) -> None:
    uid, _ = deletable(emulator, resource)
    emulator.inject(Fault.drop_before_commit(), endpoint=f"{resource}.delete", times=None)
    emulator.inject(Fault.status(500), endpoint=f"{resource}.get", times=None, skip=1)
    ran = await run(resource, "delete", uid, "--yes", emulator=emulator)
    assert (ran.code, "it may have been done. Look before you repeat it." in ran.err) == (3, True)
    assert emulator.count(f"{resource}.delete") == 1


async def test_a_failed_read_has_exit_code_1_and_no_warning(emulator: Emulator) -> None:
    emulator.inject(Fault.status(500), times=None)
    ran = await run("series", "list", emulator=emulator)
    assert (ran.code, ran.err.count("\n"), "look" in ran.err) == (1, 1, False)


async def test_a_refusal_is_one_clear_line(emulator: Emulator) -> None:
    emulator.inject(Fault.status(422, body={"message": {"letra": ["no es válida"]}}), endpoint="series.create")
    ran = await run("series", "create", "--letra", "F", "--tipo", "factura", emulator=emulator)
    assert (ran.code, ran.err.count("\n"), "no es válida" in ran.err) == (1, 1, True)


async def stopped(emulator: Emulator, endpoint: str, *arguments: object) -> Ran:
    """Interrupt the command while it waits for an answer."""
    emulator.inject(Fault.delay_answer(60), endpoint=endpoint, times=None)

    async def has_come() -> None:
        while not emulator.count(endpoint):  # noqa: ASYNC110  # the emulator rings no bell
            await asyncio.sleep(0.01)

    return await interrupted(*arguments, when=asyncio.ensure_future(has_come()), emulator=emulator)


async def test_ctrl_c_says_what_may_have_happened(emulator: Emulator) -> None:
    order = ("series", "create", "--letra", "F", "--tipo", "factura")
    ran = await stopped(emulator, "series.create", *order)
    assert (ran.code, ran.out, "Traceback" in ran.err) == (130, "", False)
    assert ran.err == (
        "Interrupted. It may be that the serie F factura was created all the same: look before you repeat the "
        "command.\n"
    )
    ran = await stopped(emulator, "series.list", "series", "list")
    assert (ran.code, ran.out, ran.err) == (130, "", "Interrupted. Nothing was changed.\n")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ("series create --letra F", "--tipo"),
        ("series create --letra= --tipo factura", "letra"),
        ("series create --letra F --tipo factura --folio 0", "folio"),
        ("series get ../1", "uid"),
        ("series frobnicate", "frobnicate"),
        ("empresas find  ", "RFC"),
        ("empresas update 1", "nothing to change"),
        ("empresas update 1 --cer a.cer", "a.cer"),
        ("empresas update 1 --smtp-host h.mx", "--smtp-port"),
        ("empresas update 1 --rfc X", "rfc"),
        ("empresas create --rfc X", "Missing"),
        ("empresas get 1 --keys-out .", "exists already"),
    ],
)
async def test_bad_input_is_exit_code_2_and_sends_nothing(arguments: str, hint: str, emulator: Emulator) -> None:
    ran = await run(*arguments.split(), emulator=emulator)
    assert (ran.code, hint in ran.err, emulator.requests, "Traceback" in ran.err) == (2, True, (), False)


async def test_a_certificate_without_its_key_is_refused(sello: tuple[Path, Path], emulator: Emulator) -> None:
    ran = await run("empresas", "update", "1", "--cer", sello[0], emulator=emulator, env=OPEN)
    assert (ran.code, "--cer, --key belong together" in ran.err, emulator.requests) == (2, True, ())


async def test_a_faulty_certificate_is_not_sent(nueva: list[object], emulator: Emulator) -> None:
    nueva[nueva.index(RFC)] = "XIQB891116QE4"
    ran = await run("empresas", "create", *nueva, emulator=emulator, env=OPEN)
    assert (ran.code, "rfc_mismatch" in ran.err, emulator.requests) == (2, True, ())


@pytest.mark.parametrize("missing", ["FACTURAONLINE_API_KEY", "FACTURAONLINE_SECRET_KEY", "FACTURAONLINE_BASE_URL"])
async def test_a_missing_environment_variable_is_named(emulator: Emulator, missing: str) -> None:
    for order in (("series", "list"), ("empresas", "current")):
        ran = await run(*order, emulator=emulator, env={missing: ""})
        assert (ran.code, missing in ran.err, ran.err.count("\n")) == (2, True, 1)


async def test_the_base_url_can_be_an_option(emulator: Emulator) -> None:
    ran = await run(
        "series", "list", "--base-url", emulator.base_url, emulator=emulator, env={"FACTURAONLINE_BASE_URL": ""}
    )
    assert (ran.code, emulator.count("series.list")) == (0, 1)


# ── Help ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

_SERIES = ("list", "get", "create", "ensure", "activate", "deactivate", "delete")
_EMPRESAS = ("list", "get", "current", "find", "create", "ensure", "update", "delete")


@pytest.mark.parametrize(
    "command", [*(f"series {name}" for name in _SERIES), *(f"empresas {name}" for name in _EMPRESAS)]
)
async def test_the_help_of_every_command_has_an_example_and_explains_its_options(command: str) -> None:
    ran = await run(*command.split(), "--help")
    assert re.search(rf"Examples:\s+facturaonline {command}\b", ran.out)
    options = [line for line in ran.out.splitlines() if re.search(r"^[│ ]*\*? +(--\w|[A-Z]+ +<)", line)]
    assert len(options) >= 3
    assert all(len(re.findall(r"\w{2,}", line)) >= 4 for line in options)
