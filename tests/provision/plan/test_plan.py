"""A plan is read as spreadsheets write it, and refused as a whole with every fault at once."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import functools
import gc
import pickle
import re
import traceback
import unicodedata
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest
from attrs import evolve

from facturaonline_async import InvalidInputError, NuevaEmpresa, Sello
from facturaonline_async._messages import Message
from facturaonline_async.provision import Existing, Plan, PlanError, PlanProblem, PlanSerie, ValueRow, validate
from facturaonline_async.provision._plan.header import _problems as column_problems
from facturaonline_async.provision._plan.models import DuplicateFinder
from tests.calls import called
from tests.plans import HEADER, ROW, certify, folder, nueva, table, written, written_toml

PASSWORD = "clave secreta"
Form = Literal["NFC", "NFD"]


def problems(path: Path, *rows: dict[str, object]) -> list[tuple[int, str]]:
    with pytest.raises(PlanError) as refused:
        Plan.from_csv(written(path, [dict(row) for row in rows]))
    return [(problem.row, problem.column) for problem in refused.value.problems]


def loaded(path: Path, **cells: object) -> NuevaEmpresa:
    (row,) = Plan.from_csv(written(path, [ROW | cells]))
    return asyncio.run(row.load())


def test_a_row_becomes_a_company_with_its_certificate(tmp_path: Path) -> None:
    assert loaded(tmp_path) == NuevaEmpresa(
        razon_social="Ñandú & Compañía, S.A.",
        rfc="EKU9003173C9",
        codpos="06500",
        email="a@example.com",
        regimen="601",
        regimen_nomina="601",
        csd=Sello(b"a.cer", b"a.key", "12345678a"),
    )


def test_a_row_may_have_every_attribute(tmp_path: Path) -> None:
    empresa = loaded(
        tmp_path,
        calle="Calle",
        exterior="1",
        mailtomyself="sí",
        mailtomyconta="0",
        mail_conta="c@example.com",
        cant_folios_min="66",
        fielcer="c/f.cer",
        fielkey="c/f.key",
        fielpassword="clave",
        logo="c/logo.png",
    )
    assert (empresa.calle, empresa.exterior, empresa.mail_conta) == ("Calle", "1", "c@example.com")
    assert (empresa.mailtomyself, empresa.mailtomyconta, empresa.cant_folios_min) == (True, False, 66)
    assert empresa.fiel == Sello(b"f.cer", b"f.key", "clave")
    assert empresa.logo == b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(
    ("cell", "series"),
    [
        (
            "F:factura:1;P:pago",
            (PlanSerie(letra="F", tipo_documento="factura", folio=1), PlanSerie(letra="P", tipo_documento="pago")),
        ),
        (" F : factura : 7 ; ", (PlanSerie(letra="F", tipo_documento="factura", folio=7),)),
        ("NC:nota_credito:", (PlanSerie(letra="NC", tipo_documento="nota_credito"),)),
        ("", ()),
    ],
)
def test_series_are_read_from_their_cell(tmp_path: Path, cell: str, series: tuple[PlanSerie, ...]) -> None:
    (row,) = Plan.from_csv(written(tmp_path, [ROW | {"series": cell}]))
    assert row.series == series


@pytest.mark.parametrize(
    "cell",
    [
        "F",
        "F:",
        ":factura",
        "F:factura:x",
        "F:factura:0",
        "F:factura:-1",
        "F:factura:1:2",
        "F:factura:٣",
        "F:factura:1000000000",
    ],
)
def test_an_invalid_series_cell_is_a_problem(tmp_path: Path, cell: str) -> None:
    assert problems(tmp_path, ROW | {"series": cell}) == [(2, "series")]


@pytest.mark.parametrize("tipo", ["facturas", "Factura", "nota-crédito", "FACTURA", "pagos"])
def test_a_misspelt_tipo_is_a_problem_without_any_tipo(tmp_path: Path, tipo: str) -> None:
    path = written(tmp_path, [ROW | {"series": f"F:{tipo}"}])
    table = written_toml(tmp_path, [ROW | {"series": [{"letra": "F", "tipo_documento": tipo}]}])
    for read, file in ((Plan.from_csv, path), (Plan.from_toml, table), (Plan.from_file, path)):
        with pytest.raises(
            PlanError, match=f"series: {tipo} is not a documented tipo_documento: did you mean .*--any-tipo"
        ):
            read(file)
        plan = read(file, any_tipo=True)
        assert [row.series for row in plan] == [(PlanSerie(letra="F", tipo_documento=tipo),)]
        assert [notice.column for notice in plan.notices] == ["series"]


def test_the_problem_of_a_series_cell_shows_an_example(tmp_path: Path) -> None:
    with pytest.raises(
        PlanError, match=r"tipo_documento\[:folio\]; several are joined by ';', such as F:factura:1;P:pago"
    ):
        Plan.from_csv(written(tmp_path, [ROW | {"series": "factura"}]))


# ── As spreadsheets write it ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.encode("utf-8"),
        lambda text: codecs.BOM_UTF8 + text.encode("utf-8"),
        lambda text: text.encode("cp1252"),
        lambda text: codecs.BOM_UTF16_LE + text.encode("utf-16-le"),
        lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    ],
    ids=["utf-8", "utf-8 with BOM", "cp1252", "utf-16-le", "utf-16-be"],
)
@pytest.mark.parametrize("newline", ["\r\n", "\n"])
def test_every_delimiter_encoding_and_line_end_gives_the_same_plan(
    tmp_path: Path, delimiter: str, encode: object, newline: str
) -> None:
    text = table([ROW, ROW | {"rfc": "HAÑ930228SM9"}], delimiter=delimiter).replace("\r\n", newline)
    path = folder(tmp_path) / "plan.csv"
    path.write_bytes(encode(text))  # type: ignore[operator]
    rows = Plan.from_csv(path).rows
    assert [row.rfc for row in rows] == ["EKU9003173C9", "HAÑ930228SM9"]
    assert asyncio.run(rows[0].load()).razon_social == "Ñandú & Compañía, S.A."
    assert rows[0].series[1] == PlanSerie(letra="P", tipo_documento="pago")


def test_a_sep_line_untidy_headers_and_empty_rows_and_columns_are_accepted(tmp_path: Path) -> None:
    text = table([ROW], delimiter=";", columns=[*HEADER, "", " "])
    text = "sep=;\r\n" + text.replace("razon_social", " RAZON_SOCIAL ") + ";;;\r\n\r\n"
    path = folder(tmp_path) / "plan.csv"
    path.write_text(text, newline="")
    assert [row.number for row in Plan.from_csv(path)] == [2]


def test_a_codigo_postal_that_lost_its_zero_is_restored_and_reported(tmp_path: Path) -> None:
    plan = Plan.from_csv(written(tmp_path, [ROW, ROW | {"rfc": "HAÑ930228SM9", "codpos": "6500"}]))
    assert [asyncio.run(row.load()).codpos for row in plan] == ["06500", "06500"]
    assert plan.notices == (PlanProblem(row=3, column="codpos", reason="was read with its leading zero", seen="6500"),)


def test_rows_are_numbered_as_a_spreadsheet_shows_them(tmp_path: Path) -> None:
    text = table([ROW, ROW | {"rfc": "bad"}]).replace('\r\n"Ñ', '\r\n,,,\r\n\r\n"Ñ')
    path = folder(tmp_path) / "plan.csv"
    path.write_text(text, encoding="utf-8", newline="")
    with pytest.raises(PlanError) as refused:
        Plan.from_csv(path)
    assert [problem.row for problem in refused.value.problems] == [7]


@pytest.mark.parametrize(
    "column", ["rfc", "calle", "curp", "codpos", "regimen_nomina", "existing", "cer", "series", "mailtomyself"]
)
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("#N/D", "is the error of a spreadsheet's formula: correct the formula, or give the value"),
        ("#¡REF!", "is the error of a spreadsheet's formula: correct the formula, or give the value"),
        ("########", "is what a spreadsheet shows in a column that is too narrow: give the value"),
    ],
)
def test_an_error_value_of_a_spreadsheet_is_refused_in_every_column(
    tmp_path: Path, column: str, error: str, reason: str
) -> None:
    with pytest.raises(PlanError) as refused:
        Plan.from_csv(written(tmp_path, [ROW | {column: error}]))
    (problem,) = refused.value.problems
    assert (problem.column, problem.reason) == (column, reason)


def test_a_password_that_looks_like_an_error_value_is_accepted(tmp_path: Path) -> None:
    assert Plan.from_csv(written(tmp_path, [ROW | {"password": "#Hola!"}])).notices == ()


def test_a_faulty_row_counts_with_its_series(tmp_path: Path) -> None:
    faulty = ROW | {"rfc": "HAÑ930228SM9", "series": "F:facturas;P:pago"}
    parsed = Plan.parse(written(tmp_path, [ROW | {"series": "F:factura"}, faulty]))
    assert (len(parsed), parsed.series_count, [problem.column for problem in parsed.problems]) == (2, 3, ["series"])


@pytest.mark.parametrize(
    ("raw", "sent", "how"),
    [
        ("COMPAN\u0303I\u0301A", "COMPAÑÍA", "with composed characters (NFC)"),
        ("ESCUELA\u00a0KEMPER", "ESCUELA KEMPER", "with blanks in place of no-break blanks"),
        (
            "  ESCUELA KEMPER\u00a0",
            "ESCUELA KEMPER",
            "with blanks in place of no-break blanks, without the blanks around it",
        ),
        ("ESCUELA   KEMPER", "ESCUELA KEMPER", "with single blanks"),
        ('="ESCUELA KEMPER"', "ESCUELA KEMPER", 'without the formula ="…" around it'),
        (' "ESCUELA ""KEMPER"""', 'ESCUELA "KEMPER"', "without the quotation marks after a blank"),
        (' " ESCUELA"', "ESCUELA", "without the quotation marks after a blank, without the blanks around it"),
    ],
)
def test_a_name_with_a_certain_correction_is_corrected_with_a_notice(
    tmp_path: Path, raw: str, sent: str, how: str
) -> None:
    plan = Plan.from_csv(written(tmp_path, [ROW | {"razon_social": raw}]))
    (row,) = plan
    assert asyncio.run(row.load()).razon_social == sent
    assert plan.notices == (PlanProblem(row=2, column="razon_social", reason=f"was read {how}", seen=raw),)


@pytest.mark.parametrize(
    ("column", "raw", "sent", "how"),
    [
        ("codpos", '="06500"', "06500", 'was read without the formula ="…" around it'),
        ("codpos", "'06500", "06500", "was read without the apostrophe before it"),
        ("telefono", "'5512345678", "5512345678", "was read without the apostrophe before it"),
        ("regimen", " 601", "601", "was read without the blanks around it"),
        ("rfc", "'EKU9003173C9", "EKU9003173C9", "was read without the apostrophe before it"),
        ("rfc", "eku9003173c9", "EKU9003173C9", "was read in upper case"),
        ("rfc", "HAN\u0303930228SM9", "HAÑ930228SM9", "was read with composed characters (NFC)"),
        ("email", "a@example.com\n", "a@example.com", "was read without the blanks around it"),
    ],
)
def test_every_corrected_text_has_a_notice(tmp_path: Path, column: str, raw: str, sent: str, how: str) -> None:
    plan = Plan.from_csv(written(tmp_path, [ROW | {column: raw}]))
    (row,) = plan
    assert getattr(asyncio.run(row.load()), column) == sent
    assert plan.notices == (PlanProblem(row=2, column=column, reason=how, seen=raw),)


@pytest.mark.parametrize("column", ["razon_social", "calle", "colonia", "mail_conta"])
@pytest.mark.parametrize("cell", ["#¿NOMBRE?", "####", "nan", "L&amp;O", "COMPAÃ‘IA", "'ACME", "=A1", "COMPA?IA"])
def test_a_placeholder_is_refused_as_a_name_or_an_address(tmp_path: Path, column: str, cell: str) -> None:
    assert problems(tmp_path, ROW | {column: cell}) == [(2, column)]


@pytest.mark.parametrize("cell", ["N/A", "S/N", "--", "."])
def test_a_name_without_letters_is_refused(tmp_path: Path, cell: str) -> None:
    assert problems(tmp_path, ROW | {"razon_social": cell}) == [(2, "razon_social")]
    assert loaded(tmp_path, exterior=cell).exterior == cell


@pytest.mark.parametrize("column", ["razon_social", "rfc", "codpos", "email", "regimen", "calle", "telefono"])
def test_the_problem_of_an_invisible_character_names_it(tmp_path: Path, column: str) -> None:
    row: dict[str, Any] = ROW | {"calle": "Centro", "telefono": "5512345678"}
    with pytest.raises(PlanError) as refused:
        Plan.from_csv(written(tmp_path, [row | {column: row[column][:2] + "\u200b" + row[column][2:]}]))
    expected = f"row 2, {column}: holds the invisible character U+200B (zero width space) at place 3: "
    assert [str(each) for each in refused.value.problems] == [expected + "delete it, or type the text anew"]


@pytest.mark.parametrize("cell", ["F\u200b:factura", "F:fac\u00adtura"])
def test_an_invisible_character_in_a_serie_is_a_problem(tmp_path: Path, cell: str) -> None:
    assert problems(tmp_path, ROW | {"series": cell}) == [(2, "series")]


def test_a_corrected_serie_has_a_notice(tmp_path: Path) -> None:
    plan = Plan.from_csv(written(tmp_path, [ROW | {"series": "N\u0303 : factura"}]))
    assert [row.series for row in plan] == [(PlanSerie(letra="Ñ", tipo_documento="factura"),)]
    assert [notice.reason for notice in plan.notices] == ["was read with composed characters (NFC)"]


def test_passwords_are_never_corrected(tmp_path: Path) -> None:
    for password in (" 'x  y", '="x"', "nan", "Contrasen\u0303a"):
        assert loaded(tmp_path, password=password).csd.password.reveal() == password


@pytest.mark.parametrize("newline", ["\r\n", "\n"])
def test_blanks_after_the_separators_are_removed_in_all_rows(tmp_path: Path, newline: str) -> None:
    path = folder(tmp_path) / "plan.csv"
    name = '"ACME, ""LA"" S.A."'
    line = f'{name}, EKU9003173C9, 06500, a@b.mx, 601, 601, c/a.cer, c/a.key, "12345678a", F:factura'
    path.write_text(newline.join([", ".join(HEADER), line]), encoding="utf-8", newline="")
    plan = Plan.from_csv(path)
    (row,) = plan
    empresa = asyncio.run(row.load())
    assert (empresa.razon_social, empresa.csd.password.reveal()) == ('ACME, "LA" S.A.', "12345678a")
    assert ["a blank follows each separator" in str(notice) for notice in plan.notices] == [True]


def test_a_quotation_mark_after_a_blank_that_splits_a_cell_is_a_problem(tmp_path: Path) -> None:
    path = folder(tmp_path) / "plan.csv"
    path.write_text(table([ROW]).replace("6500", '6500, "x,y"'), encoding="utf-8", newline="")
    with pytest.raises(PlanError, match="A quotation mark must follow the separator, without a blank"):
        Plan.from_csv(path)


@pytest.mark.parametrize("end", ["\x1a", "\x1a\x1a", "\r\n\x1a", "\r\n\r\n\x1a"])
@pytest.mark.parametrize("last", ["F:factura", '"F:factura"'])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
def test_a_ctrl_z_at_the_end_is_ignored(tmp_path: Path, end: str, last: str, encoding: str) -> None:
    path = folder(tmp_path) / "plan.csv"
    path.write_bytes((table([ROW | {"series": "LAST"}]).rstrip().replace("LAST", last) + end).encode(encoding))
    assert [row.series for row in Plan.from_csv(path)] == [(PlanSerie(letra="F", tipo_documento="factura"),)]


def test_a_ctrl_z_elsewhere_is_a_problem(tmp_path: Path) -> None:
    assert problems(tmp_path, ROW | {"calle": "una\x1ados"}) == [(2, "calle")]


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_file_is_found_in_any_unicode_form_of_its_path(tmp_path: Path, forms: tuple[Form, Form]) -> None:
    there, named = forms
    home = tmp_path / unicodedata.normalize(there, "certificación")
    home.mkdir()
    for kind in ("cer", "key"):
        (home / unicodedata.normalize(there, f"compañía.{kind}")).write_bytes(kind.encode())
    paths = {kind: unicodedata.normalize(named, f"certificación/compañía.{kind}") for kind in ("cer", "key")}
    empresa = loaded(tmp_path, **paths)
    assert (empresa.csd.cer, bytes(empresa.csd.key)) == (b"cer", b"key")


def test_of_two_files_that_differ_in_their_unicode_form_the_exact_match_is_read(tmp_path: Path) -> None:
    forms: tuple[Form, ...] = ("NFC", "NFD")
    for form in forms:
        (tmp_path / unicodedata.normalize(form, "ñ.cer")).write_bytes(form.encode())
    for form in forms:
        assert loaded(tmp_path, cer=unicodedata.normalize(form, "ñ.cer")).csd.cer == form.encode()


# ── Other encodings ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("encoding", "name"),
    [("mac_roman", "MacRoman"), ("cp850", "DOS"), ("cp437", "DOS")],
)
@pytest.mark.parametrize(
    "text", ["COMPAÑIA DE MEXICO", "Compañía de México", "ñandú", "Peña Muñoz", "É. Díaz", "Juan José"]
)
def test_macroman_and_dos_are_recognised_and_refused(tmp_path: Path, encoding: str, name: str, text: str) -> None:
    path = folder(tmp_path) / "plan.csv"
    path.write_bytes(table([ROW | {"razon_social": text}]).encode(encoding))
    with pytest.raises(PlanError, match=f"row 2: the file is neither UTF-8 .* looks like .*{name}.*: save it as CSV"):
        Plan.from_csv(path)


@pytest.mark.parametrize(
    "text",
    [
        "COMPAÑÍA DE MÉXICO",
        "Peña O’Brien",
        "“La Niña”",
        "México–Cancún",
        "A – B",
        "Nº 5 º",
        "¡Hola!",
        "€ 5",
        "Ångström",
    ],
)
def test_windows_1252_is_read_with_a_notice(tmp_path: Path, text: str) -> None:
    path = folder(tmp_path) / "plan.csv"
    path.write_bytes(table([ROW | {"razon_social": "ACME", "calle": text}]).encode("cp1252"))
    plan = Plan.from_csv(path)
    (row,) = plan
    assert asyncio.run(row.load()).calle == text
    assert [str(notice) for notice in plan.notices] == [
        "row 2: the file is not UTF-8 from here on, and was read as Windows-1252"
    ]


# ── As much as a file can hold ────────────────────────────────────────────────────────────────────────────────────────


class Counted(str):
    """A text that counts how often it is compared."""

    __slots__ = ()
    times = 0

    def __eq__(self, other: object) -> bool:
        Counted.times += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def compared(act: Callable[[], object]) -> int:
    Counted.times = 0
    act()
    return Counted.times


def test_repeated_columns_are_found_in_linear_time() -> None:
    def comparisons(number: int) -> int:
        columns = [Counted(f"c{each // 2}") for each in range(number)]
        return compared(lambda: list(column_problems([*columns, Counted("rfc")], 1, [*columns, "rfc"])))

    assert 0 < comparisons(2_000) <= 2.5 * comparisons(1_000)


def test_repeated_series_are_found_in_linear_time() -> None:
    def comparisons(number: int) -> int:
        series: Any = [SimpleNamespace(key=(Counted(f"F{each // 2}"), "factura")) for each in range(number)]
        return compared(lambda: list(DuplicateFinder.find_series(series, 2)))

    assert 0 < comparisons(2_000) <= 2.5 * comparisons(1_000)


@pytest.mark.one_python
@pytest.mark.parametrize("series", ["F{0}:factura", "F{1}:factura", "F{0}", "F{0}:facturas"])
def test_the_work_for_a_series_cell_is_linear(tmp_path: Path, series: str) -> None:
    def calls(number: int) -> int:
        cell = ";".join(series.format(each, each // 2) for each in range(number))
        path = written(tmp_path, [ROW | {"series": cell}])

        def read() -> None:
            with contextlib.suppress(PlanError):
                Plan.from_csv(path)

        return called(read)

    assert calls(8_000) <= 2.5 * calls(4_000)


@pytest.mark.one_python
def test_the_work_for_a_header_is_linear(tmp_path: Path) -> None:
    def calls(number: int) -> int:
        path = folder(tmp_path) / "plan.csv"
        path.write_text(",".join([*HEADER, *(f"c{each // 2}" for each in range(number))]))

        def read() -> None:
            with contextlib.suppress(PlanError):
                Plan.from_csv(path)

        return called(read)

    assert calls(20_000) <= 2.5 * calls(10_000)


# ── Faults ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_all_faulty_rows_columns_and_reasons_are_reported_at_once(tmp_path: Path) -> None:
    faulty = ROW | {"rfc": "EKU", "codpos": "42a", "email": "nobody", "cer": "c/none.cer", "series": "F"}
    with pytest.raises(PlanError) as refused:
        Plan.from_csv(written(tmp_path, [faulty, ROW, ROW | {"rfc": "HAÑ930228SM9", "razon_social": " "}]))
    assert str(refused.value).splitlines() == [
        "The plan has faults:",
        "row 2, rfc: must be an RFC of 12 or 13 characters",
        "row 2, codpos: must be a código postal of 5 digits",
        "row 2, email: must be an e-mail address",
        (
            "row 2, series: serie 1 must be letra:tipo_documento[:folio]; "
            "several are joined by ';', such as F:factura:1;P:pago"
        ),
        "row 2, cer: cannot be read: No such file or directory",
        "row 4, razon_social: is required, and empty",
    ]
    assert pickle.loads(pickle.dumps(refused.value)).problems == refused.value.problems
    assert isinstance(refused.value, InvalidInputError)


def test_a_plans_error_and_each_of_its_problems_have_a_code(tmp_path: Path) -> None:
    faulty = ROW | {"rfc": "EKU", "email": "a\nb@example.com", "cer": "c/none.cer", "password": ""}
    with pytest.raises(PlanError) as refused:
        Plan.from_csv(written(tmp_path, [faulty]))
    codes = {problem.column: problem.code for problem in refused.value.problems}
    assert refused.value.code == "plan.faulty"
    assert codes == {
        "rfc": "plan.not_rfc",
        "email": "values.control_character",
        "cer": "sello.file_unreadable",
        "password": "plan.password_required",
    }
    with pytest.raises(PlanError) as missing:
        Plan.from_csv(tmp_path / "none.csv")
    assert (missing.value.code, missing.value.problems[0].code) == ("plan.faulty_file", "plan.unreadable")


def test_a_message_about_a_file_has_no_path_which_may_be_a_shifted_password(tmp_path: Path) -> None:
    for cell in ("c/none.cer", "c"):
        with pytest.raises(PlanError) as refused:
            Plan.from_csv(written(tmp_path, [ROW | {"cer": cell}]))
        (problem,) = refused.value.problems
        assert isinstance(problem.reason, Message)
        assert problem.reason.parameters["path"] == ""


def test_a_line_break_in_a_cell_is_named(tmp_path: Path) -> None:
    with pytest.raises(PlanError) as refused:
        Plan.from_csv(written(tmp_path, [ROW | {"calle": "Norte\n5"}]))
    assert [str(problem) for problem in refused.value.problems] == [
        (
            "row 2, calle: holds the character U+000A at place 6: the API takes no line breaks, tabs or control "
            "characters. Is a quotation mark missing?"
        )
    ]


@pytest.mark.parametrize(("faults", "rest"), [(51, "… and 1 more fault"), (52, "… and 2 more faults")])
def test_an_error_lists_fifty_faults_and_counts_the_rest(faults: int, rest: str) -> None:
    error = PlanError.of([PlanProblem(row=row, column="rfc", reason="x") for row in range(1, faults + 1)])
    assert str(error).splitlines()[50:] == ["row 50, rfc: x", rest]


@pytest.mark.parametrize(
    "column", ["razon_social", "rfc", "codpos", "email", "regimen_nomina", "cer", "key", "password"]
)
def test_a_missing_cell_is_a_problem(tmp_path: Path, column: str) -> None:
    assert problems(tmp_path, ROW | {column: ""}) == [(2, column)]


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("rfc", "EKU9003173C"),
        ("codpos", "123456"),
        ("codpos", "650"),
        ("regimen", "six"),
        ("regimen_nomina", "6011"),
        ("mailtomyself", "maybe"),
        ("cant_folios_min", "many"),
        ("cer", "c/empty.cer"),
        ("key", "c"),
        ("logo", "c/none.png"),
        ("cer", "c/none\\a.cer"),
    ],
)
def test_an_invalid_cell_is_a_problem(tmp_path: Path, column: str, cell: str) -> None:
    assert problems(tmp_path, ROW | {column: cell}) == [(2, column)]


@pytest.mark.parametrize("column", ["razon_social", "calle", "telefono", "password"])
@pytest.mark.parametrize("cell", ["una\r\ndos", "una\ndos", "una\tdos", "esc\x1b[31m", "bad \ufffd"])
def test_a_line_break_in_a_cell_is_a_problem(tmp_path: Path, column: str, cell: str) -> None:
    assert problems(tmp_path, ROW | {"calle": "x", "telefono": "1", column: cell}) == [(2, column)]


@pytest.mark.parametrize("stray", ['"Av. Juárez', '"Plaza 5'])
def test_a_missing_quotation_mark_hides_no_company(tmp_path: Path, stray: str) -> None:
    """Before the fix, the rows behind it became part of an address, passwords and all, and the run was complete."""
    rows = [ROW | {"rfc": f"AAA010101{number:03}", "calle": "Centro"} for number in range(5)]
    text = table(rows).split("\r\n")
    for damage in ([2], [2, 4]):
        lines = [line.removesuffix("Centro") + stray if number in damage else line for number, line in enumerate(text)]
        if len(damage) == 2:
            lines[4] += '"'
        path = folder(tmp_path) / "plan.csv"
        path.write_text("\r\n".join(lines), encoding="utf-8", newline="")
        with pytest.raises(PlanError, match="quotation mark"):
            Plan.from_csv(path)


@pytest.mark.parametrize("places", [-2, -1, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("password", ["Clave:Secreta:9", "#Hola!"])  # the second one looks like the error of a formula
def test_no_message_shows_a_password_in_a_column_beside_its_own(tmp_path: Path, places: int, password: str) -> None:
    columns = [*HEADER[:-1], "password_env", "fielcer", "fielkey", "fielpassword", "series"]
    column = columns[columns.index("password") + places]
    row = {**ROW, "series": "F:factura", column: password}
    with pytest.raises(PlanError) as refused:
        Plan.from_csv(written(tmp_path, [row | {"rfc": "EKU"}], columns=columns))
    shown = str(refused.value) + repr(refused.value.problems) + repr(refused.value.notices)
    assert (password in shown, "Secreta" in shown) == (False, False)
    assert "row 2, rfc: must be an RFC of 12 or 13 characters" in str(refused.value)


def test_no_message_shows_a_cell_of_a_row_with_more_cells_than_columns(tmp_path: Path) -> None:
    path = written(tmp_path, [ROW | {"codpos": PASSWORD, "telefono": " 55 "}])
    path.write_text(path.read_text(encoding="utf-8").rstrip() + ",more\r\n", encoding="utf-8", newline="")
    with pytest.raises(PlanError, match="has 12 cells, the header has 11 columns") as refused:
        Plan.from_csv(path)
    assert [(each.column, each.seen) for each in refused.value.problems] == [("", None), ("codpos", None)]
    assert [each.seen for each in refused.value.notices] == [None]


def test_a_backslash_in_a_path_is_read_as_on_windows(tmp_path: Path) -> None:
    assert loaded(tmp_path, cer="c\\a.cer").csd.cer == b"a.cer"


def test_an_encoding_that_was_guessed_is_reported(tmp_path: Path) -> None:
    path = folder(tmp_path) / "plan.csv"
    path.write_bytes(table([ROW]).encode("cp1252"))
    (notice,) = Plan.from_csv(path).notices
    assert str(notice) == ("row 2: the file is not UTF-8 from here on, and was read as Windows-1252")


def test_a_utf_8_file_with_an_invalid_byte_is_not_read_as_another_encoding(tmp_path: Path) -> None:
    path = folder(tmp_path) / "plan.csv"
    path.write_bytes(table([ROW, ROW | {"rfc": "HAÑ930228SM9"}]).encode().replace(b"a@example.com", b"a\xff@b.mx", 1))
    with pytest.raises(PlanError, match="row 2: holds bytes that are not UTF-8"):
        Plan.from_csv(path)


def test_a_quoted_name_and_an_undocumented_tipo_have_a_notice(tmp_path: Path) -> None:
    rows = [ROW | {"series": "N:nomina", "razon_social": '"LA MONTAÑA"'}]
    plan = Plan.from_csv(written(tmp_path, rows))
    assert [(notice.row, notice.column) for notice in plan.notices] == [(2, "razon_social"), (2, "series")]


def test_the_text_of_an_error_with_many_problems_is_short(tmp_path: Path) -> None:
    with pytest.raises(PlanError) as refused:
        Plan.from_csv(written(tmp_path, [ROW | {"rfc": "x"} for _ in range(80)]))
    assert (len(str(refused.value).splitlines()), len(refused.value.problems)) == (52, 80)


@pytest.mark.parametrize(
    ("cells", "columns"),
    [
        ({"fielcer": "c/f.cer"}, {"fielkey", "fielpassword"}),
        ({"fielpassword": "x"}, {"fielcer", "fielkey"}),
        ({"fielcer": "c/f.cer", "fielkey": "c/f.key"}, {"fielpassword"}),
    ],
)
def test_a_fiel_needs_certificate_key_and_password(tmp_path: Path, cells: dict[str, str], columns: set[str]) -> None:
    assert {column for _, column in problems(tmp_path, ROW | cells)} == columns


def test_wrong_columns_are_reported_before_any_row(tmp_path: Path) -> None:
    path = folder(tmp_path) / "plan.csv"
    path.write_text("razon_social,rfc,color,rfc,csd\r\nx,y,z,y,w\r\n", encoding="utf-8", newline="")
    with pytest.raises(PlanError) as refused:
        Plan.from_csv(path)
    assert {problem.column for problem in refused.value.problems} == {
        *("", "color", "csd", "rfc", "codpos", "email", "regimen_nomina", "cer", "key", "password"),
    }
    assert {problem.row for problem in refused.value.problems} == {1}


@pytest.mark.parametrize(
    ("written_as", "meant"),
    [
        ("codigo posta", "codpos"),
        ("Razón Socal", "razon_social"),
        ("E-Mial", "email"),
        ("regim. nomina", "regimen_nomina"),
    ],
)
def test_an_unknown_column_is_shown_as_typed_with_a_suggestion(tmp_path: Path, written_as: str, meant: str) -> None:
    path = folder(tmp_path) / "plan.csv"
    path.write_text(table([ROW]).replace(meant, written_as, 1), encoding="utf-8", newline="")
    with pytest.raises(PlanError) as refused:
        Plan.from_csv(path)
    first = refused.value.problems[0]
    assert (first.column, first.reason) == (written_as, f"unknown column; did you mean {meant}?")
    assert "the columns are" not in str(refused.value)


@pytest.mark.parametrize("pasted", ["SENTINEL99", "clave 2024", "Cl4ve-Secreta", "clave!secreta", "s" * 41, "ñandú٣"])
@pytest.mark.parametrize("times", [1, 2])
def test_a_password_in_the_header_is_shown_as_the_number_of_its_column(tmp_path: Path, pasted: str, times: int) -> None:
    path = folder(tmp_path) / "plan.csv"
    header, row, *_ = table([ROW]).splitlines()
    path.write_text(f"{header}{times * (',' + pasted)}\r\n{row}{times * ','}\r\n", encoding="utf-8", newline="")
    with pytest.raises(PlanError) as refused:
        Plan.from_csv(path)
    number = len(ROW) + 1
    assert pasted.lower() not in str(refused.value).lower()
    assert f"row 1, column {number}: unknown column" in str(refused.value)
    assert (f"row 1, column {number}: the column appears twice" in str(refused.value)) is (times == 2)


@pytest.mark.parametrize("name", ["Régimen-Fiscal extra", "*", "color", "2024", "other_name"])
def test_an_unknown_header_that_looks_like_a_name_is_shown(tmp_path: Path, name: str) -> None:
    path = folder(tmp_path) / "plan.csv"
    header, row, *_ = table([ROW]).splitlines()
    path.write_text(f"{header},{name}\r\n{row},\r\n", encoding="utf-8", newline="")
    with pytest.raises(PlanError, match=f"row 1, {re.escape(name)}: unknown column"):
        Plan.from_csv(path)


def test_a_cell_beyond_the_header_is_a_problem(tmp_path: Path) -> None:
    path = folder(tmp_path) / "plan.csv"
    path.write_text(table([ROW]).rstrip() + ",surplus\r\n", encoding="utf-8", newline="")
    with pytest.raises(
        PlanError,
        match=r"row 2: has (\d+) cells, the header has \d+ columns\. Quote cells that contain the separator\.",
    ):
        Plan.from_csv(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "row 1: is not a header"),
        (table([]).encode(), "no rows"),
        (b'rfc\r\n"x"', "the column is missing"),
        (b'rfc\r\n"x', "this is not CSV"),
        (b"PK\x03\x04...", "this is a workbook"),
        (b"r\0f\0c\0", "not text in a known encoding"),
        (b"Empresa,EKU9003173C9,06500,a@b.mx,601,601,a.cer,a.key,clave-secreta", "row 1: is not a header"),
        (b'rfc,"' + b"x" * 200_000, "this is not CSV"),
        (table([ROW]).encode("utf-16") + b"\x00\xd8\x00\x00", "it begins as UTF-16, but holds bytes that are not"),
    ],
)
def test_a_file_that_is_no_plan_is_refused_with_the_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "plan.csv"
    path.write_bytes(content)
    with pytest.raises(PlanError, match=reason):
        Plan.from_csv(path)


def test_a_missing_file_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"^.*none\.csv: the plan cannot be read: the file does not exist\.$"):
        Plan.from_csv(tmp_path / "none.csv")


def test_the_same_company_twice_is_a_problem(tmp_path: Path) -> None:
    rows = [ROW, ROW | {"rfc": "HAÑ930228SM9"}, ROW | {"rfc": "han\u0303930228sm9"}]
    assert problems(tmp_path, *rows) == [(4, "rfc")]
    assert problems(tmp_path, rows[0], rows[1] | {"codpos": "x"}, rows[2] | {"email": "x"}) == [
        (3, "codpos"),
        (4, "email"),
        (4, "rfc"),
    ]


def test_the_same_serie_twice_in_a_company_is_a_problem(tmp_path: Path) -> None:
    assert problems(tmp_path, ROW | {"series": "F:factura;F:factura:7;F:pago"}) == [(2, "series")]


# ── What becomes of what exists ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("cell", "existing"),
    [("adopt", "adopt"), (" Update ", "update"), ("FAIL", "fail"), ("", None), (" ", None)],
)
def test_a_row_may_override_existing(tmp_path: Path, cell: str, existing: Existing) -> None:
    (row,) = Plan.from_csv(written(tmp_path, [ROW | {"existing": cell}]))
    assert row.existing == existing


def test_another_value_for_existing_is_refused(tmp_path: Path) -> None:
    assert problems(tmp_path, ROW | {"existing": "replace"}) == [(2, "existing")]
    wrong: Any = "replace"
    with pytest.raises(InvalidInputError, match=r"'adopt', 'update' or 'fail'.* it was 'replace'"):
        ValueRow(nueva=nueva("EKU9003173C9"), existing=wrong)


# ── By its name ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_suffix_of_a_file_selects_its_reader(tmp_path: Path) -> None:
    written(tmp_path, [ROW]).rename(tmp_path / "plan.CSV")
    written_toml(tmp_path, [ROW | {"rfc": "HAÑ930228SM9"}])
    assert [row.rfc for name in ("plan.CSV", "plan.toml") for row in Plan.from_file(tmp_path / name)] == [
        "EKU9003173C9",
        "HAÑ930228SM9",
    ]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("plan", "plan: the name of a plan must end in .csv, .xlsx, .ods or .toml"),
        ("plan.json", "plan.json: the name of a plan must end in .csv, .xlsx, .ods or .toml"),
        (
            "plan.xls",
            "plan.xls: workbooks are read if their names end in .xlsx, .xlsm or .ods: save it as .xlsx",
        ),
    ],
)
def test_another_suffix_of_a_file_is_refused(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(PlanError) as refused:
        Plan.from_file(tmp_path / name)
    assert [str(problem) for problem in refused.value.problems] == [reason]


# ── Passwords ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_password_may_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CSD_OF_KEMPER", "clave secreta")
    assert loaded(tmp_path, password="", password_env="CSD_OF_KEMPER").csd.password.reveal() == "clave secreta"


@pytest.mark.parametrize(
    ("cells", "column"),
    [
        ({"password_env": "CSD_OF_KEMPER"}, "password"),
        ({"password": "", "password_env": "CSD_OF_NOBODY"}, "password_env"),
    ],
)
def test_a_password_comes_either_from_its_cell_or_from_a_set_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cells: dict[str, str], column: str
) -> None:
    monkeypatch.setenv("CSD_OF_KEMPER", "clave secreta")
    monkeypatch.delenv("CSD_OF_NOBODY", raising=False)
    assert problems(tmp_path, ROW | cells) == [(2, column)]


@pytest.mark.parametrize("cell", ["CSD_OF_NOBODY", "Secreto99"])
def test_the_name_of_an_unset_variable_is_not_shown(tmp_path: Path, cell: str) -> None:
    with pytest.raises(PlanError) as refused:
        Plan.from_csv(written(tmp_path, [ROW | {"password": "", "password_env": cell}]))
    expected = "row 2, password_env: the environment variable that this cell names is not set or is empty"
    assert [str(each) for each in refused.value.problems] == [expected]


def test_a_plan_error_has_the_notices_too(tmp_path: Path) -> None:
    rows = [ROW | {"calle": " Centro "}, ROW | {"rfc": "HAÑ930228SM9", "codpos": "x", "calle": " Norte "}]
    with pytest.raises(PlanError) as refused:
        Plan.from_csv(written(tmp_path, rows))
    reason = "was read without the blanks around it"
    assert pickle.loads(pickle.dumps(refused.value)).notices == (
        PlanProblem(row=2, column="calle", reason=reason, seen=" Centro "),
        PlanProblem(row=3, column="calle", reason=reason, seen=" Norte "),
    )


# ── Certificates of all rows ──────────────────────────────────────────────────────────────────────────────────────────


async def test_the_certificates_of_faulty_rows_are_checked_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CSD_OF_KEMPER", "wrong")
    certify(tmp_path, ["EKU9003173C9"])
    files = {"cer": "c/EKU9003173C9.cer", "key": "c/EKU9003173C9.key"}
    fiel = {"fielcer": files["cer"], "fielkey": files["key"], "fielpassword": "12345678a"}
    rows = [
        ROW | files | fiel | {"rfc": "x"},
        ROW | files | {"codpos": "x", "password": "", "password_env": "CSD_OF_KEMPER"},
        ROW | {"rfc": "HAÑ930228SM9"},
        ROW | {"rfc": "XIQB891116QE4", "cer": "none.cer"},
    ]
    parsed = Plan.parse(written(tmp_path, rows))
    async with validate(parsed) as checked:
        found = {row.number: {each.column for each in row.problems} async for row in checked}
    assert found == {2: {"fielcer"}, 3: {"password_env"}, 4: {"cer", "key"}, 5: set()}
    assert (len(parsed), len(parsed.rows), [(row.number, row.rfc) for row in parsed.faulty]) == (
        4, 1, [(2, None), (3, "EKU9003173C9"), (5, "XIQB891116QE4")],
    )  # fmt: skip
    assert "wrong" not in repr(parsed) + repr(parsed.faulty)
    async with validate(parsed, check_sello=False) as checked:
        assert [row.problems async for row in checked] == 4 * [()]


def test_no_fault_and_no_row_shows_a_password(tmp_path: Path) -> None:
    row = ROW | {"password": PASSWORD}
    with pytest.raises(PlanError) as refused:
        Plan.from_csv(written(tmp_path, [row | {"rfc": "x", "fielpassword": PASSWORD}]))
    plan = Plan.from_csv(written(tmp_path, [row]))
    shown = "".join(traceback.format_exception(refused.value)) + repr(refused.value.problems) + repr(plan.rows)
    assert PASSWORD not in shown


# ── Plans of values ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_from_values_makes_a_plan_of_companies_and_series() -> None:
    series = [PlanSerie(letra="F", tipo_documento="factura")]
    plan = Plan.from_values([(nueva("EKU9003173C9"), series), (nueva("HAÑ930228SM9"), [])])
    assert (len(plan), plan.series_count, repr(plan)) == (2, 1, "<Plan: 2 empresas, 1 series>")
    assert [(row.number, row.rfc, row.series) for row in plan] == [
        (1, "EKU9003173C9", tuple(series)),
        (2, "HAÑ930228SM9", ()),
    ]
    assert asyncio.run(plan.rows[0].load()) == nueva("EKU9003173C9")


def test_from_values_makes_a_plan_of_rows() -> None:
    series = [PlanSerie(letra="F", tipo_documento="factura")]
    row = ValueRow(nueva=nueva("HAÑ930228SM9"), series=tuple(series), existing="update")
    plan = Plan.from_values([(nueva("EKU9003173C9"), series), row, evolve(row, nueva=nueva("XIQB891116QE4"), number=7)])
    assert [(each.number, each.rfc, each.series, each.existing) for each in plan] == [
        (1, "EKU9003173C9", tuple(series), None),
        (2, "HAÑ930228SM9", tuple(series), "update"),
        (7, "XIQB891116QE4", tuple(series), "update"),
    ]
    assert [each.rfc for each in Plan.from_values(plan)] == [each.rfc for each in plan]


def test_rows_with_one_number_are_distinguished_by_rfc() -> None:
    row = ValueRow(nueva=nueva("EKU9003173C9"), number=1)
    with pytest.raises(PlanError, match="row 1, rfc: EKU9003173C9 is already in row 1"):
        Plan.from_values([row, row])


@pytest.mark.parametrize(
    "row", [nueva("EKU9003173C9"), "EKU9003173C9", (nueva("EKU9003173C9"),), (PASSWORD, []), (nueva("X"), 7), None]
)
def test_a_value_that_is_not_a_row_is_refused(row: Any) -> None:
    with pytest.raises(PlanError, match=r"row 2: must be a NuevaEmpresa with its series") as refused:
        Plan.from_values([(nueva("EKU9003173C9"), []), row])
    assert PASSWORD not in str(refused.value)


def test_a_value_that_is_not_a_serie_is_refused() -> None:
    wrong: Any = ["F"]
    with pytest.raises(InvalidInputError, match="series must be of PlanSerie, and one was a str"):
        Plan.from_values([(nueva("EKU9003173C9"), wrong)])
    wrong = [PlanSerie(letra="F", tipo_documento="factura")]
    with pytest.raises(InvalidInputError, match="series must be a tuple of PlanSerie, and was a list"):
        ValueRow(nueva=nueva("EKU9003173C9"), series=wrong)


def test_series_that_the_api_does_not_distinguish_are_a_problem() -> None:
    twice = [PlanSerie(letra=" F", tipo_documento="factura"), PlanSerie(letra="F", tipo_documento="factura ")]
    with pytest.raises(PlanError, match="F:factura appears twice"):
        Plan.from_values([(nueva("EKU9003173C9"), twice)])
    with pytest.raises(InvalidInputError, match="letra"):
        PlanSerie(letra=" ", tipo_documento="factura")
    with pytest.raises(InvalidInputError, match="folio"):
        PlanSerie(letra="F", tipo_documento="factura", folio=-1)


def test_from_values_refuses_a_company_that_appears_twice() -> None:
    with pytest.raises(PlanError, match="row 2, rfc: EKU9003173C9 is already in row 1"):
        Plan.from_values([(nueva("EKU9003173C9"), []), (nueva("eku9003173c9"), [])])


def test_loading_a_row_with_a_deleted_certificate_raises_an_error(tmp_path: Path) -> None:
    plan = Plan.from_csv(written(tmp_path, [ROW]))
    (tmp_path / "c" / "a.key").unlink()
    with pytest.raises(InvalidInputError, match=r"a\.key"):
        asyncio.run(plan.rows[0].load())


# ── Passwords in the wrong place ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "line",
    [
        "ACME,EKU9003173C9,06500,a@b.mx,601,c/a.cer,Secreto99,F:factura",  # a cell was lost
        "ACME,EKU9003173C9,06500,a@b.mx,601,c/a.cer,Secreto99,c/a.key,F:factura",
        "ACME,EKU9003173C9,06500,a@b.mx,601,c/a.cer,c/a.key,F:factura,Secreto99",
        "ACME, S.A.,EKU9003173C9,Secreto99,06500,a@b.mx,601,c/a.cer,c/a.key,F:factura",
        "ACME,Secreto99,06500,a@b.mx,601,c/a.cer,c/a.key,EKU9003173C9",
        'ACME,EKU9003173C9,06500,a@b.mx,601,c/a.cer,c/a.key, "Sec,Secreto99"',
    ],
)
def test_a_password_in_the_wrong_column_is_not_shown(tmp_path: Path, line: str) -> None:
    path = folder(tmp_path) / "plan.csv"
    path.write_text(f"razon_social,rfc,codpos,email,regimen_nomina,cer,key,password,series\n{line}\n", "utf-8")
    with pytest.raises(PlanError) as refused:
        Plan.from_csv(path)
    assert "Secreto99" not in str(refused.value) + repr(refused.value.problems)


def test_a_password_that_is_not_utf_8_is_not_shown(tmp_path: Path) -> None:
    path = written(tmp_path, [ROW | {"razon_social": "ACME", "password": "Contraseña1"}])
    path.write_bytes(path.read_text("utf-8").encode("cp1252"))
    assert [notice for notice in Plan.from_csv(path).notices if "Contrase" in str(notice)] == []


def test_a_tab_in_a_letra_is_reported_with_the_other_problems(tmp_path: Path) -> None:
    path = written(tmp_path, [ROW | {"rfc": "MAL"}, ROW | {"series": "F\tG:factura"}])
    with pytest.raises(PlanError) as refused:
        Plan.from_csv(path)
    assert [(each.row, each.column) for each in refused.value.problems] == [(2, "rfc"), (3, "series")]


PASSWORD = "Secreto-99a"
HEADERS = (
    "rfc,password,razon_social,codpos,email,regimen,regimen_nomina,cer,key,series",
    "razon_social,rfc,codpos,email,regimen_nomina,cer,key,password,curp,telefono,series",
    "razon_social,rfc,codpos,email,regimen,regimen_nomina,cer,key,password,series",
)


@pytest.mark.parametrize("header", HEADERS)
def test_a_password_that_was_shifted_into_another_column_is_not_shown(tmp_path: Path, header: str) -> None:
    columns = header.split(",")
    known = {"password": PASSWORD, "rfc": "EKU9003173C9", "cer": "a.cer", "key": "a.key", "series": "F:factura:1"}
    cells = [known.get(column, "x") for column in columns]
    for places in range(1, len(cells)):
        path = tmp_path / f"{places}.csv"
        path.write_text(f"{header}\n{','.join(cells[places:] + cells[:places])}\n", encoding="utf-8")
        parsed = Plan.parse(path)
        shown = [str(each) for each in (*parsed.problems, *parsed.notices)]
        assert [text for text in shown if PASSWORD in text] == []
        assert PASSWORD not in repr(parsed)


@pytest.mark.parametrize("column", ["cer", "key"])
def test_the_cell_of_a_path_is_no_part_of_a_problem(tmp_path: Path, column: str) -> None:
    with pytest.raises(PlanError) as refused:
        Plan.from_toml(written_toml(tmp_path, [ROW | {column: "#N/A", "series": []}]))
    assert [each.seen for each in refused.value.problems] == [None]


def kept_texts() -> set[str]:
    """Return the texts that the memories of functions (`lru_cache`) hold as arguments."""
    memory = type(functools.lru_cache(repr))
    held = [gc.get_referents(each) for each in gc.get_objects() if isinstance(each, memory)]
    keys = [key for referents in held for each in referents if isinstance(each, dict) for key in each]
    return {text for key in keys for text in (key if isinstance(key, tuple) else (key,)) if isinstance(text, str)}


@pytest.mark.parametrize("column", ["tipo_documento 1", "letra 1"])
def test_no_memory_outlives_a_plan_with_a_password_in_a_series_column(tmp_path: Path, column: str) -> None:
    password = "".join(["Secreto", "9" * 6])  # it is no constant of this function
    row = {name: cell for name, cell in ROW.items() if name != "series"}
    row |= {"letra 1": "F", "tipo_documento 1": "factura"} | {column: password}
    for parsed in (
        Plan.parse(written(tmp_path, [row], columns=[*row])),
        Plan.parse(written_toml(tmp_path, [ROW | {"series": [{"letra": "F", "tipo_documento": password}]}])),
    ):
        assert len(parsed.rows) == 1
    del parsed
    gc.collect()

    kept = kept_texts()
    assert "06500" in kept
    assert password not in kept
