"""Responses of the API: envelopes, refusals and HTML pages, and their encoding."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, Literal

from attrs import field, frozen

from facturaonline_async._messages import message
from facturaonline_async.errors import InvalidInputError

__all__ = [
    "REFUSALS",
    "Answer",
    "Refusal",
    "html_page",
    "invalid",
    "not_found",
    "permission_denied",
    "refusal_statuses_of",
    "required",
    "unknown_keys",
]

Refusal = Literal["authentication", "validation", "not_found", "permission"]
"""Kind of a refusal; each kind can have its own HTTP status."""

REFUSALS: Final[tuple[Refusal, ...]] = ("authentication", "validation", "not_found", "permission")


@frozen
class Answer:
    """A response before it is sent.

    Attributes:
        content: a mapping or a list is sent as JSON, a text as an HTML page, bytes unchanged.
        status: HTTP status; for a refusal, the emulator's ``refusal_statuses`` override it.
        headers: further headers, which override the emulator's own.
        refusal: kind of the refusal, or None.
        case: what was wrong, such as ``"duplicate"``; ``""`` if nothing.
        is_recorded: whether the answer is in the form of a report, so that the status is final.

    """

    content: Mapping[str, Any] | list[Any] | str | bytes
    status: int = 200
    headers: Mapping[str, str] = field(factory=dict, hash=False)
    refusal: Refusal | None = None
    case: str = ""
    is_recorded: bool = False

    @property
    def is_success(self) -> bool:
        """Whether the work was done."""
        return self.refusal is None and (self.status < 300 or self.is_recorded)

    def encode(self) -> tuple[bytes, str]:
        """Return the body and its content type."""
        if isinstance(self.content, bytes):
            return self.content, "application/json"
        if isinstance(self.content, str):
            return self.content.encode(), "text/html; charset=UTF-8"
        return _php_json(self.content), "application/json"


def _php_json(content: Mapping[str, Any] | list[Any]) -> bytes:
    r"""Encode JSON like PHP's json_encode: ``\u00f3`` for ó, ``\/`` for /, no blanks."""
    return json.dumps(content, separators=(",", ":")).replace("/", "\\/").encode("ascii")


def _echo(key: str) -> str:
    """Return the API's echo of an unknown key: decoded, or ``""`` if it is not base64."""
    try:
        return base64.b64decode(key, validate=True).decode()
    except ValueError:
        return ""


def unknown_keys(api_key: str, secret_key: str) -> Answer:
    """Refuse an unknown key pair, and echo it, as the API does."""
    content = {
        "status": "error",
        "message": "La cuenta que intenta autenticarse no existe",
        "Data": _echo(api_key),
        "Secret": _echo(secret_key),
    }
    return Answer(content, refusal="authentication", case="wrong_keys")


def permission_denied() -> Answer:
    """Refuse valid keys of a plan without API access."""
    text = "Para utilizar la API necesitas adquirir un plan Empresa"
    return Answer({"status": "error", "message": text}, refusal="permission", case="permission")


def not_found(text: str) -> Answer:
    """Refuse a uid that does not exist or belongs to another company."""
    return Answer({"status": "error", "message": text}, refusal="not_found", case="unknown_uid")


def invalid(message: str | Mapping[str, list[str]], case: str = "wrong_value") -> Answer:
    """Refuse invalid data, with one message or with messages for each field."""
    return Answer({"status": "error", "message": message}, refusal="validation", case=case)


def required(*names: str) -> Answer:
    """Refuse data without these required fields."""
    return invalid({name: [f"El campo {name} es requerido"] for name in names}, "missing_field")


def refusal_statuses_of(chosen: Mapping[str, int]) -> dict[Refusal, int]:
    """Return the HTTP status of each kind of refusal: the chosen status, or 200."""
    unknown = sorted(chosen.keys() - set(REFUSALS))
    if unknown:
        name, known = "refusal_statuses", ", ".join(REFUSALS)
        fault = message("testing.unknown_refusals", name=name, known=known, unknown=", ".join(unknown))
        raise InvalidInputError(fault, field=name)
    return {kind: chosen.get(kind, 200) for kind in REFUSALS}


def html_page(status: int) -> str:
    """Return an HTML page like that of a router, a proxy or a maintenance notice."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unknown Error"
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{phrase}</title></head>\n'
        f'<body><div class="code">{status}</div><div class="message">{phrase}</div></body>\n</html>\n'
    )
