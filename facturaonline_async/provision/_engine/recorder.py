"""Record the steps of a run in its journal, and report them to a listener."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

from attrs import define, field, frozen

from facturaonline_async._core.logging import LOGGER
from facturaonline_async._messages import Message, message
from facturaonline_async.empresas._models import CambiosEmpresa, NuevaEmpresa
from facturaonline_async.errors import FacturaOnlineError, text_of
from facturaonline_async.provision._journal.digests import empresa_digest, gives_data
from facturaonline_async.provision._journal.protocol import Journal
from facturaonline_async.provision._steps import Step

__all__ = ["Recorder", "StepEvent", "describe"]


def describe(error: Exception) -> str:
    """Return an error's text with its notes.

    Of an error of another library, only the type is returned. Its text may hold secrets.
    """
    if not isinstance(error, FacturaOnlineError):
        return message("run.unexpected_error", type=type(error).__name__)
    text = text_of(error)
    for note in getattr(error, "__notes__", ()):
        text = text.then(note) if isinstance(text, Message) and isinstance(note, Message) else f"{text} {note}"
    return text


@frozen(kw_only=True)
class StepEvent:
    """Change of one step: a company or a serie.

    Attributes:
        number: number of the plan's row.
        rfc: the company's RFC.
        letra: the serie's letter; ``""`` for a company.
        tipo_documento: the serie's kind of document; ``""`` for a company.
        state: one of "planned", "intent", "unknown", "done", "failed", "conflict", "unresolved".
        origin: "created", "adopted" or "updated"; None until the step is done.
        uid: identifier in the API; None until it is known.
        reason: why the step is not done, or ``""``.

    """

    number: int
    rfc: str
    letra: str
    tipo_documento: str
    state: str
    origin: str | None
    uid: str | None
    reason: str


@define
class Recorder:
    """Writes steps to the journal and reports them to the listener; both are optional.

    Attributes:
        journal: the open journal; None: nothing is written.
        audit: whether the final audit verifies the created steps; if not, none is written as waiting for it.

    """

    journal: Journal | None
    _on_event: Callable[[StepEvent], None] | None = field(alias="on_event")
    audit: bool = True

    @property
    def is_shared(self) -> bool:
        """Whether another process may take the journal over."""
        return self.journal is not None and self.journal.lease is not None

    def save_nowait(self, step: Step) -> None:
        """Queue a step for writing and report it. It is not durable when this returns."""
        if self.journal is not None:
            self._queue(self.journal, (step,))
        self._emit(step)

    async def save(self, *steps: Step) -> None:
        """Write steps together, and report them.

        They are durable when this returns; if cancelled, they are still written.
        """
        if self.journal is not None and steps:
            await self._queue(self.journal, steps)
        if self._on_event is not None:
            for step in steps:
                self._emit(step)

    async def write(self, *steps: Step) -> None:
        """Write steps without reporting them; else as `save`."""
        if self.journal is not None and steps:
            await self._queue(self.journal, steps)

    def _queue(self, journal: Journal, steps: Sequence[Step]) -> asyncio.Future[None]:
        """Queue steps for writing, and return a future that is done when all are durable."""
        if not self.audit:
            for step in steps:
                step.due = 0.0 if step.is_unaudited else step.due
        return journal.save(*steps)

    async def save_baseline(self, steps: Iterable[Step], uids: Iterable[tuple[str, str, str, str]]) -> None:
        """Write the uids that exist for these steps, before any of them is sent."""
        if self.journal is not None:
            await self.journal.replace_baseline([step.primary_key for step in steps], list(uids))

    def digest(self, content: Callable[[], bytes]) -> bytes | None:
        """Return the digest of a payload, or None without a journal."""
        return self.journal.digest(content()) if self.journal is not None else None

    def empresa_digest(self, nueva: NuevaEmpresa | CambiosEmpresa, *, is_equal: bool = False) -> bytes | None:
        """Return the digest of a company's data.

        Args:
            nueva: the data.
            is_equal: see the function of this name.

        Returns:
            None without a journal, and for a row that only gives series: it may get data later.

        """
        if self.journal is None or not gives_data(nueva):
            return None
        return empresa_digest(self.journal, nueva, is_equal=is_equal)

    def _emit(self, step: Step) -> None:
        """Report a step to the listener, if there is one."""
        if self._on_event is None:
            return
        event = StepEvent(
            number=step.number,
            rfc=step.rfc,
            letra=step.letra,
            tipo_documento=step.tipo_documento,
            state=step.state.value,
            origin=step.origin.value if step.origin else None,
            uid=step.uid,
            reason=str(step.reason),
        )
        try:
            self._on_event(event)
        except Exception as error:  # noqa: BLE001  # a listener must not change the run
            LOGGER.error("on_event raised %s", type(error).__name__)
