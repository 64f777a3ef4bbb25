"""A row of a company that must exist needs no certificate, and is told from a row that lacks something."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from facturaonline_async import CambiosEmpresa, InvalidInputError, NuevaEmpresa, Sello
from facturaonline_async.provision import ExistingRow, Plan, PlanError, PlanRow, PlanSerie
from facturaonline_async.provision._plan.file_rows import FileRow, load_data
from facturaonline_async.provision._plan.models import must_exist, required_uid
from tests.plans import ROW, folder, written

RFC, OTHER = "EKU9003173C9", "AAA010101AAA"
F = PlanSerie(letra="F", tipo_documento="factura", folio=1)
P = PlanSerie(letra="P", tipo_documento="pago")


def csv_plan(path: Path, text: str) -> Path:
    file = folder(path) / "plan.csv"
    file.write_text(text, encoding="utf-8")
    return file


def only(path: Path) -> PlanRow:
    [row] = Plan.from_file(path)
    return row


def faults(path: Path) -> list[tuple[int, str, str]]:
    with pytest.raises(PlanError) as refused:
        Plan.from_file(path)
    return [(problem.row, problem.column, problem.code) for problem in refused.value.problems]


def test_a_file_of_rfcs_and_series_is_a_plan(tmp_path: Path) -> None:
    row = only(csv_plan(tmp_path, f"rfc,series\n{RFC},F:factura:1;P:pago\n"))

    assert (row.rfc, row.series, must_exist(row), required_uid(row)) == (RFC, (F, P), True, "")
    assert asyncio.run(load_data(row)) == CambiosEmpresa(rfc=RFC)


def test_series_may_stand_in_columns_of_their_own(tmp_path: Path) -> None:
    row = only(csv_plan(tmp_path, f"RFC;Serie 1;Tipo 1;Folio 1\n{RFC};F;factura;1\n"))

    assert (row.series, must_exist(row)) == ((F,), True)


def test_a_workbook_of_rfcs_and_series_is_a_plan(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for cells in (["RFC", "Series"], [RFC, "F:factura:1"]):
        book.active.append(cells)
    book.save(tmp_path / "plan.xlsx")

    row = only(tmp_path / "plan.xlsx")

    assert (row.series, must_exist(row)) == ((F,), True)


def test_a_toml_table_of_an_rfc_and_series_is_a_row(tmp_path: Path) -> None:
    file = tmp_path / "plan.toml"
    file.write_text(
        f'[[empresas]]\nrfc = "{RFC}"\nseries = [{{ letra = "F", tipo_documento = "factura", folio = 1 }}]\n'
    )

    row = only(file)

    assert (row.series, must_exist(row)) == ((F,), True)


def test_such_rows_stand_beside_rows_of_new_companies(tmp_path: Path) -> None:
    empty = dict.fromkeys(ROW, "")

    new, existing = Plan.from_csv(written(tmp_path, [ROW, empty | {"rfc": OTHER, "series": "P:pago"}]))

    assert (must_exist(new), must_exist(existing), existing.series) == (False, True, (P,))
    assert isinstance(asyncio.run(load_data(new)), NuevaEmpresa)


def test_a_row_with_some_data_of_a_company_names_what_is_missing(tmp_path: Path) -> None:
    some = {"rfc": RFC, "razon_social": "Kemper", "codpos": "06500", "series": "F:factura:1"}

    assert faults(written(tmp_path, [dict.fromkeys(ROW, "") | some])) == [
        (2, "email", "values.required"),
        (2, "regimen_nomina", "values.required"),
        (2, "cer", "values.required"),
        (2, "key", "values.required"),
        (2, "password", "plan.password_required"),
    ]


def test_a_header_with_some_data_of_a_company_names_what_is_missing(tmp_path: Path) -> None:
    missing = faults(csv_plan(tmp_path, f"rfc,razon_social,codpos,series\n{RFC},Kemper,06500,F:factura\n"))

    assert [column for _, column, _ in missing] == ["email", "regimen_nomina", "cer", "key", "password"]


def test_a_row_without_series_asks_for_them(tmp_path: Path) -> None:
    assert faults(csv_plan(tmp_path, f"rfc,series\n{RFC},\n")) == [(2, "series", "values.required")]


def test_a_row_with_a_uid_may_give_any_part_of_a_company(tmp_path: Path) -> None:
    row = only(csv_plan(tmp_path, f"rfc,uid,codpos,series\n{RFC},5c06fa8b1b2ea,06500,\n"))

    assert (required_uid(row), row.series) == ("5c06fa8b1b2ea", ())
    assert asyncio.run(load_data(row)) == CambiosEmpresa(rfc=RFC, codpos="06500")


def test_a_row_with_a_uid_may_give_a_new_certificate(tmp_path: Path) -> None:
    row = only(csv_plan(tmp_path, f"rfc,uid,cer,key,password\n{RFC},12,c/a.cer,c/a.key,12345678a\n"))

    assert asyncio.run(load_data(row)) == CambiosEmpresa(rfc=RFC, csd=Sello(b"a.cer", b"a.key", "12345678a"))


def test_a_row_with_a_uid_gives_a_certificate_as_a_whole(tmp_path: Path) -> None:
    assert faults(csv_plan(tmp_path, f"rfc,uid,cer,key,password\n{RFC},12,c/a.cer,,x\n")) == [
        (2, "key", "plan.sello_incomplete")
    ]


@pytest.mark.parametrize(
    ("column", "cell", "code"), [("uid", "a b", "plan.not_uid"), ("existing", "fallar", "plan.fail_of_existing")]
)
def test_a_cell_that_does_not_fit_the_row_is_a_fault(tmp_path: Path, column: str, cell: str, code: str) -> None:
    cells = {"uid": "12", "existing": ""} | {column: cell}

    assert faults(csv_plan(tmp_path, f"rfc,uid,existing\n{RFC},{cells['uid']},{cells['existing']}\n")) == [
        (2, column, code)
    ]


def test_a_row_made_in_python_has_the_rfc_in_its_changes() -> None:
    [row] = Plan.from_values([ExistingRow(rfc="eku9003173c9", series=(F,), cambios=CambiosEmpresa(codpos="06500"))])

    assert (row.rfc, row.number, must_exist(row)) == (RFC, 1, True)
    assert asyncio.run(load_data(row)) == CambiosEmpresa(rfc=RFC, codpos="06500")


@pytest.mark.parametrize("values", [{"rfc": ""}, {"existing": "fail"}, {"series": [F]}, {"uid": 1}, {"cambios": {}}])
def test_a_row_made_in_python_is_checked(values: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError):
        ExistingRow(**{"rfc": RFC} | values)


@pytest.mark.parametrize(
    "row", [ExistingRow(rfc=RFC), FileRow(number=1, rfc=RFC, series=(), values={}, csd=None, uid="")]
)
async def test_a_row_of_an_existing_company_has_no_data_for_a_new_one(row: PlanRow) -> None:
    with pytest.raises(InvalidInputError, match="must exist"):
        await row.load()
