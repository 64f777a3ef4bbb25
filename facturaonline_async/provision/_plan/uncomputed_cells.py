"""Find cells of a workbook with an error or a formula that was never computed.

calamine reads both as empty.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from itertools import product
from typing import BinaryIO, Final
from xml.etree import ElementTree as ET

from facturaonline_async._messages import message
from facturaonline_async.provision._plan.doubtful_cell import DoubtfulCell

__all__ = ["uncomputed_cells"]

_EXCEL_MARKS: Final = (b't="e"', b"t='e'", b"<f>", b"<f ", b"<f/")
_ODF_CONTENT: Final = "content.xml"
_ODF_MARKS: Final = (b'value-type="error"',)
_TABLE: Final = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_OFFICE_EXTENSION: Final = "{urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0}"
_PIECE: Final = 1 << 16
_REPEATED: Final = 1000
"""Maximum number of cells of one error that is repeated in rows or columns."""

_Cell = tuple[tuple[int, int], DoubtfulCell]


def uncomputed_cells(file: BinaryIO, sheet: str) -> dict[tuple[int, int], DoubtfulCell]:
    """Return a sheet's errors and formulas without a value by row and column.

    Both are counted from 1. A workbook without formulas and errors costs no second reading of its cells.

    Args:
        file: the workbook.
        sheet: name of the sheet.

    Raises:
        zipfile.BadZipFile: the file is no archive.
        xml.etree.ElementTree.ParseError: a part of it is no XML.

    """
    file.seek(0)
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        if _ODF_CONTENT in names:
            return dict(_in_odf(archive, sheet)) if _holds(archive, _ODF_CONTENT, _ODF_MARKS) else {}
        sheets = [name for name in names if name.startswith("xl/worksheets/")]
        if not any(_holds(archive, name, _EXCEL_MARKS) for name in sheets):
            return {}
    return dict(_in_excel(file, sheet))


def _holds(archive: zipfile.ZipFile, name: str, marks: tuple[bytes, ...]) -> bool:
    """Return whether a part of the archive holds a mark."""
    longest = max(map(len, marks))
    with archive.open(name) as part:
        end = b""
        while piece := part.read(_PIECE):
            end = end[-longest:] + piece
            if any(mark in end for mark in marks):
                return True
    return False


def _in_excel(file: BinaryIO, sheet: str) -> Iterator[_Cell]:
    import openpyxl  # noqa: PLC0415 - of the extra excel, and slow

    both = []
    for data_only in (True, False):
        file.seek(0)
        found = openpyxl.load_workbook(file, read_only=True, data_only=data_only)[sheet]
        found.reset_dimensions()  # what the file says of them may be wrong
        both.append(found.iter_rows())
    for number, (values, formulas) in enumerate(zip(*both, strict=True), 1):
        for column, (value, formula) in enumerate(zip(values, formulas, strict=True), 1):
            if value.data_type == "e":
                yield (number, column), DoubtfulCell(str(value.value), message("plan.formula_error"))
            elif value.value is None and formula.data_type == "f":
                yield (number, column), DoubtfulCell("=", message("plan.formula_not_computed"))


def _in_odf(archive: zipfile.ZipFile, sheet: str) -> Iterator[_Cell]:
    with archive.open(_ODF_CONTENT) as content:
        for _, table in ET.iterparse(content):  # noqa: S314 - the file is the user's own; expat limits entities
            if table.tag != f"{_TABLE}table" or table.get(f"{_TABLE}name") != sheet:
                continue
            number = 1
            for row in table.iter(f"{_TABLE}table-row"):
                rows = int(row.get(f"{_TABLE}number-rows-repeated", "1"))
                column = 1
                for cell in row:
                    columns = int(cell.get(f"{_TABLE}number-columns-repeated", "1"))
                    if cell.get(f"{_OFFICE_EXTENSION}value-type") == "error":
                        found = DoubtfulCell("".join(cell.itertext()).strip(), message("plan.formula_error"))
                        for down, right in product(range(min(rows, _REPEATED)), range(min(columns, _REPEATED))):
                            yield (number + down, column + right), found
                    column += columns
                number += rows
