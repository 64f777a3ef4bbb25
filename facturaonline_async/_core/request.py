"""Call: a request on its way, and what is known of it so far."""

from __future__ import annotations

from typing import Final

from attrs import define, field
from yarl import URL

from facturaonline_async._core.endpoint import Endpoint
from facturaonline_async._core.protocol import envelope
from facturaonline_async._core.protocol.bodies import Body
from facturaonline_async.config import Secret
from facturaonline_async.errors import (
    AuthenticationError,
    FacturaOnlineError,
    NotFoundError,
    NotSentError,
    PermissionDeniedError,
    RateLimitError,
)

__all__ = ["PreparedRequest"]

_NEVER_GOT_THERE: Final = (NotSentError, RateLimitError, AuthenticationError, PermissionDeniedError)


@define(eq=False)
class PreparedRequest:
    """A request, ready to be sent as often as needed, and how far it is."""

    endpoint: Endpoint
    url: URL
    headers: envelope.Headers
    body: Body | None
    uid: int | str | None
    key: str
    secrets: tuple[Secret, ...] = field(repr=False)
    attempt: int = 0
    retry_cost: int = 0  # from the budget, for this attempt
    queued_at: float = 0.0  # to the limiter, for this attempt
    started_at: float = 0.0
    deadline: float = 0.0
    unknown_outcome: FacturaOnlineError | None = None  # why nobody knows whether an attempt before did it

    def merge_outcomes(self, error: FacturaOnlineError) -> FacturaOnlineError:
        """Return what is known of all attempts together.

        A last one that never got as far as the work says nothing of those before it. Nor does a last "not found" of a
        delete, where it was not taken for a yes: the answer may be older than what was to be deleted.
        """
        is_gone = self.endpoint.is_delete and isinstance(error, NotFoundError)
        if self.unknown_outcome is None or not (is_gone or isinstance(error, _NEVER_GOT_THERE)):
            return error
        self.unknown_outcome.add_note(f"(it was sent again, and that ended so: {error})")
        return self.unknown_outcome

    def done(self) -> envelope.Reply:
        """Return the reply to a call that was done without an answer."""
        return envelope.Reply(envelope.RawResponse(self.endpoint, 200, b"", self.uid), None)

    def annotate(self, error: FacturaOnlineError) -> FacturaOnlineError:
        """Return the error, telling which call it was."""
        error.endpoint, error.uid = self.endpoint.name, self.uid
        return error
