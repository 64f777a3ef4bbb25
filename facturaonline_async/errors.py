"""The errors, which answer one question: did it happen.

::

    FacturaOnlineError
    ├── NotSentError             no: it never left this machine
    │   ├── LimiterWaitError     our own limiter would have waited longer than ``max_wait``
    │   └── InvalidInputError    (also ValueError) caught before anything was sent
    ├── ApiError                 no: the API answered, and the answer is no
    │   ├── AuthenticationError  the key pair is wrong, or belongs to the other environment
    │   ├── PermissionDeniedError  the keys are right, the account may not do this
    │   ├── NotFoundError        there is no such serie or empresa
    │   ├── ValidationError      the API refused fields; see ``fields``
    │   └── RateLimitError       HTTP 429; see ``retry_after``
    ├── OutcomeUnknownError      perhaps: nothing readable came back
    │   ├── ServerError          HTTP 5xx
    │   └── RequestTimeoutError  (also TimeoutError) no answer in time
    └── UnreadableAnswerError    yes: it said yes, in words that we cannot read

`FacturaOnlineError.happened` says the same as a word. Every error can be pickled and none keeps a request, a response,
a header or another library's exception.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal, TypeAlias

from facturaonline_async.sat._findings import Finding

__all__ = [
    "ApiError",
    "AuthenticationError",
    "FacturaOnlineError",
    "InvalidInputError",
    "LimiterWaitError",
    "NotFoundError",
    "NotSentError",
    "OutcomeUnknownError",
    "PermissionDeniedError",
    "RateLimitError",
    "RequestTimeoutError",
    "ServerError",
    "UnreadableAnswerError",
    "ValidationError",
]


Happened: TypeAlias = Literal["no", "perhaps", "yes"]


class FacturaOnlineError(Exception):
    """The root of every error that this library raises on purpose.

    Attributes:
        happened: whether the API did what the call asked for: "no", "perhaps" or "yes". Each class has one answer.
        endpoint: name of the endpoint, such as ``"series.create"``; ``""`` where no call was under way.
        status: HTTP status of the answer, or None where there was none.
        uid: the uid that the call was about, or None.
        snippet: the first 500 characters, at most, of the answer, with secrets masked; ``""`` where there was none.
        is_transient: whether the same call may well fare better a moment later.

    """

    happened: ClassVar[Happened] = "perhaps"
    is_transient = False

    def __init__(
        self,
        message: str,
        *,
        endpoint: str = "",
        status: int | None = None,
        uid: int | str | None = None,
        snippet: str = "",
    ) -> None:
        super().__init__(message)
        self.endpoint = endpoint
        self.status = status
        self.uid = uid
        self.snippet = snippet

    def __str__(self) -> str:
        message = str(self.args[0])
        status = "" if self.status is None else f" (HTTP {self.status})"
        return f"{self.endpoint}: {message}{status}" if self.endpoint else f"{message}{status}"


class NotSentError(FacturaOnlineError):
    """No, it did not happen: not one byte of the request left this machine.

    Refused connections, DNS failures and connect time-outs are repeated before this is raised; TLS failures never are.
    A deadline that ends while a connection is made (TCP, TLS, proxy, DNS) is one of these, whichever clock ran out.
    """

    happened: ClassVar[Happened] = "no"


class LimiterWaitError(NotSentError):
    """No, it did not happen: the limiter or the gate would have kept the call longer than ``Config.max_wait``.

    Attributes:
        retry_after: seconds until the call's turn would have come, as things stood; 1 where no rate kept it, but too
            many calls in flight.

    """

    is_transient = True

    def __init__(
        self,
        message: str,
        *,
        retry_after: float = 1.0,
        endpoint: str = "",
        status: int | None = None,
        uid: int | str | None = None,
        snippet: str = "",
    ) -> None:
        super().__init__(message, endpoint=endpoint, status=status, uid=uid, snippet=snippet)
        self.retry_after = retry_after


class InvalidInputError(NotSentError, ValueError):
    """No, it did not happen: the input was refused before anything was sent.

    Attributes:
        field: name of the argument or attribute at fault; ``""`` where no single one is.
        findings: what a check of the company's data and certificates found, warnings included; empty where none was
            made.
        report: the `facturaonline_async.sello.CheckReport` of the certificate at fault (the CSD's, if both are), or
            None.

    """

    def __init__(
        self,
        message: str,
        *,
        field: str = "",
        endpoint: str = "",
        uid: int | str | None = None,
        findings: Iterable[Finding] = (),
        report: object = None,
    ) -> None:
        super().__init__(message, endpoint=endpoint, uid=uid)
        self.field = field
        self.findings: tuple[Finding, ...] = tuple(findings)
        self.report: Any = report


class ApiError(FacturaOnlineError):
    """No, it did not happen: the API answered, and the answer is no. Never repeated (`RateLimitError` excepted)."""

    happened: ClassVar[Happened] = "no"


class AuthenticationError(ApiError):
    """The API does not know this key pair. Sandbox and production have keys of their own."""


class PermissionDeniedError(ApiError):
    """The key pair is right, but the account may not do this (the plan may lack API access)."""


class NotFoundError(ApiError):
    """The API knows no such serie or empresa."""


class ValidationError(ApiError):
    """The API refused the data.

    Attributes:
        fields: the API's own field names with its texts (in Spanish) for each; empty where it named none.

    """

    def __init__(
        self,
        message: str,
        *,
        fields: Mapping[str, tuple[str, ...]] | None = None,
        endpoint: str = "",
        status: int | None = None,
        uid: int | str | None = None,
        snippet: str = "",
    ) -> None:
        super().__init__(message, endpoint=endpoint, status=status, uid=uid, snippet=snippet)
        self.fields: dict[str, tuple[str, ...]] = dict(fields or {})


class RateLimitError(ApiError):
    """HTTP 429: the server throttled the call, also after its repeats.

    Attributes:
        retry_after: seconds that the server asked to wait, or None where it did not say.

    """

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        endpoint: str = "",
        status: int | None = 429,
        uid: int | str | None = None,
        snippet: str = "",
    ) -> None:
        super().__init__(message, endpoint=endpoint, status=status, uid=uid, snippet=snippet)
        self.retry_after = retry_after


class OutcomeUnknownError(FacturaOnlineError):
    """Perhaps it happened: the request may have arrived, and nothing readable came back.

    **Look before you repeat.** For a create, find the serie or the empresa first, and wait a little before you look:
    the server may still be at work. ``ensure`` does this for you. The API has no idempotency key, so that a blind
    repeat of a create can make a second one.
    """

    happened: ClassVar[Happened] = "perhaps"


class ServerError(OutcomeUnknownError):
    """HTTP 5xx, whatever its body says: the server may have done the work before it failed.

    Attributes:
        retry_after: seconds that the server asked to wait, or None where it did not say.

    """

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        endpoint: str = "",
        status: int | None = 500,
        uid: int | str | None = None,
        snippet: str = "",
    ) -> None:
        super().__init__(message, endpoint=endpoint, status=status, uid=uid, snippet=snippet)
        self.retry_after = retry_after


class RequestTimeoutError(OutcomeUnknownError, TimeoutError):
    """No answer in time: the server may have done the work all the same."""


class UnreadableAnswerError(FacturaOnlineError):
    """Yes, it happened: the API said yes, but the rest of its answer cannot be read. Never repeated."""

    happened: ClassVar[Happened] = "yes"
