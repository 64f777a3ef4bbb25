"""Prepared request, its attempts so far, and their combined outcome."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from attrs import define, field
from yarl import URL

from facturaonline_async._core.endpoint import Endpoint, RetrySafety
from facturaonline_async._core.protocol import envelope
from facturaonline_async._messages import message
from facturaonline_async._secrets import Secret
from facturaonline_async._validators import type_name
from facturaonline_async.config import Credentials
from facturaonline_async.errors import (
    ApiError,
    AuthenticationError,
    FacturaOnlineError,
    InvalidInputError,
    NotFoundError,
    NotSentError,
    PermissionDeniedError,
    RateLimitError,
    text_of,
)

if TYPE_CHECKING:  # a process that only reads makes none
    from facturaonline_async._core.protocol.bodies import Body

__all__ = ["PreparedRequest", "RequestFactory", "uid_text"]

_MAX_CACHED_HEADERS: Final = 1024
_MAX_UID: Final = 10**18
_UID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")

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
        that. Nor does a "not found" to a delete, because the answer may be older than the object, nor the refusal of a
        reference, because the earlier attempt may have used it.

        Args:
            error: Error of the last attempt.

        """
        is_gone = self.endpoint.is_delete and isinstance(error, NotFoundError)
        is_used = self.endpoint.retry_safety is RetrySafety.ONCE_PER_REFERENCE and isinstance(error, ApiError)
        if self.unknown_outcome is None or not (is_gone or is_used or isinstance(error, _REJECTED_FIRST)):
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


class RequestFactory:
    """Maker of prepared requests, with the headers of each key pair.

    Args:
        base_url: Base URL of the API.
        plugin: Value of `Config.plugin`.

    """

    def __init__(self, base_url: str, plugin: str) -> None:
        self._root = URL(base_url, encoded=True)
        self._prefix = self._root.raw_path.rstrip("/")
        self._plugin = plugin
        self._headers: dict[str, envelope.Headers] = {}

    def prepare(
        self,
        endpoint: Endpoint,
        credentials: Credentials,
        uid: int | str | None,
        query: Mapping[str, str] | None,
        body: Body | None,
    ) -> PreparedRequest:
        """Return a request that was not sent yet.

        Args:
            endpoint: Endpoint to call.
            credentials: Key pair.
            uid: The uid in the path, if the path has one.
            query: Query parameters.
            body: Body of the request.

        Raises:
            InvalidInputError: The uid is invalid.

        """
        path = endpoint.path
        if "{uid}" in path:
            if not (text := uid_text(uid)):
                seen = f"{uid!r:.80}" if isinstance(uid, str) else type_name(uid)
                raise InvalidInputError(message("values.invalid_uid", value=seen), field="uid", endpoint=endpoint.name)
            path = path.replace("{uid}", text)
        url = self._root.with_path(self._prefix + path, encoded=True)  # half the cost of a new URL
        # Cached: building them costs 2 % of a read and 3 % of a create.
        headers = self._headers.get(credentials.fingerprint) or self._new_headers(credentials)
        secrets: tuple[Secret, ...] = (credentials.api_key, credentials.secret_key)
        if body is not None:
            secrets += body.secrets
        return PreparedRequest(
            endpoint, url.with_query(query) if query else url, headers, body, uid, credentials.fingerprint, secrets
        )

    def _new_headers(self, credentials: Credentials) -> envelope.Headers:
        """Return the secret headers for these keys, and cache them."""
        if len(self._headers) >= _MAX_CACHED_HEADERS:
            self._headers.clear()
        headers = self._headers[credentials.fingerprint] = envelope.headers(credentials, self._plugin)
        return headers


def uid_text(uid: object) -> str:
    """Return the uid as text for a path, or "" if it is invalid.

    Args:
        uid: Argument of a caller.

    """
    if isinstance(uid, str):
        return uid if _UID.fullmatch(uid) else ""
    if isinstance(uid, int) and not isinstance(uid, bool) and -_MAX_UID < uid < _MAX_UID:
        return str(int(uid))
    return ""
