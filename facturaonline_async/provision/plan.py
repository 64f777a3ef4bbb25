"""Plan: the companies and series that should exist, checked as a whole before anything is sent."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

from facturaonline_async.provision.rows import PlanError, PlanRow, PlanSerie, Problem, ValueRow
from facturaonline_async.provision.table import read_csv
from facturaonline_async.resources.empresas.values import NuevaEmpresa, normalize_rfc

__all__ = ["Plan"]


class Plan:
    """Rows with distinct RFCs. Make one with `from_values` or `from_csv`.

    Attributes:
        rows: the companies, in their order.
        notices: what was mended while the plan was read, such as a código postal that had lost its leading zero.

    """

    def __init__(self, rows: Iterable[PlanRow], *, notices: Sequence[Problem] = ()) -> None:
        self.rows: tuple[PlanRow, ...] = tuple(rows)
        self.notices: tuple[Problem, ...] = tuple(notices)
        if problems := list(_repeated(self.rows)):
            raise PlanError.of(problems)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[PlanRow]:
        return iter(self.rows)

    def __repr__(self) -> str:
        return f"<Plan: {len(self)} empresas, {self.series_count} series>"

    @property
    def series_count(self) -> int:
        """How many series all companies should have together."""
        return sum(len(row.series) for row in self.rows)

    @classmethod
    def from_values(cls, rows: Iterable[tuple[NuevaEmpresa, Iterable[PlanSerie]]]) -> Plan:
        """Make a plan of companies, each with its series.

        Raises:
            PlanError: an RFC, or a serie within a company, stands twice.

        """
        return cls(
            ValueRow(nueva=nueva, series=tuple(series), number=number) for number, (nueva, series) in enumerate(rows, 1)
        )

    @classmethod
    def from_csv(cls, path: str | os.PathLike[str]) -> Plan:
        """Read a plan from a CSV file, as spreadsheets write it. Reads no certificate, but sees that all are there.

        The README shows the columns. Relative paths start at the plan's folder.

        Raises:
            PlanError: with every faulty row, column and reason at once.

        """
        rows, notices = read_csv(path)
        return cls(rows, notices=notices)


def _repeated(rows: Iterable[PlanRow]) -> Iterator[Problem]:
    """Give the companies and series that stand in the plan twice: each of them would be meant to exist once."""
    seen: dict[str, int] = {}
    for row in rows:
        first = seen.setdefault(normalize_rfc(row.rfc), row.number)
        if first != row.number:
            yield Problem(row=row.number, column="rfc", reason=f"{row.rfc} stands in row {first} already")
        keys = [serie.key for serie in row.series]
        for key in dict.fromkeys(key for key in keys if keys.count(key) > 1):
            yield Problem(row=row.number, column="series", reason=f"{':'.join(key)} stands there twice")
