"""A file of rows to be corrected, with reasons, of ``provision`` and ``report``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from facturaonline_async._cli import csv_tables
from facturaonline_async._cli.output_path_checks import check_folder, same_file, unwritable
from facturaonline_async._messages import Message, in_all_languages, message
from facturaonline_async._private_files import publish_private
from facturaonline_async._text import printable, printable_path
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.provision._plan.faulty_rows import PlanTable, read_rows
from facturaonline_async.provision._plan.models import PlanProblem

__all__ = ["FAULTS_OUT", "check_faults_out", "write_faults"]

#: The option of a run.
FAULTS_OUT: Final = "--faults-out"
_SUFFIXES: Final = (".csv", ".xlsx")


def check_faults_out(path: Path | None, plan: Path, others: Iterable[Path], *, option: str = FAULTS_OUT) -> None:
    """Refuse a file that cannot be written, before anything is sent.

    Args:
        path: the file; None: there is none.
        plan: the plan.
        others: files that the run writes.
        option: the option that names the file.

    Raises:
        InvalidInputError: the name does not end in .csv or .xlsx, the file exists, is one of the others, cannot be
            written, or is not in the plan's folder; or the plan is a TOML file or no file; or a workbook is wanted
            without the extra excel.

    """
    if path is not None and (fault := _fault(path, plan, others, option)) is not None:
        raise InvalidInputError(fault, field=option.removeprefix("--"))
    if path is None:
        return
    if path.suffix.lower() == ".xlsx":
        import facturaonline_async._cli.workbooks  # noqa: F401, PLC0415  # raises without the extra excel
    check_folder(path, option=option)


def _fault(path: Path, plan: Path, others: Iterable[Path], option: str) -> Message | None:
    shown = printable_path(path)
    if path.suffix.lower() not in _SUFFIXES:
        return message("cli.faults_out_suffix", option=option, path=shown)
    if plan.suffix.lower() == ".toml":
        return message("cli.faults_out_of_toml", option=option)
    if path.exists() or path.is_symlink():
        return message("cli.faults_out_exists", option=option, path=shown)
    if path.parent.resolve() != plan.parent.resolve():
        return message("cli.faults_out_elsewhere", option=option, path=shown)
    if plan.exists() and not plan.is_file():
        return message("cli.faults_out_of_pipe", option=option)
    if same_file(path, others):
        return message("cli.faults_out_in_use", option=option, path=shown)
    return None


def write_faults(
    path: Path,
    plan: Path,
    problems: Iterable[PlanProblem],
    *,
    sheet: str | None,
    with_all: bool = False,
    option: str = FAULTS_OUT,
) -> int:
    """Write the rows that have problems, with their reasons, into a new file.

    The file holds what the plan holds, with passwords, and only its owner may read it. It is itself a plan: the
    additional columns are notes. No file is written if no problem belongs to a row.

    Args:
        path: the new file.
        plan: the plan.
        problems: the problems.
        sheet: name of the sheet of a workbook.
        with_all: whether all other rows follow.
        option: the option that names the file.

    Returns:
        The number of rows that have problems.

    Raises:
        InvalidInputError: the file cannot be written.
        PlanError: the plan cannot be read any more.

    """
    found: dict[int, list[PlanProblem]] = defaultdict(list)
    for problem in problems:
        found[problem.row].append(problem)
    table = read_rows(plan, None if with_all else found, sheet=sheet)
    count = len(found.keys() & table.rows.keys())
    if not count:
        return 0
    ordered = dict(sorted(table.rows.items(), key=lambda row: row[0] not in found))
    table = PlanTable(table.header, table.columns, ordered)
    content = (
        _workbook(table, found) if path.suffix.lower() == ".xlsx" else csv_tables.new_table(_with_reasons(table, found))
    )
    try:
        publish_private(path, content, replaces=False)
    except OSError as error:
        raise unwritable(path, error, option=option) from None
    return count


def _reasons(problems: Sequence[PlanProblem]) -> str:
    reasons = (f"{problem.column}: {problem.reason}" if problem.column else problem.reason for problem in problems)
    return "\n".join(printable(reason) for reason in reasons)


def _kept(table: PlanTable) -> list[int]:
    """Return the places of the plan's own columns."""
    added = in_all_languages("cli.column_of_faults") | in_all_languages("cli.column_of_rows")
    return [place for place, name in enumerate(table.header) if name not in added]


def _with_reasons(table: PlanTable, found: Mapping[int, Sequence[PlanProblem]]) -> list[list[str]]:
    """Return the header and the rows, without the reasons of an earlier file."""
    kept = _kept(table)
    header = [message("cli.column_of_faults"), message("cli.column_of_rows"), *(table.header[place] for place in kept)]
    rows = [
        [_reasons(found.get(number, ())), str(number), *(cells[place] for place in kept)]
        for number, cells in table.rows.items()
    ]
    return [header, *rows]


def _workbook(table: PlanTable, found: Mapping[int, Sequence[PlanProblem]]) -> bytes:
    from facturaonline_async._cli.workbooks import new_table  # noqa: PLC0415  # of the extra excel

    kept = _kept(table)
    marked: dict[tuple[int, int], str] = {}
    for at, number in enumerate(table.rows):
        for problem in found.get(number, ()):
            for place in table.places(problem.column):
                marked[at, kept.index(place) + 2] = printable(problem.reason)
    return new_table(_with_reasons(table, found), marked)
