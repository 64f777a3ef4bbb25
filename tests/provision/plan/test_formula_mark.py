"""No cell of a CSV file begins like a formula, and every text comes back from there."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, strategies as st

from facturaonline_async._cli.csv_tables import new_table
from facturaonline_async.provision import Plan
from facturaonline_async.provision._plan.csv_reader import csv_records
from facturaonline_async.provision._plan.formula_mark import add_formula_mark, remove_formula_mark
from tests.effort import examples
from tests.plans import ROW, written

FORMULA = ("=", "+", "-", "@", "\t", "\r")
HEADER = ["rfc", "razon_social", "# nota"]

texts = st.text(
    st.sampled_from("'=+-@\t\r\n\"ab ,;") | st.characters(exclude_categories=["Cs"], exclude_characters="\0")
)


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+52 55", "'+52 55"),
        ("-", "'-"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("'=1", "''=1"),
        ("''-", "'''-"),
        ("'06500", "'06500"),
        ("'", "'"),
        ("a=1", "a=1"),
        ("", ""),
    ],
)
def test_a_cell_that_begins_like_a_formula_has_an_apostrophe_before_it(text: str, cell: str) -> None:
    assert (add_formula_mark(text), remove_formula_mark(cell)) == (cell, text)


@examples(1500)
@given(texts, texts)
@example("'=1", "''=1")
def test_every_text_comes_back_from_a_csv_file(one: str, other: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plan.csv"
        path.write_bytes(new_table([HEADER, ["x", one, other]]))
        with csv_records(path, []) as records:
            read = [cells for _, cells in records]

    assert read == [HEADER, ["x", one, other]]
    assert not add_formula_mark(one).startswith(FORMULA)


@pytest.mark.parametrize(("cell", "calle"), [("'-", "-"), ("'+12", "+12"), ("'@ Centro", "@ Centro"), ("-", "-")])
def test_a_plan_is_read_without_the_apostrophe_before_such_a_cell(tmp_path: Path, cell: str, calle: str) -> None:
    parsed = Plan.parse(written(tmp_path, [ROW | {"calle": cell}]))
    [row] = Plan.of(parsed)

    assert (row.read().calle, parsed.notices) == (calle, ())  # type: ignore[attr-defined]
