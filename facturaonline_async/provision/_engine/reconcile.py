"""Reconcile a step whose create got no readable answer with what a list shows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final

from facturaonline_async._core.once.states import Origin, StepState
from facturaonline_async._messages import Message, message
from facturaonline_async.provision._engine.inventory import several_companies
from facturaonline_async.provision._plan.models import PlanRow, required_uid
from facturaonline_async.provision._steps import Step

__all__ = ["reconcile", "reconcile_empresa", "refuse_other_uid"]

_MOST_SENDS: Final = 3


def reconcile(
    step: Step,
    listed: Sequence[str],
    before: Collection[str],
    *,
    is_due: bool,
    several: Callable[[Sequence[str]], Message],
) -> None:
    """Update a step from the uids that a list shows for its key.

    An object that the run cannot have created decides nothing: its step is PLANNED, as if the run's first list had
    shown it.

    Args:
        step: UNKNOWN, UNRESOLVED or CONFLICT.
        listed: uids in the list with the step's key.
        before: uids with that key that existed before the create was first sent.
        is_due: whether lists certainly show every create by now. If not, an absent uid proves nothing.
        several: returns the reason of a conflict from the uids.

    """
    new = [uid for uid in dict.fromkeys(listed) if uid not in before]
    if new and not step.sends:  # the step waited for the create of another task
        step.state, step.reason = StepState.PLANNED, ""
    elif len(new) == 1:
        step.state, step.origin, step.uid, step.reason = StepState.DONE, Origin.ADOPTED, new[0], ""
    elif len(new) > 1:
        step.state, step.reason = StepState.CONFLICT, several(new)
    elif not is_due:
        pass
    elif step.state is StepState.UNRESOLVED:
        step.due = 0.0  # it will not appear any more
    elif step.sends - step.earlier >= _MOST_SENDS:
        step.state = StepState.FAILED
        step.reason = message("run.sent_and_not_listed", count=step.sends, reason=step.reason)
    else:
        step.state, step.reason = StepState.PLANNED, ""


def reconcile_empresa(step: Step, row: PlanRow, listed: Sequence[str], *, is_due: bool) -> None:
    """Update a company's step from the uids that a list shows for its RFC.

    Args:
        step: see `reconcile`.
        row: the company's row.
        listed: uids of the companies with its RFC.
        is_due: see `reconcile`.

    """
    reconcile(step, listed, (), is_due=is_due, several=several_companies)
    refuse_other_uid(step, row)


def refuse_other_uid(step: Step, row: PlanRow) -> None:
    """Make a company's step a conflict if its uid is not the one that its row says.

    The row said no uid, or another one, when the create was sent: a person must decide which company is meant.

    Args:
        step: a company's step that has just got its uid.
        row: the company's row.

    """
    required = required_uid(row)
    if step.state is StepState.DONE and step.uid is not None and required and step.uid != required:
        step.reason = message("run.company_of_other_uid", uid=required, other=step.uid)
        step.state, step.origin, step.uid = StepState.CONFLICT, None, None
