"""Workbooks that the command writes. They need the extra ``excel``."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from facturaonline_async._messages import message
from facturaonline_async.errors import InvalidInputError

try:
    from openpyxl import Workbook
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE, Cell
    from openpyxl.comments import Comment
    from openpyxl.styles import Alignment, Font, PatternFill
    from openpyxl.utils import get_column_letter
except ModuleNotFoundError:
    raise InvalidInputError(message("plan.excel_extra_missing"), field="file") from None

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet

__all__ = ["REQUIRED_FILL", "SHEET", "new_table", "new_workbook", "style_header", "to_bytes", "write_text"]

#: Name of the sheet with the companies.
SHEET: Final = "Empresas"

_HEADER_FILL: Final = PatternFill("solid", start_color="1F3864")
#: Fill of the name of a column that must not be empty.
REQUIRED_FILL: Final = PatternFill("solid", start_color="9C2B2B")
_FAULT_FILL: Final = PatternFill("solid", start_color="FFD9D9")
_WHITE: Final = Font(bold=True, color="FFFFFF")
_CODED: Final = re.compile("_(?=x[0-9A-Fa-f]{4}_)")
_TEXT: Final = "@"
_NARROWEST: Final = 8
_WIDEST: Final = 60
_COMMENT_SIZE: Final = (320, 120)  # pixels


def new_workbook() -> tuple[Workbook, Worksheet]:
    """Return a workbook, and its only sheet, which is called "Empresas"."""
    book = Workbook()
    sheet = book.worksheets[0]
    sheet.title = SHEET
    return book, sheet


def to_bytes(book: Workbook) -> bytes:
    """Return the file of a workbook.

    Args:
        book: the workbook.

    """
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def write_text(sheet: Worksheet, row: int, column: int, text: str) -> Cell:
    """Write a text that no spreadsheet takes for a number, a date or a formula.

    Args:
        sheet: the sheet.
        row: number of the row, from 1.
        column: number of the column, from 1.
        text: the text.

    Returns:
        The cell.

    """
    cell = sheet.cell(row, column)
    assert isinstance(cell, Cell)  # noqa: S101  # not a merged one
    # A text such as _x0041_ is the code of another one in a workbook.
    cell.value = _CODED.sub("_x005F_", ILLEGAL_CHARACTERS_RE.sub("\ufffd", text))
    cell.data_type = "s"
    cell.number_format = _TEXT
    return cell


def style_header(sheet: Worksheet, names: Sequence[str], row: int = 1) -> None:
    """Write the names of the columns, and keep them in sight.

    Args:
        sheet: the sheet.
        names: the names.
        row: number of the row, from 1.

    """
    for column, name in enumerate(names, 1):
        cell = write_text(sheet, row, column, name)
        cell.font, cell.fill = _WHITE, _HEADER_FILL
    sheet.freeze_panes = sheet.cell(row + 1, 1).coordinate


def new_table(rows: Sequence[Sequence[str]], marked: Mapping[tuple[int, int], str]) -> bytes:
    """Return a workbook with a header and rows of texts.

    Args:
        rows: the header and the rows.
        marked: comments of cells that are coloured, by row below the header and column, both from 0.

    """
    book, sheet = new_workbook()
    style_header(sheet, rows[0])
    for at, cells in enumerate(rows[1:]):
        for column, text in enumerate(cells):
            if text:
                write_text(sheet, at + 2, column + 1, text)
    for (at, column), comment in marked.items():
        cell = sheet.cell(at + 2, column + 1)
        cell.fill = _FAULT_FILL
        cell.comment = Comment(comment, "facturaonline", *_COMMENT_SIZE[::-1])
    for column, name in enumerate(rows[0]):
        longest = max(len(line) for cells in rows for line in cells[column].splitlines() or [name])
        sheet.column_dimensions[get_column_letter(column + 1)].width = min(max(longest + 2, _NARROWEST), _WIDEST)
    for row in sheet.iter_rows(min_row=2):
        for cell in row:
            cell.alignment = Alignment(vertical="top", wrap_text=True)
    return to_bytes(book)
