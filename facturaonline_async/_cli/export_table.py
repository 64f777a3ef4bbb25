"""Rows of a plan that hold what an account has, and change nothing there.

A plan's reader mends and refuses texts, and not every text of an account has a form in a plan. So each row is read by
the parser of plans before it is written. A cell that would be refused or read as another text stays empty, which a run
leaves alone, and its text becomes a note. The series of a company are written all or not at all: a serie that a plan
does not name is what "series apply --deactivate-others" pauses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from attrs import define, field

from facturaonline_async._cli import csv_tables
from facturaonline_async._cli.template_columns import read_template
from facturaonline_async._core.known_companies import normalize_rfc
from facturaonline_async._core.redaction import redact
from facturaonline_async._messages import Message, message
from facturaonline_async._text import printable
from facturaonline_async.provision._plan.column_names import find_column, is_note
from facturaonline_async.provision._plan.file_lookup import FileLookup
from facturaonline_async.provision._plan.row_parser import FindMisspelling, RowParser, misspelling_finder

if TYPE_CHECKING:
    from facturaonline_async.empresas._models import Empresa
    from facturaonline_async.provision._account import ListedEmpresa
    from facturaonline_async.series._models import Serie

__all__ = ["ExportTable"]

_KEY: Final = ("rfc", "uid")
"""Columns without which a row is about no company."""
_READ: Final = ("razon_social", "codpos", "email", "calle", "exterior", "interior", "colonia", "ciudad", "estado")
"""Columns that reads show. The régimen is a note: reads have its words, which no run can compare."""
_LONGEST: Final = 32_767
"""Maximum number of characters of a cell in a spreadsheet, which cuts a longer one."""
_LONGEST_NOTE: Final = 1000
"""Maximum number of characters of one note, so that all notes of a company fit into a cell."""
_SHOWN: Final = 5
"""Maximum number of series that a message names."""

_SerieKey = tuple[str, str]


@define
class ExportTable:
    """Rows of the plan, and what is not in them.

    Attributes:
        header: names of the columns, in the order of the template.
        rows: cells of each company.
        series_count: number of series in the rows.
        without_series: companies whose series a plan cannot hold, with the reasons.
        left_out: companies that a plan cannot hold, with the reasons.

    """

    header: list[str] = field(init=False)
    rows: list[list[str]] = field(factory=list, init=False)
    series_count: int = field(default=0, init=False)
    without_series: list[tuple[Empresa, Message]] = field(factory=list, init=False)
    left_out: list[tuple[Empresa, Message]] = field(factory=list, init=False)
    _columns: list[str] = field(init=False)
    _last: Empresa | None = field(default=None, init=False)
    _files: FileLookup = field(factory=lambda: FileLookup(Path()), init=False)
    _find_misspelling: FindMisspelling = field(factory=misspelling_finder, init=False)

    def __attrs_post_init__(self) -> None:
        named = dict(_named_columns())
        self.header, self._columns = list(named), list(named.values())

    def add(self, listed: ListedEmpresa) -> None:
        """Add a company; of several with one RFC, the first one.

        Args:
            listed: the company, after those whose RFC is smaller.

        """
        empresa = listed.empresa
        if self._last is not None and normalize_rfc(self._last.rfc) == normalize_rfc(empresa.rfc):
            self.left_out.append((empresa, message("cli.export_rfc_twice", uid=self._last.uid)))
            return
        cells = {name: str(getattr(empresa, name)) for name in (*_KEY, *_READ)}
        emptied: list[str] = []
        while faults := self._faults(cells):
            for column, reason in faults.items():
                if not (column in _READ and cells[column]):
                    self.left_out.append((empresa, message("cli.export_no_row", column=column, reason=reason)))
                    return
                emptied.append(f"{column}: {cells[column]}")
                cells[column] = ""
        self._last = empresa
        notes = [*self._write_series(cells, listed), *emptied]
        regimen = empresa.regimen_sat
        cells["regimen_note"] = _note(
            f"{regimen.codigo} - {regimen.descripcion}" if regimen else empresa.regimen_fiscal
        )
        cells["notes"] = "; ".join(map(_note, notes))
        self.rows.append([cells.get(name, "") for name in self._columns])

    def _faults(self, cells: Mapping[str, str]) -> dict[str, str]:
        """Return the columns that a file does not give back unchanged, with reasons."""
        parser = self._parser(cells)
        if (row := parser.row()) is None:
            return {problem.column: problem.reason for problem in parser.problems}
        read = {"rfc": row.rfc, "uid": row.uid, **row.values}
        return {
            name: message("cli.export_changed")
            for name, cell in cells.items()
            if read.get(name, "") != cell or not _is_storable(cell)
        }

    def _write_series(self, cells: dict[str, str], listed: ListedEmpresa) -> Iterator[str]:
        """Write the series of a company into their cell, and yield the notes about them."""
        if listed.reason:
            yield message("cli.export_note_not_read")
        keys = sorted({serie.key for serie in listed.series or ()})
        if self._read_back(cells, keys) != keys:
            faulty = [key for key in keys if self._read_back(cells, [key]) != [key]] or keys
            names = [redact(_cell_of([key])) for key in faulty[:_SHOWN]]
            shown = ", ".join([*names, "…"] if len(faulty) > _SHOWN else names)
            reason = message("cli.export_series_not_held", series=shown)
            self.without_series.append((listed.empresa, reason))
            yield message("cli.export_note_series", reason=reason)
            return
        cells["series"] = _cell_of(keys)
        self.series_count += len(keys)
        if paused := sorted(set(keys) - _active(listed.series or ())):
            yield message("cli.export_note_paused", series=", ".join(_cell_of([key]) for key in paused))

    def _read_back(self, cells: Mapping[str, str], keys: Sequence[_SerieKey]) -> list[_SerieKey]:
        """Return the series that a plan's reader finds in the cell with these series."""
        text = _cell_of(keys)
        row = self._parser({name: cells[name] for name in _KEY} | {"series": text}).row()
        if row is None or not _is_storable(text):
            return []
        return [serie.key for serie in row.series]

    def _parser(self, cells: Mapping[str, str]) -> RowParser:
        return RowParser(0, cells, self._files, may_be_shifted=False, find_misspelling=self._find_misspelling)

    def to_bytes(self, suffix: str) -> bytes:
        """Return the file.

        Args:
            suffix: ".csv" or ".xlsx".

        """
        table = [self.header, *self.rows]
        if suffix == ".xlsx":
            from facturaonline_async._cli import workbooks  # noqa: PLC0415  # of the extra excel

            return workbooks.new_table(table, {})
        return csv_tables.new_table(table)


def _named_columns() -> Iterator[tuple[str, str]]:
    """Yield the title and the name of each column, in the order of the template."""
    has_series = False
    for each in read_template().columns:
        column = find_column(each.title) or ""
        if is_note(each.title):
            yield each.title, "notes"
        elif column.rpartition("_")[2].isdecimal():
            if not has_series:
                yield "Series", "series"
            has_series = True
        else:
            yield each.title, column
        if column == "rfc":
            yield "UID", "uid"
        if column == "regimen":
            yield f"# {each.title}", "regimen_note"


def _cell_of(keys: Sequence[_SerieKey]) -> str:
    return ";".join(map(":".join, keys))


def _active(series: Sequence[Serie]) -> set[_SerieKey]:
    return {serie.key for serie in series if serie.is_active}


def _is_storable(cell: str) -> bool:
    """Return whether a file may hold a text, and holds it whole."""
    return len(cell) <= _LONGEST and redact(cell) == cell


def _note(text: str) -> str:
    text = printable(redact(text))
    return text if len(text) <= _LONGEST_NOTE else f"{text[: _LONGEST_NOTE - 1]}…"
