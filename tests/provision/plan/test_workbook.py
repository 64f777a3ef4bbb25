"""Workbooks of Excel and LibreOffice are read as their cells are stored."""

from __future__ import annotations

import datetime as dt
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from openpyxl.worksheet.worksheet import Worksheet

from facturaonline_async.provision import Plan, PlanError
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
        ("calle", dt.date(2026, 9, 16), "2026-09-16"),
        ("calle", dt.datetime.fromisoformat("2026-09-16 12:30"), "2026-09-16 12:30:00"),
    ],
)
def test_a_cell_is_read_as_it_is_stored(tmp_path: Path, column: str, stored: Any, read: Any) -> None:
    assert values(Plan.from_file(workbook(tmp_path, {"Hoja1": cells(ROW | {column: stored})})), column) == [read]


def test_a_number_that_lost_digits_is_refused(tmp_path: Path) -> None:
    path = workbook(tmp_path, {"Hoja1": cells(ROW | {"telefono": 12345678901234567890})})

    assert [reason[:17] for reason in reasons(path)] == ["row 2, telefono: "]


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


# ── Errors of formulas ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("error", ["#N/A", "#REF!", "#DIV/0!"])
def test_an_error_of_a_formula_is_named_with_its_cell(tmp_path: Path, error: str) -> None:
    path = workbook(tmp_path, {"Otra": [["x"]], "Empresas": cells(ROW | {"calle": error})})
    book = openpyxl.load_workbook(path)
    sheet = book["Empresas"]
    sheet.cell(2, len(ROW) + 1).data_type = "e"
    book.save(path)

    [reason] = reasons(path)
    fault = "is the error of a spreadsheet's formula: correct the formula, or give the value"
    assert reason == f"row 2, calle: {fault}, and was '{error}'"


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
    assert [(problem.row, problem.column, problem.seen) for problem in parsed.problems] == [(2, "calle", "#DIV/0!")]
    [row] = parsed.rows
    assert row.values["calle"] == "AB"  # type: ignore[attr-defined]
