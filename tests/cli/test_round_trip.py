"""The way of a person with a spreadsheet, from the template to an account that has everything."""

from __future__ import annotations

from pathlib import Path

import pytest
from openpyxl import load_workbook

from facturaonline_async.testing import Emulator
from tests.cli.test_app import run
from tests.plans import ROW, certify

pytestmark = pytest.mark.slow

RFCS = [f"AAA010101{number:03}" for number in range(3)]


def fill_in(path: Path) -> None:
    """Fill in the template below its example, with one wrong password."""
    certify(path.parent, RFCS)
    book = load_workbook(path)
    sheet = book["Empresas"]
    names = {str(cell.value): number for number, cell in enumerate(sheet[1], 1)}
    for number, rfc in enumerate(RFCS):
        texts = {
            "Razón Social": f"Empresa {number}",
            "RFC": rfc,
            "Código Postal": "06600",
            "Correo": f"empresa{number}@example.com",
            "Régimen de Nómina": ROW["regimen_nomina"],
            "Certificado": f"c/{rfc}.cer",
            "Llave": f"c/{rfc}.key",
            "Contraseña": "equivocada" if number == 1 else ROW["password"],
            "Serie 1": "F",
            "Tipo 1": "factura",
            "Folio 1": "1",
            "Serie 2": "P",
            "Tipo 2": "pago",
        }
        for name, text in texts.items():
            sheet.cell(3 + number, names[name]).value = text
    book.save(path)


def mend(path: Path) -> None:
    """Correct the only wrong password of a file."""
    book = load_workbook(path)
    (wrong,) = [
        cell for sheet in book.worksheets for cells in sheet.iter_rows() for cell in cells if cell.value == "equivocada"
    ]
    wrong.value = ROW["password"]
    book.save(path)


async def test_a_template_becomes_an_account_in_which_nothing_is_left_to_do(tmp_path: Path, emulator: Emulator) -> None:
    plan, journal, mended = tmp_path / "plan.xlsx", tmp_path / "run.sqlite", tmp_path / "corregir.xlsx"
    await run("plan", "template", plan)
    fill_in(plan)

    preview = await run("plan", "preview", plan, "--exit-code", emulator=emulator)
    assert (preview.code, emulator.count("empresas.create")) == (4, 0), preview.err
    first = await run("provision", plan, "--journal", journal, "--yes", emulator=emulator)
    assert (first.code, emulator.count("empresas.create"), emulator.count("series.create")) == (1, 2, 4), first.err

    await run("report", journal, "--xlsx", mended, "--plan", plan)
    mend(mended)
    second = await run("provision", mended, "--journal", journal, "--yes", emulator=emulator)
    assert (second.code, emulator.count("empresas.create"), emulator.count("series.create")) == (0, 3, 6), second.err

    exported = tmp_path / "cuenta.xlsx"
    assert (await run("plan", "export", exported, emulator=emulator)).code == 0
    for existing in ("adopt", "update"):
        settled = await run("plan", "preview", exported, "--exit-code", "--existing", existing, emulator=emulator)
        assert (settled.code, "Nothing to do" in settled.out + settled.err) == (0, True), settled.err
