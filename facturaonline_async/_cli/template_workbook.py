"""The template of a plan as a workbook, which needs the extra ``excel``."""

from __future__ import annotations

import math
from typing import Final

from openpyxl.comments import Comment
from openpyxl.styles import Alignment, Font
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.datavalidation import DataValidation
from openpyxl.worksheet.worksheet import Worksheet

from facturaonline_async._cli.template_columns import Template
from facturaonline_async._cli.workbooks import REQUIRED_FILL, new_workbook, style_header, to_bytes, write_text
from facturaonline_async.sat._regimenes import REGIMENES
from facturaonline_async.series._tipo_documento import TIPOS_DOCUMENTO

__all__ = ["make_workbook"]

_ROWS: Final = 5000
"""Rows of the sheet that offer lists and keep texts."""
_GREY: Final = Font(italic=True, color="7F7F7F")
_CHOICES: Final = {
    "regimen": [f"{each.codigo} - {each.descripcion}" for each in REGIMENES.values() if each.is_current],
    "tipo_documento": sorted(TIPOS_DOCUMENTO),
}
_LISTS: Final = {"regimen": "E", "tipo_documento": "F"}
"""Columns of the sheet of explanations that hold the choices."""
_WIDTHS: Final = (22, 12, 60, 40, 70, 24)
"""Widths of the columns of explanations, in characters."""
_LINE_HEIGHT: Final = 15.0  # points
_COMMENT_SIZE: Final = (110, 300)  # pixels: height, width


def make_workbook(template: Template) -> bytes:
    """Return the file: a sheet to be filled in, and one about its columns.

    Args:
        template: columns and texts.

    """
    book, sheet = new_workbook()
    style_header(sheet, [each.title for each in template.columns])
    for number, column in enumerate(template.columns, 1):
        letter = get_column_letter(number)
        sheet.column_dimensions[letter].number_format = "@"
        sheet.column_dimensions[letter].width = max(len(column.title), len(column.example)) + 3
        cell = sheet.cell(1, number)
        cell.comment = Comment(column.help, "facturaonline", *_COMMENT_SIZE)
        if column.is_required:
            cell.fill = REQUIRED_FILL
        write_text(sheet, 2, number, column.example).font = _GREY
        if column.choices:
            sheet.add_data_validation(_choice(template, column.choices, f"{letter}3:{letter}{_ROWS}"))
    sheet.freeze_panes = "C2"
    _write_help(book.create_sheet(template.sheet), template)
    return to_bytes(book)


def _choice(template: Template, name: str, cells: str) -> DataValidation:
    """Return a list of choices. Another text is allowed, after a warning."""
    letter = _LISTS[name]
    formula = f"{template.sheet}!${letter}$2:${letter}${len(_CHOICES[name]) + 1}"
    choice = DataValidation("list", formula1=formula, allow_blank=True, showErrorMessage=True, errorStyle="warning")
    choice.errorTitle, choice.error = template.outside_title, template.outside
    choice.add(cells)
    return choice


def _write_help(sheet: Worksheet, template: Template) -> None:
    style_header(sheet, template.help_header)
    for row, column in enumerate(template.columns, 2):
        texts = (column.title, template.required if column.is_required else "", column.help, column.example)
        for number, text in enumerate(texts, 1):
            write_text(sheet, row, number, text).alignment = Alignment(vertical="top", wrap_text=True)
        # Spreadsheets do not make a row higher for a wrapped text that another program wrote.
        lines = max(math.ceil(len(text) / width) for text, width in zip(texts, _WIDTHS, strict=False))
        sheet.row_dimensions[row].height = _LINE_HEIGHT * lines
    for name, letter in _LISTS.items():
        for row, text in enumerate(_CHOICES[name], 2):
            write_text(sheet, row, ord(letter) - ord("A") + 1, text)
    for letter, width in zip("ABCDEF", _WIDTHS, strict=True):
        sheet.column_dimensions[letter].width = width
