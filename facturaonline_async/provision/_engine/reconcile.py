"""Reconcile a step whose create got no readable answer with what a list shows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final

from facturaonline_async._core.once.states import Origin, StepState
from facturaonline_async._messages import Message, message
from facturaonline_async.provision._steps import Step

__all__ = ["reconcile"]

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

    Args:
        step: UNKNOWN, UNRESOLVED or CONFLICT.
        listed: uids in the list with the step's key.
        before: uids with that key that existed before the create was first sent.
        is_due: whether lists certainly show every create by now. If not, an absent uid proves nothing.
        several: returns the reason of a conflict from the uids.

    """
    new = [uid for uid in dict.fromkeys(listed) if uid not in before]
    if len(new) == 1:
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
