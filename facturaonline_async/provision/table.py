"""A plan's rows out of a CSV file, as spreadsheets write them.

That is: with or without a byte order mark, in UTF-8, UTF-16 or Windows-1252, with commas, semicolons or tabs.
"""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final, TextIO

from facturaonline_async.provision.cells import Cells
from facturaonline_async.provision.files import Files
from facturaonline_async.provision.gather import Gathered, opened, whole
from facturaonline_async.provision.meaning import COLUMNS, REQUIRED
from facturaonline_async.provision.packed import PackedRows
from facturaonline_async.provision.rows import PlanError, Problem

__all__ = ["read_csv"]

_DELIMITERS: Final = ",;\t"


def read_csv(path: str | os.PathLike[str]) -> tuple[PackedRows, list[Problem]]:
    """Return the rows, and what was mended in them.

    Raises:
        PlanError: with every faulty row, column and reason at once.

    """
    gathered = Gathered()
    files = Files(Path(path).parent)
    with opened(Path(path)) as file, _text(file, gathered.notices) as text:
        records = _records(text)
        number, header = next(records, (1, []))
        columns = [name.strip().lower() for name in header]
        if problems := list(_wrong_columns(columns, number)):
            raise PlanError.of(problems)
        for number, record in records:
            texts = {name: cell for name, cell in zip(columns, record, strict=False) if name}
            cells = Cells(number, texts, files, is_uneven=len(record) != len(columns))
            nameless = (cell for name, cell in zip(columns, record, strict=False) if not name)
            if any(cell.strip() for cell in (*record[len(columns) :], *nameless)):
                cells.wrong("", "it has more cells than the header has columns")
            gathered.add(cells)
    return gathered.done(none="there are no rows below the header")


def _text(file: BinaryIO, notices: list[Problem]) -> TextIO:
    """Return the file's text, whatever a spreadsheet encoded it in; say so where that had to be guessed."""
    start = file.read(4)
    encoding = "utf-8-sig"
    if start == b"PK\x03\x04":
        raise PlanError.of([whole("this is an Excel workbook: save it as CSV UTF-8")])
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif (row := _not_utf_8(file)) is not None:
        encoding = "cp1252"
        # The text itself is not shown: it may be a password.
        reason = "the file is not UTF-8 from here on, and was read as Windows-1252"
        notices.append(Problem(row=row, column="", reason=reason))
    file.seek(0)
    return io.TextIOWrapper(file, encoding=encoding, newline="")


def _not_utf_8(file: BinaryIO) -> int | None:
    """Return the row in which Windows-1252 begins, if there is one; refuse UTF-8 with a few bytes that are not.

    It goes line by line: a byte of a line's end is part of no other character in either encoding.
    """
    first: int | None = None
    meant = broken = 0
    is_windows = True
    file.seek(0)
    for row, line in enumerate(file, 1):
        if b"\0" in line:
            reason = "this is no text in an encoding that is known here: save it as CSV UTF-8"
            raise PlanError.of([whole(reason)])
        if line.isascii():
            continue
        marks = line.decode("utf-8", "replace")
        meant += sum(not character.isascii() and character != "\ufffd" for character in marks)
        if "\ufffd" in marks and not _is(line, "utf-8"):
            first = first or row
            broken += marks.count("\ufffd")
        is_windows = is_windows and _is(line, "cp1252")
    if first is not None and (meant > broken or not is_windows):
        raise PlanError.of([Problem(row=first, column="", reason="holds bytes that are not UTF-8, unlike the rest")])
    return first


def _is(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _records(text: TextIO) -> Iterator[tuple[int, list[str]]]:
    """Give the rows that are not empty, with their numbers."""
    number = 0
    problem: Problem | None = None
    try:
        for number, record in enumerate(_table(text), 1):
            if any(cell.strip() for cell in record):
                yield number, record
    except csv.Error as error:
        reason = f"this is not CSV ({error}): is a quotation mark missing or unescaped?"
        problem = Problem(row=number + 1, column="", reason=reason)
    except UnicodeDecodeError:  # all else was looked through before
        problem = whole("it begins as UTF-16, and holds bytes that are not: save it as CSV UTF-8")
    if problem is not None:
        raise PlanError.of([problem])


def _table(text: TextIO) -> Iterator[list[str]]:
    first = next((line.strip() for line in iter(text.readline, "") if line.strip()), "")
    delimiter = max(_DELIMITERS, key=first.count)
    if ordered := re.fullmatch(r'"?sep=([,;\t])"?', first, re.IGNORECASE):
        delimiter = ordered[1]  # a line that Excel reads as an order, and shows to nobody
    else:
        text.seek(0)
    return csv.reader(text, delimiter=delimiter, strict=True)


def _wrong_columns(columns: Sequence[str], number: int) -> Iterator[Problem]:
    def wrong(column: str, reason: str) -> Problem:
        return Problem(row=number, column=column, reason=reason)

    named = [name for name in columns if name]
    if not set(named) & set(REQUIRED):
        # Nothing of it is shown: it may be a row, with its password.
        yield wrong("", f"is no header: it must name the columns {', '.join(REQUIRED)} and password (or password_env)")
        return
    if unknown := sorted(set(named) - COLUMNS):
        for name in unknown:
            yield wrong(name if re.fullmatch(r"[\w ]{1,40}", name) else "(no name)", "there is no such column")
        yield wrong("", f"the columns are {', '.join(sorted(COLUMNS))}")
    for name in sorted({name for name in named if named.count(name) > 1}):
        yield wrong(name, "the column stands there twice")
    for name in REQUIRED:
        if name not in named:
            yield wrong(name, "the column is missing")
    if not {"password", "password_env"} & set(named):
        yield wrong("password", "the column is missing (or password_env)")
