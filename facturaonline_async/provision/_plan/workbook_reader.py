"""Read a plan from a workbook of Excel or LibreOffice.

Values are read as they are stored, and those of formulas as they were computed when the workbook was saved.
"""

from __future__ import annotations

import datetime as dt
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final
from xml.etree import ElementTree as ET

from facturaonline_async._messages import message
from facturaonline_async.provision._plan.builder import (
    ParsedPlan,
    PlanBuilder,
    file_problem,
    name_file_in_problems,
    open_plan,
)
from facturaonline_async.provision._plan.doubtful_cell import DoubtfulCell
from facturaonline_async.provision._plan.header import Record, has_header
from facturaonline_async.provision._plan.models import PlanError
from facturaonline_async.provision._plan.table import read_table
from facturaonline_async.provision._plan.uncomputed_cells import uncomputed_cells

if TYPE_CHECKING:
    from python_calamine import CalamineSheet, CalamineWorkbook

__all__ = ["SUFFIXES", "read_workbook", "workbook_records"]

#: Ends of the names of workbooks that can be read.
SUFFIXES: Final = (".xlsx", ".xlsm", ".ods")

_SHEET: Final = "empresas"
"""Name of the sheet that is read if there are several, in lower case."""
_LARGEST: Final = 8_000_000
"""Maximum number of cells of a sheet: rows times columns."""
_PRECISE: Final = 10**15
"""Whole numbers below have all their digits."""


@name_file_in_problems
def read_workbook(path: str | os.PathLike[str], *, any_tipo: bool = False, sheet: str | None = None) -> ParsedPlan:
    """Read a sheet of a workbook, with the problems of its cells.

    Args:
        path: the file.
        any_tipo: accept a ``tipo_documento`` that looks like a misspelt documented one.
        sheet: name of the sheet; None: "Empresas", or else the only visible one with a header.

    Raises:
        PlanError: the file is not a table of rows: it cannot be read, has no such sheet, or has wrong columns.

    """
    builder = PlanBuilder()
    with workbook_records(Path(path), sheet) as records:
        return read_table(records, builder, Path(path).parent, any_tipo=any_tipo)


@contextmanager
def workbook_records(path: Path, sheet: str | None = None) -> Iterator[Iterator[Record]]:
    """Open a sheet of a workbook, and yield its rows that are not empty.

    Args:
        path: the file.
        sheet: name of the sheet; None: see `read_workbook`.

    Raises:
        PlanError: the file is no workbook, or has no such sheet.

    """
    with open_plan(path) as file, _open_workbook(file) as workbook:
        chosen, doubtful = _open_sheet(file, workbook, sheet)
        yield _records(chosen, doubtful)


def _open_sheet(
    file: BinaryIO, workbook: CalamineWorkbook, sheet: str | None
) -> tuple[CalamineSheet, dict[tuple[int, int], DoubtfulCell]]:
    """Return the sheet, and its cells that hold an error or were not computed."""
    import python_calamine as calamine  # noqa: PLC0415 - of the extra excel

    try:
        chosen = workbook.get_sheet_by_name(_choose_sheet(workbook, sheet))
        rows, columns = (place + 1 for place in chosen.end or (0, 0))
        if rows * columns <= _LARGEST:
            return chosen, uncomputed_cells(file, chosen.name)
        reason = message("plan.sheet_too_large", rows=rows, columns=columns)
    except (calamine.CalamineError, zipfile.BadZipFile, zlib.error, ET.ParseError):
        reason = message("plan.not_workbook")
    raise PlanError.of([file_problem(reason)])


def _open_workbook(file: BinaryIO) -> CalamineWorkbook:
    try:
        import python_calamine as calamine  # noqa: PLC0415 - of the extra excel
    except ModuleNotFoundError:
        raise PlanError.of([file_problem(message("plan.excel_extra_missing"))]) from None
    try:
        return calamine.load_workbook(file)
    except calamine.PasswordError:
        reason = message("plan.workbook_with_password")
    except calamine.CalamineError:
        reason = message("plan.not_workbook")
    raise PlanError.of([file_problem(reason)])


def _choose_sheet(workbook: CalamineWorkbook, wanted: str | None) -> str:
    """Return the name of the sheet to read."""
    visible = [each.name for each in workbook.sheets_metadata if each.visible == type(each.visible).Visible]
    shown = ", ".join(visible)
    if wanted is not None:
        for name in workbook.sheet_names:
            if name.strip().casefold() == wanted.strip().casefold():
                return name
        raise PlanError.of([file_problem(message("plan.no_such_sheet", sheet=wanted, sheets=shown))])
    for name in visible:
        if name.strip().lower() == _SHEET:
            return name
    with_header = visible
    if len(visible) > 1:
        with_header = [name for name in visible if has_header(_records(workbook.get_sheet_by_name(name), {}))]
    if len(with_header) == 1:
        return with_header[0]
    if with_header:
        raise PlanError.of([file_problem(message("plan.sheet_unclear", sheets=", ".join(with_header)))])
    raise PlanError.of([file_problem(message("plan.no_sheet_with_header", sheets=shown))])


def _records(sheet: CalamineSheet, doubtful: Mapping[tuple[int, int], DoubtfulCell]) -> Iterator[Record]:
    """Yield the rows that are not empty, with their numbers."""
    first = (sheet.start or (0, 0))[1] + 1  # columns to the left of the table are left out
    for number, row in enumerate(sheet.iter_rows(), 1):
        cells = [doubtful.get((number, column)) or _text(value) for column, value in enumerate(row, first)]
        if any(cell.strip() for cell in cells):
            yield number, cells


def _text(value: object) -> str:
    """Return a cell's value as a person would type it, or a `DoubtfulCell`."""
    if isinstance(value, bool):
        return DoubtfulCell("1" if value else "0", message("plan.logical_cell"), is_flag=True)
    if isinstance(value, int | float):
        if abs(value) >= _PRECISE:
            return DoubtfulCell(str(value), message("plan.rounded_cell"))
        return str(int(value)) if float(value).is_integer() else str(value)
    if isinstance(value, dt.date | dt.time | dt.timedelta):
        return DoubtfulCell(str(value), message("plan.date_cell"))
    return str(value)
