"""``plan template``, and the file of ``--faults-out``: a plan goes to a person and comes back."""

from __future__ import annotations

import csv
import os
import stat
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from facturaonline_async import InvalidInputError
from facturaonline_async._cli import workbooks
from facturaonline_async._cli.faults_out import check_faults_out, write_faults
from facturaonline_async._cli.template_columns import read_template
from facturaonline_async.provision import Plan, PlanError, PlanProblem
from facturaonline_async.provision._plan.column_names import find_column, is_note
from facturaonline_async.provision._plan.faulty_rows import read_rows
from facturaonline_async.testing import Emulator, Fault
from tests.cli.test_app import run
from tests.plans import ROW, certify, folder, table

RFC = "EKU9003173C9"
OTHER = "HAÑ930228SM9"
COLUMNS = read_template().columns


def filled(path: Path, *rfcs: str, **cells: Any) -> Path:
    """Fill in a template, as a person would, and return its path."""
    certify(path.parent, rfcs)
    row = {
        "Razón Social": "ESCUELA KEMPER URGATE",
        "Código Postal": 6500,
        "Correo": "a@example.com",
        "Régimen Fiscal": "601 - General de Ley Personas Morales",
        "Régimen de Nómina": 601,
        "Contraseña": "12345678a",
        "Serie 1": "F",
        "Tipo 1": "factura",
    } | cells
    if path.suffix == ".csv":
        [header, example] = csv.reader(path.read_text("utf-8-sig").splitlines())
        rows = [{"RFC": rfc, "Certificado": f"c/{rfc}.cer", "Llave": f"c/{rfc}.key"} | row for rfc in rfcs]
        lines = [header, example, *([str(each.get(name, "")) for name in header] for each in rows)]
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            csv.writer(file).writerows(lines)
        return path
    book = openpyxl.load_workbook(path)
    sheet = book["Empresas"]
    header = [str(cell.value) for cell in sheet[1]]
    for number, rfc in enumerate(rfcs, 3):
        values = {"RFC": rfc, "Certificado": f"c/{rfc}.cer", "Llave": f"c/{rfc}.key"} | row
        for name, value in values.items():
            cell: Any = sheet.cell(number, header.index(name) + 1)
            cell.value = value
    book.save(path)
    return path


# ── The template ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_title_of_the_template_is_a_column() -> None:
    assert [each.title for each in COLUMNS if not is_note(each.title) and find_column(each.title) is None] == []


@pytest.mark.parametrize("name", ["plan.xlsx", "plan.csv"])
async def test_a_template_that_is_filled_in_is_a_plan(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    made = await run("plan", "template", path)
    read = Plan.from_file(filled(path, RFC, OTHER))

    assert (made.code, "--dry-run" in made.out, stat.S_IMODE(path.stat().st_mode)) == (0, True, 0o600)
    assert [(row.number, row.rfc, [serie.key for serie in row.series]) for row in read] == [
        (3, RFC, [("F", "factura")]),
        (4, OTHER, [("F", "factura")]),
    ]


@pytest.mark.parametrize("name", ["plan.xlsx", "plan.csv"])
async def test_a_template_that_was_not_filled_in_has_no_rows(tmp_path: Path, name: str) -> None:
    await run("plan", "template", tmp_path / name)

    with pytest.raises(PlanError, match="there are no rows below the header"):
        Plan.from_file(tmp_path / name)


async def test_a_template_offers_the_catalogues_and_keeps_zeros(tmp_path: Path) -> None:
    await run("plan", "template", tmp_path / "plan.xlsx")
    book = openpyxl.load_workbook(tmp_path / "plan.xlsx")
    sheet = book["Empresas"]
    titles = {str(cell.value): cell.coordinate[:-1] for cell in sheet[1]}
    lists = {str(each.sqref).split(":")[0].rstrip("0123456789") for each in sheet.data_validations.dataValidation}

    assert lists == {titles[each.title] for each in COLUMNS if each.choices}
    assert {sheet.column_dimensions[titles[name]].number_format for name in ("RFC", "Código Postal")} == {"@"}
    assert [cell.comment is not None for cell in sheet[1]] == [True] * len(COLUMNS)
    assert "601 - General de Ley Personas Morales" in {cell.value for cell in book["Ayuda"]["E"]}


async def test_rows_of_explanations_are_as_high_as_their_texts(tmp_path: Path) -> None:
    await run("plan", "template", tmp_path / "plan.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "plan.xlsx")["Ayuda"]
    heights = {
        len(str(sheet.cell(row, 3).value)) > 60: sheet.row_dimensions[row].height for row in range(2, len(COLUMNS) + 2)
    }

    assert heights == {False: 15, True: 30}


@pytest.mark.parametrize("name", ["plan.ods", "plan"])
async def test_a_template_of_another_format_is_refused(tmp_path: Path, name: str) -> None:
    made = await run("plan", "template", tmp_path / name)

    assert (made.code, "must end in .csv or .xlsx" in made.err) == (2, True)


async def test_a_template_replaces_no_file(tmp_path: Path) -> None:
    path = tmp_path / "plan.csv"
    path.write_text("mine")
    made = await run("plan", "template", path)

    assert (made.code, "exists" in made.err, path.read_text()) == (2, True, "mine")


# ── Faults ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("plan_name", ["plan.xlsx", "plan.csv"])
@pytest.mark.parametrize("faults_name", ["faults.xlsx", "faults.csv"])
async def test_faulty_rows_come_back_to_be_corrected(tmp_path: Path, plan_name: str, faults_name: str) -> None:
    path, faults = tmp_path / plan_name, tmp_path / faults_name
    await run("plan", "template", path)
    filled(path, RFC, OTHER)
    _replace(path, OTHER, "NO-ES-RFC")
    ran = await run("provision", path, "--emulator", "--faults-out", faults)

    assert (ran.code, "1 row to correct" in ran.err) == (2, True)
    assert stat.S_IMODE(faults.stat().st_mode) == 0o600
    _replace(faults, "NO-ES-RFC", OTHER)
    assert [(row.number, row.rfc) for row in Plan.from_file(faults)] == [(2, OTHER), (3, RFC)]


def _replace(path: Path, old: str, new: str) -> None:
    """Replace a cell of a file with another text."""
    if path.suffix == ".csv":
        path.write_text(path.read_text("utf-8").replace(f",{old},", f",{new},"), "utf-8")
        return
    book = openpyxl.load_workbook(path)
    for row in book["Empresas"].iter_rows():
        for cell in row:
            if cell.value == old:
                cell.value = new
    book.save(path)


def written(path: Path, *rows: dict[str, Any]) -> Path:
    plan = folder(path) / "plan.csv"
    plan.write_text(table([*rows]), encoding="utf-8", newline="")
    return plan


def test_a_faulty_cell_is_coloured_and_has_its_reason(tmp_path: Path) -> None:
    plan = written(tmp_path, ROW, ROW | {"rfc": OTHER, "codpos": "x"})
    problems = [PlanProblem(row=3, column="codpos", reason="must be five digits")]
    count = write_faults(tmp_path / "faults.xlsx", plan, problems, sheet=None)
    sheet = openpyxl.load_workbook(tmp_path / "faults.xlsx")["Empresas"]
    coloured = [cell for cell in sheet[2] if cell.comment is not None]

    assert count == 1
    assert [(cell.value, cell.comment and cell.comment.text, cell.fill.fill_type) for cell in coloured] == [
        ("x", "must be five digits", "solid")
    ]
    assert [cell.value for cell in sheet[2]][:2] == ["codpos: must be five digits", "3"]


def test_faults_of_a_corrected_file_replace_those_of_the_earlier_one(tmp_path: Path) -> None:
    plan = written(tmp_path, ROW | {"codpos": "x"})
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    write_faults(first, plan, [PlanProblem(row=2, column="codpos", reason="a")], sheet=None)
    write_faults(second, first, [PlanProblem(row=2, column="email", reason="b")], sheet=None)
    [header, row] = csv.reader(second.read_text("utf-8-sig").splitlines())

    assert header == ["# faults", "# row", *ROW]
    assert row[:3] == ["email: b", "2", ROW["razon_social"]]


def test_cells_beyond_the_header_are_kept(tmp_path: Path) -> None:
    plan = folder(tmp_path) / "plan.csv"
    plan.write_text(table([ROW]).rstrip() + ",piso 2\r\n", encoding="utf-8", newline="")
    write_faults(tmp_path / "faults.csv", plan, Plan.parse(plan).problems, sheet=None)
    [_, row] = csv.reader((tmp_path / "faults.csv").read_text("utf-8-sig").splitlines())

    assert (row[-1], [problem.column for problem in Plan.parse(tmp_path / "faults.csv").problems]) == ("piso 2", [""])


@pytest.mark.parametrize("cell", ["=1+1", "@SUM(A1)", "\x01", "-1"])
def test_no_cell_becomes_a_formula(tmp_path: Path, cell: str) -> None:
    plan = written(tmp_path, ROW | {"calle": cell})
    write_faults(tmp_path / "faults.xlsx", plan, [PlanProblem(row=2, column="calle", reason="no")], sheet=None)
    sheet = openpyxl.load_workbook(tmp_path / "faults.xlsx")["Empresas"]

    assert {each.data_type for each in sheet[2] if each.value is not None} == {"s"}


@pytest.mark.parametrize("cell", ["=1+1", "@SUM(A1)", "-1", "+1", "'=1", "\tx"])
def test_a_csv_file_of_faults_has_no_formula_and_keeps_every_cell(tmp_path: Path, cell: str) -> None:
    plan, faults = tmp_path / "plan.xlsx", tmp_path / "faults.csv"
    plan.write_bytes(workbooks.new_table([[*ROW], [*(ROW | {"password": cell, "codpos": "x"}).values()]], {}))
    write_faults(faults, plan, [PlanProblem(row=2, column="codpos", reason="no")], sheet=None)
    [_, row] = csv.reader(faults.read_text("utf-8-sig").splitlines())
    [read] = read_rows(faults, None).rows.values()

    assert (f"'{cell}" in row, cell in read) == (True, True)


def test_a_text_that_looks_like_a_code_of_a_workbook_comes_back(tmp_path: Path) -> None:
    plan = written(tmp_path, ROW | {"password": "_x0041_bc", "codpos": "x"})
    write_faults(tmp_path / "faults.xlsx", plan, [PlanProblem(row=2, column="codpos", reason="no")], sheet=None)
    read = read_rows(tmp_path / "faults.xlsx", None)

    assert [cells[read.header.index("password")] for cells in read.rows.values()] == ["_x0041_bc"]


def test_without_faulty_rows_no_file_is_written(tmp_path: Path) -> None:
    plan = written(tmp_path, ROW)

    assert write_faults(tmp_path / "faults.csv", plan, [], sheet=None) == 0
    assert not (tmp_path / "faults.csv").exists()


async def test_rows_that_failed_in_a_run_come_back_too(tmp_path: Path) -> None:
    path, faults = tmp_path / "plan.csv", tmp_path / "faults.csv"
    await run("plan", "template", path)
    filled(path, RFC, OTHER)
    async with Emulator() as emulator:
        emulator.inject(Fault.status(422), endpoint="empresas.create", times=1)
        options = ("--settle", "0.1", "--no-audit", "--concurrency", "1", "--faults-out", faults)
        ran = await run("provision", path, *options, emulator=emulator)
    [_, row] = csv.reader(faults.read_text("utf-8-sig").splitlines())

    assert (ran.code, "1 row to correct" in ran.err, row[1]) == (1, True, "3")


@pytest.mark.parametrize(
    ("plan", "faults", "reason"),
    [
        ("plan.csv", "faults.txt", "must end in .csv or .xlsx"),
        ("plan.csv", "plan.csv", "exists"),
        ("plan.toml", "faults.csv", "a TOML plan has no rows"),
        ("plan.csv", "none/faults.csv", "must be in the folder of the plan"),
    ],
)
async def test_a_file_of_faults_that_cannot_be_written_is_refused_before_anything_is_sent(
    tmp_path: Path, plan: str, faults: str, reason: str
) -> None:
    written(tmp_path, ROW)
    ran = await run("provision", tmp_path / plan, "--emulator", "--faults-out", tmp_path / faults)

    assert (ran.code, reason in ran.err) == (2, True)


def refusal(faults: Path, plan: Path, *others: Path) -> str:
    with pytest.raises(InvalidInputError) as refused:
        check_faults_out(faults, plan, others)
    return str(refused.value)


def test_a_file_of_faults_that_the_run_writes_too_is_refused(tmp_path: Path) -> None:
    plan = written(tmp_path, ROW)
    (tmp_path / "link").symlink_to(tmp_path)
    check_faults_out(tmp_path / "faults.csv", plan, [tmp_path / "keys.csv"])

    assert refusal(tmp_path / "faults.csv", plan, tmp_path / "link" / "faults.csv") == (
        f"--faults-out {tmp_path}/faults.csv is a file that this run writes: give another file"
    )


def test_a_file_of_faults_in_another_folder_is_refused_because_of_relative_paths(tmp_path: Path) -> None:
    plan = written(tmp_path, ROW)
    (tmp_path / "other").mkdir()
    (tmp_path / "link").symlink_to(tmp_path)
    check_faults_out(tmp_path / "link" / "faults.csv", plan, [])

    assert "must be in the folder of the plan" in refusal(tmp_path / "other" / "faults.csv", plan)


def test_faults_of_a_plan_from_a_pipe_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "plan.csv")

    assert refusal(tmp_path / "faults.csv", tmp_path / "plan.csv") == (
        "--faults-out: the plan must be a file, because it is read twice"
    )


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no folder is read-only for every user")
def test_a_file_of_faults_in_a_folder_that_cannot_be_written_is_refused() -> None:
    folder = Path("/proc/self")

    assert refusal(folder / "faults.csv", folder / "plan.csv") == (
        "--faults-out /proc/self/faults.csv cannot be written: Permission denied. Give another path."
    )


def test_rows_without_faults_follow_those_with_faults_in_the_order_of_the_plan(tmp_path: Path) -> None:
    plan = written(tmp_path, ROW, ROW | {"rfc": "A"}, ROW | {"rfc": OTHER}, ROW | {"rfc": "B"})
    problems = [PlanProblem(row=number, column="rfc", reason="no") for number in (5, 3)]
    count = write_faults(tmp_path / "faults.csv", plan, problems, sheet=None, with_all=True)
    [_, *rows] = csv.reader((tmp_path / "faults.csv").read_text("utf-8-sig").splitlines())

    assert (count, [row[:2] for row in rows]) == (2, [["rfc: no", "3"], ["rfc: no", "5"], ["", "2"], ["", "4"]])
