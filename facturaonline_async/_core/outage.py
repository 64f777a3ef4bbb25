"""Errors of calls that need the service that processes share, while it is away."""

from __future__ import annotations

import asyncio

from attrs import define

from facturaonline_async._messages import Message, message
from facturaonline_async.errors import NotSentError, SharedUnavailableError, text_of

__all__ = ["Outage", "shared_problem"]


@define(eq=False)
class Outage:
    """State of the shared service, as the calls of a session see it.

    Attributes:
        reason: Why the service did not answer the last question, or None.

    """

    reason: str | None = None

    def record(self, reason: str | None) -> None:
        """Record the end of a question.

        Args:
            reason: Why there was no answer, or None if there was one.

        """
        self.reason = None if reason is None else str(reason)


def shared_problem(error: BaseException) -> NotSentError:
    """Return the error of a call whose question to the shared service failed.

    It is a `SharedUnavailableError` if the service is away for a time. Each call gets an error of its own. Of an error
    of another library it shows the class alone, because its text may hold a password.

    Args:
        error: Error of the service.

    """
    text: Message | str
    match error:
        case SharedUnavailableError():
            return SharedUnavailableError(error.args[0])
        case NotSentError() if error.is_transient:
            return SharedUnavailableError(message("calls.shared_unavailable", reason=text_of(error)))
        case NotSentError():
            text = error.args[0]
        case asyncio.CancelledError():
            text = message("calls.shared_interrupted")
        case _:
            text = message("calls.shared_failed", error=type(error).__name__)
    return NotSentError(text)
