"""The file of --faults-out: the rows of a plan to be corrected, with reasons."""

from __future__ import annotations

import csv
import io
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from facturaonline_async._cli.output_path_checks import unwritable
from facturaonline_async._messages import message
from facturaonline_async._private_files import open_private
from facturaonline_async._text import printable, printable_path
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.provision._plan.faulty_rows import PlanTable, read_rows
from facturaonline_async.provision._plan.models import PlanProblem

__all__ = ["check_faults_out", "write_faults"]

_OPTION: Final = "--faults-out"
_SUFFIXES: Final = (".csv", ".xlsx")


def check_faults_out(path: Path | None, plan: Path) -> None:
    """Refuse a file that cannot be written, before anything is sent.

    Args:
        path: the file; None: there is none.
        plan: the plan.

    Raises:
        InvalidInputError: the name does not end in .csv or .xlsx, or the file exists, or its folder does not, or the
            plan is a TOML file.

    """
    if path is None:
        return
    field = _OPTION.removeprefix("--")
    shown = printable_path(path)
    if path.suffix.lower() not in _SUFFIXES:
        raise InvalidInputError(message("cli.faults_out_suffix", path=shown), field=field)
    if plan.suffix.lower() == ".toml":
        raise InvalidInputError(message("cli.faults_out_of_toml"), field=field)
    if path.exists() or path.is_symlink():
        raise InvalidInputError(message("cli.faults_out_exists", path=shown), field=field)
    if not path.parent.is_dir():
        raise unwritable(path, FileNotFoundError(), option=_OPTION)


def write_faults(path: Path, plan: Path, problems: Iterable[PlanProblem], *, sheet: str | None) -> int:
    """Write the rows that have problems, with their reasons, into a new file.

    The file holds what the plan holds, with passwords, and only its owner may read it. It is itself a plan: the
    additional columns are notes. No file is written if no problem belongs to a row.

    Args:
        path: the new file.
        plan: the plan.
        problems: the problems.
        sheet: name of the sheet of a workbook.

    Returns:
        The number of rows.

    Raises:
        InvalidInputError: the file cannot be written.
        PlanError: the plan cannot be read any more.

    """
    found: dict[int, list[PlanProblem]] = defaultdict(list)
    for problem in problems:
        found[problem.row].append(problem)
    table = read_rows(plan, found, sheet=sheet)
    if not table.rows:
        return 0
    content = _workbook(table, found) if path.suffix.lower() == ".xlsx" else _csv(table, found)
    try:
        with open(path, "xb", opener=open_private) as file:
            file.write(content)
            os.fsync(file.fileno())
    except OSError as error:
        raise unwritable(path, error, option=_OPTION) from None
    return len(table.rows)


def _reasons(problems: Sequence[PlanProblem]) -> str:
    reasons = (f"{problem.column}: {problem.reason}" if problem.column else problem.reason for problem in problems)
    return "\n".join(printable(reason) for reason in reasons)


def _kept(table: PlanTable) -> list[int]:
    """Return the places of the plan's own columns."""
    added = {message("cli.column_of_faults"), message("cli.column_of_rows")}
    return [place for place, name in enumerate(table.header) if name not in added]


def _with_reasons(table: PlanTable, found: Mapping[int, Sequence[PlanProblem]]) -> list[list[str]]:
    """Return the header and the rows, without the reasons of an earlier file."""
    kept = _kept(table)
    header = [message("cli.column_of_faults"), message("cli.column_of_rows"), *(table.header[place] for place in kept)]
    rows = [
        [_reasons(found[number]), str(number), *(cells[place] for place in kept)]
        for number, cells in table.rows.items()
    ]
    return [header, *rows]


def _csv(table: PlanTable, found: Mapping[int, Sequence[PlanProblem]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(_with_reasons(table, found))
    return text.getvalue().encode("utf-8-sig")  # with the mark, Excel reads accents


def _workbook(table: PlanTable, found: Mapping[int, Sequence[PlanProblem]]) -> bytes:
    from facturaonline_async._cli.workbooks import new_table  # noqa: PLC0415  # of the extra excel

    kept = _kept(table)
    marked: dict[tuple[int, int], str] = {}
    for at, number in enumerate(table.rows):
        for problem in found[number]:
            for place in table.places(problem.column):
                marked[at, kept.index(place) + 2] = printable(problem.reason)
    return new_table(_with_reasons(table, found), marked)
