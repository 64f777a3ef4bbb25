"""Rows of a plan: a company with its series, and what may be wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal, Protocol, TypeAlias, get_args, runtime_checkable

from attrs import Attribute, field, frozen

from facturaonline_async._text import printable
from facturaonline_async._validators import count, instance_of, type_name
from facturaonline_async.empresas._models import NuevaEmpresa, normalize_rfc
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.series._models import serie_key

__all__ = ["EXISTING", "DuplicateFinder", "Existing", "PlanError", "PlanProblem", "PlanRow", "PlanSerie", "ValueRow"]

#: What to do with a company that exists: leave it as it is, change it to what the plan says, or fail.
Existing: TypeAlias = Literal["adopt", "update", "fail"]

EXISTING: Final[tuple[Existing, ...]] = get_args(Existing)

_SHOWN: Final = 50
"""Faults in the text of an error; all are in its ``problems``."""


@frozen(kw_only=True)
class PlanProblem:
    """What is wrong with one cell of a plan.

    Attributes:
        row: number of the row as a spreadsheet shows it; the header is row 1. 0 where no row of the plan is meant.
        column: name of the column, or ``""``.
        reason: what is wrong, and what to do.
        seen: the cell's text, or None where it does not matter or may be a password: in the columns of passwords, files
            and series, and in a row with more or fewer cells than columns.
        file: name of the plan's file where all of it is meant, else ``""``.

    """

    row: int
    column: str
    reason: str
    seen: str | None = None
    file: str = ""

    def __str__(self) -> str:
        row = f"row {self.row}" if self.row else self.file
        where = ", ".join(part for part in (row, self.column) if part)
        seen = "" if self.seen is None else f", and was {_printable_name(self.seen)}"
        return f"{where}: {self.reason}{seen}" if where else f"{self.reason}{seen}"


def _printable_name(cell: str) -> str:
    text = printable(cell)
    return f"'{text[:60]}{'…' if len(text) > 60 else ''}'"


class PlanError(InvalidInputError):
    """The plan was refused as a whole; nothing was sent.

    Attributes:
        problems: all of them, in order of their rows.
        notices: what was mended in the plan's file, which is refused all the same.

    """

    def __init__(self, message: str, problems: Sequence[PlanProblem] = (), notices: Sequence[PlanProblem] = ()) -> None:
        super().__init__(message, field="plan")
        self.problems: tuple[PlanProblem, ...] = tuple(problems)
        self.notices: tuple[PlanProblem, ...] = tuple(notices)

    @classmethod
    def of(cls, problems: Sequence[PlanProblem], notices: Sequence[PlanProblem] = ()) -> PlanError:
        """Return the error that shows all problems."""
        ordered = sorted(problems, key=lambda problem: problem.row)
        if len(ordered) == 1 and not ordered[0].row and not ordered[0].column:
            return cls(str(ordered[0]), ordered, notices)
        more = [f"… and {len(ordered) - _SHOWN} faults more"] if len(ordered) > _SHOWN else []
        return cls("\n".join(["The plan has faults:", *map(str, ordered[:_SHOWN]), *more]), ordered, notices)


@frozen(kw_only=True)
class PlanSerie:
    """A serie that a company should have; `folio` counts only if it is created."""

    letra: str
    tipo_documento: str
    folio: int | None = field(default=None, validator=count)

    def __attrs_post_init__(self) -> None:
        _ = self.key  # refuses what is none

    @property
    def key(self) -> tuple[str, str]:
        """What tells a company's series apart."""
        return serie_key(self.letra, self.tipo_documento)


@runtime_checkable
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

    @property
    def existing(self) -> Existing | None:
        """What to do with the company if it exists; None: what the run does."""
        ...

    async def load(self) -> NuevaEmpresa:
        """Return the company's data with its certificates.

        Raises:
            InvalidInputError: a file cannot be read any more.

        """
        ...


def _check_existing(_: object, attribute: Attribute[Any], value: object) -> None:
    if value is not None and value not in EXISTING:
        seen = f"{value!r:.40}" if isinstance(value, str) else type_name(value)
        raise InvalidInputError(
            f"{attribute.name} must be 'adopt', 'update' or 'fail', or None for what the run does; it was {seen}.",
            field=attribute.name,
        )


def _check_series(_: object, __: object, value: object) -> None:
    if not isinstance(value, tuple):
        raise InvalidInputError(f"series must be a tuple of PlanSerie, and was {type_name(value)}.", field="series")
    for each in value:
        if not isinstance(each, PlanSerie):
            raise InvalidInputError(f"series must be of PlanSerie, and one was {type_name(each)}.", field="series")


@frozen(kw_only=True)
class ValueRow:
    """A row that is there already, as a value.

    Attributes:
        nueva: the company.
        series: those that the company should have.
        existing: what to do with the company if it exists, "adopt", "update" or "fail"; None: what the run does.
        number: the row's in messages and reports; 0: its place in the plan.

    """

    nueva: NuevaEmpresa = field(repr=False, validator=instance_of(NuevaEmpresa))
    series: tuple[PlanSerie, ...] = field(default=(), validator=_check_series)
    existing: Existing | None = field(default=None, validator=_check_existing)
    number: int = field(default=0, validator=count)

    @property
    def rfc(self) -> str:
        """The company's RFC."""
        return self.nueva.rfc

    async def load(self) -> NuevaEmpresa:
        """Return the company's data."""
        return self.nueva


class DuplicateFinder:
    """Finds companies, and series of one company, that stand in a plan twice: each is meant to exist once."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def check_rfc(self, rfc: str, number: int) -> Iterator[PlanProblem]:
        """Tell whether a row before this one has the RFC."""
        rfc = normalize_rfc(rfc)
        if rfc in self._numbers:
            yield PlanProblem(row=number, column="rfc", reason=f"{rfc} stands in row {self._numbers[rfc]} already")
        else:
            self._numbers[rfc] = number

    @staticmethod
    def check_series(series: Sequence[PlanSerie], number: int) -> Iterator[PlanProblem]:
        """Tell which series stand there twice."""
        for key, times in Counter(serie.key for serie in series).items():
            if times > 1:
                yield PlanProblem(row=number, column="series", reason=f"{':'.join(key)} stands there twice")
