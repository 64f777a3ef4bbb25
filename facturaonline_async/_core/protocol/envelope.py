"""Envelope of the API: headers, verdict, message and payload. No I/O.

Sources: the provider's pages on series and empresas, and recorded traffic of the sister product, which runs the same
code. An HTTP 2xx does not mean success: the body holds a verdict under one of two names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

from attrs import define, field
from multidict import CIMultiDict, istr

from facturaonline_async._core.endpoint import Endpoint, RetrySafety
from facturaonline_async._core.protocol.json import JsonError, LongList, Rows, decode, looks_truncated
from facturaonline_async._core.redaction import redact
from facturaonline_async._messages import message
from facturaonline_async._secrets import Secret
from facturaonline_async._text import fold, plain_text
from facturaonline_async.config import Credentials
from facturaonline_async.errors import (
    ApiError,
    AuthenticationError,
    FacturaOnlineError,
    NotFoundError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    UnreadableAnswerError,
    ValidationError,
)

__all__ = ["Headers", "RawResponse", "Reply", "headers", "parse_envelope"]

E = TypeVar("E", bound=FacturaOnlineError)

_VERDICT_KEYS: Final = ("status", "response")
_YES: Final = frozenset({"success", "create"})
_NO: Final = frozenset({"error", "failed"})
_VERDICT_HINTS: Final = frozenset({*_VERDICT_KEYS, "error", "errors", "message"})
"""Field names beside which bare data are not accepted: an unreadable verdict does not mean success."""
_TEXT_KEYS: Final = ("message", "messsage", "0")
_PAYLOAD_KEYS: Final = ("data", "Data", "0")
_ENVELOPE: Final = re.compile(rb"\s*[\[{]")
_WEB_PAGE: Final = re.compile(rb"\s*<(?:!doctype\s+html|html)", re.IGNORECASE)
_PLUGIN: Final = istr("F-PLUGIN")
_API_KEY: Final = istr("F-Api-Key")
_SECRET_KEY: Final = istr("F-Secret-Key")
_PAGE_DIGITS: Final = 9
_SNIPPET: Final = 500
_TEXT: Final = 1000
_READ_FOR_SNIPPET: Final = 1 << 18


class Headers(CIMultiDict[str]):
    """Request headers whose repr hides the values, because they hold the key pair."""

    def __repr__(self) -> str:
        return f"<headers: {', '.join(self)}>"


def headers(credentials: Credentials, plugin: str) -> Headers:
    """Return the headers that authenticate the caller."""
    return Headers(
        (
            (_PLUGIN, plugin),
            (_API_KEY, credentials.api_key.reveal()),
            (_SECRET_KEY, credentials.secret_key.reveal()),
        )
    )


@define(eq=False)
class RawResponse:
    """Answer before parsing.

    Attributes:
        endpoint: Endpoint that was called.
        status: HTTP status.
        body: Body after content decoding.
        uid: The uid in the path, or None.
        retry_after: Server-requested pause in seconds, or None.
        secrets: Keys and passwords that were sent, to be masked in errors.
        rows: Place of the body's long list, if `find_rows` has found it.

    """

    endpoint: Endpoint
    status: int
    body: bytes = field(repr=False)
    uid: int | str | None = None
    retry_after: float | None = None
    secrets: tuple[Secret, ...] = ()
    rows: slice | None = None

    def error(self, kind: Callable[..., E], reason: str, **more: Any) -> E:
        """Return an error with endpoint, status, uid and a masked start of the body."""
        # NULs are removed: those of a UTF-16 body would hide secrets from the search, but not from a reader.
        text = self.body[:_READ_FOR_SNIPPET].decode("utf-8", "replace").replace("\0", "")
        snippet = redact(text, self.secrets)[:_SNIPPET]
        return kind(reason, endpoint=self.endpoint.name, status=self.status, uid=self.uid, snippet=snippet, **more)


@define(eq=False)
class Reply:
    """Successful answer of the API.

    Attributes:
        answer: The answer before parsing.
        payload: Data of the answer, or None. A long list is `Rows`, and a file is `bytes`.

    """

    answer: RawResponse
    payload: object = field(repr=False)
    _envelope: Mapping[str, object] = field(alias="envelope", repr=False, factory=dict)

    @property
    def last_page(self) -> int | None:
        """Number of the last page if the answer is paginated, else None."""
        pagination = self._envelope.get("pagination")
        last = pagination.get("lastPage") if isinstance(pagination, dict) else None
        if isinstance(last, str) and last.isascii() and last.isdigit() and len(last) <= _PAGE_DIGITS:
            last = int(last)
        if isinstance(last, int) and not isinstance(last, bool) and 0 < last < 10**_PAGE_DIGITS:
            return last
        return None

    def unreadable(self, reason: str) -> UnreadableAnswerError:
        """Return the error for a payload that a reader cannot convert."""
        return self.answer.error(UnreadableAnswerError, message("calls.unreadable_answer", reason=reason))


def parse_envelope(answer: RawResponse) -> Reply:
    """Return the reply of a successful answer.

    Args:
        answer: The answer before parsing.

    Raises:
        ApiError: The verdict or the status is a refusal; the subclass says which one.
        OutcomeUnknownError: There is no verdict, or the server failed.

    """
    if not 200 <= answer.status < 300:
        _check_status(answer)
    elif answer.endpoint.response == "bytes" and not _ENVELOPE.match(answer.body):
        return _file(answer)
    is_truncated = False
    try:
        envelope = decode(answer.body, answer.rows)
    except JsonError:
        envelope, is_truncated = None, looks_truncated(answer.body)
    if isinstance(envelope, list):
        envelope = _unwrap(envelope)
    fields = envelope if isinstance(envelope, dict) else {}
    verdict = _verdict(fields)
    if verdict is False or (verdict is None and answer.status >= 400):
        raise _refusal(answer, fields, is_json=envelope is not None)
    if verdict is None:
        return _without_verdict(answer, envelope, is_truncated=is_truncated)
    return Reply(answer, _payload(fields), fields)


def _file(answer: RawResponse) -> Reply:
    """Return the reply that is a file; refuse an empty body and a web page."""
    if not answer.body or _WEB_PAGE.match(answer.body):
        raise answer.error(OutcomeUnknownError, message("calls.no_file"))
    return Reply(answer, answer.body)


def _check_status(answer: RawResponse) -> None:
    """Raise the error for a status that overrides the verdict."""
    status = answer.status
    if not 200 <= status < 600:
        kind = UnreadableAnswerError if answer.endpoint.retry_safety is RetrySafety.READ else OutcomeUnknownError
        raise answer.error(kind, message("calls.invalid_status"))
    if status >= 500:
        raise _transient(answer.error(ServerError, message("calls.server_error"), retry_after=answer.retry_after))
    if status == 429:
        raise _transient(answer.error(RateLimitError, message("calls.throttled"), retry_after=answer.retry_after))
    if status == 408:
        raise _transient(answer.error(RequestTimeoutError, message("calls.request_too_slow")))
    if status < 400:
        raise answer.error(OutcomeUnknownError, message("calls.redirected"))


def _transient(error: E) -> E:
    error.is_transient = True
    return error


# ── The verdict ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _unwrap(value: list[Any]) -> object:
    """Return the envelope inside a one-element array, or the value itself."""
    if len(value) == 1 and isinstance(value[0], dict) and _verdict(value[0]) is not None:
        return value[0]
    return value


def _verdict(envelope: Mapping[str, object]) -> bool | None:
    """Return True for yes, False for no, None for no verdict or two different ones."""
    yes = no = False
    for key in _VERDICT_KEYS:
        if isinstance(word := envelope.get(key), str):
            word = word.strip().casefold()
            yes, no = yes or word in _YES, no or word in _NO
    return None if yes is no else yes


def _without_verdict(answer: RawResponse, envelope: object, *, is_truncated: bool) -> Reply:
    """Return bare data as the reply to a read; raise for a write.

    Bare data do not show whether a write was done.
    """
    if answer.endpoint.retry_safety is RetrySafety.READ:
        if isinstance(envelope, (list, LongList, Rows)):
            return Reply(answer, envelope)
        if isinstance(envelope, dict) and "data" in envelope and not _VERDICT_HINTS & envelope.keys():
            return Reply(answer, envelope["data"], envelope)
    reason = message("calls.not_json" if envelope is None else "calls.no_verdict")
    error = answer.error(OutcomeUnknownError, reason)
    raise _transient(error) if is_truncated else error


def _payload(envelope: Mapping[str, object]) -> object:
    for key in _PAYLOAD_KEYS:
        value = envelope.get(key)
        if value is not None and not (key == "0" and isinstance(value, str)):
            return value
    return None


# ── Refusals ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _refusal(answer: RawResponse, envelope: Mapping[str, object], *, is_json: bool) -> ApiError:
    """Return the error of a refusal.

    Unambiguous texts decide first, then the status, then loose matches.
    """
    text, by_field = _texts(envelope, answer.secrets)
    kind = _kind(answer, fold(text), has_fields=bool(by_field), is_json=is_json)
    if not text:
        text = message("calls.no_reason" if is_json else "calls.no_readable_reason")
    reason = message(
        {
            AuthenticationError: "calls.wrong_key_pair",
            PermissionDeniedError: "calls.not_permitted",
            NotFoundError: "calls.not_found",
            ValidationError: "calls.invalid_data",
        }.get(kind, "calls.refused"),
        text=text,
    )
    if issubclass(kind, ValidationError):
        return answer.error(kind, reason, fields=by_field)
    return answer.error(kind, reason)


_BY_STATUS: Final = {
    401: AuthenticationError,
    402: PermissionDeniedError,
    403: PermissionDeniedError,
    422: ValidationError,
}


def _kind(answer: RawResponse, text: str, *, has_fields: bool, is_json: bool) -> type[ApiError]:
    """Return the class of a refusal.

    Texts decide first, because authentication failures have several statuses.
    """
    if "intenta autenticarse" in text:
        return AuthenticationError
    if "plan empresa" in text or "adquirir un plan" in text:
        return PermissionDeniedError
    if answer.status == 404:
        return NotFoundError if is_json else ApiError
    is_not_found = "{uid}" in answer.endpoint.path and re.search(r"no existe|no se encontr|no encontrad", text)
    if is_not_found and not has_fields and answer.status not in {401, 402, 403}:
        return NotFoundError
    if kind := _BY_STATUS.get(answer.status):
        return kind
    if has_fields or answer.status == 400 or re.search(r"requerid|obligatori|invalid|no es valid", text):
        return ValidationError
    return ApiError


# ── Texts for people ──────────────────────────────────────────────────────────────────────────────────────────────────


def _texts(envelope: Mapping[str, object], secrets: tuple[Secret, ...]) -> tuple[str, dict[str, tuple[str, ...]]]:
    """Return the message, and messages by field, with secrets masked."""

    def show(text: str) -> str:
        """Return a text for people without secrets and control characters."""
        # Masked before and after cleaning, which may join the parts of a secret.
        return redact(plain_text(redact(text, secrets)), secrets)[:_TEXT]

    fields = {
        show(name): texts
        for key in ("errors", *_TEXT_KEYS)
        if isinstance(value := envelope.get(key), dict)
        for name, each in value.items()
        if isinstance(each, list) and (texts := tuple(show(text) for text in each if isinstance(text, str)))
    }
    if fields:
        return "; ".join(f"{name}: {' '.join(texts)}" for name, texts in fields.items())[:_TEXT], fields
    plain = (show(text) for key in _TEXT_KEYS for text in _plain(envelope.get(key)))
    return " ".join(dict.fromkeys(text for text in plain if text))[:_TEXT], {}


def _plain(value: object) -> Iterator[str]:
    """Yield the texts of a string, a list of strings or a nested message."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        yield from (each for each in value if isinstance(each, str))
    elif isinstance(value, dict):
        yield from (each for name in ("message", "messageDetail") if isinstance(each := value.get(name), str))
