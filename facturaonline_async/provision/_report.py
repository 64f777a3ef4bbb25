"""What became of a plan: row by row, and in numbers."""

from __future__ import annotations

import enum
from collections import Counter

from attrs import define, field, frozen

from facturaonline_async.config import Credentials
from facturaonline_async.provision._plan.models import PlanProblem

__all__ = ["RowOutcome", "RunReport", "SerieOutcome", "State"]


class State(enum.StrEnum):
    """What became of a company or a serie."""

    #: This plan created it.
    CREATED = "created"
    #: It was there before, or came up after its create got no answer, and was left as it was.
    ADOPTED = "adopted"
    #: It was there before, and was changed as the plan asked.
    UPDATED = "updated"
    #: Its turn did not come: the run was stopped, or its company is not there. The next run tries it.
    NOT_TRIED = "not_tried"
    #: It was not created: it was refused, or could not be sent. The next run tries again.
    FAILED = "failed"
    #: Its create was sent, and it has not shown up: it may be there, or come up later. The next run looks.
    UNKNOWN = "unknown"
    #: There are several of it: for a person.
    CONFLICT = "conflict"
    #: The API said a yes that could not be read, and it has not shown up; it is never created again: for a person.
    UNRESOLVED = "unresolved"

    @property
    def is_there(self) -> bool:
        """Whether it surely exists, once."""
        return self in {State.CREATED, State.ADOPTED, State.UPDATED}


@frozen(kw_only=True)
class SerieOutcome:
    """What became of a serie. `uid` is None, and `reason` says why, unless it is there.

    Attributes:
        letra, tipo_documento: the serie's.
        state: what became of it.
        uid: the API's number of it, or None unless it is there.
        reason: why it is not surely there, or ``""``.
        is_earlier: whether an earlier run of the same journal has done it.

    """

    letra: str
    tipo_documento: str
    state: State
    uid: int | None = None
    reason: str = ""
    is_earlier: bool = False


@frozen(kw_only=True)
class RowOutcome:
    """What became of a row: its company, and its series if the company is there.

    Attributes:
        number: number of the row as a spreadsheet shows it.
        rfc: the company's RFC.
        state: what became of the company.
        uid: the company's uid, or None unless it is there.
        reason: why it is not surely there, or ``""``.
        series: what became of its series; those of a company that is not there were not tried.
        is_earlier: whether an earlier run of the same journal has done the company.
        credentials: the company's own keys, where this run has read them.
        is_new: whether this plan has sent its create, so that nobody else has its keys yet.
        warnings: what the check of a new company's data and certificates found, and did not stop it.

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
        """Whether the company and all its series are there, and were seen."""
        is_seen = self.state.is_there and not self.reason
        return is_seen and all(serie.state.is_there and not serie.reason for serie in self.series)


@define(kw_only=True)
class RunReport:
    """A run in numbers. Of the rows it keeps those that are not `ok`, so that it stays small.

    Attributes:
        planned_empresas, planned_series: what the plan asks for.
        empresas, series: how many came to which `State`; every state is there. After the block their sums are what the
            plan asks for, also if the run was stopped or cancelled.
        earlier_empresas, earlier_series: how many of these came to it in an earlier run of the same journal.
        failed: the rows that are not `ok`, as they came, without those that were never begun.
        seconds: how long the run took.
        pace: companies and series that were done in each ten seconds of the run, from 0.
        audit: what the last looks say against the run, in words; empty if all is there once, None if they were not
            made to their end.
        has_audit: whether these looks were wanted: ``provision(…, audit=False)`` skips them.

    A run that resumes counts what its journal says was done before.

    """

    planned_empresas: int
    planned_series: int
    empresas: Counter[State] = field(factory=lambda: Counter(dict.fromkeys(State, 0)))
    series: Counter[State] = field(factory=lambda: Counter(dict.fromkeys(State, 0)))
    earlier_empresas: Counter[State] = field(factory=Counter)
    earlier_series: Counter[State] = field(factory=Counter)
    failed: list[RowOutcome] = field(factory=list)
    seconds: float = 0.0
    pace: Counter[int] = field(factory=Counter)
    audit: list[str] | None = None
    has_audit: bool = True

    def add(self, outcome: RowOutcome) -> None:
        """Count one row, and keep it if it is not `ok`."""
        self.count(outcome)
        if not outcome.ok:
            self.failed.append(outcome)

    def count(self, outcome: RowOutcome) -> None:
        """Count one row."""
        self.empresas[outcome.state] += 1
        self.series.update(serie.state for serie in outcome.series)
        self.earlier_empresas[outcome.state] += outcome.is_earlier
        self.earlier_series.update(serie.state for serie in outcome.series if serie.is_earlier)

    def rows_in(self, state: State) -> list[RowOutcome]:
        """Return the rows of which the company, or a serie, is in a state that is not there (such as CONFLICT)."""
        return [row for row in self.failed if state in {row.state, *(serie.state for serie in row.series)}]

    def add_not_begun(self) -> None:
        """Count as not tried what the run has not begun."""
        for planned, found in ((self.planned_empresas, self.empresas), (self.planned_series, self.series)):
            found[State.NOT_TRIED] += planned - sum(found.values())

    @property
    def is_complete(self) -> bool:
        """Whether all that the plan asks for is there, and once, as far as that was looked at."""
        there = [
            sum(number for state, number in counts.items() if state.is_there) for counts in (self.empresas, self.series)
        ]
        return (
            there == [self.planned_empresas, self.planned_series]
            and not self.failed
            and (self.audit == [] or not self.has_audit)
        )
