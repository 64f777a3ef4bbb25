"""One row on its way: what a run knows of it, and what it becomes in the end."""

from __future__ import annotations

from attrs import define

from facturaonline_async.client import FacturaOnline
from facturaonline_async.provision._plan.columns import as_problem
from facturaonline_async.provision._plan.models import PlanRow
from facturaonline_async.provision._report import RowOutcome, SerieOutcome, State
from facturaonline_async.provision._steps import COMPANY_FIRST, Step, StepState
from facturaonline_async.sat._findings import Finding

__all__ = ["RowProgress", "outcome"]


@define(eq=False)
class RowProgress:
    """A row, its steps, and what was read of it so far.

    Attributes:
        row: as the plan has it.
        empresa, series: how far they have come.
        own: client with the company's own keys, once it is readable.
        before: uids of the series that existed before any was sent, by what tells them apart.
        warnings: of the check.
        due: moment of the loop's clock after which a look tells what became of what is unknown; 0: nothing is.
        looks: how often a look has failed.
        tries: how often it was tried again, because something was not sent, or did not show.
        is_unseen: whether something that was created could not be read yet, and may be later.
        shows_by: moment of the loop's clock by which that must be readable; 0: nothing is unseen.
        is_new: whether this run has not worked on it yet.
        is_recalled: whether its steps are as the journal has them.

    """

    row: PlanRow
    empresa: Step
    series: list[Step]
    own: FacturaOnline | None = None
    before: dict[tuple[str, str], list[str]] | None = None
    warnings: tuple[Finding, ...] = ()
    due: float = 0.0
    failed_lists: int = 0
    retries: int = 0
    is_unread: bool = False
    readable_by: float = 0.0
    is_new: bool = True
    is_restored: bool = False

    @classmethod
    def of(cls, row: PlanRow, rfc: str) -> RowProgress:
        """Begin with a row of which nothing is known."""
        series = [
            Step(number=row.number, rfc=rfc, letra=serie.key[0], tipo_documento=serie.key[1]) for serie in row.series
        ]
        return cls(row, Step(number=row.number, rfc=rfc), series)

    @property
    def steps(self) -> list[Step]:
        """The company, and its series."""
        return [self.empresa, *self.series]

    @property
    def is_stalled(self) -> bool:
        """Whether something was not sent that may well be sent later: the network was down, or the server busy."""
        return any(step.phase is StepState.PLANNED and step.reason for step in self.steps)

    @property
    def waiting(self) -> list[Step]:
        """The steps of which a look must tell what became of them."""
        return [
            step
            for step in self.steps
            if step.phase is StepState.UNKNOWN or (step.phase is StepState.UNRESOLVED and step.due)
        ]


_STATES = {
    StepState.PLANNED: State.NOT_TRIED,
    StepState.INTENT: State.UNKNOWN,
    StepState.UNKNOWN: State.UNKNOWN,
    StepState.FAILED: State.FAILED,
    StepState.CONFLICT: State.CONFLICT,
    StepState.UNRESOLVED: State.UNRESOLVED,
}


def state(step: Step) -> State:
    """Return what became of a step."""
    if step.phase is StepState.DONE:
        return State(step.how.value) if step.how else State.CREATED
    return _STATES[step.phase]


def outcome(progress: RowProgress) -> RowOutcome:
    """Return what became of a row."""
    empresa = progress.empresa
    comes_first = "" if empresa.phase is StepState.DONE else COMPANY_FIRST
    series = tuple(
        SerieOutcome(
            letra=wanted.letra,
            tipo_documento=wanted.tipo_documento,
            state=state(step),
            uid=int(step.uid) if step.uid else None,
            reason=step.reason or ("" if step.phase is StepState.DONE else comes_first or empresa.reason),
            is_earlier=step.is_earlier,
        )
        for wanted, step in zip(progress.row.series, progress.series, strict=True)
    )
    return RowOutcome(
        number=progress.row.number,
        rfc=progress.row.rfc,
        state=state(empresa),
        uid=empresa.uid,
        reason=empresa.reason,
        series=series,
        is_earlier=empresa.is_earlier,
        warnings=tuple(as_problem(progress.row, finding) for finding in progress.warnings),
        credentials=progress.own.credentials if progress.own is not None else None,
        is_new=empresa.sends > 0,
    )
