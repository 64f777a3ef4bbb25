"""A plan's rows out of a CSV file, as spreadsheets write them.

That is: with or without a byte order mark, in UTF-8, UTF-16 or Windows-1252, with commas, semicolons or tabs, and with
códigos postales that lost their leading zero because a spreadsheet took them for numbers.
"""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import anyio.to_thread
from attrs import field, fields_dict, frozen, resolve_types

from facturaonline_async.config import Secret
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.provision.rows import PlanError, PlanSerie, Problem
from facturaonline_async.resources.empresas.values import NuevaEmpresa, normalize_rfc
from facturaonline_async.sello import Sello

__all__ = ["read_csv"]

_REQUIRED: Final = ("razon_social", "rfc", "codpos", "email", "regimen_nomina", "cer", "key")
_FILES: Final = ("cer", "key", "fielcer", "fielkey", "logo")
_PASSWORDS: Final = ("password", "fielpassword")
_FIELDS: Final = fields_dict(resolve_types(NuevaEmpresa))
_ATTRIBUTES: Final = _FIELDS.keys() - {"csd", "fiel", "smtp", "logo"}
_COLUMNS: Final = _ATTRIBUTES | {*_FILES, *_PASSWORDS, "series"} | {f"{password}_env" for password in _PASSWORDS}

# Three or four letters (Ñ and & are letters here), a date, and three more characters.
_RFC: Final = re.compile(r"[A-ZÑ&]{3,4}[0-9]{6}[A-Z0-9]{3}")


@frozen(kw_only=True)
class _Files:
    """Where a certificate and its key are, and the key's password."""

    cer: Path
    key: Path
    password: Secret

    def read(self) -> Sello:
        """Read both files."""
        return Sello(self.cer.read_bytes(), self.key.read_bytes(), self.password)


@frozen(kw_only=True)
class TableRow:
    """A row of a table. It keeps paths, not certificates: thousands of rows stay small."""

    number: int
    series: tuple[PlanSerie, ...]
    _values: Mapping[str, Any] = field(alias="values")
    _csd: _Files = field(alias="csd")
    _fiel: _Files | None = field(alias="fiel")
    _logo: Path | None = field(alias="logo")

    @property
    def rfc(self) -> str:
        """The company's RFC."""
        return str(self._values["rfc"])

    async def load(self) -> NuevaEmpresa:
        """Read the certificates, in a thread and in one go.

        Raises:
            InvalidInputError: a file cannot be read any more.

        """
        try:
            return await anyio.to_thread.run_sync(self._load)
        except OSError as problem:
            reason = f"{problem.filename}: {problem.strerror}"
        raise InvalidInputError(reason, field="csd")

    def _load(self) -> NuevaEmpresa:
        return NuevaEmpresa(
            **self._values,
            csd=self._csd.read(),
            fiel=self._fiel.read() if self._fiel else None,
            logo=self._logo.read_bytes() if self._logo else None,
        )


def read_csv(path: str | os.PathLike[str]) -> tuple[list[TableRow], list[Problem]]:
    """Return the rows, and what was mended in them.

    Raises:
        PlanError: with every faulty row, column and reason at once.

    """
    records = _records(_text(Path(path)))
    number, header = next(records, (1, []))
    columns = [name.strip().lower() for name in header]
    if problems := list(_wrong_columns(columns, number)):
        raise PlanError.of(problems)
    rows: list[TableRow] = []
    notices: list[Problem] = []
    for number, record in records:
        cells = _Cells(Path(path).parent, number, columns, record)
        row = cells.row()
        problems += cells.problems
        notices += cells.notices
        if row is not None:
            rows.append(row)
    if not rows and not problems:
        problems.append(Problem(row=0, column="", reason="there are no rows below the header"))
    if problems:
        raise PlanError.of(problems)
    return rows, notices


def _text(path: Path) -> str:
    """Return the file's text, whatever a spreadsheet encoded it in."""
    try:
        content = path.read_bytes()
    except OSError as problem:
        reason = problem.strerror or type(problem).__name__
        raise PlanError.of([Problem(row=0, column="", reason=f"{path} cannot be read: {reason}")]) from None
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", "replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def _records(text: str) -> Iterator[tuple[int, list[str]]]:
    """Give the rows that are not empty, with their numbers."""
    delimiter = ","
    if (first := text.partition("\n")[0].strip().lower()).startswith("sep=") and len(first) == 5:
        delimiter = first[-1]  # a line that Excel reads as an order, and shows to nobody
        text = text.partition("\n")[2]
    else:
        delimiter = max(",;\t", key=first.count)
    try:
        for number, record in enumerate(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), 1):
            if any(cell.strip() for cell in record):
                yield number, record
    except csv.Error as problem:
        raise PlanError.of([Problem(row=0, column="", reason=f"this is not CSV: {problem}")]) from None


def _wrong_columns(columns: Sequence[str], number: int) -> Iterator[Problem]:
    named = [name for name in columns if name]
    for name in sorted(set(named) - _COLUMNS):
        yield Problem(
            row=number, column=name, reason=f"there is no such column; there are {', '.join(sorted(_COLUMNS))}"
        )
    for name in sorted({name for name in named if named.count(name) > 1}):
        yield Problem(row=number, column=name, reason="the column stands there twice")
    for name in _REQUIRED:
        if name not in named:
            yield Problem(row=number, column=name, reason="the column is missing")
    if not {"password", "password_env"} & set(named):
        yield Problem(row=number, column="password", reason="the column is missing (or password_env)")


class _Cells:
    """One record of the table, on its way to a row. Collects all that is wrong with it."""

    def __init__(self, folder: Path, number: int, columns: Sequence[str], record: Sequence[str]) -> None:
        self.problems: list[Problem] = []
        self.notices: list[Problem] = []
        self._folder = folder
        self._number = number
        self._cells = {name: cell.strip() for name, cell in zip(columns, record, strict=False) if name}
        nameless = [cell for name, cell in zip(columns, record, strict=False) if not name]
        if any(cell.strip() for cell in (*record[len(columns) :], *nameless)):
            self._wrong("", "it has more cells than the header has columns")

    def row(self) -> TableRow | None:
        """Return the row, or None if there are problems."""
        for name in _REQUIRED:
            if not self._cells.get(name):
                self._wrong(name, "is required, and empty")
        values = {name: self._value(name, cell) for name, cell in self._cells.items() if cell and name in _ATTRIBUTES}
        series = tuple(self._series())
        csd = self._files("cer", "key", "password")
        fiel = None
        if any(self._cells.get(name) for name in ("fielcer", "fielkey", "fielpassword", "fielpassword_env")):
            fiel = self._files("fielcer", "fielkey", "fielpassword")
        logo = self._file("logo")
        if self.problems or csd is None:
            return None
        return TableRow(number=self._number, series=series, values=values, csd=csd, fiel=fiel, logo=logo)

    def _wrong(self, column: str, reason: str) -> None:
        self.problems.append(Problem(row=self._number, column=column, reason=reason))

    def _value(self, name: str, cell: str) -> object:
        """Return what the cell means for the attribute."""
        if (check := _CHECKS.get(name) or _CHECKS_BY_TYPE.get(_FIELDS[name].type)) is None:
            return cell
        value, problem = check(cell)
        if problem:
            self._wrong(name, f"{problem}, and was {cell!r:.60}")
        elif name == "codpos" and value != cell:
            self.notices.append(Problem(row=self._number, column=name, reason=f"{cell} was read as {value}"))
        return value

    def _series(self) -> Iterator[PlanSerie]:
        for text in filter(None, (part.strip() for part in self._cells.get("series", "").split(";"))):
            letra, _, rest = text.partition(":")
            tipo_documento, _, folio = (part.strip() for part in rest.partition(":"))
            if not letra.strip() or not tipo_documento or not re.fullmatch(r"[0-9]{0,15}", folio) or folio == "0":
                self._wrong("series", f"must be letra:tipo_documento[:folio] joined by ';', and was {text!r:.60}")
            else:
                yield PlanSerie(letra=letra.strip(), tipo_documento=tipo_documento, folio=int(folio) if folio else None)

    def _files(self, cer: str, key: str, password: str) -> _Files | None:
        paths = self._file(cer), self._file(key)
        secret = self._password(password)
        for name in (cer, key):
            if not self._cells.get(name) and name not in _REQUIRED:
                self._wrong(name, f"{cer}, {key} and {password} come together; this one is empty")
        if paths[0] is None or paths[1] is None or secret is None:
            return None
        return _Files(cer=paths[0], key=paths[1], password=secret)

    def _file(self, name: str) -> Path | None:
        """Return where the file is, if it can be read."""
        if not (cell := self._cells.get(name)):
            return None
        path = self._folder / cell
        try:
            with path.open("rb") as file:
                if file.read(1):
                    return path
            reason = "the file is empty"
        except (OSError, ValueError) as problem:
            reason = getattr(problem, "strerror", None) or type(problem).__name__
        self._wrong(name, f"{cell!r} cannot be read: {reason}")
        return None

    def _password(self, name: str) -> Secret | None:
        """Return the password, from its cell or from the environment. Problems never show it."""
        cell, variable = self._cells.get(name), self._cells.get(f"{name}_env")
        if cell and variable:
            self._wrong(name, f"give {name} or {name}_env, not both")
        elif cell:
            return Secret(cell)
        elif not variable:
            self._wrong(name, f"is required (or {name}_env), and empty")
        elif value := os.environ.get(variable):
            return Secret(value)
        else:
            self._wrong(f"{name}_env", f"the environment has no variable {variable!r}, or it is empty")
        return None


# ── What cells may hold: the value, or what is wrong ──────────────────────────────────────────────────────────────────

_YES: Final = frozenset({"1", "si", "sí", "true", "verdadero", "yes", "x"})
_NO: Final = frozenset({"0", "no", "false", "falso"})


def _rfc(cell: str) -> tuple[object, str]:
    rfc = normalize_rfc(cell)
    return rfc, "" if _RFC.fullmatch(rfc) else "must be an RFC of 12 or 13 characters"


def _codpos(cell: str) -> tuple[object, str]:
    """Give back the leading zero that a spreadsheet took for nothing: Mexico City's códigos begin with it."""
    restored = f"0{cell}" if re.fullmatch(r"[0-9]{4}", cell) else cell
    return restored, "" if re.fullmatch(r"[0-9]{5}", restored) else "must be a código postal of 5 digits"


def _regimen(cell: str) -> tuple[object, str]:
    return cell, "" if re.fullmatch(r"[0-9]{3}", cell) else "must be a code of 3 digits, such as 601"


def _email(cell: str) -> tuple[object, str]:
    return cell, "" if re.fullmatch(r"[^@\s]+@[^@\s]+", cell) else "must be an e-mail address"


def _flag(cell: str) -> tuple[object, str]:
    word = cell.lower()
    return word in _YES, "" if word in _YES | _NO else "must be 1 or 0 (or sí, no)"


def _count(cell: str) -> tuple[object, str]:
    is_count = bool(re.fullmatch(r"[0-9]{1,9}", cell))
    return int(cell) if is_count else 0, "" if is_count else "must be a whole number"


_Check = Callable[[str], tuple[object, str]]
_CHECKS: Final[Mapping[str, _Check]] = {
    "rfc": _rfc,
    "codpos": _codpos,
    "regimen": _regimen,
    "regimen_nomina": _regimen,
    "email": _email,
}
_CHECKS_BY_TYPE: Final[Mapping[object, _Check]] = {bool | None: _flag, int | None: _count}
