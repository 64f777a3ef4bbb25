"""Steps of a run: each is the create of one company or serie."""

from __future__ import annotations

from typing import Final

from attrs import define

from facturaonline_async._core.once.states import Origin, StepState

__all__ = ["NOT_TRIED", "Origin", "Step", "StepState"]

#: Start of the code of the reason of a step that is PLANNED because it was not tried.
NOT_TRIED: Final = "run.not_tried_"


@define(kw_only=True)
class Step:
    """One company or serie of a plan, as the journal stores it.

    It holds no payload and no secret.

    Attributes:
        number: number of the plan's row.
        rfc: the company's RFC.
        letra: the serie's letter; ``""`` for a company.
        tipo_documento: the serie's kind of document; ``""`` for a company.
        phase: state in the protocol.
        how: origin; None until the step is DONE.
        uid: identifier in the API, or None. The create of a serie does not return it; a later list does.
        due: moment of the wall clock, in seconds. UNKNOWN, and UNRESOLVED that may still appear: lists are reliable
            from this moment on. DONE: the final audit may verify it from this moment on; 0 means verified.
        sends: number of times that the create may have been sent.
        earlier: how many of `sends` belong to earlier runs.
        digest: salted HMAC of the payload that was sent.
        reason: why the step is not DONE, or ``""``.
        is_earlier: True if an earlier run reached DONE.

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
        """Key of the serie within its company: (letra, tipo_documento)."""
        return self.letra, self.tipo_documento

    @property
    def is_empresa(self) -> bool:
        """Whether the step is a company, not a serie."""
        return not self.letra

    @property
    def primary_key(self) -> tuple[str, str, str]:
        """Primary key: (rfc, letra, tipo_documento)."""
        return self.rfc, self.letra, self.tipo_documento

    @property
    def is_seen(self) -> bool:
        """Whether the step is DONE with a known uid and no open reason."""
        return self.phase is StepState.DONE and self.uid is not None and not self.reason

    @property
    def is_unaudited(self) -> bool:
        """Whether the step was created and waits for its audit."""
        return self.phase is StepState.DONE and self.due > 0 and self.sends > 0 and self.uid is not None

    @property
    def may_change(self) -> bool:
        """Whether a corrected plan may change the step.

        It may if no create that was sent can have taken effect.
        """
        return self.phase in {StepState.PLANNED, StepState.FAILED} or (
            self.phase is StepState.CONFLICT and not self.sends
        )
