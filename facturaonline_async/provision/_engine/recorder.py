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

    def note(self, thing: Step) -> None:
        """Hand over how far a thing has come. It is not durable yet."""
        if self.journal is not None:
            self.journal.save(thing)
        self._tell(thing)

    async def save(self, thing: Step) -> None:
        """Write how far a thing has come; it is durable when this returns, and handed over if this is cancelled."""
        await self.write(thing)
        self._tell(thing)

    async def write(self, thing: Step) -> None:
        """Write what is no step that a listener hears of; else as `save`."""
        saved = self.journal.save(thing) if self.journal is not None else None
        if saved is not None:
            await saved

    async def rebase(self, things: Iterable[Step], uids: Iterable[tuple[str, str, str, str]]) -> None:
        """Write what exists of these things before any of them is sent."""
        if self.journal is not None:
            await self.journal.adjust(forget=[thing.name for thing in things], baseline=list(uids))

    def digest(self, content: Callable[[], bytes]) -> bytes | None:
        """Return by what a payload is known again, where that is written down."""
        return self.journal.digest(content()) if self.journal is not None else None

    def empresa_digest(self, nueva: NuevaEmpresa) -> bytes | None:
        """Return by what a company's data are known again, where that is written down."""
        return empresa_digest(self.journal, nueva) if self.journal is not None else None

    def _tell(self, thing: Step) -> None:
        if self._on_event is None:
            return
        event = StepEvent(
            number=thing.number,
            rfc=thing.rfc,
            letra=thing.letra,
            tipo_documento=thing.tipo_documento,
            phase=thing.phase.value,
            how=thing.how.value if thing.how else None,
            uid=thing.uid,
            reason=thing.reason,
        )
        try:
            self._on_event(event)
        except Exception as error:  # noqa: BLE001  # what watches the work must not change how it ends
            LOGGER.error("on_event raised %s", type(error).__name__)
