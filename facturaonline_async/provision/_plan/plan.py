"""The public `Plan`: companies and series that should exist."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Final

from attrs import evolve

from facturaonline_async._core.known_companies import normalize_rfc
from facturaonline_async._messages import message
from facturaonline_async._validators import type_name
from facturaonline_async.empresas._models import NuevaEmpresa
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.provision._plan.builder import ParsedPlan, count_series
from facturaonline_async.provision._plan.csv_reader import read_csv
from facturaonline_async.provision._plan.file_rows import FileRow, FileRows
from facturaonline_async.provision._plan.models import (
    DuplicateFinder,
    ExistingRow,
    PlanError,
    PlanProblem,
    PlanRow,
    PlanSerie,
    ValueRow,
)
from facturaonline_async.provision._plan.toml_reader import read_toml
from facturaonline_async.provision._plan.workbook_reader import SUFFIXES, read_workbook

__all__ = ["PLAN_SUFFIXES", "Plan", "check_shard", "shard_of"]

_READERS: Final = {".csv": read_csv, ".toml": read_toml}

#: Ends of the names of files that `Plan.from_file` reads, in lower case.
PLAN_SUFFIXES: Final = (*_READERS, *SUFFIXES)


class Plan:
    """Companies and series that should exist: rows with distinct RFCs.

    Make one with `from_file`, or with `from_values`.

    Args:
        rows: the rows.
        notices: corrections that were made while the rows were read.

    Attributes:
        rows: the companies, in the plan's order.
        notices: corrections that were made while the plan was read, such as a restored leading zero of a código postal.

    Raises:
        PlanError: an RFC, or a serie within a company, appears twice.

    """

    def __init__(self, rows: Iterable[PlanRow], *, notices: Sequence[PlanProblem] = ()) -> None:
        self.notices: tuple[PlanProblem, ...] = tuple(notices)
        self.rows: Sequence[PlanRow] = _distinct(rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[PlanRow]:
        return iter(self.rows)

    def __repr__(self) -> str:
        return f"<Plan: {len(self)} empresas, {self.series_count} series>"

    @property
    def series_count(self) -> int:
        """Number of series of all companies together."""
        return count_series(self.rows)

    def files(self) -> Iterator[str]:
        """Yield the paths of all certificates, keys and logos that the rows name.

        `ValueRow` names none.
        """
        return (path for row in self.rows if isinstance(row, FileRow) for path in row.files)

    def shard(self, index: int, count: int) -> Plan:
        """Return one of the parts into which several processes divide the plan.

        A company and its series are in one shard, which depends on its RFC and on `count` alone: not on the order of
        the rows, on other rows, or on the machine. The shards of small plans differ in size, and some may be empty.

        Args:
            index: number of the shard, from 0 to ``count - 1``.
            count: number of shards.

        Raises:
            InvalidInputError: an argument is no such number.

        """
        check_shard(index, count)
        part = Plan((), notices=())
        places = [place for place, row in enumerate(self.rows) if shard_of(row.rfc, count) == index]
        rows = self.rows  # their RFCs and series were compared already
        part.rows = rows.select(places) if isinstance(rows, FileRows) else tuple(rows[place] for place in places)
        numbers = {0, *(row.number for row in part.rows)}
        part.notices = tuple(notice for notice in self.notices if notice.row in numbers)
        return part

    @classmethod
    def from_values(cls, rows: Iterable[tuple[NuevaEmpresa, Iterable[PlanSerie]] | PlanRow]) -> Plan:
        """Make a plan from values.

        Args:
            rows: companies, each with its series, or rows such as `ValueRow`.

        Raises:
            PlanError: an RFC, or a serie within a company, appears twice, or an item is not a row.

        """
        return cls(_to_row(row, number) for number, row in enumerate(rows, 1))

    @classmethod
    def of(cls, parsed: ParsedPlan) -> Plan:
        """Make a plan of a file that was read with `parse`.

        Args:
            parsed: contents of the file.

        Raises:
            PlanError: the file has problems. The error holds all of them: row, column and reason.

        """
        if parsed.problems:
            raise PlanError.of(parsed.problems, parsed.notices)
        plan = cls((), notices=parsed.notices)
        plan.rows = parsed.rows  # their RFCs and series were compared while the file was read
        return plan

    @staticmethod
    def parse(path: str | os.PathLike[str], *, any_tipo: bool = False, sheet: str | None = None) -> ParsedPlan:
        """Read a plan's file without raising for faulty cells.

        The problems can be shown together with the results of `provision.validate`.

        Args:
            path: a file whose name ends in ``.csv``, ``.xlsx``, ``.xlsm``, ``.ods`` or ``.toml``: see `from_csv`,
                `from_workbook` and `from_toml`.
            any_tipo: accept a ``tipo_documento`` that looks like a misspelt documented one.
            sheet: name of the sheet of a workbook; None: see `from_workbook`.

        Raises:
            PlanError: the name ends otherwise, or the file is not a table of rows: it cannot be read or decoded, is not
                of the format that its name says, or has wrong columns.

        """
        suffix = Path(path).suffix.lower()
        if suffix in SUFFIXES:
            return read_workbook(path, any_tipo=any_tipo, sheet=sheet)
        if suffix in _READERS and sheet is None:
            return _READERS[suffix](path, any_tipo=any_tipo)
        if suffix in _READERS:
            reason = message("plan.sheet_of_no_workbook")
        else:
            is_workbook = suffix.startswith(".xls")
            reason = message("plan.wrong_suffix_of_workbook" if is_workbook else "plan.wrong_suffix")
        raise PlanError.of([PlanProblem(row=0, column="", reason=reason, file=Path(path).name)])

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], *, any_tipo: bool = False, sheet: str | None = None) -> Plan:
        """Read a plan from a CSV file, a workbook or a TOML file.

        Args:
            path: a file whose name ends in ``.csv``, ``.xlsx``, ``.xlsm``, ``.ods`` or ``.toml``: see `from_csv`,
                `from_workbook` and `from_toml`.
            any_tipo: accept a ``tipo_documento`` that looks like a misspelt documented one.
            sheet: name of the sheet of a workbook; None: see `from_workbook`.

        Raises:
            PlanError: the name ends otherwise, or the file has problems. The error holds all of them: row, column and
                reason.

        """
        return cls.of(cls.parse(path, any_tipo=any_tipo, sheet=sheet))

    @classmethod
    def from_csv(cls, path: str | os.PathLike[str], *, any_tipo: bool = False) -> Plan:
        """Read a plan from a CSV file, as spreadsheets write it.

        It also checks that the files that the plan names can be read.

        The README shows the columns. Relative paths start at the plan's folder. The CSV file is not needed afterwards;
        the certificates are. Their contents are not checked here, but by `provision.validate`, and by a run before each
        company is created.

        Args:
            path: the file.
            any_tipo: accept a ``tipo_documento`` that looks like a misspelt documented one. A documented one in another
                case is still sent only if the company already has series of it.

        Raises:
            PlanError: the file has problems. The error holds all of them: row, column and reason.

        """
        return cls.of(read_csv(path, any_tipo=any_tipo))

    @classmethod
    def from_workbook(cls, path: str | os.PathLike[str], *, any_tipo: bool = False, sheet: str | None = None) -> Plan:
        """Read a plan from a workbook of Excel or LibreOffice.

        It needs the extra ``excel``. Cells are read as they are stored, and formulas as they were computed when the
        workbook was saved. Numbers lose the decimals that a spreadsheet adds. Everything else is as in `from_csv`.

        Args:
            path: a file whose name ends in ``.xlsx``, ``.xlsm`` or ``.ods``.
            any_tipo: see `from_csv`.
            sheet: name of the sheet. None: the one that is called "Empresas", or else the only visible one with a
                header.

        Raises:
            PlanError: the file is no workbook, has a password, has no such sheet, or has problems. The error holds all
                of them: row, column and reason.

        """
        return cls.of(read_workbook(path, any_tipo=any_tipo, sheet=sheet))

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str], *, any_tipo: bool = False) -> Plan:
        """Read a plan from a TOML file.

        It has one table per company, with the names of the CSV columns as keys.

        ::

            [[empresas]]
            razon_social = "Escuela Kemper Urgate"
            rfc = "EKU9003173C9"
            codpos = "06500"
            email = "facturas@example.com"
            regimen_nomina = 601
            cer = "csd/eku.cer"
            key = "csd/eku.key"
            password_env = "CSD_OF_KEMPER"
            series = [{ letra = "F", tipo_documento = "factura", folio = 1 }, { letra = "P", tipo_documento = "pago" }]

        In messages, the row is the number of the table, from 1. Everything else is as in `from_csv`.

        Args:
            path: the file.
            any_tipo: see `from_csv`.

        Raises:
            PlanError: the file is not TOML, or has problems. The error holds all of them: table, key and reason.

        """
        return cls.of(read_toml(path, any_tipo=any_tipo))


def check_shard(index: object, count: object) -> None:
    """Refuse numbers that name no shard.

    Args:
        index: number of the shard, from 0.
        count: number of shards.

    Raises:
        InvalidInputError: they are no such numbers.

    """
    is_count = isinstance(count, int) and not isinstance(count, bool) and count > 0
    if not is_count:
        raise InvalidInputError(message("plan.invalid_shard_count", value=f"{count!r:.40}"), field="count")
    assert isinstance(count, int)  # noqa: S101  # for type checkers
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < count:
        text = message("plan.invalid_shard", value=f"{index!r:.40}", last=count - 1)
        raise InvalidInputError(text, field="index")


def shard_of(rfc: str, count: int) -> int:
    """Return the number of a company's shard.

    It never changes: processes of several versions of this library may work on one run.
    """
    return int.from_bytes(blake2b(normalize_rfc(rfc).encode(), digest_size=8).digest()) % count


def _to_row(row: object, number: int) -> PlanRow:
    if isinstance(row, (ValueRow, ExistingRow)):
        return row if row.number else evolve(row, number=number)
    if isinstance(row, PlanRow):
        return row
    if isinstance(row, tuple) and len(row) == 2 and isinstance(row[0], NuevaEmpresa) and isinstance(row[1], Iterable):
        return ValueRow(nueva=row[0], series=tuple(row[1]), number=number)
    reason = message("plan.not_a_row", kind=type_name(row))
    raise PlanError.of([PlanProblem(row=number, column="", reason=reason)])


def _distinct(rows: Iterable[PlanRow]) -> tuple[PlanRow, ...]:
    """Return the rows.

    Raises:
        PlanError: a company, or a serie within one, appears twice.

    """
    found = tuple(rows)
    duplicates = DuplicateFinder()
    problems: list[PlanProblem] = []
    for row in found:
        problems += duplicates.find_rfc(row.rfc, row.number)
        problems += duplicates.find_series(row.series, row.number)
    if problems:
        raise PlanError.of(problems)
    return found
