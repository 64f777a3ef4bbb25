"""Find the header of a table, and the column of each of its cells."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from attrs import frozen

from facturaonline_async._messages import Message, message
from facturaonline_async.provision._plan.builder import file_problem
from facturaonline_async.provision._plan.cell_values import COLUMNS, COMPANY_COLUMNS, REQUIRED, parse_cell
from facturaonline_async.provision._plan.column_names import NUMBERED, find_column, is_note, suggest_column
from facturaonline_async.provision._plan.models import PlanError, PlanProblem

__all__ = ["ROWS_ABOVE", "Header", "Record", "count_columns", "find_header", "has_header", "is_comment"]

#: Number of a row, as a spreadsheet shows it, and the texts of its cells.
Record = tuple[int, list[str]]

ROWS_ABOVE: Final = 20
"""Maximum number of rows that are not empty, with the header, that may hold titles."""
_ENOUGH: Final = 3
"""Number of known columns that make a row a header if it is not the first one."""
_FEW: Final = 2
"""Number of known columns, in other spellings, that make the first row a header: a company may be called "Empresa"."""
_LONGEST_NAME: Final = 40
_NAME: Final = re.compile(rf"[\w #.()/*-]{{1,{_LONGEST_NAME}}}")
"""Text that looks like the name of a column."""
_SUGGESTIONS: Final = 20
"""Maximum number of unknown columns with a suggestion; each takes about a millisecond."""


@frozen(kw_only=True)
class Header:
    """Columns of a table.

    Attributes:
        cells: names of the columns as they are written.
        columns: column of each cell of a row; "" for one without a name; None for one with notes.
        notices: what was not read.

    """

    cells: tuple[str, ...]
    columns: tuple[str | None, ...]
    notices: tuple[PlanProblem, ...] = ()

    @property
    def numbers(self) -> tuple[int, ...]:
        """Numbers of the series that have columns of their own."""
        found = {int(name.rpartition("_")[2]) for name in self.columns if name is not None and _is_numbered(name)}
        return tuple(sorted(found))


def count_columns(cells: Iterable[str]) -> int:
    """Return how many cells are names of different columns.

    Args:
        cells: texts of a row.

    """
    return len({find_column(cell) for cell in cells} - {None})


def is_comment(cells: Iterable[str]) -> bool:
    """Return whether a row is a comment: its first text begins with ``# ``.

    Args:
        cells: texts of the row.

    """
    return next((cell.strip() for cell in cells if cell.strip()), "").startswith("# ")


def has_header(records: Iterable[Record]) -> bool:
    """Return whether one of the first rows of a table is surely its header.

    Args:
        records: rows that are not empty.

    """
    return any(_is_header(cells) for _, cells in itertools.islice(records, ROWS_ABOVE))


def _is_header(cells: Iterable[str]) -> bool:
    return count_columns(cells) >= _ENOUGH


def find_header(records: Iterator[Record]) -> tuple[Header, Iterator[Record]]:
    """Return the header of a table, and the rows below it.

    Rows above it, such as a title, are not read.

    Args:
        records: rows that are not empty.

    Raises:
        PlanError: no row is a header, or it has wrong columns.

    """
    first = list(itertools.islice(records, ROWS_ABOVE)) or [(1, [])]
    place = next((at for at, (_, cells) in enumerate(first) if _is_header(cells)), 0)
    number, cells = first[place]
    columns = _columns(cells)
    if problems := list(_problems(columns, number, cells)):
        raise PlanError.of(problems)
    above = [row for row, cells in first[:place] if _is_company(cells)]
    if above:
        raise PlanError.of([PlanProblem(row=row, column="", reason=message("plan.company_above")) for row in above])
    notices: list[PlanProblem] = []
    if place:
        notices.append(file_problem(message("plan.rows_above_header", row=number)))
    notes = [
        PlanProblem(row=number, column=_shown(each, at), reason=message("plan.note"))
        for at, (each, column) in enumerate(zip(cells, columns, strict=True), 1)
        if column is None
    ]
    return Header(cells=tuple(cells), columns=columns, notices=(*notices, *notes)), itertools.chain(
        first[place + 1 :], records
    )


def _is_company(cells: Iterable[str]) -> bool:
    """Return whether a row has the RFC of a company."""
    return not is_comment(cells) and any(parse_cell("rfc", cell.strip())[1] is None for cell in cells if cell.strip())


def _columns(cells: Sequence[str]) -> tuple[str | None, ...]:
    columns = tuple(None if is_note(name) else find_column(name) or name.strip().lower() for name in cells)
    if "tipo_documento_1" in columns and "letra_1" not in columns:
        return tuple("letra_1" if column == "series" else column for column in columns)
    return columns


def _is_numbered(column: str) -> bool:
    return column.rpartition("_")[0] in NUMBERED


def _shown(name: str, number: int) -> str:
    """Return an unknown name as it may be shown, or the column's number.

    A cell with letters and digits, or with other characters, may be a password that was pasted into the header.
    """
    has_digit, has_letter = any(map(str.isdigit, name)), any(map(str.isalpha, name))
    if _NAME.fullmatch(name.strip()) and not (has_digit and has_letter):
        return name.strip()
    return message("plan.column_number", number=number)


def _problems(columns: Sequence[str | None], number: int, cells: Sequence[str]) -> Iterator[PlanProblem]:
    """Yield the problems with the names of the columns.

    Args:
        columns: column of each cell; the name in lower case if it is unknown, and None for notes.
        number: number of the header's row.
        cells: names as they are written.

    """

    def problem(column: str, reason: Message) -> PlanProblem:
        """Return a problem of the header."""
        return PlanProblem(row=number, column=column, reason=reason)

    named = [name for name in columns if name]
    if count_columns(cells) < _FEW and not {name.strip().lower() for name in cells} & set(REQUIRED):
        # The text is not shown: it may be a row with a password.
        yield problem("", message("plan.not_a_header", columns=", ".join(REQUIRED)))
        return
    places = {name: place for place, name in reversed([*enumerate(columns, 1)]) if name}
    shown = {
        name: _shown(cells[place - 1], place)
        for name, place in places.items()
        if name not in COLUMNS and not _is_numbered(name)
    }
    if unknown := sorted(shown):
        meant = dict.fromkeys(unknown, "")
        meant |= {name: suggest_column(name) for name in unknown[:_SUGGESTIONS] if len(name) <= _LONGEST_NAME}
        for name in unknown:
            like = message("plan.unknown_column_like", meant=meant[name]) if meant[name] else None
            yield problem(shown[name], like or message("plan.unknown_column"))
        if not all(meant.values()):
            yield problem("", message("plan.known_columns", columns=", ".join(sorted(COLUMNS))))
    for name in sorted(name for name, times in Counter(named).items() if times > 1):
        yield problem(shown.get(name, name), message("plan.column_twice"))
    has_series = "series" in named or any(map(_is_numbered, named))
    is_of_existing = "uid" in named or (has_series and not set(named) & COMPANY_COLUMNS)
    for name in ("rfc",) if is_of_existing else REQUIRED:
        if name not in named:
            yield problem(name, message("plan.column_missing"))
    if not is_of_existing and not {"password", "password_env"} & set(named):
        yield problem("password", message("plan.password_column_missing"))
    if "series" in named and any(map(_is_numbered, named)):
        yield problem("series", message("plan.series_in_two_ways"))
