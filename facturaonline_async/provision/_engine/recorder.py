"""What a run writes down: into a journal, or (without one) nowhere but in its own memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from attrs import define, field, frozen

from facturaonline_async._core.logging import LOGGER
from facturaonline_async.empresas._models import NuevaEmpresa
from facturaonline_async.provision._journal.digests import empresa_digest
from facturaonline_async.provision._journal.writer import Journal
from facturaonline_async.provision._steps import Step

__all__ = ["Recorder", "StepEvent"]


@frozen(kw_only=True)
class StepEvent:
    """A company or a serie came further.

    Attributes:
        number: row of the plan.
        rfc: the company's.
        letra, tipo_documento: the serie's; ``""`` for the company.
        phase: one of "planned", "intent", "unknown", "done", "failed", "conflict", "unresolved".
        how: "created", "adopted", "updated", or None.
        uid: the API's own name, where it is known.
        reason: why it is not done.

    """

    number: int
    rfc: str
    letra: str
    tipo_documento: str
    phase: str
    how: str | None
    uid: str | None
    reason: str


@define
class Recorder:
    """A journal, if there is one, and a listener, if there is one."""

    journal: Journal | None = field(alias="journal")
    _on_event: Callable[[StepEvent], None] | None = field(alias="on_event")

    def save_nowait(self, step: Step) -> None:
        """Hand over how far a step has come. It is not durable yet."""
        if self.journal is not None:
            self.journal.save(step)
        self._emit(step)

    async def save(self, step: Step) -> None:
        """Write how far a step has come; it is durable when this returns, and handed over if this is cancelled."""
        await self.write(step)
        self._emit(step)

    async def write(self, step: Step) -> None:
        """Write what is no step that a listener hears of; else as `save`."""
        saved = self.journal.save(step) if self.journal is not None else None
        if saved is not None:
            await saved

    async def save_baseline(self, steps: Iterable[Step], uids: Iterable[tuple[str, str, str, str]]) -> None:
        """Write what exists of these steps before any of them is sent."""
        if self.journal is not None:
            await self.journal.adjust(forget=[step.name for step in steps], baseline=list(uids))

    def digest(self, content: Callable[[], bytes]) -> bytes | None:
        """Return by what a payload is known again, where that is written down."""
        return self.journal.digest(content()) if self.journal is not None else None

    def empresa_digest(self, nueva: NuevaEmpresa) -> bytes | None:
        """Return by what a company's data are known again, where that is written down."""
        return empresa_digest(self.journal, nueva) if self.journal is not None else None

    def _emit(self, step: Step) -> None:
        if self._on_event is None:
            return
        event = StepEvent(
            number=step.number,
            rfc=step.rfc,
            letra=step.letra,
            tipo_documento=step.tipo_documento,
            phase=step.phase.value,
            how=step.how.value if step.how else None,
            uid=step.uid,
            reason=step.reason,
        )
        try:
            self._on_event(event)
        except Exception as error:  # noqa: BLE001  # what watches the work must not change how it ends
            LOGGER.error("on_event raised %s", type(error).__name__)
