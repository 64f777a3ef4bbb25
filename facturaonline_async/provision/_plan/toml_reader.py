"""Read a plan from a TOML file: one table per company.

The values of a table are converted to the texts that a CSV file's cells would hold, and parsed like them.
"""

from __future__ import annotations

import codecs
import difflib
import os
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

from facturaonline_async._messages import Message, message
from facturaonline_async.provision._plan.builder import (
    ParsedPlan,
    PlanBuilder,
    file_problem,
    name_file_in_problems,
    open_plan,
)
from facturaonline_async.provision._plan.cell_values import ATTRIBUTES, COLUMNS, COUNTS, FLAGS
from facturaonline_async.provision._plan.file_lookup import FileLookup
from facturaonline_async.provision._plan.models import PlanError, PlanProblem
from facturaonline_async.provision._plan.row_parser import RowParser, SerieCell, misspelling_finder

__all__ = ["read_toml"]

_TABLES: Final = "empresas"
_SERIE: Final = frozenset({"letra", "tipo_documento", "folio"})
_HEADER: Final = re.compile(r"^\[\[empresas\]\]", re.MULTILINE)
_PIECE: Final = 1000


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
    files, find_misspelling = FileLookup(Path(path).parent), misspelling_finder()
    unknown: set[str] = set()
    with open_plan(Path(path)) as file:
        text = _decode(file.read())
    for number, table in enumerate(_tables(text, builder.problems, unknown), 1):
        if not isinstance(table, dict):
            reason = message("plan.not_table", kind=_kind(table))
            builder.problems.append(PlanProblem(row=number, column="", reason=reason))
            continue
        texts, faults = _texts(table)
        series, more = _series(table.get("series"))
        parser = RowParser(
            number,
            texts,
            files,
            series=series,
            may_be_shifted=False,
            any_tipo=any_tipo,
            find_misspelling=find_misspelling,
        )
        for key, fault in (*faults, *more):
            parser.reject_column(key, fault)
        builder.add(parser)
    for key in sorted(unknown):
        shown = _printable_name(key)
        like = message("plan.unknown_table_like", key=shown, meant=_TABLES) if _suggest(key, [_TABLES]) else None
        builder.problems.append(file_problem(like or message("plan.unknown_table", key=shown)))
    return builder.build(none=message("plan.no_tables"))


def _decode(content: bytes) -> str:
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as problem:
        reason = message("plan.not_toml_in_utf8", line=content.count(b"\n", 0, problem.start) + 1)
    raise PlanError.of([file_problem(reason)])


def _tables(text: str, problems: list[PlanProblem], unknown: set[str]) -> Iterator[object]:
    """Yield the companies' tables; add the problem of `empresas` and the unknown keys."""
    for document in _documents(text):
        unknown |= document.keys() - {_TABLES}
        tables = document.get(_TABLES, [])
        if isinstance(tables, list):
            yield from tables
        else:
            problems.append(file_problem(message("plan.single_brackets")))


def _documents(text: str) -> Iterator[dict[str, Any]]:
    """Parse the file in pieces of `_PIECE` tables, and yield one document for each.

    A table takes 3 kB while it is parsed, ten times its text: 400 MiB for 100,000 companies at once. A piece ends
    before a line ``[[empresas]]``. If the line is no header but part of a text, the piece is no TOML: then the whole
    file is parsed at once, and the tables of the pieces before are left out.

    Raises:
        PlanError: the file is not TOML.

    """
    begin = parsed = 0
    ends = (header.start() for header in islice(_HEADER.finditer(text), _PIECE, None, _PIECE))
    for end in chain(ends, [len(text)]):
        try:
            document = tomllib.loads(text[begin:end])
        except (ValueError, RecursionError):
            break
        yield document
        begin = end
        tables = document.get(_TABLES)
        parsed += len(tables) if isinstance(tables, list) else 0
    else:
        return
    document = _parse_toml(text)
    if parsed:
        del document[_TABLES][:parsed]
    yield document


def _parse_toml(text: str) -> dict[str, Any]:
    """Parse the file. Errors do not show its text, which may be a password."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as problem:
        reason = _syntax_error(str(problem))
    raise PlanError.of([file_problem(reason)])


def _syntax_error(text: str) -> Message:
    """Return the problem, with the place that the parser's text names."""
    if found := re.search(r" \(at line ([0-9]+), column ([0-9]+)\)$", text):
        return message("plan.not_toml_from_line", line=int(found[1]), column=int(found[2]))
    return message("plan.not_toml_at_end" if text.endswith(" (at end of document)") else "plan.not_toml")


# ── A table ───────────────────────────────────────────────────────────────────────────────────────────────────────────

_Faults = list[tuple[str, Message]]


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
            faults.append((key, _wrong_type(key, _kind(value))))
        else:
            texts[sys.intern(key)] = text  # the parser makes a key anew for each table
    return texts, faults


def _wrong_type(key: str, kind: Message) -> Message:
    if key in FLAGS:
        return message("plan.not_flag_in_toml", kind=kind)
    return message("plan.not_number_in_toml" if key in COUNTS else "plan.not_text_in_toml", kind=kind)


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
        return [], [("series", message("plan.series_not_tables", kind=_kind(value)))]
    series: list[SerieCell] = []
    faults: _Faults = []
    for each in value:
        if reasons := _serie_problems(each):
            faults += [("series", reason) for reason in reasons]
        else:
            series.append(SerieCell(*(str(each.get(name, "")) for name in SerieCell._fields)))
    return series, faults


def _serie_problems(serie: object) -> list[Message]:
    """Return the problems of a serie's table."""
    if not isinstance(serie, dict):
        return [message("plan.serie_not_table", kind=_kind(serie))]
    problems = [_unknown(key, _SERIE) for key in serie.keys() - _SERIE]
    for name in sorted(serie.keys() & _SERIE):
        value = serie[name]
        is_number = name == "folio" and isinstance(value, int) and not isinstance(value, bool)
        if not isinstance(value, str) and not (is_number and abs(value) < 1 << 63):
            kind = _kind(value)
            number = message("plan.folio_not_number", kind=kind) if name == "folio" else None
            problems.append(number or message("plan.serie_not_text", name=name, kind=kind))
    return problems


def _unknown(key: str, known: Iterable[str]) -> Message:
    shown = _printable_name(key)
    if meant := _suggest(key, known):
        return message("plan.unknown_key_like", key=shown, meant=meant)
    return message("plan.unknown_key", key=shown)


def _suggest(key: str, known: Iterable[str]) -> str:
    """Return the known key that an unknown one probably means, or ``""``."""
    return next(iter(difflib.get_close_matches(key.lower(), known, 1)), "")


def _printable_name(key: str) -> str:
    return key if re.fullmatch(r"[\w ]{1,40}", key) else message("plan.no_name")


def _kind(value: object) -> Message:
    name = next((name for types, name in _KINDS if isinstance(value, types)), "moment")
    return message(f"plan.kind_{name}")


_KINDS: Final[tuple[tuple[type, str], ...]] = (
    (bool, "flag"),
    (int, "number"),
    (float, "decimal"),
    (str, "text"),
    (list, "array"),
    (dict, "table"),
)
