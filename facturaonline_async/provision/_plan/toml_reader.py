"""Read a plan from a TOML file: one table per company.

The values of a table are converted to the texts that a CSV file's cells would hold, and parsed like them.
"""

from __future__ import annotations

import codecs
import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from facturaonline_async.provision._plan.builder import (
    ParsedPlan,
    PlanBuilder,
    file_problem,
    name_file_in_problems,
    open_plan,
)
from facturaonline_async.provision._plan.cell_values import ATTRIBUTES, COLUMNS, COUNTS, FLAGS
from facturaonline_async.provision._plan.models import PlanError, PlanProblem
from facturaonline_async.provision._plan.named_files import Files
from facturaonline_async.provision._plan.row_parser import RowParser, SerieCell

__all__ = ["read_toml"]

_TABLES: Final = "empresas"
_SERIE: Final = frozenset({"letra", "tipo_documento", "folio"})


@name_file_in_problems
def read_toml(path: str | os.PathLike[str], *, any_tipo: bool = False) -> ParsedPlan:
    """Read a TOML file, with the problems of its tables.

    Args:
        path: the file.
        any_tipo: accept a ``tipo_documento`` that looks like a misspelt documented one.

    Raises:
        PlanError: the file is not TOML; the error names the line.

    """
    builder = PlanBuilder()
    files = Files(Path(path).parent)
    with open_plan(Path(path)) as file:
        document = _parse_toml(file.read())
    for key in document.keys() - {_TABLES}:
        builder.problems.append(file_problem(f"{_unknown(key, [_TABLES])}: companies are written as [[empresas]]"))
    tables = document.get(_TABLES, [])
    if not isinstance(tables, list):
        builder.problems.append(file_problem("companies are written as [[empresas]], with two brackets"))
        tables = []
    for number, table in enumerate(tables, 1):
        if not isinstance(table, dict):
            builder.problems.append(PlanProblem(row=number, column="", reason=f"must be a table, not {_kind(table)}"))
            continue
        texts, faults = _texts(table)
        series, more = _series(table.get("series"))
        parser = RowParser(number, texts, files, series=series, may_be_shifted=False, any_tipo=any_tipo)
        for key, reason in (*faults, *more):
            parser.reject_column(key, reason)
        builder.add(parser)
    return builder.build(none="there is no [[empresas]] table")


def _parse_toml(content: bytes) -> dict[str, Any]:
    """Parse the file. Errors do not show its text, which may be a password."""
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        return tomllib.loads(content.decode("utf-8"))
    except UnicodeDecodeError as problem:
        row = content.count(b"\n", 0, problem.start) + 1
        reason = f"this is not TOML: line {row} holds bytes that are not UTF-8: save it as UTF-8"
    except (ValueError, RecursionError) as problem:
        found = re.search(r" \(at (line [0-9]+, column [0-9]+|end of document)\)$", str(problem))
        reason = (
            f"this is not TOML{found[0] if found else ''}: texts stand in quotation marks, those with a backslash in "
            "single ones ('), numbers begin with no 0, and a key stands in a table once"
        )
    raise PlanError.of([file_problem(reason)])


# ── A table ───────────────────────────────────────────────────────────────────────────────────────────────────────────

_Faults = list[tuple[str, str]]


def _texts(table: Mapping[str, object]) -> tuple[dict[str, str], _Faults]:
    """Return the values as texts of cells, and the problems of the others."""
    texts: dict[str, str] = {}
    faults: _Faults = []
    for key, value in table.items():
        if key not in COLUMNS:
            faults.append((_printable_name(key), _unknown(key, COLUMNS)))
        elif key == "series" and not isinstance(value, str):
            continue
        elif (text := _text(key, value)) is None:
            wanted = "true or false" if key in FLAGS else "a number" if key in COUNTS else "a text in quotation marks"
            faults.append((key, f"must be {wanted}, not {_kind(value)}"))
        else:
            texts[key] = text
    return texts, faults


def _text(key: str, value: object) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value) if key in FLAGS else None
    # A password is not a number: 1_000 and 0x3e8 would be the same one.
    is_number = isinstance(value, int) and key in ATTRIBUTES and abs(value) < 1 << 63
    return str(value) if is_number else None


def _series(value: object) -> tuple[list[SerieCell] | None, _Faults]:
    """Return the series that are tables, and their problems.

    None instead of series: they are a text, as in a CSV file.
    """
    if value is None or isinstance(value, str):
        return None, []
    if not isinstance(value, list):
        return [], [("series", f"must be tables, [[empresas.series]], not {_kind(value)}")]
    series: list[SerieCell] = []
    faults: _Faults = []
    for each in value:
        if reasons := _serie_problems(each):
            faults += [("series", reason) for reason in reasons]
        else:
            series.append(SerieCell(*(str(each.get(name, "")) for name in SerieCell._fields)))
    return series, faults


def _serie_problems(serie: object) -> list[str]:
    """Return the problems of a serie's table."""
    if not isinstance(serie, dict):
        return [f"must be tables, and one is {_kind(serie)}"]
    problems = [_unknown(key, _SERIE) for key in serie.keys() - _SERIE]
    for name in sorted(serie.keys() & _SERIE):
        value = serie[name]
        is_number = name == "folio" and isinstance(value, int) and not isinstance(value, bool)
        if not isinstance(value, str) and not (is_number and abs(value) < 1 << 63):
            wanted = "a number" if name == "folio" else "a text in quotation marks"
            problems.append(f"{name} must be {wanted}, not {_kind(value)}")
    return problems


def _unknown(key: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(key.lower(), known, 1)
    meant = f" (is it {near[0]}?)" if near else ""
    return f"there is no key {_printable_name(key)}{meant}"


def _printable_name(key: str) -> str:
    return key if re.fullmatch(r"[\w ]{1,40}", key) else "(no name)"


def _kind(value: object) -> str:
    for types, name in _KINDS:
        if isinstance(value, types):
            return name
    return "a date or a time"


_KINDS: Final[tuple[tuple[type, str], ...]] = (
    (bool, "true or false"),
    (int, "a number"),
    (float, "a number with a point"),
    (str, "a text"),
    (list, "an array"),
    (dict, "a table"),
)
