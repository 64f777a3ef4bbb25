"""Ten plans as people save them: each is a right plan, or says what to correct and where."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import openpyxl
import pytest
from openpyxl.worksheet.worksheet import Worksheet

from facturaonline_async.provision import Plan, PlanError
from tests.plans import folder

HEADER: Final = [
    "Razón Social",
    "RFC",
    "C.P.",
    "Correo electrónico",
    "Régimen Fiscal",
    "Régimen de Nómina",
    "Certificado",
    "Llave",
    "Contraseña",
    "Series",
    "Notas",
]
ROW: Final[list[Any]] = [
    "Panadería Ñandú, S.A. de C.V.",
    "EKU9003173C9",
    "06500",
    "facturas@example.com",
    "601 - General de Ley Personas Morales",
    "601",
    "c/a.cer",
    "c/a.key",
    "12345678a",
    "F:factura:1;P:pago",
    "llamar al contador",
]


def row_with(cells: Mapping[str, Any]) -> list[Any]:
    """Return the row with other cells, by the names of their columns."""
    return [cells.get(name, value) for name, value in zip(HEADER, ROW, strict=True)]


def book(path: Path, *rows: list[Any], change: Callable[[Worksheet], object] | None = None) -> Path:
    made = openpyxl.Workbook()
    sheet = made.worksheets[0]
    for row in rows:
        sheet.append(row)
    if change is not None:
        change(sheet)
    plan = folder(path) / "plan.xlsx"
    made.save(plan)
    return plan


def text(path: Path, *rows: list[Any], delimiter: str, encoding: str, end: str = "\r\n") -> Path:
    lines = [delimiter.join(f'"{cell}"' if delimiter in str(cell) else str(cell) for cell in row) for row in rows]
    plan = folder(path) / "plan.csv"
    plan.write_bytes(end.join([*lines, ""]).encode(encoding))
    return plan


def converted(plan: Path, suffix: str) -> Path:
    office = shutil.which("soffice")
    if office is None:
        pytest.skip("NO LIBREOFFICE: the workbook was not saved by it. Install libreoffice-calc.")
    profile = f"-env:UserInstallation={(plan.parent / 'profile').as_uri()}"
    command = [office, profile, "--headless", "--convert-to", suffix, "--outdir", str(plan.parent / "saved"), str(plan)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return (plan.parent / "saved" / f"plan.{suffix}").rename(plan.with_suffix(f".{suffix}"))


def excel_with_numbers(path: Path) -> Path:
    """Excel took postal code, régimen and folio for numbers, and somebody wrote the RFC with hyphens."""
    row = row_with({"C.P.": 6500, "Régimen Fiscal": 601.0, "Régimen de Nómina": 601, "RFC": "EKU-900317-3C9"})
    return book(path, HEADER, row)


def excel_with_a_title(path: Path) -> Path:
    def merge(sheet: Worksheet) -> None:
        sheet.merge_cells("A1:K1")

    return book(path, ["ALTAS DE NOVIEMBRE"], [], HEADER, ROW, change=merge)


def excel_in_spanish_as_csv(path: Path) -> Path:
    """Excel in Mexico with a list separator of its own, saved as "CSV (delimitado por comas)"."""
    return text(path, HEADER, row_with({"Series": "F:factura:1"}), delimiter=";", encoding="cp1252")


def excel_as_unicode_text(path: Path) -> Path:
    return text(path, HEADER, ROW, delimiter="\t", encoding="utf-16")


def google_sheets_as_csv(path: Path) -> Path:
    return text(path, HEADER, ROW, delimiter=",", encoding="utf-8")


def libreoffice(path: Path) -> Path:
    return converted(book(path, HEADER, row_with({"C.P.": 6500})), "ods")


def excel_for_mac_as_csv(path: Path) -> Path:
    return text(path, HEADER, ROW, delimiter=",", encoding="mac_roman", end="\r")


def excel_with_an_old_format(path: Path) -> Path:
    return converted(book(path, HEADER, ROW), "xls")


def excel_with_an_error(path: Path) -> Path:
    def break_cell(sheet: Worksheet) -> None:
        cell = sheet["D2"]
        cell.value, cell.data_type = "#N/A", "e"

    return book(path, HEADER, ROW, change=break_cell)


def excel_with_misspelt_names(path: Path) -> Path:
    header = [{"Razón Social": "Razon Socal", "Contraseña": "Contrasena "}.get(name, name) for name in HEADER]
    return book(path, header, ROW)


def excel_with_wrong_cells(path: Path) -> Path:
    cells = {"Correo electrónico": "facturas@example", "Series": "F:facturas", "C.P.": 650, "Llave": "c/no.key"}
    return book(path, HEADER, row_with(cells))


OFFICE: Final = pytest.mark.slow  # it is started once for each file

RIGHT: Final = [
    excel_with_numbers,
    excel_with_a_title,
    excel_in_spanish_as_csv,
    excel_as_unicode_text,
    google_sheets_as_csv,
    pytest.param(libreoffice, marks=OFFICE),
]
WRONG: Final = [
    (
        excel_for_mac_as_csv,
        (
            "The plan has faults:\n"
            "row 1: the file is neither UTF-8 nor Windows-1252 from here on, and looks like MacRoman, "
            'as "CSV (Macintosh)" writes it: save it as CSV UTF-8'
        ),
    ),
    pytest.param(
        excel_with_an_old_format,
        "plan.xls: workbooks are read if their names end in .xlsx, .xlsm or .ods: save it as .xlsx",
        marks=OFFICE,
    ),
    (
        excel_with_an_error,
        (
            "The plan has faults:\n"
            "row 2, email: is the error of a spreadsheet's formula: correct the formula, or give the value"
        ),
    ),
    (
        excel_with_misspelt_names,
        (
            "The plan has faults:\n"
            "row 1, Razon Socal: unknown column; did you mean razon_social?\n"
            "row 1, razon_social: the column is missing"
        ),
    ),
    (
        excel_with_wrong_cells,
        (
            "The plan has faults:\n"
            "row 2, codpos: must be a código postal of 5 digits\n"
            "row 2, series: facturas is not a documented tipo_documento: did you mean factura? If the name is right, "
            "add --any-tipo (in Python: any_tipo=True)\n"
            "row 2, key: cannot be read: No such file or directory"
        ),
    ),
]


@pytest.mark.parametrize("save", RIGHT)
def test_a_plan_that_a_program_saved_in_its_own_way_is_right(tmp_path: Path, save: Callable[[Path], Path]) -> None:
    (row,) = Plan.from_file(save(tmp_path))

    values = row.values  # type: ignore[attr-defined]  # of the rows of files
    assert (row.rfc, values["codpos"], values["regimen"]) == ("EKU9003173C9", "06500", "601")
    assert values["razon_social"] == "Panadería Ñandú, S.A. de C.V."
    assert [serie.key for serie in row.series][:1] == [("F", "factura")]


@pytest.mark.parametrize(("save", "expected"), WRONG)
def test_a_plan_that_cannot_be_read_says_what_to_correct_and_where(
    tmp_path: Path, save: Callable[[Path], Path], expected: str
) -> None:
    path = save(tmp_path)
    with pytest.raises(PlanError) as refused:
        Plan.from_file(path)

    assert str(refused.value) == expected
