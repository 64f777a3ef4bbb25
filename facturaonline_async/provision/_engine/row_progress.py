"""Progress of one row during a run, and its outcome."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from attrs import define

from facturaonline_async._core.once.states import StepState
from facturaonline_async._messages import message
from facturaonline_async.client import FacturaOnline
from facturaonline_async.provision._plan.finding_columns import as_problem
from facturaonline_async.provision._plan.models import PlanRow
from facturaonline_async.provision._report import RowOutcome, SerieOutcome
from facturaonline_async.provision._steps import State, Step
from facturaonline_async.sat._findings import Finding

__all__ = ["RowProgress", "outcome"]


@define(eq=False)
class RowProgress:
    """A row of the plan with its steps and its state in this run.

    Attributes:
        row: the plan's row.
        empresa: step of the company.
        series: steps of the series, in the row's order.
        own: client with the company's own keys; None until they have been read.
        baseline: uids of the series that existed before the first create, by (letra, tipo_documento).
        warnings: findings of the check that did not prevent the create.
        due: moment of the loop's clock when lists certainly show every unknown create; 0 if there is none.
        failed_lists: number of failed lists in a row.
        retries: how often the row was queued again because a step was not sent, or could not be read.
        is_paused: whether the service that processes share was away, so that the row could not advance.
        pauses: how often in a row it was paused.
        is_unread: whether a created step could not be read yet, and may be readable later.
        readable_by: moment of the loop's clock when that step must be readable; 0 if there is none.
        is_new: True until this run has processed the row once.
        is_restored: whether the steps were loaded from the journal.
        on_start: called when the row makes way for the next one; None afterwards. See `started`.

    """

    row: PlanRow
    empresa: Step
    series: list[Step]
    own: FacturaOnline | None = None
    baseline: dict[tuple[str, str], list[str]] | None = None
    warnings: tuple[Finding, ...] = ()
    due: float = 0.0
    failed_lists: int = 0
    retries: int = 0
    is_paused: bool = False
    pauses: int = 0
    is_unread: bool = False
    readable_by: float = 0.0
    is_new: bool = True
    is_restored: bool = False
    on_start: Callable[[], None] | None = None

    @classmethod
    def of(cls, row: PlanRow, rfc: str) -> RowProgress:
        """Make the progress of a row that no run has processed."""
        series = [Step.of_serie(row.number, rfc, *serie.key) for serie in row.series]
        return cls(row, Step(number=row.number, owner=rfc), series)

    def started(self) -> None:
        """Let another row begin.

        The limiter has started the row's first call, or the row waits for something else.
        """
        on_start, self.on_start = self.on_start, None
        if on_start is not None:
            on_start()

    @property
    def steps(self) -> list[Step]:
        """The steps of the company and its series."""
        return [self.empresa, *self.series]

    @property
    def is_stalled(self) -> bool:
        """Whether a step was not sent, but may be sent later.

        For example, the network was down or the server was busy.
        """
        return any(step.state is StepState.PLANNED and step.reason for step in self.steps)

    @property
    def waiting(self) -> list[Step]:
        """The steps with an unknown outcome, which a list must reconcile."""
        return [
            step
            for step in self.steps
            if step.state is StepState.UNKNOWN or (step.state is StepState.UNRESOLVED and step.due)
        ]


_STATES: Final = {each.value: each for each in State}  # an enum's own look-up takes ten times as long


def state(step: Step) -> State:
    """Return the final state of a step."""
    return State.UNKNOWN if step.state is StepState.INTENT else _STATES[step.shown_state]


def outcome(progress: RowProgress) -> RowOutcome:
    """Return the outcome of a row.

    Its reasons are plain texts, which every serialiser accepts.
    """
    empresa = progress.empresa
    comes_first = "" if empresa.state is StepState.DONE else message("run.not_tried_company_first")
    series = tuple(
        SerieOutcome(
            letra=wanted.letra,
            tipo_documento=wanted.tipo_documento,
            state=state(step),
            uid=int(step.uid) if step.uid else None,
            reason=str(step.reason or ("" if step.state is StepState.DONE else comes_first or empresa.reason)),
            is_earlier=step.is_earlier,
        )
        for wanted, step in zip(progress.row.series, progress.series, strict=True)
    )
    return RowOutcome(
        number=progress.row.number,
        rfc=progress.row.rfc,
        state=state(empresa),
        uid=empresa.uid,
        reason=str(empresa.reason),
        series=series,
        is_earlier=empresa.is_earlier,
        warnings=tuple(as_problem(progress.row, finding) for finding in progress.warnings),
        credentials=progress.own.credentials if progress.own is not None else None,
        is_new=empresa.sends > 0,
    )
