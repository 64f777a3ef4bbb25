"""Answers for errors: problem documents (RFC 9457), described in OpenAPI."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from facturaonline_async.errors import (
    ApiError,
    FacturaOnlineError,
    InvalidInputError,
    NotFoundError,
    NotSentError,
    RateLimitError,
    RequestTimeoutError,
    ValidationError,
)
from facturaonline_async.fastapi._session import health, session

__all__ = ["install_errors", "problem"]

_MEDIA_TYPE: Final = "application/problem+json"
_SCHEMA: Final = "FacturaOnlineProblem"
_CLIENT_CLOSED_REQUEST: Final = 499

_STATUSES: Final[Mapping[type[FacturaOnlineError], int]] = {
    InvalidInputError: 422,
    ValidationError: 422,
    NotFoundError: 404,
    NotSentError: 503,
    RateLimitError: 503,
    ApiError: 502,  # the keys or the account of the tenant: nothing that the caller can mend
    RequestTimeoutError: 504,
    FacturaOnlineError: 502,
}


def install_errors(app: FastAPI, *, status: Mapping[type[FacturaOnlineError], int] | None = None) -> None:
    """Answer every error of this library with a problem document (RFC 9457).

    ========================================================  ======
    error                                                     status
    ========================================================  ======
    `InvalidInputError`, `ValidationError`                    422
    `NotFoundError`                                           404
    `NotSentError` and its other kinds, `RateLimitError`      503
    `AuthenticationError`, `PermissionDeniedError`            502
    `RequestTimeoutError`                                     504
    all others: the outcome is unknown, or not readable       502
    ========================================================  ======

    The body has ``title``, ``status``, ``detail`` (the text of the error), ``error`` (its class), ``code``,
    ``happened`` ("no", "perhaps" or "yes": whether the API did what was asked), ``endpoint``, and ``fields`` (texts by
    the name of the field) where fields were refused. ``Retry-After`` is set if the error says when to come back. The
    application's OpenAPI document describes these answers for the operations that depend on `session`, directly or
    through other dependencies. `cancel_on_disconnect` is answered, too.

    A handler of your own for one of the classes, by ``app.exception_handler``, takes precedence.

    Args:
        app: the application; its routes may be added before or after.
        status: statuses of classes, which replace those above, also for subclasses that have no status of their own
            there. Default: none.

    """
    statuses = {**_STATUSES, **(status or {})}

    async def answer(_: Request, error: Exception) -> Response:
        assert isinstance(error, FacturaOnlineError)  # noqa: S101  # it is installed for this class
        return problem(error, status=statuses)

    async def answer_disconnected(_: Request, __: Exception) -> Response:
        return Response(status_code=_CLIENT_CLOSED_REQUEST)

    app.add_exception_handler(FacturaOnlineError, answer)
    app.add_exception_handler(ClientDisconnect, answer_disconnected)
    _describe(app, sorted(set(statuses.values())))


def problem(error: FacturaOnlineError, *, status: Mapping[type[FacturaOnlineError], int] | None = None) -> JSONResponse:
    """Return the problem document of an error, as `install_errors` answers it.

    Args:
        error: the error.
        status: statuses by class; the class of `error` itself comes first, and then its bases. None: the defaults of
            `install_errors`.

    """
    found = _STATUSES if status is None else {**_STATUSES, **status}
    number = next(found[kind] for kind in type(error).__mro__ if kind in found)
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": _title(number),
        "status": number,
        "detail": str(error),
        "error": type(error).__name__,
        "code": error.code,
        "happened": error.happened,
        "endpoint": error.endpoint,
    }
    if fields := _fields(error):
        body["fields"] = fields
    seconds = getattr(error, "retry_after", None)
    headers = None if seconds is None else {"Retry-After": str(max(0, math.ceil(seconds)))}
    return JSONResponse(body, number, headers, _MEDIA_TYPE)


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _fields(error: FacturaOnlineError) -> dict[str, list[str]]:
    """Return the texts of an error by the fields that they are about."""
    if isinstance(error, ValidationError):
        return {name: [str(text) for text in texts] for name, texts in error.fields.items()}
    if isinstance(error, InvalidInputError) and error.field:
        return {error.field: [str(error.args[0])]}
    return {}


# ── OpenAPI ───────────────────────────────────────────────────────────────────────────────────────────────────────────

_TEXT: Final = {"type": "string"}
_PROBLEM: Final[Mapping[str, Any]] = {
    "title": _SCHEMA,
    "description": "Problem document (RFC 9457) of a call to FacturaOnline.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "error", "code", "happened", "endpoint"],
    "properties": {
        "type": _TEXT,
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": {**_TEXT, "description": "What went wrong."},
        "error": {**_TEXT, "description": "Class of the error."},
        "code": {**_TEXT, "description": "Stable name of the text, or empty."},
        "happened": {
            "type": "string",
            "enum": ["no", "perhaps", "yes"],
            "description": "Whether the API did what was asked.",
        },
        "endpoint": {**_TEXT, "description": "Endpoint of the API that was called, or empty."},
        "fields": {
            "type": "object",
            "additionalProperties": {"type": "array", "items": _TEXT},
            "description": "Texts by the names of the refused fields.",
        },
    },
}


def _describe(app: FastAPI, statuses: list[int]) -> None:
    """Add the answers to operations of the application's OpenAPI document."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        is_new = app.openapi_schema is None
        document = generate()
        if is_new:
            _add_answers(document, _calling(app), statuses)
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way


def _calling(app: FastAPI) -> set[tuple[str, str]]:
    """Return path and method of the operations that call the API.

    Only these can answer with the errors.
    """
    return {
        (route.path_format, method.lower())
        for route in app.routes
        if isinstance(route, APIRoute) and route.endpoint is not health and _depends_on_session(route.dependant)
        for method in route.methods or ()
    }


def _depends_on_session(dependant: Dependant) -> bool:
    return dependant.call is session or any(map(_depends_on_session, dependant.dependencies))


def _add_answers(document: dict[str, Any], operations: Collection[tuple[str, str]], statuses: list[int]) -> None:
    document.setdefault("components", {}).setdefault("schemas", {})[_SCHEMA] = _PROBLEM
    content = {"schema": {"$ref": f"#/components/schemas/{_SCHEMA}"}}
    for path, item in document.get("paths", {}).items():
        for method, operation in item.items():
            if (path, method) not in operations:
                continue
            for status in statuses:
                answer = operation["responses"].setdefault(str(status), {"description": _title(status)})
                answer.setdefault("content", {}).setdefault(_MEDIA_TYPE, content)
                if status == 503:
                    answer.setdefault("headers", {}).setdefault(
                        "Retry-After",
                        {"schema": {"type": "integer"}, "description": "Seconds until the call can succeed."},
                    )
