"""What became of a plan: row by row, and in numbers."""

from __future__ import annotations

import enum
from collections import Counter

from attrs import define, field, frozen

from facturaonline_async.findings import Finding

__all__ = ["Report", "RowOutcome", "SerieOutcome", "State"]


class State(enum.StrEnum):
    """What became of a company or a serie."""

    #: This run created it.
    CREATED = "created"
    #: It was there before, and was left as it was.
    ADOPTED = "adopted"
    #: This run did not create it, and found it nowhere, or found something that is for a person to decide.
    FAILED = "failed"
    #: This run sent its create, and it has not shown up: it may be there, or come up later.
    UNKNOWN = "unknown"

    @property
    def is_there(self) -> bool:
        """Whether it surely exists."""
        return self in {State.CREATED, State.ADOPTED}


@frozen(kw_only=True)
class SerieOutcome:
    """What became of a serie. `uid` is None, and `reason` says why, unless it is there."""

    letra: str
    tipo_documento: str
    state: State
    uid: int | None = None
    reason: str = ""


@frozen(kw_only=True)
class RowOutcome:
    """What became of a row: its company, and its series if the company is there.

    Attributes:
        number: number of the row as a spreadsheet shows it.
        rfc: the company's RFC.
        state: what became of the company.
        uid: the company's uid, or None unless it is there.
        reason: why it is not surely there, or ``""``.
        series: what became of its series; those of a failed company failed with it.
        warnings: what the check of a new company's data and certificates found, and did not stop it.

    """

    number: int
    rfc: str
    state: State
    uid: str | None = None
    reason: str = ""
    series: tuple[SerieOutcome, ...] = ()
    warnings: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the company and all its series are there."""
        return self.state.is_there and all(serie.state.is_there for serie in self.series)


@define(kw_only=True)
class Report:
    """A run in numbers. Of the rows it keeps those that are not `ok`, so that it stays small.

    Attributes:
        planned_empresas, planned_series: what the plan asks for.
        empresas, series: how many came to which `State`; every state is there.
        failed: the rows that are not `ok`, as they came.
        seconds: how long the run took.

    """

    planned_empresas: int
    planned_series: int
    empresas: Counter[State] = field(factory=lambda: Counter(dict.fromkeys(State, 0)))
    series: Counter[State] = field(factory=lambda: Counter(dict.fromkeys(State, 0)))
    failed: list[RowOutcome] = field(factory=list)
    seconds: float = 0.0

    def add(self, outcome: RowOutcome) -> None:
        """Count one row."""
        self.empresas[outcome.state] += 1
        self.series.update(serie.state for serie in outcome.series)
        if not outcome.ok:
            self.failed.append(outcome)

    @property
    def is_complete(self) -> bool:
        """Whether all that the plan asks for is there."""
        there = [
            sum(number for state, number in counts.items() if state.is_there) for counts in (self.empresas, self.series)
        ]
        return there == [self.planned_empresas, self.planned_series]
