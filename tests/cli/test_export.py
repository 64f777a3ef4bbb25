"""``plan export``: an account becomes a plan that a run accepts, without a secret."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import stat
from operator import attrgetter
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from facturaonline_async._core.redaction import redact
from facturaonline_async._text import printable
from facturaonline_async.provision import Plan, PlanSerie
from facturaonline_async.provision._plan.file_rows import load_data
from facturaonline_async.provision._plan.models import required_uid
from facturaonline_async.testing import Emulator, Fault
from tests.cli.test_app import run

ONE, TWO, MAIN = "AAA010101001", "AAA010101002", "EMU200101PP5"


def account(emulator: Emulator) -> list[str]:
    """Add two companies with series, and return their uids."""
    two = emulator.add_empresa(rfc=TWO, codpos="06500")
    one = emulator.add_empresa(rfc=ONE, codpos="01000")
    emulator.add_serie(two, letra="P", tipo_documento="pago")
    emulator.add_serie(two, letra="F", tipo_documento="factura")
    return [one, two]


def cells(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".csv":
        with path.open(encoding="utf-8-sig", newline="") as file:
            return [*csv.DictReader(file)]
    header, *rows = openpyxl.load_workbook(path)["Empresas"].iter_rows(values_only=True)
    return [dict(zip(map(str, header), (cell or "" for cell in row), strict=True)) for row in rows]


@pytest.mark.parametrize("name", ["plan.xlsx", "plan.csv"])
async def test_an_export_is_a_plan_ordered_by_rfc(tmp_path: Path, emulator: Emulator, name: str) -> None:
    one, two = account(emulator)
    path = tmp_path / name
    ran = await run("plan", "export", path, emulator=emulator)
    plan = Plan.from_file(path)

    assert (ran.code, stat.S_IMODE(path.stat().st_mode)) == (0, 0o600)
    assert [(row.rfc, [serie.key for serie in row.series]) for row in plan] == [
        (ONE, []),
        (TWO, [("F", "factura"), ("P", "pago")]),
        (MAIN, []),
    ]
    assert [required_uid(row) for row in plan][:2] == [one, two]
    assert "3 empresas with 2 series" in ran.out


@pytest.mark.parametrize("name", ["plan.xlsx", "plan.csv"])
async def test_an_export_keeps_zeros_and_holds_no_secret(tmp_path: Path, emulator: Emulator, name: str) -> None:
    uids = account(emulator)
    await run("plan", "export", tmp_path / name, emulator=emulator)
    rows = cells(tmp_path / name)
    shown = json.dumps(rows)

    assert [row["Código Postal"] for row in rows][:2] == ["01000", "06500"]
    assert {row[title] for row in rows for title in ("Certificado", "Llave", "Contraseña")} == {""}
    assert not any(emulator.credentials_of(uid).api_key.reveal() in shown for uid in uids)


@pytest.mark.parametrize("existing", ["adopt", "update"])
async def test_an_untouched_export_has_nothing_to_do(tmp_path: Path, emulator: Emulator, existing: str) -> None:
    account(emulator)
    path = tmp_path / "plan.xlsx"
    await run("plan", "export", path, emulator=emulator)

    found = await run("plan", "preview", path, "--existing", existing, "--exit-code", emulator=emulator)

    assert (found.code, "Nothing to do" in found.out) == (0, True)


async def test_two_exports_of_one_account_are_equal(tmp_path: Path, emulator: Emulator) -> None:
    account(emulator)
    paths = [tmp_path / "a.csv", tmp_path / "b.csv"]
    for path in paths:
        await run("plan", "export", path, emulator=emulator)

    assert paths[0].read_bytes() == paths[1].read_bytes()


async def test_an_export_without_series_asks_for_none(tmp_path: Path, emulator: Emulator) -> None:
    account(emulator)
    await run("plan", "export", tmp_path / "plan.csv", "--no-series", emulator=emulator)

    assert [row.series for row in Plan.from_file(tmp_path / "plan.csv")] == [()] * 3
    assert "series.list" not in [request.endpoint for request in emulator.requests]


async def test_an_export_names_a_company_whose_series_cannot_be_read(tmp_path: Path, emulator: Emulator) -> None:
    account(emulator)
    emulator.inject(Fault.status(400), endpoint="series.list")
    path = tmp_path / "plan.csv"
    ran = await run("plan", "export", path, "--json", emulator=emulator)
    [missing] = ran.json["without_series"]

    assert (ran.code, {row["RFC"]: row["# Notas"] for row in cells(path)}[missing["rfc"]]) == (
        1,
        "its series could not be read",
    )
    assert len(Plan.from_file(path)) == 3


ODD_SERIES = {
    "facturas": ("F", "facturas"),
    "semicolon": ("A;B", "pago"),
    "colon": ("A:B", "pago"),
    "two blanks": ("A  B", "pago"),
    "no-break blank": ("A\u00a0B", "pago"),
    "invisible": ("A\u200bB", "pago"),
    "folio": ("F", "factura:7"),
    "formula": ('="F', 'pago"'),
    "secret": ("JDJ5JDEwJGFiY2RlZmdoaWprbG1ub3A", "pago"),
    "too long": ("F" * 33_000, "pago"),
}


@pytest.mark.parametrize("odd", ODD_SERIES.values(), ids=ODD_SERIES)
async def test_a_company_with_a_serie_that_a_plan_cannot_hold_is_named_and_has_no_series(
    tmp_path: Path, emulator: Emulator, odd: tuple[str, str]
) -> None:
    path = tmp_path / "plan.csv"
    uid = emulator.add_empresa(rfc=ONE)
    other = emulator.add_empresa(rfc=TWO)
    for letra, tipo_documento in (odd, ("P", "pago")):
        emulator.add_serie(uid, letra=letra, tipo_documento=tipo_documento)
    emulator.add_serie(other, letra="P", tipo_documento="pago")
    ran = await run("plan", "export", path, emulator=emulator)
    row, *_ = cells(path)
    shown = redact(printable(":".join(odd)))

    assert (ran.code, "3 empresas with 1 serie," in ran.out, row["Series"]) == (1, True, "")
    assert f"{ONE} (uid {uid}): its series are not in the file: a plan cannot hold {shown}" in ran.err
    assert "its series are not in the plan: a plan cannot hold" in row["# Notas"]
    assert [[*map(attrgetter("key"), row.series)] for row in Plan.from_file(path)] == [
        [],
        [("P", "pago")],
        [],
    ]


@pytest.mark.parametrize("odd", ODD_SERIES.values(), ids=ODD_SERIES)
async def test_applying_an_export_pauses_no_serie(tmp_path: Path, emulator: Emulator, odd: tuple[str, str]) -> None:
    path = tmp_path / "plan.xlsx"
    emulator.add_serie(emulator.add_empresa(rfc=ONE), letra="É", tipo_documento="nomina")
    uid = emulator.add_empresa(rfc=TWO)
    emulator.add_serie(uid, letra="É", tipo_documento="nomina")
    for letra, tipo_documento in (odd, ("P", "pago")):
        emulator.add_serie(uid, letra=letra, tipo_documento=tipo_documento)
    await run("plan", "export", path, emulator=emulator)
    ran = await run("series", "apply", path, "--deactivate-others", "--yes", emulator=emulator)

    assert (ran.code, len(emulator.state["series"])) == (0, 4)
    assert {serie["estatus"] for serie in emulator.state["series"].values()} == {"Activa"}


async def test_an_export_as_json_names_companies_without_their_series(tmp_path: Path, emulator: Emulator) -> None:
    uid = emulator.add_empresa(rfc=ONE)
    for number in range(7):
        emulator.add_serie(uid, letra=f"A;{number}", tipo_documento="pago")
    ran = await run("plan", "export", tmp_path / "plan.csv", "--json", emulator=emulator)

    assert (ran.code, ran.json["series"], ran.json["without_series"]) == (
        1,
        0,
        [
            {
                "rfc": ONE,
                "uid": uid,
                "reason": "a plan cannot hold A;0:pago, A;1:pago, A;2:pago, A;3:pago, A;4:pago, …",
            }
        ],
    )


async def test_series_of_which_only_all_together_have_no_place_are_left_out(tmp_path: Path, emulator: Emulator) -> None:
    uid = emulator.add_empresa(rfc=ONE)
    for number in range(4_000):
        emulator.add_serie(uid, letra=f"A{number:04}", tipo_documento="pago")
    ran = await run("plan", "export", tmp_path / "plan.xlsx", emulator=emulator)

    assert (ran.code, "2 empresas with 0 series" in ran.out) == (1, True)
    assert "a plan cannot hold A0000:pago, A0001:pago, A0002:pago, A0003:pago, A0004:pago, …" in ran.err


async def test_paused_series_are_written_and_noted(tmp_path: Path, emulator: Emulator) -> None:
    uid = emulator.add_empresa(rfc=ONE)
    emulator.add_serie(uid, letra="P", tipo_documento="pago", estatus="Pausada")
    path = tmp_path / "plan.csv"
    ran = await run("plan", "export", path, emulator=emulator)

    assert next(row.series for row in Plan.from_file(path)) == (PlanSerie(letra="P", tipo_documento="pago"),)
    assert (ran.code, cells(path)[0]["# Notas"]) == (0, "paused: P:pago")


ODD_CELLS = {
    "Razón Social": ("razon_social", "ACME  Y  COMPAÑÍA"),
    "Código Postal": ("codpos", "6500"),
    "Correo": ("email", "nobody"),
    "Calle": ("calle", '{"password": "abc"}'),
    "Número Exterior": ("exterior", "=1+1"),
    "Número Interior": ("interior", " B"),
    "Colonia": ("colonia", "Roma\u00a0Norte"),
    "Ciudad": ("ciudad", "Me\u0301xico"),
    "Estado": ("estado", "x" * 33_000),
}


@pytest.mark.parametrize("title", ODD_CELLS)
async def test_a_text_that_a_run_would_change_is_a_note(tmp_path: Path, emulator: Emulator, title: str) -> None:
    column, text = ODD_CELLS[title]
    emulator.add_empresa(rfc=ONE, **{"razon_social": "ACME", column: text})
    path = tmp_path / "plan.xlsx"
    ran = await run("plan", "export", path, emulator=emulator)
    found = await run("plan", "preview", path, "--existing", "update", "--exit-code", emulator=emulator)
    row, *_ = cells(path)

    assert (ran.code, row[title], row["# Notas"][:999]) == (0, "", f"{column}: {printable(redact(text))}"[:999])
    assert (found.code, "Nothing to do" in found.out) == (0, True)


@pytest.mark.parametrize("rfc", [ONE.lower(), "AAA-010101-001", "NOT AN RFC", ""])
async def test_a_company_whose_rfc_a_plan_would_change_is_left_out_and_named(
    tmp_path: Path, emulator: Emulator, rfc: str
) -> None:
    uid = emulator.add_empresa(rfc=rfc)
    emulator.add_serie(uid, letra="F", tipo_documento="factura")
    path = tmp_path / "plan.csv"
    ran = await run("plan", "export", path, emulator=emulator)
    found = await run("plan", "preview", path, "--existing", "update", "--exit-code", emulator=emulator)

    assert (ran.code, f"(uid {uid}) is not in the file: a plan cannot hold it (rfc: " in ran.err) == (1, True)
    assert ("1 empresa with 0 series" in ran.out, found.code) == (True, 0)


@pytest.mark.parametrize("name", ["plan.xlsx", "plan.csv"])
async def test_no_cell_of_an_export_is_a_formula(tmp_path: Path, emulator: Emulator, name: str) -> None:
    emulator.add_empresa(rfc=ONE, calle="+12 Norte", interior="-")
    path = tmp_path / name
    await run("plan", "export", path, emulator=emulator)
    row, *_ = cells(path)
    mark = "'" if name == "plan.csv" else ""

    assert [row[title] for title in ("Calle", "Número Interior")] == [f"{mark}+12 Norte", f"{mark}-"]
    if name == "plan.xlsx":
        types = {cell.data_type for cell in openpyxl.load_workbook(path)["Empresas"][2] if cell.value is not None}
        assert types == {"s"}
    [first, _] = Plan.from_file(path)
    assert (await load_data(first)).calle == "+12 Norte"


async def test_an_export_holds_one_company_of_an_rfc(tmp_path: Path, emulator: Emulator) -> None:
    uids = sorted(emulator.add_empresa(rfc=ONE) for _ in range(2))
    path = tmp_path / "plan.csv"
    ran = await run("plan", "export", path, "--json", emulator=emulator)

    assert ([each["uid"] for each in ran.json["left_out"]], ran.code) == (uids[1:], 1)
    assert required_uid(next(iter(Plan.from_file(path)))) == uids[0]


async def test_an_export_replaces_a_file_only_if_it_is_told_to(tmp_path: Path, emulator: Emulator) -> None:
    path = tmp_path / "plan.csv"
    path.write_text("mine")
    path.chmod(0o644)
    refused = await run("plan", "export", path, emulator=emulator)
    before = path.read_text()
    forced = await run("plan", "export", path, "--force", emulator=emulator)

    assert (refused.code, "--force" in refused.err, before, forced.code) == (2, True, "mine", 0)
    assert (len(Plan.from_file(path)), stat.S_IMODE(path.stat().st_mode)) == (1, 0o600)
    assert os.listdir(tmp_path) == ["plan.csv"]  # noqa: PTH208  # `iterdir` is for threads


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("none/plan.csv", (), "does not exist. Create it"),
        ("file/plan.csv", (), "Not a directory"),
        ("plan.csv", (), "--force to replace it"),
        ("link.csv", (), "--force to replace it"),
        ("folder.csv", ("--force",), "Is a directory"),
        ("plan.txt", (), "must end in .csv or .xlsx"),
        pytest.param(
            "/proc/self/plan.csv",
            (),
            "Permission denied",
            marks=pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no folder is read-only for every user"),
        ),
    ],
)
async def test_a_file_that_cannot_be_written_is_refused_before_the_account_is_read(
    tmp_path: Path, emulator: Emulator, name: str, options: tuple[str, ...], reason: str
) -> None:
    (tmp_path / "plan.csv").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link.csv").symlink_to("nowhere")
    (tmp_path / "folder.csv").mkdir()
    ran = await run("plan", "export", tmp_path / name, *options, emulator=emulator)

    assert (ran.code, reason in ran.err, emulator.requests) == (2, True, ())


async def test_a_file_that_appears_while_the_account_is_read_stays(tmp_path: Path, emulator: Emulator) -> None:
    path = tmp_path / "plan.csv"
    emulator.inject(Fault.throttle(), endpoint="series.list")
    exporting = asyncio.create_task(run("plan", "export", path, emulator=emulator))
    while not emulator.count("series.list"):  # noqa: ASYNC110  # the emulator has no event
        await asyncio.sleep(0.01)
    path.write_text("mine")
    emulator.clear_faults()
    ran = await exporting

    assert (ran.code, "--force to replace it" in ran.err) == (2, True)
    assert (os.listdir(tmp_path), path.read_text()) == (["plan.csv"], "mine")  # noqa: PTH208  # as above
