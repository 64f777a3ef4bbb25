"""Parse one record of a plan's file into a row, and collect all its problems."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from attrs import evolve

from facturaonline_async._free_text import clean_text, find_fault, is_error_value, unwrap
from facturaonline_async._text import find_invisible
from facturaonline_async.provision._plan.cell_values import (
    ATTRIBUTES,
    FREE_TEXTS,
    HIDDEN,
    PASSWORDS,
    REQUIRED,
    TEXTS,
    Value,
    parse_cell,
)
from facturaonline_async.provision._plan.file_rows import FaultyRow, FileRow, SelloFiles
from facturaonline_async.provision._plan.models import PlanProblem, PlanSerie
from facturaonline_async.provision._plan.named_files import Files
from facturaonline_async.sello import Kind
from facturaonline_async.series._tipo_documento import TIPOS_DOCUMENTO, TipoDocumento, misspelling

__all__ = ["RowParser", "SerieCell"]

_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ufffd]")


class SerieCell(NamedTuple):
    """Parts of a serie as they are written in the file.

    Attributes:
        letra: letter.
        tipo_documento: kind of document.
        folio: first folio, or ``""``.

    """

    letra: str
    tipo_documento: str
    folio: str


class RowParser:
    """Parser of one record.

    Args:
        number: number of the row.
        cells: texts of the cells by column, as they are written.
        files: files that the plan names.
        series: series of the row; None: parse the cell ``series``.
        is_uneven: whether the number of cells is wrong; messages show no cell then.
        may_be_shifted: whether cells may stand in the wrong columns. Messages then show no cell of a row in which a
            column that holds or surrounds a password has a problem.
        any_tipo: whether to accept a ``tipo_documento`` that looks like a misspelt documented one.

    Attributes:
        number: number of the row.
        problems: problems so far.
        notices: corrections so far.
        rfc: the row's RFC; None until a valid one was parsed.

    """

    def __init__(
        self,
        number: int,
        cells: Mapping[str, str],
        files: Files,
        *,
        series: Iterable[SerieCell] | None = None,
        is_uneven: bool = False,
        may_be_shifted: bool = True,
        any_tipo: bool = False,
    ) -> None:
        self.number = number
        self.problems: list[PlanProblem] = []
        self.notices: list[PlanProblem] = []
        self.rfc: str | None = None
        self._raw = cells
        #: Cells without the quoting of a spreadsheet, and the changes made, which complete "was read …".
        self._unwrapped: dict[str, tuple[str, list[str]]] = {}
        self._cells = {name: self._stripped(name, cell) for name, cell in cells.items()}
        self._files = files
        self._given = series
        self._is_uneven = is_uneven
        self._may_be_shifted = may_be_shifted
        self._any_tipo = any_tipo
        self._sellos: tuple[SelloFiles | None, SelloFiles | None] = None, None
        self._refused: set[str] = set()
        self._series_count = 0

    def reject_column(self, column: str, reason: str) -> None:
        """Add a problem with a value that is not a text.

        Further problems of its column are ignored.

        Args:
            column: name of the column.
            reason: the problem.

        """
        self._refused |= {column, column.removesuffix("_env")}
        self.problems.append(PlanProblem(row=self.number, column=column, reason=reason))

    def add_problem(self, column: str, reason: str, seen: str | None = None) -> None:
        """Add a problem with a cell.

        Args:
            column: name of the column.
            reason: the problem.
            seen: text of the cell, if messages may show it.

        """
        if column not in self._refused:
            self.problems.append(self._problem(column, reason, seen))

    def _problem(self, column: str, reason: str, seen: str | None) -> PlanProblem:
        is_hidden = self._is_uneven or column in HIDDEN
        return PlanProblem(row=self.number, column=column, reason=reason, seen=None if is_hidden else seen)

    def _stripped(self, name: str, cell: str) -> str:
        """Return a cell without blanks and the quoting of a spreadsheet.

        Passwords keep both.
        """
        if name not in PASSWORDS and (cell.startswith("'") or '"' in cell):
            cell, changes = _unwrap(name, cell)
            if changes:
                self._unwrapped[name] = cell, changes
        return cell.strip()

    def row(self) -> FileRow | None:
        """Return the row, or None if there are problems."""
        for name in REQUIRED:
            if not self._cells.get(name):
                self.add_problem(name, "is required, and empty")
        values: dict[str, Any] = {
            name: self._value(name, cell) for name, cell in self._cells.items() if cell and name in _VALUES
        }
        series = tuple(self._series())
        csd = self._sello("csd")
        fiel = None
        if any(self._cells.get(name) for name in ("fielcer", "fielkey", "fielpassword", "fielpassword_env")):
            fiel = self._sello("fiel")
        logo = self._logo()
        self._sellos = csd, fiel
        if self._may_be_shifted and any(problem.column in HIDDEN for problem in self.problems):
            self._hide_cells()
        if self.problems or csd is None:
            return None
        return FileRow(
            number=self.number,
            rfc=str(values.pop("rfc")),
            existing=values.pop("existing", None),
            series=_plan_series(series),
            values=values,
            csd=csd,
            fiel=fiel,
            logo=logo,
        )

    def _hide_cells(self) -> None:
        """Hide all cells: they may be shifted, and a password may stand in any column."""
        self.problems[:] = [evolve(problem, seen=None) for problem in self.problems]
        self.notices[:] = [evolve(notice, seen=None) for notice in self.notices]

    @property
    def faulty(self) -> FaultyRow:
        """The parts of a faulty row that the check of its certificates needs."""
        csd, fiel = self._sellos
        return FaultyRow(number=self.number, rfc=self.rfc, csd=csd, fiel=fiel, series_count=self._series_count)

    def _notice(self, column: str, reason: str, seen: str | None = None) -> None:
        self.notices.append(self._problem(column, reason, seen))

    def _value(self, name: str, cell: str) -> Value:
        """Return the attribute's value from a cell; add its problems and notices."""
        if fault := _fault(name, cell):
            self.add_problem(name, fault)
            return cell
        if name not in FREE_TEXTS and self._reject_error_value(name, cell):
            return cell
        text = self._mended(name) if name in TEXTS else cell
        value, problem = parse_cell(name, text)
        if problem:
            self.add_problem(name, problem, seen=cell)
        elif name == "codpos" and value != text:
            self._notice(name, "was read with its leading zero", seen=text)
        elif name in TEXTS and value != text:
            self._notice(name, "was read in upper case", seen=text)
        if name == "rfc" and not problem:
            self.rfc = str(value)
        return value

    def _reject_error_value(self, name: str, cell: str) -> bool:
        """Add a problem if a cell is a spreadsheet's error value.

        Not for passwords, which may look like one.
        """
        if is_error_value(cell):
            self.add_problem(name, _ERROR, seen=cell)
            return True
        return False

    def _mended(self, name: str) -> str:
        """Return a cell's text with certain corrections, and add a notice for each."""
        raw = self._raw[name]
        inner, unwrapped = self._unwrapped.get(name, (raw, []))
        text, changes = clean_text(inner)
        if changes := [*unwrapped, *changes]:
            self._notice(name, f"was read {', '.join(changes)}", seen=raw)
        if text[0] == text[-1] == '"' and name in FREE_TEXTS:
            self._notice(name, "stands in quotation marks, and is sent with them", seen=text)
        return text

    def _series(self) -> Iterator[tuple[str, str, int | None]]:
        """Yield the parts of each valid serie; add the problems of the others."""
        form = _FORM if self._given is None else _FORM_OF_TABLES
        if "series" in self._unwrapped and self._given is None:
            self._notice("series", f"was read {self._unwrapped['series'][1][0]}")
        cell = self._cells.get("series", "")
        if self._given is None and self._reject_error_value("series", cell):
            return
        for number, each in enumerate(_series(cell) if self._given is None else self._given, 1):
            self._series_count = number
            letra, tipo_documento, folio = self._serie_parts(each)
            is_folio = not folio or (re.fullmatch(r"[0-9]{1,9}", folio) and int(folio))
            if not letra or not tipo_documento or not is_folio or _CONTROL.search(letra + tipo_documento):
                self.add_problem("series", f"serie {number} {form}")
                continue
            if invisible := find_invisible(letra + tipo_documento):
                self.add_problem("series", f"serie {number} holds the invisible character {invisible}: type it anew")
                continue
            if (found := _misspelling(tipo_documento)) is not None and not self._any_tipo:
                remedy = "If the name is right, add --any-tipo (in Python: any_tipo=True)"
                self.add_problem("series", f"{tipo_documento} is not a documented tipo_documento: {found} {remedy}")
                continue
            if tipo_documento not in TIPOS_DOCUMENTO:
                reason = f"the tipo_documento of serie {number} is not documented, and is sent as it is written"
                self._notice("series", reason)
            yield letra, tipo_documento, int(folio) if folio else None

    def _serie_parts(self, serie: SerieCell) -> Iterator[str]:
        """Yield the parts of a serie, corrected where the meaning is certain.

        Each correction adds a notice, except for blanks around a part.
        """
        for part in serie:
            text, changes = clean_text(part.strip())
            if changes:
                self._notice("series", f"was read {', '.join(changes)}")
            yield text

    def _sello(self, kind: Kind) -> SelloFiles | None:
        """Return the paths and the password of a certificate, or None if one is faulty."""
        cer, key, password = ("cer", "key", "password") if kind == "csd" else ("fielcer", "fielkey", "fielpassword")
        path_of_cer, path_of_key = self._file(cer), self._file(key)
        secret = self._password(password)
        variable = "" if self._cells.get(password) else self._cells.get(f"{password}_env", "")
        for name in (cer, key):
            if not self._cells.get(name) and name not in REQUIRED:
                self.add_problem(name, f"{cer}, {key} and {password} come together; this one is empty")
        if not (path_of_cer and path_of_key and secret):
            return None
        return SelloFiles(kind=kind, cer=path_of_cer, key=path_of_key, password=secret, variable=variable)

    def _file(self, name: str) -> str:
        """Return where the file is, if it can be read."""
        if not (cell := self._cells.get(name)):
            return ""
        if self._reject_error_value(name, cell):
            return ""
        found = self._files.find(cell)
        if found.reason:
            self.add_problem(name, f"cannot be read: {found.reason}")
        return found.path

    def _logo(self) -> str | None:
        path = self._file("logo")
        if path and not self._files.is_picture(path):
            self.add_problem("logo", "must be a PNG or JPEG picture")
        return path or None

    def _password(self, name: str) -> str:
        """Return the password, from its cell or from the environment.

        Problems never show a cell that may be one.
        """
        cell, variable = self._raw.get(name, ""), self._cells.get(f"{name}_env")
        if cell.strip() and variable:
            self.add_problem(name, f"give {name} or {name}_env, not both")
            return ""
        column = name if cell.strip() or not variable else f"{name}_env"
        password = cell if cell.strip() else os.environ.get(variable or "", "")
        if not cell.strip() and not variable:
            self.add_problem(name, f"is required (or {name}_env), and empty")
        elif not password:
            self.add_problem(column, "the environment variable that this cell names is not set or is empty")
        elif _CONTROL.search(password) or not _is_encodable(password):
            self.add_problem(column, "holds a line break or a control character")
        else:
            return password
        return ""


def _unwrap(name: str, cell: str) -> tuple[str, list[str]]:
    """Return the cell without the quoting of a spreadsheet.

    No RFC and no code contains an apostrophe.
    """
    text, changes = unwrap(cell)
    if not changes and text.startswith("'") and name in TEXTS - FREE_TEXTS:
        return text[1:], ["without the apostrophe before it"]
    return text, changes


def _fault(name: str, cell: str) -> str | None:
    """Return the problem with forbidden characters of a cell, or None."""
    if _CONTROL.search(cell):
        return "holds a line break or a control character: is a quotation mark missing?"
    if invisible := find_invisible(cell):
        return f"holds the invisible character {invisible}: delete it, or type the text anew"
    return find_fault(cell) if name in FREE_TEXTS else None


# Cached: a plan of 20,000 rows with undocumented kinds is read in 1.5 s instead of 15 s.
_misspelling: Final = lru_cache(maxsize=256)(misspelling)
_VALUES: Final = ATTRIBUTES | {"existing"}
_ERROR: Final = "is the error of a spreadsheet's formula: correct the formula, or give the value"
_FORM: Final = "must be letra:tipo_documento[:folio]; several are joined by ';', such as F:factura:1;P:pago"
_FORM_OF_TABLES: Final = (
    "must have a letra, a tipo_documento, and perhaps a folio from 1 up, such as "
    '{ letra = "F", tipo_documento = "factura", folio = 1 }'
)


@lru_cache(maxsize=256)
def _plan_series(parts: tuple[tuple[str, str, int | None], ...]) -> tuple[PlanSerie, ...]:
    """Return the series as values.

    Cached: most companies have the same series, and share one value.
    """
    return tuple(
        # `RowParser` has checked the spelling.
        PlanSerie(letra=letra, tipo_documento=TipoDocumento.other(tipo_documento), folio=folio)
        for letra, tipo_documento, folio in parts
    )


def _series(cell: str) -> Iterator[SerieCell]:
    for text in filter(None, (part.strip() for part in cell.split(";"))):
        letra, _, rest = text.partition(":")
        tipo_documento, _, folio = rest.partition(":")
        yield SerieCell(letra, tipo_documento, folio)


def _is_encodable(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)
