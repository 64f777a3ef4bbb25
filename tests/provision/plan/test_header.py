"""The header of a table is found, and its names are read as people write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from facturaonline_async.provision import Plan, PlanError
from facturaonline_async.provision._plan.cell_values import COLUMNS
from facturaonline_async.provision._plan.column_names import ALIASES, NUMBERED, _folded, find_column, is_note
from tests.plans import ROW, folder, table

SPANISH = {
    "razon_social": "Razón Social",
    "rfc": "R.F.C.",
    "codpos": "C.P.",
    "email": "Correo electrónico",
    "regimen": "RÉGIMEN FISCAL",
    "regimen_nomina": "Régimen de nómina",
    "cer": "Certificado (.cer)",
    "key": "Llave privada",
    "password": "Contraseña",
    "series": "Series",
}


def written(path: Path, text: str) -> Path:
    plan = folder(path) / "plan.csv"
    plan.write_text(text, encoding="utf-8", newline="")
    return plan


def spanish(row: dict[str, Any]) -> dict[str, Any]:
    return {SPANISH.get(name, name): cell for name, cell in row.items()}


def as_table(*rows: dict[str, Any], delimiter: str = ",") -> str:
    return table([*rows], delimiter=delimiter, columns=[*rows[0]])


def notices(plan: Plan) -> list[tuple[int, str, str]]:
    return [(notice.row, notice.column, str(notice.reason)) for notice in plan.notices]


def problems(path: Path) -> list[tuple[int, str, str]]:
    with pytest.raises(PlanError) as refused:
        Plan.from_csv(path)
    return [(problem.row, problem.column, str(problem.reason)) for problem in refused.value.problems]


# ── Names ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_no_name_means_two_columns() -> None:
    names = [(_folded(name), column) for column, aliases in ALIASES.items() for name in (column, *aliases)]
    meant: dict[str, set[str]] = {}
    for folded, column in names:
        meant.setdefault(folded.replace("_", ""), set()).add(column)

    assert {folded: columns for folded, columns in meant.items() if len(columns) > 1 or not folded} == {}


def test_every_alias_belongs_to_a_column() -> None:
    assert ALIASES.keys() - COLUMNS == set(NUMBERED)


def test_the_documentation_lists_every_alias() -> None:
    page = (Path(__file__).parents[3] / "docs" / "plans.md").read_text(encoding="utf-8")
    rows = page.partition("<!-- aliases -->")[2].partition("<!-- /aliases -->")[0].strip().splitlines()[2:]

    assert rows == [f"| `{column}` | {', '.join(aliases)} |" for column, aliases in ALIASES.items()]


@pytest.mark.parametrize(("column", "alias"), [(column, alias) for column in ALIASES for alias in ALIASES[column]])
def test_an_alias_is_found_in_any_case_and_punctuation(column: str, alias: str) -> None:
    expected = f"{column}_1" if column in NUMBERED else column

    assert {find_column(each) for each in (alias, alias.upper(), f" {alias}* ", alias.replace(" ", "_"))} == {expected}


@pytest.mark.parametrize("column", sorted(COLUMNS))
def test_a_column_is_found_by_its_own_name(column: str) -> None:
    assert (find_column(column), find_column(column.upper())) == (column, column)


@pytest.mark.parametrize("name", ["", "  ", "0", "letra 0", "letra 100", "razon_social 2", "codpos2", "x" * 200_000])
def test_another_name_is_no_column(name: str) -> None:
    assert find_column(name) is None


def test_a_header_in_spanish_is_read(tmp_path: Path) -> None:
    plan = Plan.from_csv(written(tmp_path, as_table(spanish(ROW))))

    assert [(row.rfc, [serie.key for serie in row.series]) for row in plan] == [
        ("EKU9003173C9", [("F", "factura"), ("P", "pago")])
    ]


def test_two_names_of_one_column_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, as_table(ROW | {"C.P.": "06500"}))

    assert problems(path) == [(1, "codpos", "the column appears twice")]


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("Certificado (FIEL)", "fielcer"),
        ("Contraseña (FIEL)", "fielpassword"),
        ("Certificado (.cer)", "cer"),
        ("Código Postal (5 dígitos)", "codpos"),
        ("RFC (obligatorio)", "rfc"),
        ("Estado (activo o baja)", None),
        ("Teléfono (contador)", None),
    ],
)
def test_a_text_in_parentheses_counts_unless_it_only_explains(name: str, column: str | None) -> None:
    assert find_column(name) == column


@pytest.mark.parametrize("name", ["#N/A", "#REF!", "#¡VALOR!"])
def test_an_error_in_the_header_is_no_column_of_notes(name: str) -> None:
    assert is_note(name) is False


# ── Notes ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["Notas", "COMENTARIOS", "Observación", "# quién lo pidió", "_interno", "#"])
def test_a_column_of_notes_is_not_read(tmp_path: Path, name: str) -> None:
    plan = Plan.from_csv(written(tmp_path, as_table(ROW | {name: "llamar el lunes"})))

    assert (len(plan), notices(plan)) == (1, [(1, name, "is a column of notes, and was not read")])


def test_a_password_in_the_name_of_a_note_is_not_shown(tmp_path: Path) -> None:
    plan = Plan.from_csv(written(tmp_path, as_table(ROW | {"#Cl4veSecreta": ""})))

    assert notices(plan) == [(1, f"column {len(ROW) + 1}", "is a column of notes, and was not read")]


# ── Where the header is ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("title", ["Alta de empresas 2026", "Empresas, clientes; y otros", "RFC", '"Plan, de Juan"'])
def test_rows_above_the_header_are_not_read(tmp_path: Path, delimiter: str, title: str) -> None:
    text = f"{title}\r\n\r\n{delimiter * 9}\r\n{as_table(spanish(ROW), delimiter=delimiter)}"
    plan = Plan.from_csv(written(tmp_path, text))

    assert [row.number for row in plan] == [5]
    assert notices(plan) == [(0, "", "the rows above row 4, the header, were not read")]


def test_a_row_with_merged_groups_above_the_header_is_not_read(tmp_path: Path) -> None:
    groups = "Datos fiscales,,,,,,Certificado,,,Series\r\n"

    assert len(Plan.from_csv(written(tmp_path, groups + as_table(ROW)))) == 1


def test_a_header_below_twenty_rows_is_not_found(tmp_path: Path) -> None:
    path = written(tmp_path, "título\r\n" * 20 + as_table(ROW))

    assert [reason[:15] for _, _, reason in problems(path)] == ["is not a header"]


def test_a_row_of_a_company_is_no_header_and_is_not_shown(tmp_path: Path) -> None:
    path = written(tmp_path, "Empresa,EKU9003173C9,06500,a@b.mx,601,601,a.cer,a.key,clave-secreta\r\n" * 2)

    assert [(row, column, reason[:15]) for row, column, reason in problems(path)] == [(1, "", "is not a header")]


def test_a_second_header_above_the_table_is_refused(tmp_path: Path) -> None:
    other = as_table(ROW | {"rfc": "HAÑ930228SM9"})

    assert problems(written(tmp_path, as_table(ROW) + other)) != []


def test_a_company_above_the_header_is_refused(tmp_path: Path) -> None:
    [header, row] = as_table(ROW).splitlines(keepends=True)

    assert problems(written(tmp_path, row + header + row)) == [
        (1, "", "has an RFC, and stands above the header: put it below, or delete it")
    ]


def test_a_comment_above_the_header_may_hold_an_rfc(tmp_path: Path) -> None:
    plan = Plan.from_csv(written(tmp_path, f"# de,EKU9003173C9\r\n{as_table(ROW)}"))

    assert notices(plan) == [(0, "", "the rows above row 2, the header, were not read")]


@pytest.mark.parametrize("cell", ["# ejemplo", "  # ejemplo", "# "])
def test_a_row_that_begins_with_a_number_sign_and_a_blank_is_a_comment(tmp_path: Path, cell: str) -> None:
    row = ROW | {"razon_social": cell, "rfc": "x"}
    if cell == "# ":
        row |= {"razon_social": " ", "rfc": "# x"}  # the first text counts
    plan = Plan.from_csv(written(tmp_path, as_table(ROW, row)))

    assert ([each.number for each in plan], notices(plan)) == ([2], [(3, "", "is a comment, and was not read")])


def test_a_company_may_begin_with_a_number_sign(tmp_path: Path) -> None:
    plan = Plan.from_csv(written(tmp_path, as_table(ROW | {"razon_social": "#1 Motors"})))

    assert [row.rfc for row in plan] == ["EKU9003173C9"]


# ── Series in columns of their own ────────────────────────────────────────────────────────────────────────────────────


def series(path: Path, cells: dict[str, str]) -> list[tuple[str, str, int | None]]:
    row = {name: cell for name, cell in ROW.items() if name != "series"} | cells
    [read] = Plan.from_csv(written(path, as_table(row)))
    return [(serie.letra, serie.tipo_documento, serie.folio) for serie in read.series]


def test_a_serie_may_have_three_columns(tmp_path: Path) -> None:
    cells = {"Serie": "F", "Tipo de documento": "factura", "Folio inicial": "7"}

    assert series(tmp_path, cells) == [("F", "factura", 7)]


def test_several_series_have_numbered_columns(tmp_path: Path) -> None:
    cells = {"Serie 1": "F", "Tipo 1": "factura", "Letra 2": "P", "Tipo de documento 2": "pago", "Folio 2": "3"}

    assert series(tmp_path, cells) == [("F", "factura", None), ("P", "pago", 3)]


def test_empty_columns_of_a_serie_are_no_serie(tmp_path: Path) -> None:
    cells = {"letra 1": "", "tipo documento 1": "", "letra 2": "P", "tipo documento 2": "pago"}

    assert series(tmp_path, cells) == [("P", "pago", None)]


@pytest.mark.parametrize(
    ("letra", "tipo", "found"),
    [
        ("F", "", [(2, "series")]),
        ("", "factura", [(2, "series")]),
        ("#N/A", "factura", [(2, "letra_1")]),
        ("F", "#¡REF!", [(2, "tipo_documento_1")]),
        ("F:factura", "", [(2, "letra_1")]),
    ],
)
def test_a_faulty_part_of_a_serie_is_a_problem_of_its_row(
    tmp_path: Path, letra: str, tipo: str, found: list[tuple[int, str]]
) -> None:
    row = {name: cell for name, cell in ROW.items() if name != "series"} | {"letra 1": letra, "tipo 1": tipo}
    path = written(tmp_path, as_table(row))

    assert {(number, column) for number, column, _ in problems(path)} >= {*found}


def test_series_in_one_column_and_in_their_own_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, as_table(ROW | {"letra 1": "X", "tipo 1": "pago"}))

    assert [(row, column) for row, column, _ in problems(path)] == [(1, "series")]


# ── Codes ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def read_code(path: Path, **cells: str) -> tuple[Any, list[tuple[int, str, str]]]:
    plan = Plan.from_csv(written(path, as_table(ROW | cells)))
    [row] = plan
    [column] = cells
    value = row.rfc if column == "rfc" else row.values[column]  # type: ignore[attr-defined]
    return value, notices(plan)


@pytest.mark.parametrize("cell", ["EKU-900317-3C9", "EKU 900317 3C9", "EKU - 900317 - 3C9", "EKU.900317.3C9"])
def test_an_rfc_with_hyphens_or_blanks_is_mended_and_said(tmp_path: Path, cell: str) -> None:
    assert read_code(tmp_path, rfc=cell) == ("EKU9003173C9", [(2, "rfc", "was read as EKU9003173C9")])


@pytest.mark.parametrize(
    "cell",
    [
        "601.0",
        "601 - General de Ley Personas Morales",
        "601 General de Ley Personas Morales",
        "601 - General de Ley",
        "601: GENERAL DE LEY PERSONAS MORALES",
        "General de Ley Personas Morales",
    ],
)
def test_a_regimen_with_its_words_is_its_code(tmp_path: Path, cell: str) -> None:
    assert read_code(tmp_path, regimen=cell) == ("601", [(2, "regimen", "was read as 601")])


def test_a_regimen_that_is_not_in_the_catalogue_keeps_its_code(tmp_path: Path) -> None:
    assert read_code(tmp_path, regimen="699 - Régimen Nuevo") == ("699", [(2, "regimen", "was read as 699")])


@pytest.mark.parametrize("cell", ["601 y 612", "601 - Sueldos y Salarios", "612 General de Ley", "605 Régimen General"])
def test_a_regimen_with_other_words_is_refused(tmp_path: Path, cell: str) -> None:
    path = written(tmp_path, as_table(ROW | {"regimen": cell}))

    assert [(row, column) for row, column, _ in problems(path)] == [(2, "regimen")]


def test_a_regimen_with_the_words_of_another_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, as_table(ROW | {"regimen": "603 - General de Ley Personas Morales"}))

    assert problems(path) == [(2, "regimen", "has the code 603 and the words of 601: correct one of them")]


@pytest.mark.parametrize(("cell", "notice"), [("6500", "with its leading zero"), ("6500.0", "as 06500")])
def test_a_codigo_postal_without_its_zero_is_mended_and_said(tmp_path: Path, cell: str, notice: str) -> None:
    assert read_code(tmp_path, codpos=cell) == ("06500", [(2, "codpos", f"was read {notice}")])


@pytest.mark.parametrize(("word", "meant"), [("Actualizar", "update"), ("conservar", "adopt"), ("fallar", "fail")])
def test_what_to_do_with_an_existing_company_may_be_said_in_spanish(tmp_path: Path, word: str, meant: str) -> None:
    [row] = Plan.from_csv(written(tmp_path, as_table(ROW | {"Si ya existe": word})))

    assert row.existing == meant


# ── Shifted cells ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("cells", "secret"),
    [
        ({"email": "S3creta!", "password": "a@example.com"}, "S3creta!"),
        ({"codpos": "S3creta!", "password": "06500"}, "S3creta!"),
        ({"razon_social": "S3creta!  x", "password": "ESCUELA KEMPER"}, "S3creta!"),
        ({"calle": "12345678.0", "password": ""}, "12345678"),
        ({"calle": "Pa&amp;ss", "password": ""}, "&amp;"),
    ],
)
def test_a_password_in_another_column_is_not_shown(tmp_path: Path, cells: dict[str, str], secret: str) -> None:
    parsed = Plan.parse(written(tmp_path, as_table(ROW | cells)))
    shown = [str(each) for each in (*parsed.problems, *parsed.notices)]

    assert ([text for text in shown if secret in text], len(shown) > 0) == ([], True)


def test_the_delimiter_is_that_of_a_header_below_many_empty_lines(tmp_path: Path) -> None:
    lines = "Alta, 2026\n" + "\n" * 30
    plan = Plan.from_csv(written(tmp_path, lines + as_table(spanish(ROW), delimiter=";")))

    assert [row.rfc for row in plan] == ["EKU9003173C9"]
