"""Whether the service that several processes share answers."""

from __future__ import annotations

from collections.abc import Callable

from facturaonline_async.events import SharedOutageEvent

__all__ = ["Outage"]


class Outage:
    """State of the shared service, as the calls of a session see it: one event when it ends, one when it is back.

    Args:
        emit: Receives the events.

    Attributes:
        reason: Why the service does not answer, or None while it does.

    """

    def __init__(self, emit: Callable[[SharedOutageEvent], None]) -> None:
        self.reason: str | None = None
        self._emit = emit

    def record(self, reason: str | None) -> None:
        """Record the end of a question.

        Args:
            reason: Why there was no answer, or None if there was one.

        """
        was_away = self.reason is not None
        self.reason = reason
        if was_away != (reason is not None):
            self._emit(SharedOutageEvent(reason=reason))
