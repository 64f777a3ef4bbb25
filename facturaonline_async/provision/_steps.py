"""What a run brings about, one step at a time: a company or a serie, and how far it has come."""

from __future__ import annotations

import enum
from typing import Final

from attrs import define

__all__ = ["COMPANY_FIRST", "NOT_TRIED", "Origin", "Step", "StepState"]

#: How the reason begins of what is planned, and was not tried.
NOT_TRIED: Final = "not tried"
COMPANY_FIRST: Final = f"{NOT_TRIED}: its company comes first"


class StepState(enum.StrEnum):
    """How far a step has come.

    ::

        PLANNED ──its turn──▶ INTENT (durable before the first byte) ──yes──▶ DONE
           ▲                    ├─ refused ──▶ FAILED      ├─ not sent ──▶ PLANNED
           │                    └─ unknown, crash, cancelled ──▶ UNKNOWN (due: last possible send + settle)
           └── no new one ◀── after settle: one list for all due ── exactly one ──▶ DONE (adopted) · more ──▶ CONFLICT
    """

    #: Nothing was sent, or what was sent surely was not done.
    PLANNED = "planned"
    #: It is about to be sent, or was: nobody knows until there is an answer.
    INTENT = "intent"
    #: It may exist, or come up until `Step.due`.
    UNKNOWN = "unknown"
    #: It exists.
    DONE = "done"
    #: It was refused; a corrected plan may try again.
    FAILED = "failed"
    #: There are several of it: for a person.
    CONFLICT = "conflict"
    #: The API said a yes that could not be read, and it has not shown up; never created again: for a person.
    UNRESOLVED = "unresolved"


class Origin(enum.StrEnum):
    """How a step that is done came about."""

    #: By this plan.
    CREATED = "created"
    #: It was there before, and was left as it was.
    ADOPTED = "adopted"
    #: It was there before, and was changed as the plan asked.
    UPDATED = "updated"


@define(kw_only=True)
class Step:
    """A company (`letra` is ``""``) or a serie, as a journal keeps it. It holds no payload and no secret.

    Attributes:
        number: row of the plan.
        rfc: the company's.
        letra, tipo_documento: the serie's.
        phase, how: how far it has come.
        uid: the API's own name, or None; a serie's is not told by its create, and is seen later.
        due: for UNKNOWN, and for UNRESOLVED that may yet show up: seconds of the wall clock after which a look tells.
            For DONE: after which a last look tells whether it is there once; 0: that was seen.
        sends: how often its create may have been sent.
        earlier: how often of these by earlier runs.
        digest: salted HMAC of what was sent.
        reason: why it is not done.
        is_earlier: whether an earlier run has done it.

    """

    number: int
    rfc: str
    letra: str = ""
    tipo_documento: str = ""
    phase: StepState = StepState.PLANNED
    how: Origin | None = None
    uid: str | None = None
    due: float = 0.0
    sends: int = 0
    earlier: int = 0
    digest: bytes | None = None
    reason: str = ""
    is_earlier: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """What tells a company's series apart."""
        return self.letra, self.tipo_documento

    @property
    def is_empresa(self) -> bool:
        """Whether it is the company itself."""
        return not self.letra

    @property
    def name(self) -> tuple[str, str, str]:
        """What tells it from all other steps."""
        return self.rfc, self.letra, self.tipo_documento

    @property
    def is_seen(self) -> bool:
        """Whether it is done, and there is nothing left to learn of it."""
        return self.phase is StepState.DONE and self.uid is not None and not self.reason

    @property
    def is_unaudited(self) -> bool:
        """Whether it was created, and no list has told yet that it was created once."""
        return self.phase is StepState.DONE and self.due > 0 and self.sends > 0 and self.uid is not None

    @property
    def may_change(self) -> bool:
        """Whether a plan may say something else about it than before: nothing that was sent may exist."""
        return self.phase in {StepState.PLANNED, StepState.FAILED} or (
            self.phase is StepState.CONFLICT and not self.sends
        )
