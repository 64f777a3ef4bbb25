"""Workbooks of Excel and LibreOffice are read as their cells are stored."""

from __future__ import annotations

import datetime as dt
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from openpyxl.worksheet.worksheet import Worksheet

from facturaonline_async.provision import Plan, PlanError
from facturaonline_async.provision._plan.plan import PLAN_SUFFIXES
from tests.plans import ROW, folder


def workbook(path: Path, sheets: Mapping[str, Iterable[Iterable[Any]]], *, hidden: Iterable[str] = ()) -> Path:
    """Write a workbook into a folder with certificates, and return its path."""
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for title, rows in sheets.items():
        sheet: Worksheet = book.create_sheet(title)
        for row in rows:
            sheet.append([*row])
        if title in hidden:
            sheet.sheet_state = "hidden"
    plan = folder(path) / "plan.xlsx"
    book.save(plan)
    return plan


def cells(row: Mapping[str, Any]) -> list[list[Any]]:
    return [[*row], [*row.values()]]


def values(plan: Plan, column: str) -> list[Any]:
    return [row.values.get(column) for row in plan]  # type: ignore[attr-defined]


def reasons(path: Path, **how: Any) -> list[str]:
    with pytest.raises(PlanError) as refused:
        Plan.from_file(path, **how)
    return [str(problem) for problem in refused.value.problems]


def test_a_workbook_is_a_plan(tmp_path: Path) -> None:
    plan = Plan.from_file(workbook(tmp_path, {"Hoja1": cells(ROW)}))

    assert [(row.number, row.rfc, len(row.series)) for row in plan] == [(2, "EKU9003173C9", 2)]


@pytest.mark.parametrize(
    ("column", "stored", "read"),
    [
        ("codpos", 6500, "06500"),
        ("codpos", "06500", "06500"),
        ("regimen", 601, "601"),
        ("regimen", 601.0, "601"),
        ("telefono", 5512345678, "5512345678"),
        ("exterior", 12.5, "12.5"),
        ("cant_folios_min", 50, 50),
        ("mailtomyself", True, True),
        ("mailtomyself", False, False),
        ("password", 12345678, None),
    ],
)
def test_a_cell_is_read_as_it_is_stored(tmp_path: Path, column: str, stored: Any, read: Any) -> None:
    assert values(Plan.from_file(workbook(tmp_path, {"Hoja1": cells(ROW | {column: stored})})), column) == [read]


@pytest.mark.parametrize(
    ("column", "stored", "reason"),
    [
        ("telefono", 12345678901234567890, "is a number of more than 15 digits"),
        ("password", 1e15, "is a number of more than 15 digits"),
        ("letra 1", 1234567890123456, "is a number of more than 15 digits"),
        ("exterior", dt.date(2026, 5, 3), "is a date or a time"),
        ("interior", dt.time(10, 30), "is a date or a time"),
        ("password", dt.date(2024, 2, 1), "is a date or a time"),
        ("colonia", True, "is TRUE or FALSE"),
        ("password", True, "is TRUE or FALSE"),
        ("codpos", '="0" & "6500"', "is a formula without a value"),
        ("series", '="F" & ":factura"', "is a formula without a value"),
        ("password", '="a" & "b"', "is a formula without a value"),
    ],
)
def test_a_cell_that_is_not_what_a_person_sees_is_refused(
    tmp_path: Path, column: str, stored: Any, reason: str
) -> None:
    row = {name: cell for name, cell in ROW.items() if name != "series" or column == "series"} | {column: stored}
    found = reasons(workbook(tmp_path, {"Hoja1": cells(row)}))

    assert [each.startswith(f"row 2, {column.replace(' ', '_')}: {reason}") for each in found] == [True]


def test_rows_keep_their_numbers_below_titles_and_empty_rows(tmp_path: Path) -> None:
    rows: list[list[Any]] = [[], ["Alta de empresas"], [], [None, *ROW], [], [None, *ROW.values()]]
    plan = Plan.from_file(workbook(tmp_path, {"Hoja1": rows}))

    assert [row.number for row in plan] == [6]


def test_a_merged_title_above_the_header_is_not_read(tmp_path: Path) -> None:
    path = workbook(tmp_path, {"Hoja1": [["Datos fiscales"], *cells(ROW)]})
    book = openpyxl.load_workbook(path)
    book.worksheets[0].merge_cells("A1:F1")
    book.save(path)

    assert len(Plan.from_file(path)) == 1


@pytest.mark.parametrize("suffix", PLAN_SUFFIXES)
def test_every_suffix_of_a_plan_has_a_reader(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"missing{suffix}"

    assert reasons(path) == [f"{path}: the plan cannot be read: the file does not exist."]


# ── Errors of formulas ────────────────────────────────────────────────────────────────────────────────────────────────


def with_error(path: Path, row: int, column: int) -> Path:
    book = openpyxl.load_workbook(path)
    cell: Any = book["Empresas"].cell(row, column)
    cell.data_type = "e"
    book.save(path)
    return path


FAULT = "is the error of a spreadsheet's formula: correct the formula, or give the value"


@pytest.mark.parametrize("error", ["#N/A", "#REF!", "#DIV/0!"])
@pytest.mark.parametrize("column", ["calle", "codpos", "password", "series", "cer", "existing"])
def test_an_error_of_a_formula_is_named_with_its_cell(tmp_path: Path, error: str, column: str) -> None:
    row = ROW | {column: error}
    path = workbook(tmp_path, {"Otra": [["x"]], "Empresas": cells(row)})

    assert reasons(with_error(path, 2, [*row].index(column) + 1)) == [f"row 2, {column}: {FAULT}"]


def test_an_error_in_a_table_that_begins_elsewhere_is_named_with_its_cell(tmp_path: Path) -> None:
    row = ROW | {"calle": "#N/A"}
    path = workbook(tmp_path, {"Empresas": [[], [None, None, *row], [None, None, *row.values()]]})

    assert reasons(with_error(path, 3, len(row) + 2)) == [f"row 3, calle: {FAULT}"]


# ── Sizes and damage ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.one_python
def test_a_sheet_with_a_cell_far_away_is_refused(tmp_path: Path) -> None:
    path = workbook(tmp_path, {"Empresas": cells(ROW)})
    book = openpyxl.load_workbook(path)
    book["Empresas"].cell(1_048_576, 60).value = "x"
    book.save(path)

    assert reasons(path) == ["plan.xlsx: the sheet has 1,048,576 rows and 60 columns: delete those behind the table"]


def test_a_damaged_sheet_is_refused(tmp_path: Path) -> None:
    path = workbook(tmp_path, {"Empresas": cells(ROW)})
    with zipfile.ZipFile(path) as whole:
        parts = {name: whole.read(name) for name in whole.namelist()}
    with zipfile.ZipFile(path, "w") as cut:
        for name, content in parts.items():
            cut.writestr(name, content[: len(content) // 2] if "sheet1" in name else content)

    assert reasons(path) == ["plan.xlsx: this is no workbook that can be read: open it, and save it as .xlsx"]


# ── Sheets ────────────────────────────────────────────────────────────────────────────────────────────────────────────

OTHER = ROW | {"rfc": "HAÑ930228SM9"}


def rfcs(path: Path, sheet: str | None = None) -> list[str]:
    return [row.rfc for row in Plan.from_file(path, sheet=sheet)]


def test_the_sheet_called_empresas_is_read(tmp_path: Path) -> None:
    path = workbook(tmp_path, {"Viejas": cells(OTHER), " EMPRESAS": cells(ROW)})

    assert rfcs(path) == ["EKU9003173C9"]


def test_the_only_sheet_with_a_header_is_read(tmp_path: Path) -> None:
    path = workbook(tmp_path, {"Portada": [["Alta"]], "Datos": cells(ROW), "Ayuda": [["RFC"], ["…"]]})

    assert rfcs(path) == ["EKU9003173C9"]


def test_the_header_of_one_of_several_sheets_may_stand_below_many_empty_rows(tmp_path: Path) -> None:
    path = workbook(tmp_path, {"Portada": [["Alta"]], "Datos": [["Alta"], *[[]] * 30, *cells(ROW)]})

    assert rfcs(path) == ["EKU9003173C9"]


def test_a_hidden_sheet_is_not_read_unless_named(tmp_path: Path) -> None:
    path = workbook(tmp_path, {"Empresas": cells(OTHER), "Datos": cells(ROW)}, hidden=["Empresas"])

    assert (rfcs(path), rfcs(path, "empresas")) == (["EKU9003173C9"], ["HAÑ930228SM9"])


def test_two_sheets_with_headers_need_a_choice(tmp_path: Path) -> None:
    path = workbook(tmp_path, {"Norte": cells(OTHER), "Sur": cells(ROW)})

    assert reasons(path) == [
        "plan.xlsx: several sheets have a header (Norte, Sur): say which one to read, or call it Empresas"
    ]
    assert rfcs(path, "sur") == ["EKU9003173C9"]


def test_a_missing_sheet_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    path = workbook(tmp_path, {"Norte": cells(ROW), "Sur": cells(OTHER)})

    assert reasons(path, sheet="Oeste") == ["plan.xlsx: there is no sheet Oeste: the visible sheets are Norte, Sur"]


def test_a_workbook_without_a_header_is_refused(tmp_path: Path) -> None:
    path = workbook(tmp_path, {"Norte": [["a"]], "Sur": [["b"]]})

    assert reasons(path) == ["plan.xlsx: no sheet has a header: the visible sheets are Norte, Sur"]


def test_a_sheet_of_a_csv_file_is_refused(tmp_path: Path) -> None:
    assert reasons(tmp_path / "plan.csv", sheet="Hoja1") == [
        "plan.csv: only a workbook has sheets: leave the sheet out"
    ]


# ── Files that are no workbooks ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("content", [b"", b"rfc,razon_social", b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" * 99])
@pytest.mark.parametrize("suffix", [".xlsx", ".ods"])
def test_a_file_that_is_no_workbook_is_refused(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"plan{suffix}"
    path.write_bytes(content)

    assert reasons(path) == [f"plan{suffix}: this is no workbook that can be read: open it, and save it as .xlsx"]


def test_without_the_extra_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = workbook(tmp_path, {"Hoja1": cells(ROW)})
    monkeypatch.setitem(sys.modules, "python_calamine", None)

    assert reasons(path) == ["plan.xlsx: workbooks need the extra excel: pip install 'facturaonline-async[excel]'"]


def test_no_traceback_of_a_refused_workbook_holds_a_password(tmp_path: Path) -> None:
    path = workbook(tmp_path, {"Hoja1": cells(ROW | {"password": "SENTINEL99", "codpos": "x"})})
    with pytest.raises(PlanError) as refused:
        Plan.from_file(path)
    found = []
    frame = refused.value.__traceback__
    while frame is not None:
        found.append(repr(frame.tb_frame.f_locals))
        frame = frame.tb_next

    assert "SENTINEL99" not in str(refused.value)
    assert [text for text in found[1:] if "SENTINEL99" in text] == []


# ── LibreOffice ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed")
@pytest.mark.parametrize("suffix", ["ods", "xlsx"])
def test_a_workbook_saved_by_libreoffice_is_read(tmp_path: Path, suffix: str) -> None:
    rows = [ROW | {"codpos": 6500, "regimen": 601, "calle": "=1/0"}, OTHER | {"calle": '="A" & "B"'}]
    path = workbook(tmp_path, {"Empresas": [[*rows[0]], *([*row.values()] for row in rows)]})
    saved = tmp_path / "saved" / f"plan.{suffix}"
    options = [f"-env:UserInstallation=file://{tmp_path}/profile", "--headless", "--convert-to", suffix]
    command = ["soffice", *options, "--outdir", str(saved.parent), str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    folder(saved.parent)

    parsed = Plan.parse(saved)
    assert [str(problem) for problem in parsed.problems] == [f"row 2, calle: {FAULT}"]
    [row] = parsed.rows
    assert row.values["calle"] == "AB"  # type: ignore[attr-defined]
