"""Parse one record of a plan's file into a row, and collect all its problems."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias

from attrs import evolve

from facturaonline_async._free_text import clean_text, find_error_value, find_fault, unwrap
from facturaonline_async._messages import Message, message
from facturaonline_async._validators import find_unsendable, is_one_line
from facturaonline_async.provision._plan.cell_values import (
    ATTRIBUTES,
    COMPANY_COLUMNS,
    FREE_TEXTS,
    HIDDEN,
    PASSWORDS,
    REQUIRED,
    TEXTS,
    Value,
    parse_cell,
)
from facturaonline_async.provision._plan.file_lookup import FileLookup
from facturaonline_async.provision._plan.file_rows import FaultyRow, FileRow, SelloFiles
from facturaonline_async.provision._plan.models import PlanProblem
from facturaonline_async.sello import Kind
from facturaonline_async.series._tipo_documento import TIPOS_DOCUMENTO, Misspelling, misspelling

__all__ = ["RowParser", "SerieCell", "misspelling_finder"]


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
        find_misspelling: see `misspelling_finder`.

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
        files: FileLookup,
        *,
        series: Collection[SerieCell] | None = None,
        is_uneven: bool = False,
        may_be_shifted: bool = True,
        any_tipo: bool = False,
        find_misspelling: FindMisspelling = misspelling,
    ) -> None:
        self.number = number
        self.problems: list[PlanProblem] = []
        self.notices: list[PlanProblem] = []
        self.rfc: str | None = None
        self._raw = cells
        #: Cells without the quoting of a spreadsheet, and the changes made, which complete "was read …".
        self._unwrapped: dict[str, tuple[str, list[Message]]] = {}
        self._cells = {name: self._stripped(name, cell) for name, cell in cells.items()}
        self._files = files
        self._given = series
        self._is_uneven = is_uneven
        self._may_be_shifted = may_be_shifted
        self._any_tipo = any_tipo
        self._misspelling = find_misspelling
        self._sellos: tuple[SelloFiles | None, SelloFiles | None] = None, None
        self._refused: set[str] = set()
        self._series_count = 0

    def reject_column(self, column: str, reason: Message) -> None:
        """Add a problem with a value that is not a text.

        Further problems of its column are ignored.

        Args:
            column: name of the column.
            reason: the problem.

        """
        self._refused |= {column, column.removesuffix("_env")}
        self.problems.append(PlanProblem(row=self.number, column=column, reason=reason))

    def add_problem(self, column: str, reason: Message, seen: str | None = None) -> None:
        """Add a problem with a cell.

        Args:
            column: name of the column.
            reason: the problem.
            seen: text of the cell, if messages may show it.

        """
        if column not in self._refused:
            self.problems.append(self._problem(column, reason, seen))

    def _problem(self, column: str, reason: Message, seen: str | None) -> PlanProblem:
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
        is_of_existing = bool(self._cells.get("uid")) or self._gives_series_only()
        for name in ("rfc",) if is_of_existing else REQUIRED:
            if not self._cells.get(name):
                self.add_problem(name, message("values.required", name=""))
        values: dict[str, Any] = {
            name: self._value(name, cell) for name, cell in self._cells.items() if cell and name in _VALUES
        }
        series = tuple(self._series())
        has_csd = not is_of_existing or self._has_cell("cer", "key", "password", "password_env")
        csd = self._sello("csd", is_required=not is_of_existing) if has_csd else None
        has_fiel = self._has_cell("fielcer", "fielkey", "fielpassword", "fielpassword_env")
        fiel = self._sello("fiel") if has_fiel else None
        logo = self._logo()
        self._sellos = csd, fiel
        if self._may_be_shifted and (
            any(problem.column in HIDDEN for problem in self.problems)
            or _is_of_another_column(self._raw.get("password", ""))
        ):
            self._hide_cells()
        if is_of_existing and values.get("existing") == "fail":
            self.add_problem("existing", message("plan.fail_of_existing"))
        if is_of_existing and not series and not self._has_cell("uid") and not self.problems:
            self.add_problem("series", message("values.required", name=""))
        if self.problems or (csd is None and has_csd):
            return None
        uid = str(values.pop("uid", ""))
        return FileRow(
            number=self.number,
            rfc=str(values.pop("rfc")),
            existing=values.pop("existing", None),
            series=series,
            values=values,
            csd=csd,
            fiel=fiel,
            logo=logo,
            uid=uid if is_of_existing else None,
        )

    def _has_cell(self, *names: str) -> bool:
        return any(self._cells.get(name) for name in names)

    def _gives_series_only(self) -> bool:
        """Return whether the row has no data of a company, which must exist then.

        A table of a file without columns for such data has no other rows.
        """
        if self._has_cell(*COMPANY_COLUMNS):
            return False
        has_series = self._has_cell("series") if self._given is None else bool(self._given)
        return has_series or (self._may_be_shifted and not self._raw.keys() & COMPANY_COLUMNS)

    def _hide_cells(self) -> None:
        """Hide all cells: they may be shifted, and a password may stand in any column."""
        for found, hidden in (
            (self.problems, message("plan.hidden_fault")),
            (self.notices, message("plan.hidden_change")),
        ):
            found[:] = [evolve(each, seen=None, reason=hidden if _quotes_cell(each) else each.reason) for each in found]

    @property
    def faulty(self) -> FaultyRow:
        """The parts of a faulty row that the check of its certificates needs."""
        csd, fiel = self._sellos
        return FaultyRow(number=self.number, rfc=self.rfc, csd=csd, fiel=fiel, series_count=self._series_count)

    def _notice(self, column: str, reason: Message, seen: str | None = None) -> None:
        self.notices.append(self._problem(column, reason, seen))

    def _value(self, name: str, cell: str) -> Value:
        """Return the attribute's value from a cell; add its problems and notices."""
        if fault := find_unsendable(cell):
            self.add_problem(name, fault)
            return cell
        if self._reject_error_value(name, cell):
            return cell
        if name in FREE_TEXTS and (fault := find_fault(cell)):
            self.add_problem(name, fault)
            return cell
        text = self._mended(name) if name in TEXTS else cell
        value, problem = parse_cell(name, text)
        if problem:
            self.add_problem(name, problem, seen=cell)
        elif name in TEXTS and value != text:
            self._notice(name, _change(text, str(value)), seen=text)
        if name == "rfc" and not problem:
            self.rfc = str(value)
        return value

    def _reject_error_value(self, name: str, cell: str) -> bool:
        """Add a problem if a cell is a spreadsheet's error value.

        Not for passwords, which may look like one.
        """
        if (fault := find_error_value(cell)) is None:
            return False
        self.add_problem(name, fault, seen=cell)
        return True

    def _mended(self, name: str) -> str:
        """Return a cell's text with certain corrections, and add a notice for each."""
        raw = self._raw[name]
        inner, unwrapped = self._unwrapped.get(name, (raw, []))
        text, changes = clean_text(inner)
        if changes := [*unwrapped, *changes]:
            self._notice(name, message("plan.was_read", changes=tuple(changes)), seen=raw)
        if text[0] == text[-1] == '"' and name in FREE_TEXTS:
            self._notice(name, message("plan.quoted"), seen=text)
        return text

    def _series(self) -> Iterator[tuple[str, str, int | None]]:
        """Yield the parts of each valid serie; add the problems of the others."""
        if "series" in self._unwrapped and self._given is None:
            self._notice("series", message("plan.was_read", changes=tuple(self._unwrapped["series"][1])))
        cell = self._cells.get("series", "")
        if self._given is None and self._reject_error_value("series", cell):
            return
        for number, each in enumerate(_series(cell) if self._given is None else self._given, 1):
            self._series_count = number
            letra, tipo_documento, folio = self._serie_parts(each)
            is_folio = not folio or (re.fullmatch(r"[0-9]{1,9}", folio) and int(folio))
            if not letra or not tipo_documento or not is_folio or not is_one_line(letra + tipo_documento):
                is_cell = self._given is None
                fault = message("plan.invalid_serie" if is_cell else "plan.invalid_serie_table", number=number)
                self.add_problem("series", fault)
                continue
            if unsendable := find_unsendable(letra + tipo_documento, message("plan.serie", number=number)):
                self.add_problem("series", unsendable)
                continue
            if (found := self._misspelling(tipo_documento)) is not None and not self._any_tipo:
                meant = found.meant.value
                reason = message("plan.misspelt_tipo", tipo_documento=tipo_documento, meant=meant)
                self.add_problem("series", reason)
                continue
            if tipo_documento not in TIPOS_DOCUMENTO:
                self._notice("series", message("plan.undocumented_tipo", number=number))
            yield letra, tipo_documento, int(folio) if folio else None

    def _serie_parts(self, serie: SerieCell) -> Iterator[str]:
        """Yield the parts of a serie, corrected where the meaning is certain.

        Each correction adds a notice, except for blanks around a part.
        """
        for part in serie:
            text, changes = clean_text(part.strip())
            if changes:
                self._notice("series", message("plan.was_read", changes=tuple(changes)))
            yield text

    def _sello(self, kind: Kind, *, is_required: bool = False) -> SelloFiles | None:
        """Return the paths and the password of a certificate, or None if one is faulty."""
        cer, key, password = ("cer", "key", "password") if kind == "csd" else ("fielcer", "fielkey", "fielpassword")
        path_of_cer, path_of_key = self._file(cer), self._file(key)
        secret = self._password(password)
        variable = "" if self._cells.get(password) else self._cells.get(f"{password}_env", "")
        for name in (cer, key):
            if not self._cells.get(name) and not is_required:  # else that is a problem already
                self.add_problem(name, message("plan.sello_incomplete", cer=cer, key=key, password=password))
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
        if found.fault is not None:
            self.add_problem(name, found.fault)
        return found.path

    def _logo(self) -> str | None:
        path = self._file("logo")
        if path and not self._files.is_picture(path):
            self.add_problem("logo", message("values.not_picture", name=""))
        return path or None

    def _password(self, name: str) -> str:
        """Return the password, from its cell or from the environment.

        Problems never show a cell that may be one.
        """
        cell, variable = self._raw.get(name, ""), self._cells.get(f"{name}_env")
        if cell.strip() and variable:
            self.add_problem(name, message("plan.password_twice", password=name, variable=f"{name}_env"))
            return ""
        column = name if cell.strip() or not variable else f"{name}_env"
        password = cell if cell.strip() else os.environ.get(variable or "", "")
        if not cell.strip() and not variable:
            self.add_problem(name, message("plan.password_required", variable=f"{name}_env"))
        elif not password:
            self.add_problem(column, message("plan.variable_not_set"))
        elif not is_one_line(password) or "\ufffd" in password:
            self.add_problem(column, message("plan.password_not_one_line"))
        else:
            return password
        return ""


def _quotes_cell(problem: PlanProblem) -> bool:
    """Return whether the reason of a problem holds a text of its cell."""
    return (
        problem.column not in HIDDEN
        and isinstance(problem.reason, Message)
        and problem.code.startswith("plan.")  # other faults name a character at most
        and any(type(each) is str for each in problem.reason.parameters.values())
    )


def _is_of_another_column(password: str) -> bool:
    """Return whether a password looks like a value of another column."""
    return _OF_ANOTHER_COLUMN.fullmatch(password) is not None


def _change(text: str, value: str) -> Message:
    """Return the notice about a code that was read as another text."""
    if value == f"0{text}":
        return message("plan.was_read_with_zero")
    if value == text.upper():
        return message("plan.was_read_in_upper_case")
    return message("plan.was_read_as", value=value)


def _unwrap(name: str, cell: str) -> tuple[str, list[Message]]:
    """Return the cell without the quoting of a spreadsheet.

    No RFC and no code contains an apostrophe.
    """
    text, changes = unwrap(cell)
    if not changes and text.startswith("'") and name in TEXTS - FREE_TEXTS:
        return text[1:], [message("plan.read_without_apostrophe")]
    return text, changes


FindMisspelling: TypeAlias = Callable[[str], Misspelling | None]


def misspelling_finder() -> FindMisspelling:
    """Return `misspelling` with a memory, for one plan.

    A plan of 20,000 rows with undocumented kinds is read in 1.5 s instead of 15 s. The memory must not outlive the
    plan: a kind of a faulty row may be a password.
    """
    return lru_cache(maxsize=256)(misspelling)


# An e-mail address, an RFC, a code, the path of a file, or a name.
_OF_ANOTHER_COLUMN: Final = re.compile(
    r"[^@\s]+@[^@\s]+|[A-Za-zÑñ&]{3,4}[0-9]{6}\w{3}|[0-9]{3,5}|.+\.(?:cer|key|png|jpg)|.*\S\s+\S.*", re.IGNORECASE
)
_VALUES: Final = ATTRIBUTES | {"existing", "uid"}


def _series(cell: str) -> Iterator[SerieCell]:
    for text in filter(None, (part.strip() for part in cell.split(";"))):
        letra, _, rest = text.partition(":")
        tipo_documento, _, folio = rest.partition(":")
        yield SerieCell(letra, tipo_documento, folio)
