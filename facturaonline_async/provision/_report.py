"""Results of a run: one outcome per row, and a report with the totals."""

from __future__ import annotations

from collections import Counter

from attrs import define, field, frozen

from facturaonline_async.config import Credentials
from facturaonline_async.provision._plan.models import PlanProblem
from facturaonline_async.provision._steps import State

__all__ = ["RowOutcome", "RunReport", "SerieOutcome", "State"]


@frozen(kw_only=True)
class SerieOutcome:
    """Result of one serie of a row.

    Attributes:
        letra: the serie's letter.
        tipo_documento: the serie's kind of document.
        state: final state.
        uid: the serie's number in the API; None if it is not known to exist.
        reason: why it is not known to exist, or ``""``.
        is_earlier: True if an earlier run with the same journal reached this state.

    """

    letra: str
    tipo_documento: str
    state: State
    uid: int | None = None
    reason: str = ""
    is_earlier: bool = False


@frozen(kw_only=True)
class RowOutcome:
    """Result of one row: its company and its series.

    Attributes:
        number: number of the row, as a spreadsheet shows it.
        rfc: the company's RFC.
        state: final state of the company.
        uid: the company's uid; None if it is not known to exist.
        reason: why the company is not known to exist, or ``""``.
        series: results of its series. They are not tried if the company does not exist.
        is_earlier: True if an earlier run with the same journal reached the company's state.
        warnings: findings about a new company's data and certificates that did not prevent its creation.
        credentials: the company's own keys, if this run has read them, else None.
        is_new: True if this plan sent the company's create, so that no other program has its keys yet.

    """

    number: int
    rfc: str
    state: State
    uid: str | None = None
    reason: str = ""
    series: tuple[SerieOutcome, ...] = ()
    is_earlier: bool = False
    warnings: tuple[PlanProblem, ...] = ()
    credentials: Credentials | None = field(default=None, repr=False, eq=False)
    is_new: bool = field(default=False, eq=False)

    @property
    def ok(self) -> bool:
        """Whether the company and all its series exist and were read back."""
        is_verified = self.state.is_there and not self.reason
        return is_verified and all(serie.state.is_there and not serie.reason for serie in self.series)


@define(kw_only=True)
class RunReport:
    """Totals of a run, and the rows that are not `ok`.

    A resumed run also counts what its journal records as done by earlier runs.

    Attributes:
        planned_empresas: number of companies in the plan.
        planned_series: number of series in the plan.
        empresas: number of companies per `State`, with an entry for every state. When the ``async with`` block ends,
            the numbers add up to `planned_empresas`, even if the run was stopped or cancelled.
        series: number of series per `State`, likewise.
        earlier_empresas: how many of `empresas` an earlier run with the same journal had finished.
        earlier_series: how many of `series` an earlier run with the same journal had finished.
        failed: rows that are not `ok`, in the order in which they finished, without rows that were never started.
        seconds: duration of the run.
        throughput: companies and series finished in each interval of ten seconds; key 0 is the first interval.
        audit: differences found by the final audit, as sentences. Empty if everything exists exactly once; None if the
            audit was not completed.
        has_audit: whether the final audit was requested; see the ``audit`` argument of `provision`.

    """

    planned_empresas: int
    planned_series: int
    empresas: Counter[State] = field(factory=lambda: Counter(dict.fromkeys(State, 0)))
    series: Counter[State] = field(factory=lambda: Counter(dict.fromkeys(State, 0)))
    earlier_empresas: Counter[State] = field(factory=Counter)
    earlier_series: Counter[State] = field(factory=Counter)
    failed: list[RowOutcome] = field(factory=list)
    seconds: float = 0.0
    throughput: Counter[int] = field(factory=Counter)
    audit: list[str] | None = None
    has_audit: bool = True

    def add(self, outcome: RowOutcome) -> None:
        """Count one row, and keep it if it is not `ok`.

        Args:
            outcome: the row's result.

        """
        self.count(outcome)
        if not outcome.ok:
            self.failed.append(outcome)

    def count(self, outcome: RowOutcome, times: int = 1) -> None:
        """Count one row without keeping it.

        Args:
            outcome: the row's result.
            times: how often; -1 takes back that it was counted.

        """
        self.empresas[outcome.state] += times
        self.earlier_empresas[outcome.state] += times * outcome.is_earlier
        for serie in outcome.series:
            self.series[serie.state] += times
            self.earlier_series[serie.state] += times * serie.is_earlier

    def count_all(self, other: RunReport) -> None:
        """Count the rows that another report has counted.

        Args:
            other: the other report.

        """
        self.empresas.update(other.empresas)
        self.series.update(other.series)
        self.earlier_empresas.update(other.earlier_empresas)
        self.earlier_series.update(other.earlier_series)

    def rows_in(self, state: State) -> list[RowOutcome]:
        """Return the rows of `failed` with a company or a serie in this state.

        Args:
            state: a state such as `State.CONFLICT`.

        """
        return [row for row in self.failed if state in {row.state, *(serie.state for serie in row.series)}]

    def add_not_begun(self) -> None:
        """Count the companies and series that the run never started as `State.NOT_TRIED`."""
        for planned, found in ((self.planned_empresas, self.empresas), (self.planned_series, self.series)):
            found[State.NOT_TRIED] += planned - sum(found.values())

    @property
    def is_complete(self) -> bool:
        """Whether everything in the plan exists, exactly once if it was audited."""
        there = [
            sum(number for state, number in counts.items() if state.is_there) for counts in (self.empresas, self.series)
        ]
        return (
            there == [self.planned_empresas, self.planned_series]
            and not self.failed
            and (self.audit == [] or not self.has_audit)
        )
