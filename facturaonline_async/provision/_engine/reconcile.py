"""What a look at a list tells of a step whose create got no readable answer."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from facturaonline_async.provision._steps import Origin, Step, StepState

__all__ = ["reconcile"]

_MOST_SENDS: Final = 3


def reconcile(step: Step, listed: Sequence[str], before: Collection[str], *, is_due: bool, several: str) -> None:
    """Change a step to what a list makes of it.

    Args:
        step: UNKNOWN, UNRESOLVED or CONFLICT.
        listed: uids of those like it that the list has.
        before: uids of those that were there before it was first sent.
        is_due: whether everything that was sent must have shown up by now. Before, only a find counts.
        several: what to say of several, with a place for their number, such as "there are {} companies with this RFC".

    """
    new = [uid for uid in dict.fromkeys(listed) if uid not in before]
    if len(new) == 1:
        step.phase, step.how, step.uid, step.reason = StepState.DONE, Origin.ADOPTED, new[0], ""
    elif len(new) > 1:
        step.phase, step.reason = StepState.CONFLICT, f"{several.format(len(new))}: {', '.join(new)}"
    elif not is_due:
        pass
    elif step.phase is StepState.UNRESOLVED:
        step.due = 0.0  # it will not show up by itself
    elif step.sends - step.earlier >= _MOST_SENDS:
        step.phase = StepState.FAILED
        step.reason = f"it was sent {step.sends} times, and has not shown up: {step.reason}"
    else:
        step.phase, step.reason = StepState.PLANNED, ""
