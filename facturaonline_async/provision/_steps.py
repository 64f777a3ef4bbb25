"""Steps of a run: each is the create of one company or serie."""

from __future__ import annotations

import enum
from typing import Final

from attrs import define

from facturaonline_async._core.once.states import Origin, StepState

__all__ = ["EMPRESAS", "NOT_TRIED", "SERIES", "Origin", "Step", "StepState"]

#: Start of the code of the reason of a step that is PLANNED because it was not tried.
NOT_TRIED: Final = "run.not_tried_"


#: Kinds of steps.
EMPRESAS: Final = "empresas"
SERIES: Final = "series"

_UNSENT_STATES: Final = frozenset({StepState.PLANNED, StepState.FAILED})
_SEPARATOR: Final = "\t"
"""Between the parts of a natural key: no part holds a control character."""


def split_key(text: str) -> tuple[str, ...]:
    """Return the parts of a natural key.

    Args:
        text: natural key as a journal stores it; see `Step.primary_key`.

    """
    return tuple(text.split(_SEPARATOR)) if text else ()


class State(enum.StrEnum):
    """Final state of a company or a serie.

    Attributes:
        CREATED: this plan created it.
        ADOPTED: it existed before, or appeared after its create got no answer. It was not changed.
        UPDATED: it existed before, and was changed as the plan asked.
        NOT_TRIED: the run was stopped before it was sent, or its company does not exist. The next run tries it.
        FAILED: the create was refused, or could not be sent. The next run tries again.
        UNKNOWN: the create was sent, but lists do not show it: it may exist, or appear later. The next run lists again.
        CONFLICT: it exists several times; or its create was sent, and the company that exists has another uid than its
            row says. A person must decide.
        UNRESOLVED: the API confirmed the create unreadably, and lists do not show it. It is never created again, so
            that a person must decide.

    """

    CREATED = Origin.CREATED.value
    ADOPTED = Origin.ADOPTED.value
    UPDATED = Origin.UPDATED.value
    NOT_TRIED = "not_tried"
    FAILED = StepState.FAILED.value
    UNKNOWN = StepState.UNKNOWN.value
    CONFLICT = StepState.CONFLICT.value
    UNRESOLVED = StepState.UNRESOLVED.value

    @property
    def is_there(self) -> bool:
        """Whether the company or serie certainly exists, exactly once."""
        return self in _THERE


_THERE: Final = frozenset({State.CREATED, State.ADOPTED, State.UPDATED})


@define(kw_only=True)
class Step:
    """One company or serie of a plan, as the journal stores it.

    It holds no payload and no secret.

    Attributes:
        number: number of the plan's row.
        owner: the company's RFC.
        kind: ``"empresas"`` or ``"series"``, or another resource that a company owns.
        natural_key: key within the owner and the kind: (letra, tipo_documento) of a serie, () of a company.
        state: state in the protocol.
        origin: origin; None until the step is DONE.
        uid: identifier in the API, or None. The create of a serie does not return it; a later list does. A company that
            is to be updated, and that an earlier run adopted, is PLANNED or FAILED with a uid.
        due: moment of the wall clock, in seconds. UNKNOWN, and UNRESOLVED that may still appear: lists are reliable
            from this moment on. DONE: the final audit may verify it from this moment on; 0 means verified.
        sends: number of times that the create may have been sent.
        earlier: how many of `sends` belong to earlier runs.
        digest: salted hash of the payload that was sent, or of the data of a company that was adopted.
        reason: why the step is not DONE, or ``""``.
        is_earlier: True if an earlier run reached DONE.

    """

    number: int
    owner: str
    kind: str = EMPRESAS
    natural_key: tuple[str, ...] = ()
    state: StepState = StepState.PLANNED
    origin: Origin | None = None
    uid: str | None = None
    due: float = 0.0
    sends: int = 0
    earlier: int = 0
    digest: bytes | None = None
    reason: str = ""
    is_earlier: bool = False

    @classmethod
    def of_serie(cls, number: int, rfc: str, letra: str, tipo_documento: str) -> Step:
        """Return the step of a serie.

        Args:
            number: number of the plan's row.
            rfc: RFC of the serie's company.
            letra: its letra, normalised.
            tipo_documento: its kind of document, normalised.

        """
        return cls(number=number, owner=rfc, kind=SERIES, natural_key=(letra, tipo_documento))

    @property
    def rfc(self) -> str:
        """The company's RFC."""
        return self.owner

    @property
    def letra(self) -> str:
        """The serie's letter; ``""`` for a company."""
        return self.natural_key[0] if self.kind == SERIES else ""

    @property
    def tipo_documento(self) -> str:
        """The serie's kind of document; ``""`` for a company."""
        return self.natural_key[1] if self.kind == SERIES else ""

    @property
    def serie_key(self) -> tuple[str, str]:
        """Key of the serie within its company: (letra, tipo_documento)."""
        return self.natural_key  # type: ignore[return-value]  # `cast` is a call, and this runs 27 times a row

    @property
    def is_empresa(self) -> bool:
        """Whether the step is a company, not a serie."""
        return self.kind == EMPRESAS

    @property
    def primary_key(self) -> tuple[str, str, str]:
        """Primary key in the journal: owner, kind, and the natural key as one text."""
        return self.owner, self.kind, _SEPARATOR.join(self.natural_key)

    @property
    def is_verified(self) -> bool:
        """Whether the step is DONE with a known uid and no open reason."""
        return self.state is StepState.DONE and self.uid is not None and not self.reason

    @property
    def is_unaudited(self) -> bool:
        """Whether the step was created and waits for its audit."""
        return self.state is StepState.DONE and self.due > 0 and self.sends > 0 and self.uid is not None

    @property
    def may_change(self) -> bool:
        """Whether a corrected plan may change the step.

        It may if no create that was sent can have taken effect.
        """
        return self.state in _UNSENT_STATES or (self.state is StepState.CONFLICT and not self.sends)

    @property
    def shown_state(self) -> str:
        """Value of `State` for the step's state, or "intent" while its request is open."""
        if self.state is StepState.DONE:
            return (self.origin or Origin.CREATED).value
        return State.NOT_TRIED.value if self.state is StepState.PLANNED else self.state.value
