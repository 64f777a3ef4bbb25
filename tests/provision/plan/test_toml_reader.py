"""A plan as TOML says what the same plan as CSV says, and is refused as clearly."""

from __future__ import annotations

import asyncio
import codecs
import os
import threading
import traceback
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, strategies as st

from facturaonline_async import NuevaEmpresa
from facturaonline_async._messages import message
from facturaonline_async.provision import Plan, PlanError, PlanProblem, PlanSerie
from facturaonline_async.provision._plan import toml_reader
from tests.effort import examples
from tests.plans import ROW, folder, toml, toml_value, written, written_toml

PASSWORD = "clave secreta"
F = {"letra": "F", "tipo_documento": "factura", "folio": 1}
TABLE = ROW | {"series": [F, {"letra": "P", "tipo_documento": "pago"}]}
SERIES = (PlanSerie(letra="F", tipo_documento="factura", folio=1), PlanSerie(letra="P", tipo_documento="pago"))


def read(path: Path, *rows: dict[str, Any]) -> Plan:
    return Plan.from_toml(written_toml(path, list(rows)))


def loaded(plan: Plan) -> list[NuevaEmpresa]:
    return [asyncio.run(row.load()) for row in plan]


def refused(path: Path, text: str | bytes) -> PlanError:
    plan = folder(path) / "plan.toml"
    plan.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(PlanError) as caught:
        Plan.from_toml(plan)
    return caught.value


def problems(path: Path, **values: Any) -> list[str]:
    return [str(problem) for problem in refused(path, toml([TABLE | values])).problems]


def test_a_toml_table_gives_the_same_row_as_a_csv_record(tmp_path: Path) -> None:
    (row,) = plan = read(tmp_path, TABLE)
    (same,) = Plan.from_csv(written(tmp_path, [ROW]))
    assert (row.number, row.rfc, row.series, row.existing) == (1, "EKU9003173C9", SERIES, None)
    assert asyncio.run(row.load()) == asyncio.run(same.load())
    assert (len(plan), plan.series_count) == (1, 2)


def test_series_may_be_written_as_tables_or_as_in_a_cell(tmp_path: Path) -> None:
    path = folder(tmp_path) / "plan.toml"
    table = {name: value for name, value in TABLE.items() if name != "series"}
    path.write_text(
        toml([table])
        + '[[empresas.series]]\nletra = "F"\ntipo_documento = "factura"\nfolio = "1"\n'
        + '[[empresas.series]]\nletra = "P"\ntipo_documento = "pago"\n'
        + toml([ROW | {"rfc": "AAA010101AAA"}, table | {"rfc": "AAA010102AAA"}]),
        encoding="utf-8",
    )
    assert [row.series for row in Plan.from_file(path)] == [SERIES, SERIES, ()]


def test_numbers_and_booleans_may_be_written_without_quotation_marks(tmp_path: Path) -> None:
    plan = read(
        tmp_path,
        TABLE
        | {"codpos": 6500, "regimen": 601, "regimen_nomina": 605, "exterior": 12, "telefono": 5512345678}
        | {"mailtomyself": True, "mailtomyconta": False, "cant_folios_min": 66, "existing": "update"},
    )
    (empresa,) = loaded(plan)
    assert (empresa.codpos, empresa.regimen, empresa.regimen_nomina) == ("06500", "601", "605")
    assert (empresa.exterior, empresa.telefono) == ("12", "5512345678")
    assert (empresa.mailtomyself, empresa.mailtomyconta, empresa.cant_folios_min) == (True, False, 66)
    assert plan.notices == (PlanProblem(row=1, column="codpos", reason="was read with its leading zero", seen="6500"),)
    assert [row.existing for row in plan] == ["update"]


def test_a_password_may_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CSD_OF_KEMPER", PASSWORD)
    table = {name: value for name, value in TABLE.items() if name != "password"} | {"password_env": "CSD_OF_KEMPER"}
    (empresa,) = loaded(read(tmp_path, table))
    assert empresa.csd.password.reveal() == PASSWORD


# ── Faults ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_all_faulty_tables_keys_and_reasons_are_reported_at_once(tmp_path: Path) -> None:
    tables = [
        TABLE | {"rfc": "EKU", "codpos": 42.5, "cer": "c/none.cer"},
        TABLE,
        TABLE | {"razon_socal": "x", "rfc": "EKU9003173C9"},
        {},
    ]
    assert str(refused(tmp_path, toml(tables))).splitlines() == [
        "The plan has faults:",
        "row 1, codpos: must be a text in quotation marks, not a number with a point",
        "row 1, rfc: must be an RFC of 12 or 13 characters, and was 'EKU'",
        "row 1, cer: cannot be read: No such file or directory",
        "row 3, razon_socal: there is no key razon_socal (is it razon_social?)",
        "row 3, rfc: EKU9003173C9 is already in row 2",
        *(
            f"row 4, {name}: is required, and empty"
            for name in ("razon_social", "rfc", "codpos", "email", "regimen_nomina", "cer", "key")
        ),
        "row 4, password: is required (or password_env), and empty",
    ]


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("razon_social", True, "must be a text in quotation marks, not true or false"),
        ("password", 12345678, "must be a text in quotation marks, not a number"),
        ("password_env", 1, "must be a text in quotation marks, not a number"),
        ("cer", ["c/a.cer"], "must be a text in quotation marks, not an array"),
        ("existing", True, "must be a text in quotation marks, not true or false"),
        ("regimen", {"codigo": "601"}, "must be a text in quotation marks, not a table"),
        ("cant_folios_min", 6.5, "must be a number, not a number with a point"),
        ("mailtomyself", 0.5, "must be true or false, not a number with a point"),
        ("telefono", 1 << 70, "must be a text in quotation marks, not a number"),
    ],
)
def test_a_value_of_another_type_is_one_problem(tmp_path: Path, key: str, value: object, reason: str) -> None:
    table = {key: value} if key != "password_env" else {key: value, "password": ""}
    assert problems(tmp_path, **table) == [f"row 1, {key}: {reason}"]


def test_a_date_is_no_text(tmp_path: Path) -> None:
    text = toml([TABLE]).replace('email = "a@example.com"', "email = 2026-01-02")
    assert "row 1, email: must be a text in quotation marks, not a date or a time" in str(refused(tmp_path, text))


@pytest.mark.parametrize(
    ("series", "reason"),
    [
        (7, "must be tables, [[empresas.series]], not a number"),
        (["F:factura"], "must be tables, and one is a text"),
        ([F | {"letter": "F"}], "there is no key letter (is it letra?)"),
        ([F | {"letra": 7}], "letra must be a text in quotation marks, not a number"),
        ([F | {"folio": True}], "folio must be a number, not true or false"),
        (
            [F | {"folio": 0}],
            "serie 1 must have a letra, a tipo_documento, and perhaps a folio from 1 up, such as { letra =",
        ),
        ([{"letra": "F"}], "serie 1 must have a letra, a tipo_documento, and perhaps a folio from 1 up"),
        ([F | {"letra": "F\nG"}], "serie 1 must have a letra, a tipo_documento, and perhaps a folio from 1 up"),
        ([F | {"folio": 10**12}], "serie 1 must have a letra, a tipo_documento, and perhaps a folio from 1 up"),
        ([F, F], "F:factura appears twice"),
    ],
)
def test_invalid_series_are_one_problem(tmp_path: Path, series: object, reason: str) -> None:
    (problem,) = problems(tmp_path, series=series)
    assert problem.startswith(f"row 1, series: {reason}")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "plan.toml: there is no [[empresas]] table"),
        ("[empresas]\nrfc = 'x'\n", "plan.toml: companies are written as [[empresas]], with two brackets"),
        ("empresas = 7", "plan.toml: companies are written as [[empresas]], with two brackets"),
        ("empresas = [7]", "row 1: must be a table, not a number"),
        (
            "[[empresa]]\nrfc = 'x'\n",
            "plan.toml: there is no key empresa (is it empresas?): companies are written as [[empresas]]",
        ),
        ("version = 1\n", "plan.toml: there is no key version: companies are written as [[empresas]]"),
    ],
)
def test_a_file_without_companies_is_refused_with_the_reason(tmp_path: Path, text: str, reason: str) -> None:
    assert [str(problem) for problem in refused(tmp_path, text).problems] == [reason]


@pytest.mark.parametrize(
    ("line", "place"),
    [
        (f'calle = "{PASSWORD}', "line 3, column "),
        (f"calle = {PASSWORD}", "line 3, column 9"),
        (f'password = "{PASSWORD}"', "line 3, column "),
        (f'calle = "{PASSWORD}\\a.cer"', "line 3, column "),
        ("codpos = 06500", "line 3, column "),
        (f"calle = '''{PASSWORD}", "at end of document"),
        ("calle = " + "[" * 3000, "not TOML: "),
        ("telefono = " + "9" * 5000, ""),
        (f'calle = "{PASSWORD}\xff"', "line 3 holds bytes that are not UTF-8"),
    ],
)
@pytest.mark.usefixtures("_small_pieces")
@pytest.mark.parametrize("before", [0, 40])
def test_invalid_toml_is_one_problem_with_its_place_and_without_its_text(
    tmp_path: Path, line: str, place: str, before: int
) -> None:
    tables = toml([TABLE | {"rfc": f"AAA010101{number:03}"} for number in range(before)])
    text = f"[[empresas]]\npassword = 'x'\n{line}\n"
    lines = tables.count("\n")
    error = refused(tmp_path, tables.encode() + text.encode("latin-1" if "\xff" in text else "utf-8"))
    (problem,) = error.problems
    assert place.replace("line 3", f"line {lines + 3}") in problem.reason
    assert problem.reason.startswith("this is not TOML")
    assert PASSWORD not in "".join(traceback.format_exception(error)) + repr(error.problems)
    assert (error.__cause__, error.__context__) == (None, None)


def test_a_byte_order_mark_is_accepted_and_utf_16_is_refused_by_name(tmp_path: Path) -> None:
    path = written_toml(tmp_path, [TABLE])
    path.write_bytes(codecs.BOM_UTF8 + path.read_bytes().replace(b"\n", b"\r\n"))
    assert [row.rfc for row in Plan.from_toml(path)] == ["EKU9003173C9"]
    assert "line 1 holds bytes that are not UTF-8: save it as UTF-8" in str(refused(tmp_path, "x = 1".encode("utf-16")))


# ── The whole file ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toml_reader, "_PIECE", 8)


@pytest.mark.usefixtures("_small_pieces")
def test_rows_are_numbered_by_table(tmp_path: Path) -> None:
    rfcs = [f"AAA010101{number:03}" for number in range(40)]
    plan = read(tmp_path, *(TABLE | {"rfc": rfc} for rfc in rfcs))
    assert [(row.number, row.rfc) for row in plan] == list(enumerate(rfcs, 1))


@pytest.mark.usefixtures("_small_pieces")
@pytest.mark.parametrize("place", [0, 1, 39])
def test_a_text_that_looks_like_a_table_is_read_as_text(tmp_path: Path, place: int) -> None:
    tables = [TABLE | {"rfc": f"AAA010101{number:03}", "calle": f"Calle {number}"} for number in range(40)]
    text = toml(tables).replace(f'"Calle {place}"', f"'''\n[[empresas]]\n# {place}'''")
    error = refused(tmp_path, text)
    assert [(problem.row, problem.column) for problem in error.problems] == [(place + 1, "calle")]


PARTS = [
    "[[empresas]]\n", '[[empresas]]\nrfc = "a"\n', "[[empresas]]\ncalle = '''\n[[empresas]]\n'''\n", "# [[empresas]]\n",
    '[[empresas.series]]\nletra = "F"\n', 'calle = "x"\n', "'''\n",
]  # fmt: skip


@pytest.mark.parametrize("piece", [1, 2, 7])
@examples(500)
@given(text=st.lists(st.sampled_from(PARTS), max_size=12).map("".join))
def test_a_file_parsed_in_pieces_has_the_tables_of_the_whole_file(piece: int, text: str) -> None:
    def tables() -> tuple[list[object], int] | str:
        problems: list[PlanProblem] = []
        try:
            return list(toml_reader._tables(text, problems, set())), len(problems)
        except PlanError as error:
            return str(error)

    whole = tables()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(toml_reader, "_PIECE", piece)
        assert tables() == whole


def test_unknown_keys_of_all_pieces_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toml_reader, "_PIECE", 1)
    text = "".join(toml([TABLE | {"rfc": f"AAA01010100{number}"}]) + f"[other{number}]\n" for number in range(3))
    reasons = sorted(str(problem) for problem in refused(tmp_path, text).problems)
    expected = [f"there is no key other{number}: companies are written as [[empresas]]" for number in range(3)]
    assert reasons == [f"plan.toml: {reason}" for reason in expected]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_companies_may_be_one_array_of_tables(tmp_path: Path, encoding: str) -> None:
    path = folder(tmp_path) / "plan.toml"
    tables = [toml_value(TABLE | {"rfc": f"AAA010101{number:03}"}) for number in range(40)]
    path.write_text("empresas = [\n" + ",\n".join(tables) + "]", encoding)
    assert [row.number for row in Plan.from_toml(path)] == list(range(1, 41))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_plan_can_be_read_from_a_pipe(tmp_path: Path) -> None:
    for name, content in (("p.toml", written_toml(tmp_path, [TABLE])), ("p.csv", written(tmp_path, [ROW]))):
        pipe = tmp_path / name
        os.mkfifo(pipe)
        writer = threading.Thread(target=pipe.write_bytes, args=(content.read_bytes(),))
        writer.start()
        assert [row.rfc for row in Plan.from_file(pipe)] == ["EKU9003173C9"]
        writer.join()


# ── The same as CSV ───────────────────────────────────────────────────────────────────────────────────────────────────

ANYTHING = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
TEXT = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"], exclude_characters="\ufffd"), max_size=12)
NUMBER = st.integers(0, 99999)
PASSWORD_TEXT = TEXT.map(lambda text: f"x{text}")


def series(letras: st.SearchStrategy[str], folios: st.SearchStrategy[int]) -> st.SearchStrategy[list[dict[str, Any]]]:
    tipos = st.sampled_from(["factura", "pago", "nomina"])
    return st.lists(st.fixed_dictionaries({"letra": letras, "tipo_documento": tipos}, optional={"folio": folios}))


GOOD = {
    "razon_social": st.sampled_from(["ACME, S.A.", ' "Ñandú"; y\tcía ', "6.02E+23"]).map(
        lambda text: text.replace("\t", "")
    ),
    "rfc": st.sampled_from(["EKU9003173C9", " eku9003173c9", "HAÑ930228SM9", "han\u0303930228sm9"]),
    "codpos": st.sampled_from([6500, "06500", "6500", 42501]),
    "regimen": st.sampled_from([601, "605", " 601", ""]),
    "calle": TEXT,
    "telefono": TEXT | NUMBER,
    "mailtomyself": st.booleans() | st.sampled_from(["sí", "No", 1, 0, ""]),
    "cant_folios_min": NUMBER,
    "cer": st.sampled_from(["c/a.cer", "c\\a.cer"]),
    "logo": st.sampled_from(["c/logo.png", ""]),
    "password": PASSWORD_TEXT,
    "fielpassword": PASSWORD_TEXT,
    "existing": st.sampled_from(["adopt", " UPDATE", "fail", ""]),
    "series": series(st.sampled_from(["A", " ÑB", "7"]), st.integers(1, 10**9 - 1)),
}
BAD = dict.fromkeys(GOOD, ANYTHING | NUMBER.map(str)) | {
    "cer": st.sampled_from(["none", "c", "c/empty.cer", ""]),
    "logo": st.just("c/a.cer"),
    "series": series(st.text("A 7\n\u00a0", max_size=2), st.integers(0, 10**10)),
}
FIEL = {"fielcer": "c/f.cer", "fielkey": "c/f.key"}
ROWS = st.builds(
    lambda good, bad, keys: TABLE | FIEL | good | {key: bad[key] for key in keys},
    st.fixed_dictionaries(GOOD),
    st.fixed_dictionaries(BAD),
    st.sets(st.sampled_from(sorted(BAD)), max_size=2) | st.just(set()) | st.just(set()),
)


def in_a_cell(value: object) -> str:
    if isinstance(value, list):
        parts = [
            [serie["letra"], serie["tipo_documento"], *([serie["folio"]] if "folio" in serie else [])]
            for serie in value
        ]
        return ";".join(":".join(map(str, each)) for each in parts)
    return str(value)


#: Reasons that stand in place of those which quote a cell, where the cells of a table may be shifted.
HIDDEN_REASONS = {message("plan.hidden_fault").partition(" row")[0], message("plan.hidden_change").partition(" row")[0]}


def said(plan: Path, first: int) -> tuple[object, list[tuple[int, str, str]]]:
    """Return the rows that a plan holds, or None if it is refused, and its notices or faults."""
    try:
        read = Plan.from_file(plan)
    except PlanError as error:
        rows, told = None, error.problems
    else:
        rows, told = (
            ([(row.number - first, row.rfc, row.series, row.existing) for row in read], loaded(read)),
            read.notices,
        )
    return rows, sorted(
        (
            each.row - first,
            each.column,
            "" if rows is None and each.column == "series" else each.reason.partition(" row")[0],
        )
        for each in told
        if each.column
    )


@examples(200)
@given(rows=st.lists(ROWS, min_size=1, max_size=2))
@example(rows=[TABLE | {"razon_social": "6.02E+23", "password": "x@0"}])
@example(rows=[TABLE | {"regimen": "601 - General", "password": "x@0"}])
def test_csv_and_toml_of_the_same_values_are_the_same_plan(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
) -> None:
    path = tmp_path_factory.getbasetemp()
    cells = [{name: in_a_cell(value) for name, value in row.items()} for row in rows]
    (table_rows, of_tables), (cell_rows, of_cells) = said(written_toml(path, rows), 1), said(written(path, cells), 2)
    hidden = {(row, column) for row, column, reason in of_cells if reason in HIDDEN_REASONS}

    def shown(told: list[tuple[int, str, str]]) -> list[tuple[int, str, str]]:
        return [(row, column, "" if (row, column) in hidden else reason) for row, column, reason in told]

    assert (table_rows, shown(of_tables)) == (cell_rows, shown(of_cells))
