"""Exceptions, grouped by whether the API did what the call asked for.

::

    FacturaOnlineError
    ├── NotSentError             no: the request was not sent
    │   ├── LimiterWaitError     the rate limiter would have kept the call longer than ``max_wait``
    │   ├── SharedUnavailableError  the service that several processes share does not answer
    │   └── InvalidInputError    (also ValueError) the input was refused before anything was sent
    ├── ApiError                 no: the API refused the call
    │   ├── AuthenticationError  the key pair is wrong, or belongs to the other environment
    │   ├── PermissionDeniedError  the key pair is right, but the account may not do this
    │   ├── NotFoundError        there is no such serie or empresa
    │   ├── ValidationError      the API refused fields; see ``fields``
    │   └── RateLimitError       HTTP 429; see ``retry_after``
    ├── OutcomeUnknownError      perhaps: there was no readable response
    │   ├── ServerError          HTTP 5xx
    │   └── RequestTimeoutError  (also TimeoutError) no response in time
    └── UnreadableAnswerError    yes: the API confirmed it, but the rest of its response is unreadable

`FacturaOnlineError.happened` gives the answer as a word. Every error can be pickled, and none holds a request, a
response, a header or an exception of another library.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from facturaonline_async._messages import code_of, message

if TYPE_CHECKING:  # most processes find nothing
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
    "SharedUnavailableError",
    "UnreadableAnswerError",
    "ValidationError",
]


Happened: TypeAlias = Literal["no", "perhaps", "yes"]


class FacturaOnlineError(Exception):
    """Base class of every error that this library raises on purpose.

    Args:
        message: the text of the error, without the endpoint and the status. It is ``error.args[0]``, a str with the
            code of the text if the library raised the error; ``str(error)`` and ``str(error.args[0])`` are plain
            texts. The other arguments are the attributes below.

    Attributes:
        happened: whether the API did what the call asked for: "no", "perhaps" or "yes"; the same for all errors of a
            class.
        endpoint: name of the endpoint, such as ``"series.create"``; ``""`` if the error belongs to no call.
        status: HTTP status of the response; None if there was none.
        uid: uid of the serie or empresa that the call was about, or None.
        snippet: start of the response, at most 500 characters, with secrets masked; ``""`` if there was none.
        is_transient: whether the same call is likely to succeed a moment later.

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

    @property
    def code(self) -> str:
        """Stable name of the text, such as ``"calls.no_connection"``, or ``""``."""
        return code_of(self.args[0]) if self.args else ""

    def __str__(self) -> str:
        return str(text_of(self))


def text_of(error: FacturaOnlineError) -> str:
    """Return the text of an error, with its endpoint and status if it has them.

    Args:
        error: error that another text quotes.

    """
    text: str = error.args[0] if error.args else ""
    if error.status is not None:
        text = message("calls.with_status", text=text, status=error.status)
    if error.endpoint:
        text = message("calls.with_endpoint", endpoint=error.endpoint, text=text)
    return text


class NotSentError(FacturaOnlineError):
    """It did not happen: no byte of the request left this machine.

    Refused connections, DNS failures and connect time-outs are retried before this is raised; TLS failures are not.
    Any time-out that ends while a connection is being made (TCP, TLS, proxy, DNS) raises this, too.
    """

    happened: ClassVar[Happened] = "no"


class LimiterWaitError(NotSentError):
    """It did not happen: the call would have waited longer than ``Config.max_wait``.

    Attributes:
        retry_after: estimated seconds until the rate limiter would have let the call start; 1 if the call waited for a
            free slot instead of a rate.

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


class SharedUnavailableError(NotSentError):
    """It did not happen: the service that several processes share does not answer.

    Without it, the call could exceed a limit that the processes share, or create a second object.
    """

    is_transient = True


class InvalidInputError(NotSentError, ValueError):
    """It did not happen: the input was refused before anything was sent.

    Attributes:
        field: name of the argument or attribute at fault; ``""`` if several are.
        findings: all findings of the check of the company's data and certificates, warnings included; empty if no
            check was made.
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
    """It did not happen: the API refused the call.

    It is not retried, except `RateLimitError`.
    """

    happened: ClassVar[Happened] = "no"


class AuthenticationError(ApiError):
    """The API does not know this key pair. Sandbox and production have different keys."""


class PermissionDeniedError(ApiError):
    """The key pair is right, but the account may not do this.

    The account's plan may lack API access.
    """


class NotFoundError(ApiError):
    """The API knows no such serie or empresa."""


class ValidationError(ApiError):
    """The API refused the data.

    Attributes:
        fields: the API's texts (in Spanish) by the API's own field names; empty if the API named no field.

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
    """HTTP 429: the server throttled the call and its retries.

    Attributes:
        retry_after: seconds that the server asked to wait, or None if it did not say.

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
    """It may have happened: the request was sent, and no readable response came back.

    **Look before you repeat.** After a create, wait a little, because the server may still be working, and then find
    the serie or the empresa. ``ensure`` does this for you. The API has no idempotency key: a create that is sent twice
    may create two.
    """

    happened: ClassVar[Happened] = "perhaps"


class ServerError(OutcomeUnknownError):
    """HTTP 5xx, with any body: the server may have done the work before it failed.

    Attributes:
        retry_after: seconds that the server asked to wait, or None if it did not say.

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
    """No response in time: the server may have done the work nevertheless."""


class UnreadableAnswerError(FacturaOnlineError):
    """It happened: the API confirmed it, but its response is otherwise unreadable.

    It is not retried.
    """

    happened: ClassVar[Happened] = "yes"
