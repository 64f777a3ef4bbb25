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

__all__ = ["Call"]

_NEVER_GOT_THERE: Final = (NotSentError, RateLimitError, AuthenticationError, PermissionDeniedError)


@define(eq=False)
class Call:
    """A request, ready to be sent as often as needed, and how far it is."""

    endpoint: Endpoint
    url: URL
    headers: envelope.Headers
    body: Body | None
    uid: int | str | None
    key: str
    secrets: tuple[Secret, ...] = field(repr=False)
    attempt: int = 0
    paid: int = 0  # from the budget, for this attempt
    came: float = 0.0  # to the limiter, for this attempt
    began: float = 0.0
    deadline: float = 0.0
    perhaps: FacturaOnlineError | None = None  # why nobody knows whether an attempt before did it

    def known(self, error: FacturaOnlineError) -> FacturaOnlineError:
        """Return what is known of all attempts together.

        A last one that never got as far as the work says nothing of those before it. Nor does a last "not found" of a
        delete, where it was not taken for a yes: the answer may be older than what was to be deleted.
        """
        is_gone = self.endpoint.removes and isinstance(error, NotFoundError)
        if self.perhaps is None or not (is_gone or isinstance(error, _NEVER_GOT_THERE)):
            return error
        self.perhaps.add_note(f"(it was sent again, and that ended so: {error})")
        return self.perhaps

    def done(self) -> envelope.Reply:
        """Return the reply to a call that was done without an answer."""
        return envelope.Reply(envelope.Answer(self.endpoint, 200, b"", self.uid), None)

    def told(self, error: FacturaOnlineError) -> FacturaOnlineError:
        """Return the error, telling which call it was."""
        error.endpoint, error.uid = self.endpoint.name, self.uid
        return error
