"""Prepared request, its attempts so far, and their combined outcome."""

from __future__ import annotations

from typing import Final

from attrs import define, field
from yarl import URL

from facturaonline_async._core.endpoint import Endpoint
from facturaonline_async._core.protocol import envelope
from facturaonline_async._core.protocol.bodies import Body
from facturaonline_async._messages import message
from facturaonline_async.config import Secret
from facturaonline_async.errors import (
    AuthenticationError,
    FacturaOnlineError,
    NotFoundError,
    NotSentError,
    PermissionDeniedError,
    RateLimitError,
    text_of,
)

__all__ = ["PreparedRequest"]

_REJECTED_FIRST: Final = (NotSentError, RateLimitError, AuthenticationError, PermissionDeniedError)


@define(eq=False)
class PreparedRequest:
    """Request that can be sent several times, with the state of its attempts.

    Attributes:
        endpoint: Endpoint that is called.
        url: Complete URL.
        headers: Secret headers.
        body: Body, or None.
        uid: The uid in the path, or None.
        key: Fingerprint of the key pair.
        secrets: Keys and passwords that errors must mask.
        attempt: Number of the attempt, from 0.
        retry_cost: Tokens that the retry budget paid for this attempt.
        queued_at: Time at which this attempt asked for a slot.
        started_at: Time at which this attempt got its slot.
        deadline: Time at which all attempts must end; 0 before the first slot.
        unknown_outcome: Error of an earlier attempt that may have been done, or None.

    """

    endpoint: Endpoint
    url: URL
    headers: envelope.Headers
    body: Body | None
    uid: int | str | None
    key: str
    secrets: tuple[Secret, ...] = field(repr=False)
    attempt: int = 0
    retry_cost: int = 0
    queued_at: float = 0.0
    started_at: float = 0.0
    deadline: float = 0.0
    unknown_outcome: FacturaOnlineError | None = None

    def merge_outcomes(self, error: FacturaOnlineError) -> FacturaOnlineError:
        """Return the error that states the outcome of all attempts together.

        If an earlier attempt may have been done, a last attempt that was not sent or was rejected first does not change
        that. Nor does a "not found" to a delete, because the answer may be older than the object.

        Args:
            error: Error of the last attempt.

        """
        is_gone = self.endpoint.is_delete and isinstance(error, NotFoundError)
        if self.unknown_outcome is None or not (is_gone or isinstance(error, _REJECTED_FIRST)):
            return error
        self.unknown_outcome.add_note(message("calls.sent_again", error=text_of(error)))
        return self.unknown_outcome

    def done(self) -> envelope.Reply:
        """Return an empty reply, for a call that a later read showed to be done."""
        return envelope.Reply(envelope.RawResponse(self.endpoint, 200, b"", self.uid), None)

    def annotate(self, error: FacturaOnlineError) -> FacturaOnlineError:
        """Return the error with endpoint and uid set."""
        error.endpoint, error.uid = self.endpoint.name, self.uid
        return error
