"""Rows of a plan, and the problems that a plan may have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal, Protocol, TypeAlias, get_args, runtime_checkable

from attrs import Attribute, evolve, field, frozen

from facturaonline_async._core.known_companies import normalize_rfc
from facturaonline_async._messages import code_of, message
from facturaonline_async._text import printable
from facturaonline_async._validators import count, instance_of, required_text, text, type_name
from facturaonline_async.empresas._models import CambiosEmpresa, NuevaEmpresa
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.series._models import normal_key, serie_key

__all__ = [
    "EXISTING",
    "DuplicateFinder",
    "Existing",
    "ExistingRow",
    "PlanError",
    "PlanProblem",
    "PlanRow",
    "PlanSerie",
    "ValueRow",
    "must_exist",
    "required_uid",
]

#: What to do with a company that exists: "adopt" does not change it, "update" changes it to the plan's data, or "fail".
Existing: TypeAlias = Literal["adopt", "update", "fail"]

EXISTING: Final[tuple[Existing, ...]] = get_args(Existing)

_SHOWN: Final = 50
"""Maximum number of problems in the text of an error; ``problems`` has all."""


@frozen(kw_only=True)
class PlanProblem:
    """Problem, or notice, about one cell of a plan.

    Attributes:
        row: number of the row, as a spreadsheet shows it; the header is row 1. 0 if the problem has no row.
        column: name of the column, or ``""``.
        reason: the fault and its remedy: a str with the text's code. ``str(problem.reason)`` is a plain text, for
            serialisers that accept nothing but exact str.
        seen: text of the cell. None if it does not matter or may be a password: in the columns of passwords, files and
            series, and in a row whose number of cells is wrong.
        file: name of the plan's file if the problem concerns the whole file, else ``""``.

    """

    row: int
    column: str
    reason: str
    seen: str | None = None
    file: str = ""

    @property
    def code(self) -> str:
        """Stable name of the reason, such as ``"values.required"``."""
        return code_of(self.reason)

    def __str__(self) -> str:
        row = message("plan.row", row=self.row) if self.row else self.file
        place = ", ".join(part for part in (row, self.column) if part)
        reason = self.reason
        if self.seen is not None:
            reason = message("plan.seen", reason=reason, seen=_quoted(self.seen))
        return message("plan.problem", place=place, reason=reason) if place else reason


def _quoted(cell: str) -> str:
    text = printable(cell)
    return f"'{text[:60]}{'…' if len(text) > 60 else ''}'"


class PlanError(InvalidInputError):
    """The plan was refused as a whole; nothing was sent.

    Its `code` is ``"plan.faulty"``, or ``"plan.faulty_file"`` if the file as a whole has one fault. Each problem has a
    code of its own.

    Attributes:
        problems: all problems, ordered by row.
        notices: corrections that were made while the plan's file was read.

    """

    def __init__(self, message: str, problems: Sequence[PlanProblem] = (), notices: Sequence[PlanProblem] = ()) -> None:
        super().__init__(message, field="plan")
        self.problems: tuple[PlanProblem, ...] = tuple(problems)
        self.notices: tuple[PlanProblem, ...] = tuple(notices)

    @classmethod
    def of(cls, problems: Sequence[PlanProblem], notices: Sequence[PlanProblem] = ()) -> PlanError:
        """Return an error whose text lists the problems.

        Args:
            problems: all problems.
            notices: corrections that were made while the file was read.

        """
        ordered = sorted(problems, key=lambda problem: problem.row)
        if len(ordered) == 1 and not ordered[0].row and not ordered[0].column:
            [fault] = ordered
            text = message("plan.faulty_file", file=fault.file, reason=fault.reason) if fault.file else fault.reason
            return cls(text, ordered, notices)
        lines = [str(problem) for problem in ordered[:_SHOWN]]
        if len(ordered) > _SHOWN:
            lines.append(message("plan.more_faults", count=len(ordered) - _SHOWN))
        return cls(message("plan.faulty", problems="\n".join(lines)), ordered, notices)


@frozen(kw_only=True)
class PlanSerie:
    """Serie that a company should have.

    Attributes:
        letra: letter of the serie.
        tipo_documento: kind of document.
        folio: first folio, from 1; None: the API's default. It is used only if the serie is created.

    """

    letra: str
    tipo_documento: str
    folio: int | None = field(default=None, validator=count)

    def __attrs_post_init__(self) -> None:
        serie_key(self.letra, self.tipo_documento)  # raises if one of them is invalid

    @property
    def key(self) -> tuple[str, str]:
        """Key of the serie within its company: (letra, tipo_documento), normalised."""
        return normal_key(self.letra, self.tipo_documento)


@runtime_checkable
class PlanRow(Protocol):
    """Protocol of a row: one company of a plan with its series.

    Files are read only by `load`.
    """

    @property
    def number(self) -> int:
        """Number of the row, as a spreadsheet shows it."""
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
        """What to do with the company if it exists; None: the default of the run."""
        ...

    async def load(self) -> NuevaEmpresa:
        """Return the company's data with its certificates.

        Raises:
            InvalidInputError: a file can no longer be read; or the row gives no data for a new company, because it must
                exist.

        """
        ...


def _check_existing(_: object, attribute: Attribute[Any], value: object) -> None:
    if value is not None and value not in EXISTING:
        seen = f"{value!r:.40}" if isinstance(value, str) else type_name(value)
        raise InvalidInputError(message("plan.invalid_existing", name=attribute.name, value=seen), field=attribute.name)


def _check_series(_: object, __: object, value: object) -> None:
    if not isinstance(value, tuple):
        raise InvalidInputError(message("plan.series_not_tuple", kind=type_name(value)), field="series")
    for each in value:
        if not isinstance(each, PlanSerie):
            raise InvalidInputError(message("plan.not_plan_serie", kind=type_name(each)), field="series")


@frozen(kw_only=True)
class ValueRow:
    """Row of a plan made in Python, with its data in memory.

    Attributes:
        nueva: the company's data.
        series: series that the company should have.
        existing: what to do with the company if it exists, "adopt", "update" or "fail"; None: the default of the run.
        number: number of the row in messages and reports; 0: its position in the plan.

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


@frozen(kw_only=True)
class ExistingRow:
    """Row of a plan made in Python, for a company that must exist.

    A run never creates the company: without it, the row fails before anything is sent for it. ``existing="fail"`` as
    the default of a run does not concern the row.

    Attributes:
        rfc: the company's RFC.
        series: series that the company should have.
        cambios: the data that ``existing="update"`` changes; None: nothing.
        uid: uid that the company must have; ``""``: any.
        existing: what to do with the company, "adopt" or "update"; None: the default of the run.
        number: number of the row in messages and reports; 0: its position in the plan.

    """

    rfc: str = field(validator=required_text)
    series: tuple[PlanSerie, ...] = field(default=(), validator=_check_series)
    cambios: CambiosEmpresa | None = field(
        default=None, repr=False, validator=instance_of(CambiosEmpresa, or_none=True)
    )
    uid: str = field(default="", validator=text)
    existing: Existing | None = field(default=None, validator=_check_existing)
    number: int = field(default=0, validator=count)

    def __attrs_post_init__(self) -> None:
        if self.existing == "fail":
            raise InvalidInputError(message("plan.fail_of_existing"), field="existing")
        object.__setattr__(self, "rfc", normalize_rfc(self.rfc))  # still in the constructor

    @property
    def data(self) -> CambiosEmpresa:
        """The changes, with the company's RFC."""
        return evolve(self.cambios or CambiosEmpresa(), rfc=self.rfc)

    async def load(self) -> NuevaEmpresa:
        """Refuse: the row gives no data for a new company.

        Raises:
            InvalidInputError: always.

        """
        raise InvalidInputError(message("plan.no_new_company"), field="rfc")


def required_uid(row: PlanRow) -> str | None:
    """Return the uid that the company of a row must have.

    Args:
        row: the row.

    Returns:
        None if the company need not exist; ``""`` if it must exist, with any uid.

    """
    uid: str | None = getattr(row, "uid", None)  # not in `PlanRow`: rows of other programs need not have it
    return uid


def must_exist(row: PlanRow) -> bool:
    """Return whether the company of a row must exist, so that no run creates it.

    Args:
        row: the row.

    """
    return required_uid(row) is not None


class DuplicateFinder:
    """Finds companies, and series of one company, that appear twice in a plan."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def find_rfc(self, rfc: str, number: int) -> Iterator[PlanProblem]:
        """Yield a problem if an earlier row has the same RFC.

        Args:
            rfc: RFC of the row.
            number: number of the row.

        """
        rfc = normalize_rfc(rfc)
        if rfc in self._numbers:
            reason = message("plan.rfc_twice", rfc=rfc, row=self._numbers[rfc])
            yield PlanProblem(row=number, column="rfc", reason=reason)
        else:
            self._numbers[rfc] = number

    @staticmethod
    def find_series(series: Sequence[PlanSerie], number: int) -> Iterator[PlanProblem]:
        """Yield a problem for each serie that appears twice in a row.

        Args:
            series: series of the row.
            number: number of the row.

        """
        for key, times in Counter(serie.key for serie in series).items():
            if times > 1:
                reason = message("plan.serie_twice", serie=":".join(key))
                yield PlanProblem(row=number, column="series", reason=reason)
