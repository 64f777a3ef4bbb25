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
from typing import Final

from facturaonline_async.provision.cells import COLUMNS, REQUIRED, Cells, TableRow
from facturaonline_async.provision.rows import PlanError, Problem

__all__ = ["read_csv"]

_DELIMITERS: Final = ",;\t"


def read_csv(path: str | os.PathLike[str]) -> tuple[list[TableRow], list[Problem]]:
    """Return the rows, and what was mended in them.

    Raises:
        PlanError: with every faulty row, column and reason at once.

    """
    notices: list[Problem] = []
    records = _records(_text(Path(path), notices))
    number, header = next(records, (1, []))
    columns = [name.strip().lower() for name in header]
    if problems := list(_wrong_columns(columns, number)):
        raise PlanError.of(problems)
    rows: list[TableRow] = []
    for number, record in records:
        cells = Cells(Path(path).parent, number, columns, record)
        row = cells.row()
        problems += cells.problems
        notices += cells.notices
        if row is not None:
            rows.append(row)
    if not rows and not problems:
        problems.append(_whole("there are no rows below the header"))
    if problems:
        raise PlanError.of(problems)
    return rows, notices


def _whole(reason: str) -> Problem:
    return Problem(row=0, column="", reason=reason)


def _text(path: Path, notices: list[Problem]) -> str:
    """Return the file's text, whatever a spreadsheet encoded it in; say so where that had to be guessed."""
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise PlanError.of([_whole(f"{path} cannot be read: {problem.strerror or type(problem).__name__}")]) from None
    if content.startswith(b"PK\x03\x04"):
        raise PlanError.of([_whole("this is an Excel workbook: save it as CSV UTF-8")])
    try:
        if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return content.decode("utf-16")
        if b"\0" in content:
            raise PlanError.of([_whole("this is no text in an encoding that is known here: save it as CSV UTF-8")])
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        return _guessed(content, problem, notices)


def _guessed(content: bytes, problem: UnicodeDecodeError, notices: list[Problem]) -> str:
    """Take the file for Windows-1252, unless it is UTF-8 with a few bytes that are not."""
    row = content.count(b"\n", 0, problem.start) + 1
    marks = content.decode("utf-8", "replace")
    meant = sum(not character.isascii() and character != "\ufffd" for character in marks)
    try:
        text = content.decode("cp1252")
    except UnicodeDecodeError:
        meant = len(content)
        text = ""
    if meant > marks.count("\ufffd") or problem.encoding.startswith("utf-16"):
        raise PlanError.of([Problem(row=row, column="", reason="holds bytes that are not UTF-8, unlike the rest")])
    # The text itself is not shown: it may be a password.
    notices.append(
        Problem(row=row, column="", reason="the file is not UTF-8 from here on, and was read as Windows-1252")
    )
    return text


def _records(text: str) -> Iterator[tuple[int, list[str]]]:
    """Give the rows that are not empty, with their numbers."""
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    delimiter = max(_DELIMITERS, key=first.count)
    if ordered := re.fullmatch(r'"?sep=([,;\t])"?', first, re.IGNORECASE):
        delimiter = ordered[1]  # a line that Excel reads as an order, and shows to nobody
        text = text.partition(first)[2].removeprefix("\r").removeprefix("\n")
    table = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    number = 0
    try:
        for number, record in enumerate(table, 1):
            if any(cell.strip() for cell in record):
                yield number, record
    except csv.Error as problem:
        reason = f"this is not CSV ({problem}): is a quotation mark missing or unescaped?"
        raise PlanError.of([Problem(row=number + 1, column="", reason=reason)]) from None


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
