"""Rows of a plan: a company with its series, and what may be wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from attrs import field, frozen

from facturaonline_async.errors import InvalidInputError
from facturaonline_async.resources.empresas.values import NuevaEmpresa

__all__ = ["PlanError", "PlanRow", "PlanSerie", "Problem", "ValueRow"]


@frozen(kw_only=True)
class Problem:
    """What is wrong with one cell of a plan.

    Attributes:
        row: number of the row as a spreadsheet shows it; the header is row 1. 0 where the whole plan is meant.
        column: name of the column, or ``""``.
        reason: what is wrong, and what to do.

    """

    row: int
    column: str
    reason: str

    def __str__(self) -> str:
        where = ", ".join(part for part in (f"row {self.row}" if self.row else "", self.column) if part)
        return f"{where}: {self.reason}" if where else self.reason


class PlanError(InvalidInputError):
    """The plan was refused as a whole; nothing was sent.

    Attributes:
        problems: all of them, in order of their rows.

    """

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message, field="plan")
        self.problems: tuple[Problem, ...] = tuple(problems)

    @classmethod
    def of(cls, problems: Sequence[Problem]) -> PlanError:
        """Return the error that shows all problems."""
        ordered = sorted(problems, key=lambda problem: problem.row)
        return cls("\n".join(["The plan has faults:", *map(str, ordered)]), ordered)


@frozen(kw_only=True)
class PlanSerie:
    """A serie that a company should have; `folio` counts only if it is created."""

    letra: str
    tipo_documento: str
    folio: int | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What tells a company's series apart."""
        return self.letra, self.tipo_documento


class PlanRow(Protocol):
    """One company of a plan, with its series. Its certificates are read when they are needed, not before."""

    @property
    def number(self) -> int:
        """Number of the row as a spreadsheet shows it."""
        ...

    @property
    def rfc(self) -> str:
        """The company's RFC, normalised."""
        ...

    @property
    def series(self) -> tuple[PlanSerie, ...]:
        """The series that the company should have."""
        ...

    async def load(self) -> NuevaEmpresa:
        """Return the company's data with its certificates.

        Raises:
            InvalidInputError: a file cannot be read any more.

        """
        ...


@frozen(kw_only=True)
class ValueRow:
    """A row that is there already, as a value."""

    nueva: NuevaEmpresa = field(repr=False)
    number: int
    series: tuple[PlanSerie, ...] = ()

    @property
    def rfc(self) -> str:
        """The company's RFC."""
        return self.nueva.rfc

    async def load(self) -> NuevaEmpresa:
        """Return the company's data."""
        return self.nueva
