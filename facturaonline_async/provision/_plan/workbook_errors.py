"""Find the cells of a workbook that hold an error, such as ``#N/A`` or ``#REF!``.

calamine reads them as empty.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from typing import BinaryIO, Final
from xml.etree import ElementTree as ET

__all__ = ["error_cells"]

_EXCEL_MARK: Final = b't="e"'
_ODF_CONTENT: Final = "content.xml"
_ODF_MARK: Final = b'value-type="error"'
_TABLE: Final = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_OFFICE_EXTENSION: Final = "{urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0}"
_PIECE: Final = 1 << 16


def error_cells(file: BinaryIO, sheet: str) -> dict[tuple[int, int], str]:
    """Return the texts of a sheet's errors by row and column, both from 1.

    A sheet without errors costs no second reading of its cells.

    Args:
        file: the workbook.
        sheet: name of the sheet.

    """
    file.seek(0)
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        if _ODF_CONTENT in names:
            return dict(_in_odf(archive, sheet)) if _holds(archive, _ODF_CONTENT, _ODF_MARK) else {}
        sheets = [name for name in names if name.startswith("xl/worksheets/")]
        if not any(_holds(archive, name, _EXCEL_MARK) for name in sheets):
            return {}
    file.seek(0)
    return dict(_in_excel(file, sheet))


def _holds(archive: zipfile.ZipFile, name: str, mark: bytes) -> bool:
    """Return whether a part of the archive holds a mark."""
    with archive.open(name) as part:
        end = b""
        while piece := part.read(_PIECE):
            if mark in end + piece:
                return True
            end = piece[-len(mark) :]
    return False


def _in_excel(file: BinaryIO, sheet: str) -> Iterator[tuple[tuple[int, int], str]]:
    import openpyxl  # noqa: PLC0415 - of the extra excel, and slow

    workbook = openpyxl.load_workbook(file, read_only=True, data_only=True)
    for number, row in enumerate(workbook[sheet].iter_rows(), 1):
        for column, cell in enumerate(row, 1):
            if cell.data_type == "e":
                yield (number, column), str(cell.value)


def _in_odf(archive: zipfile.ZipFile, sheet: str) -> Iterator[tuple[tuple[int, int], str]]:
    with archive.open(_ODF_CONTENT) as content:
        for _, table in ET.iterparse(content):  # noqa: S314 - the file is the user's own; expat limits entities
            if table.tag != f"{_TABLE}table" or table.get(f"{_TABLE}name") != sheet:
                continue
            number = 1
            for row in table.iter(f"{_TABLE}table-row"):
                column = 1
                for cell in row:
                    if cell.get(f"{_OFFICE_EXTENSION}value-type") == "error":
                        yield (number, column), "".join(cell.itertext()).strip()
                    column += int(cell.get(f"{_TABLE}number-columns-repeated", "1"))
                number += int(row.get(f"{_TABLE}number-rows-repeated", "1"))
