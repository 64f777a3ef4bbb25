"""Read a plan from a CSV file, as spreadsheets write it.

The file may have a byte order mark, the encoding UTF-8, UTF-16 or Windows-1252, and commas, semicolons or tabs. The
apostrophe before a cell that begins like a formula is removed.
"""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, TextIO

from facturaonline_async._messages import message
from facturaonline_async.provision._plan.builder import (
    ParsedPlan,
    PlanBuilder,
    file_problem,
    name_file_in_problems,
    open_plan,
)
from facturaonline_async.provision._plan.formula_mark import remove_formula_mark
from facturaonline_async.provision._plan.header import ROWS_ABOVE, Record, count_columns
from facturaonline_async.provision._plan.models import PlanError, PlanProblem
from facturaonline_async.provision._plan.table import read_table

__all__ = ["csv_records", "read_csv"]

_DELIMITERS: Final = ",;\t"
_END_MARK: Final = "\x1a"
"""Ctrl-Z, with which DOS programs end a text file."""

_SPANISH: Final = re.compile(
    # Accented letters beside another letter, in the case that fits the word.
    "(?<=[^\\W\\d_])(?:[áéíóúüñ](?![A-ZÁÉÍÓÚÜÑ])|(?<![a-záéíóúüñ])[ÁÉÍÓÚÜÑ])"
    "|[áéíóúüñ](?=[a-záéíóúüñ])|(?<![a-záéíóúüñ])[ÁÉÍÓÚÜÑ](?=[^\\W\\d_])"
)
_ENCODINGS: Final = ("cp1252", "mac_roman", "cp850")


@name_file_in_problems
def read_csv(path: str | os.PathLike[str], *, any_tipo: bool = False) -> ParsedPlan:
    """Read a CSV file, with the problems of its cells.

    Args:
        path: the file.
        any_tipo: accept a ``tipo_documento`` that looks like a misspelt documented one.

    Raises:
        PlanError: the file is not a table of rows: it cannot be read or decoded, is not CSV, or has wrong columns.

    """
    builder = PlanBuilder()
    with csv_records(Path(path), builder.notices) as records:
        return read_table(records, builder, Path(path).parent, any_tipo=any_tipo)


@contextmanager
def csv_records(path: Path, notices: list[PlanProblem]) -> Iterator[Iterator[Record]]:
    """Open a CSV file, and yield its rows that are not empty.

    Args:
        path: the file.
        notices: gets what was changed while the file was read.

    Raises:
        PlanError: the file cannot be read or decoded, or is not CSV; also while its rows are read.

    """
    with open_plan(path) as file, _text(file, notices) as text:
        yield _records(text, notices)


def _text(file: BinaryIO, notices: list[PlanProblem]) -> TextIO:
    """Open the file as text; add a notice if its encoding is a guess."""
    start = file.read(4)
    encoding = "utf-8-sig"
    if start == b"PK\x03\x04":
        raise PlanError.of([file_problem(message("plan.workbook"))])
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif (row := _first_windows_row(file)) is not None:
        encoding = "cp1252"
        # The text is not shown: it may be a password.
        notices.append(PlanProblem(row=row, column="", reason=message("plan.was_read_as_windows")))
    file.seek(0)
    return io.TextIOWrapper(file, encoding=encoding, newline="")


def _first_windows_row(file: BinaryIO) -> int | None:
    """Return the first row that is Windows-1252, or None if all rows are UTF-8.

    Every other encoding is refused.

    The file is read line by line: in both encodings, the bytes of a line end are part of no other character.
    """
    first: int | None = None
    meant = broken = 0
    is_windows = True
    spanish: Counter[str] = Counter()
    file.seek(0)
    for row, line in enumerate(file, 1):
        if b"\0" in line:
            raise PlanError.of([file_problem(message("plan.not_text"))])
        if line.isascii():
            continue
        marks = line.decode("utf-8", "replace")
        meant += sum(not character.isascii() and character != "\ufffd" for character in marks)
        if "\ufffd" in marks and not _decodes_as(line, "utf-8"):
            first = first or row
            broken += marks.count("\ufffd")
            spanish.update({each: len(_SPANISH.findall(line.decode(each, "replace"))) for each in _ENCODINGS})
            is_windows = is_windows and _decodes_as(line, "cp1252")
    if first is not None and meant > broken:
        raise PlanError.of([PlanProblem(row=first, column="", reason=message("plan.mixed_encodings"))])
    if first is not None:
        _refuse_other_encodings(first, spanish, is_windows=is_windows)
    return first


def _refuse_other_encodings(row: int, spanish: Counter[str], *, is_windows: bool) -> None:
    """Refuse a file with more Spanish words in another encoding than in Windows-1252.

    Every byte is a character in all of them, so that only words distinguish them: the „ and ê of COMPA„êA are Ñ and Í
    in MacRoman.
    """
    best = max(_ENCODINGS, key=spanish.__getitem__)  # the first of equals
    if best == "cp1252" and is_windows:
        return
    reasons = {
        "cp1252": message("plan.wrong_encoding"),
        "mac_roman": message("plan.wrong_encoding_of_macintosh"),
        "cp850": message("plan.wrong_encoding_of_dos"),
    }
    raise PlanError.of([PlanProblem(row=row, column="", reason=reasons[best])])


def _decodes_as(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _records(text: TextIO, notices: list[PlanProblem]) -> Iterator[Record]:
    """Yield the rows that are not empty, with their numbers."""
    number = 0
    problem: PlanProblem | None = None
    try:
        for number, record in enumerate(_csv_rows(text, notices), 1):
            if any(cell.strip() for cell in record):
                yield number, [remove_formula_mark(cell) if cell[:1] == "'" else cell for cell in record]
    except csv.Error as error:
        reason = message("plan.not_csv", error=str(error))
        problem = PlanProblem(row=number + 1, column="", reason=reason)
    except UnicodeDecodeError:  # other encodings were checked before
        problem = file_problem(message("plan.broken_utf16"))
    if problem is not None:
        raise PlanError.of([problem])


def _csv_rows(text: TextIO, notices: list[PlanProblem]) -> Iterator[list[str]]:
    """Return the records, split at the delimiter that the header uses."""
    first = next(_texts(text), "")
    if ordered := re.fullmatch(r'"?sep=([,;\t])"?', first, re.IGNORECASE):
        delimiter = ordered[1]  # a directive that Excel reads and does not show
        first = ""
    else:
        text.seek(0)
        lines = list(itertools.islice(_texts(text), ROWS_ABOVE))
        text.seek(0)
        known = {
            (line, delimiter): count_columns(name.strip(' "') for name in line.split(delimiter))
            for line in dict.fromkeys(lines or [""])
            for delimiter in _DELIMITERS
        }
        first, delimiter = max(known, key=known.__getitem__)  # the first of equals
        if known[first, delimiter] <= 1:
            delimiter = max(_DELIMITERS, key=first.count)
    names = first.split(delimiter)[1:]
    is_spaced = bool(names) and all(name.startswith(" ") for name in names)
    if is_spaced:
        # Without skipinitialspace, a quotation mark behind such a blank opens no quotation.
        notices.append(file_problem(message("plan.blank_after_separators")))
    return csv.reader(_without_end_mark(text), delimiter=delimiter, skipinitialspace=is_spaced, strict=True)


def _texts(text: TextIO) -> Iterator[str]:
    """Yield the lines that are not empty, without blanks around them."""
    return filter(None, map(str.strip, iter(text.readline, "")))


def _without_end_mark(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines without a Ctrl-Z at the end of the last one."""
    last = ""
    for line in lines:
        if last:
            yield last
        last = line
    yield last.rstrip(_END_MARK)
