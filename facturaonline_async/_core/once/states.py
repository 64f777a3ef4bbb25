"""States of a create, and what an error says about them."""

from __future__ import annotations

import enum

from facturaonline_async.errors import ApiError, NotSentError, RateLimitError, UnreadableAnswerError

__all__ = ["Origin", "StepState", "state_after"]


class StepState(enum.StrEnum):
    """State of a create that happens once.

    ::

        PLANNED ──granted───▶ INTENT (durable before the first byte) ──yes──▶ DONE
           ▲                    ├─ refused ──▶ FAILED      ├─ not sent ──▶ PLANNED
           │                    └─ unknown, crash, cancelled ──▶ UNKNOWN (due: last possible send + settle)
           └── no new one ◀── after settle: one list for all due ── exactly one ──▶ DONE (adopted) · more ──▶ CONFLICT

    Attributes:
        PLANNED: nothing was sent, or the request certainly had no effect.
        INTENT: the request is about to be sent, or was sent; its outcome is open until the answer arrives.
        UNKNOWN: it may exist, or appear in lists until its settle time has passed.
        DONE: it exists.
        FAILED: it was refused. Corrected data may be sent.
        CONFLICT: it exists several times. A person must decide.
        UNRESOLVED: the API confirmed the create unreadably, and lists do not show it. It is never created again, so
            that a person must decide.

    """

    PLANNED = "planned"
    INTENT = "intent"
    UNKNOWN = "unknown"
    DONE = "done"
    FAILED = "failed"
    CONFLICT = "conflict"
    UNRESOLVED = "unresolved"


class Origin(enum.StrEnum):
    """Origin of an object that is DONE.

    Attributes:
        CREATED: this library created it.
        ADOPTED: it existed before, and was not changed.
        UPDATED: it existed before, and was changed as the plan asked.

    """

    CREATED = "created"
    ADOPTED = "adopted"
    UPDATED = "updated"


def state_after(error: Exception) -> StepState:
    """Return the state of a create that ended with an error.

    Args:
        error: any exception; one of another library says nothing about the create.

    """
    if isinstance(error, (NotSentError, RateLimitError)):
        return StepState.PLANNED
    if isinstance(error, ApiError):
        return StepState.FAILED
    return StepState.UNRESOLVED if isinstance(error, UnreadableAnswerError) else StepState.UNKNOWN
