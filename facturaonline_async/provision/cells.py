"""One record of a table, on its way to a row: what each cell may hold, and everything that is wrong with it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import anyio.to_thread
from attrs import evolve, field, fields_dict, frozen, resolve_types

from facturaonline_async import fiscal
from facturaonline_async.config import Secret
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.findings import Finding
from facturaonline_async.provision.rows import Existing, PlanSerie, Problem
from facturaonline_async.resources.empresas.values import NuevaEmpresa, logo_extension, normalize_rfc
from facturaonline_async.resources.series.values import TIPOS_DOCUMENTO
from facturaonline_async.sello import Sello, read_file

__all__ = ["COLUMNS", "REQUIRED", "Cells", "TableRow"]

REQUIRED: Final = ("razon_social", "rfc", "codpos", "email", "regimen_nomina", "cer", "key")
_FILES: Final = ("cer", "key", "fielcer", "fielkey", "logo")
_PASSWORDS: Final = ("password", "fielpassword")
_FIELDS: Final = fields_dict(resolve_types(NuevaEmpresa))
_ATTRIBUTES: Final = _FIELDS.keys() - {"csd", "fiel", "smtp", "logo"}
COLUMNS: Final = _ATTRIBUTES | {*_FILES, *_PASSWORDS, "series"} | {f"{password}_env" for password in _PASSWORDS}

_SHIFTED: Final = 4
"""So many cells of another form in one row, and they may stand in the wrong columns: a password among them."""

_TOO_SHORT: Final = 3
"""Characters that no password is made of."""

_CONTROL: Final = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ufffd]")
_MOST_FOLIOS: Final = 10**12


@frozen(kw_only=True)
class _Files:
    """Where a certificate and its key are, and the key's password."""

    cer: str
    key: str
    password: Secret

    def read(self, prefix: str) -> Sello:
        """Read both files."""
        return Sello(read_file(f"{prefix}cer", self.cer), read_file(f"{prefix}key", self.key), self.password)


@frozen(kw_only=True)
class TableRow:
    """A row of a table. It keeps paths, not certificates: thousands of rows stay small."""

    number: int
    rfc: str
    series: tuple[PlanSerie, ...]
    _values: Mapping[str, Any] = field(alias="values", repr=False)
    _csd: _Files = field(alias="csd", repr=False)
    _fiel: _Files | None = field(alias="fiel", repr=False)
    _logo: str | None = field(alias="logo", repr=False)
    existing: Existing | None = None

    async def load(self) -> NuevaEmpresa:
        """Read the certificates, in a thread and in one go.

        Raises:
            InvalidInputError: a file cannot be read any more.

        """
        return await anyio.to_thread.run_sync(self._load)

    def _load(self) -> NuevaEmpresa:
        return NuevaEmpresa(
            rfc=self.rfc,
            **self._values,
            csd=self._csd.read(""),
            fiel=self._fiel.read("fiel") if self._fiel else None,
            logo=read_file("logo", self._logo) if self._logo else None,
        )


class Cells:
    """One record of the table. Collects all that is wrong with it."""

    def __init__(self, folder: Path, number: int, columns: Sequence[str], record: Sequence[str]) -> None:
        self.problems: list[Problem] = []
        self.notices: list[Problem] = []
        self._folder = folder
        self._number = number
        self._is_uneven = len(record) != len(columns)
        self._raw = {name: cell for name, cell in zip(columns, record, strict=False) if name}
        self._cells = {name: cell.strip() for name, cell in self._raw.items()}
        nameless = [cell for name, cell in zip(columns, record, strict=False) if not name]
        if any(cell.strip() for cell in (*record[len(columns) :], *nameless)):
            self._wrong("", "it has more cells than the header has columns")

    def row(self) -> TableRow | None:
        """Return the row, or None if there are problems."""
        for name in REQUIRED:
            if not self._cells.get(name):
                self._wrong(name, "is required, and empty")
        values = {name: self._value(name, cell) for name, cell in self._cells.items() if cell and name in _ATTRIBUTES}
        series = tuple(self._series())
        csd = self._files("cer", "key", "password")
        fiel = None
        if any(self._cells.get(name) for name in ("fielcer", "fielkey", "fielpassword", "fielpassword_env")):
            fiel = self._files("fielcer", "fielkey", "fielpassword")
        logo = self._logo()
        self.problems = [each if _is_plausible(each) else evolve(each, seen=None) for each in self.problems]
        if self._is_shifted():
            self.problems = [evolve(each, seen=None) for each in self.problems]
            self._wrong("", "several faults: do its cells stand in the right columns?")
        if self.problems or csd is None:
            return None
        rfc = str(values.pop("rfc"))
        return TableRow(number=self._number, rfc=rfc, series=series, values=values, csd=csd, fiel=fiel, logo=logo)

    def _is_shifted(self) -> bool:
        """Whether cells may stand in the wrong columns, a password among them: then none of them is shown."""
        seen = [each for each in self.problems if each.seen is not None]
        passwords = [self._cells.get(name, "") for name in _PASSWORDS]
        return bool(seen) and (
            self._is_uneven
            or sum(each.column in _CHECKS for each in seen) >= _SHIFTED
            or any(re.search(r"\.(cer|key|pem)$|^\w+:\w+", password, re.IGNORECASE) for password in passwords)
        )

    def _wrong(self, column: str, reason: str, seen: str | None = None) -> None:
        self.problems.append(Problem(row=self._number, column=column, reason=reason, seen=seen))

    def _notice(self, column: str, reason: str) -> None:
        self.notices.append(Problem(row=self._number, column=column, reason=reason))

    def _value(self, name: str, cell: str) -> object:
        """Return what the cell means for the attribute."""
        if _CONTROL.search(cell):
            self._wrong(name, "holds a line break or another character that no text has: is a quotation mark missing?")
            return cell
        if re.fullmatch(r"[0-9],?[.,]?[0-9]*E\+[0-9]+|#[A-Z/0!?]+", cell):
            self._notice(name, f"{cell} looks like what a spreadsheet makes of a long number or of an error")
        check = _CHECKS.get(name) or _CHECKS_BY_TYPE.get(_FIELDS[name].type)
        if check is None:
            return cell
        value, problem = check(cell)
        if problem:
            self._wrong(name, problem, seen=cell)
        elif name == "codpos" and value != cell:
            self._notice(name, f"{cell} was read as {value}")
        return value

    def _series(self) -> Iterator[PlanSerie]:
        for text in filter(None, (part.strip() for part in self._cells.get("series", "").split(";"))):
            letra, _, rest = (part.strip() for part in text.partition(":"))
            tipo_documento, _, folio = (part.strip() for part in rest.partition(":"))
            is_folio = re.fullmatch(r"[0-9]{0,12}", folio) and folio != "0" * len(folio or "x")
            if not letra or not tipo_documento or not is_folio or _CONTROL.search(text) or "\t" in text:
                self._wrong("series", "must be letra:tipo_documento[:folio] joined by ';'", seen=text)
                continue
            if tipo_documento not in TIPOS_DOCUMENTO:
                self._notice("series", f"{tipo_documento} is no documented tipo_documento, and is sent as it is")
            yield PlanSerie(letra=letra, tipo_documento=tipo_documento, folio=int(folio) if folio else None)

    def _files(self, cer: str, key: str, password: str) -> _Files | None:
        paths = self._file(cer), self._file(key)
        secret = self._password(password)
        for name in (cer, key):
            if not self._cells.get(name) and name not in REQUIRED:
                self._wrong(name, f"{cer}, {key} and {password} come together; this one is empty")
        if paths[0] is None or paths[1] is None or secret is None:
            return None
        return _Files(cer=paths[0], key=paths[1], password=secret)

    def _file(self, name: str) -> str | None:
        """Return where the file is, if it can be read."""
        if not (cell := self._cells.get(name)):
            return None
        path = self._folder / cell
        try:
            if "\\" in cell and os.sep == "/" and not path.exists():
                path = self._folder / cell.replace("\\", "/")  # a plan that was written on Windows
            read_file(name, path)
        except (InvalidInputError, OSError, ValueError) as problem:
            reason = (
                str(problem).rpartition("cannot be read: ")[2].rstrip(".")
                if isinstance(problem, InvalidInputError)
                else ""
            )
            self._wrong(name, f"cannot be read: {reason or type(problem).__name__}", seen=cell)
            return None
        return str(path)

    def _logo(self) -> str | None:
        path = self._file("logo")
        if path is not None and logo_extension(read_file("logo", path)) is None:
            self._wrong("logo", "must be a PNG or JPEG picture", seen=self._cells["logo"])
        return path

    def _password(self, name: str) -> Secret | None:
        """Return the password, from its cell or from the environment. Problems never show it, nor what may be one."""
        cell, variable = self._raw.get(name, ""), self._cells.get(f"{name}_env")
        if cell.strip() and variable:
            self._wrong(name, f"give {name} or {name}_env, not both")
            return None
        column = name if cell.strip() or not variable else f"{name}_env"
        password = cell if cell.strip() else os.environ.get(variable or "", "")
        if not cell.strip() and not variable:
            self._wrong(name, f"is required (or {name}_env), and empty")
        elif not password:
            self._wrong(column, "the environment has no variable of this name, or it is empty")
        elif _CONTROL.search(password) or not _is_encodable(password):
            self._wrong(column, "holds a line break or another character that no password has")
        else:
            return Secret(password)
        return None


def _is_plausible(problem: Problem) -> bool:
    """Whether what was seen in a cell of files or series could be meant for it."""
    marks = ":" if problem.column == "series" else "./\\" if problem.column in _FILES else ""
    seen = problem.seen or ""
    return not marks or len(seen) <= _TOO_SHORT or any(mark in seen for mark in marks)


def _is_encodable(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


# ── What cells may hold: the value, or what is wrong ──────────────────────────────────────────────────────────────────

_YES: Final = frozenset({"1", "si", "sí", "true", "verdadero", "yes", "x"})
_NO: Final = frozenset({"0", "no", "false", "falso"})


def _is_wrong(findings: Iterable[Finding]) -> bool:
    return any(finding.is_error for finding in findings)


def _rfc(cell: str) -> tuple[object, str]:
    rfc = normalize_rfc(cell)
    return rfc, "must be an RFC of 12 or 13 characters" if _is_wrong(fiscal.rfc(rfc)) else ""


def _curp(cell: str) -> tuple[object, str]:
    curp = cell.upper()
    return curp, "must be a CURP of 18 characters" if _is_wrong(fiscal.curp(curp)) else ""


def _codpos(cell: str) -> tuple[object, str]:
    """Give back the leading zero that a spreadsheet took for nothing: Mexico City's códigos begin with it."""
    restored = f"0{cell}" if re.fullmatch(r"[0-9]{4}", cell) else cell
    return restored, "must be a código postal of 5 digits" if _is_wrong(fiscal.codpos(restored)) else ""


def _regimen(cell: str) -> tuple[object, str]:
    return cell, "must be a code of 3 digits, such as 601" if _is_wrong(fiscal.regimen(cell)) else ""


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
    "curp": _curp,
    "codpos": _codpos,
    "regimen": _regimen,
    "regimen_nomina": _regimen,
    "email": _email,
}
_CHECKS_BY_TYPE: Final[Mapping[object, _Check]] = {bool | None: _flag, int | None: _count}
