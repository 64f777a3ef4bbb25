"""Log of the requests, without their keys and passwords."""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve, frozen

if TYPE_CHECKING:
    from facturaonline_async.testing._emulator.faults import Fault
    from facturaonline_async.testing._emulator.request_bodies import UploadedFile

__all__ = ["Request", "RequestLog", "without_secrets"]

_SECRET_NAME: Final = re.compile(r"pass|pwd|secret|token|key", re.IGNORECASE)
_FILE_NAME: Final = re.compile(r"_b64$|^(?:fiel)?(?:cer|key)$", re.IGNORECASE)


@frozen(kw_only=True)
class Request:
    """One request that the emulator read completely, without keys and passwords.

    Attributes:
        number: number of the request, from 1.
        at: ``time.monotonic()`` of its arrival, in seconds.
        endpoint: name such as ``"series.create"``; ``""`` for an unknown path.
        method: HTTP method.
        path: path of the request, including ``/api``.
        query: query parameters, secrets masked.
        empresa: uid of the company with these keys; None for unknown keys.
        content_type: the Content-Type header; ``""`` if it is missing.
        fields: fields of the body as the API parses them; empty if the Content-Type does not match the body. Passwords
            are ``"***"``, and files sent as text are ``"<file>"``.
        files: files by field name, also those sent as base64 text: file name, size and SHA-256.
        status: HTTP status of the response; None before the response, and if the connection was lost.
        committed: whether the API did the work; for a write call, whether it changed the state.
        fault: the injected fault that applied, or None.

    """

    number: int
    at: float
    endpoint: str
    method: str
    path: str
    query: dict[str, str]
    empresa: str | None
    content_type: str
    fields: dict[str, Any]
    files: dict[str, UploadedFile]
    status: int | None = None
    committed: bool = False
    fault: Fault | None = None


def without_secrets(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields with masked passwords, keys and files."""
    return {name: _masked(name, value) for name, value in fields.items()}


def _masked(name: str, value: Any) -> Any:
    if _FILE_NAME.search(name):
        return "<file>"
    if _SECRET_NAME.search(name):
        return "***"
    # No field of the API is nested, so a nested value is unknown and may hold secrets.
    return f"<{type(value).__name__}>" if isinstance(value, (dict, list)) else value


class RequestLog:
    """Requests in order of arrival, bounded by a limit if there is one.

    Args:
        limit: number of the last requests to keep; None: all.

    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._rows: OrderedDict[int, Request] = OrderedDict()
        self._counts: Counter[str] = Counter()
        self._last_number = 0

    def add(self, row: Request) -> None:
        """Add a row, and drop the oldest beyond the limit."""
        self._rows[row.number] = row
        self._counts[row.endpoint] += 1
        self._last_number = row.number
        if self._limit is not None and len(self._rows) > self._limit:
            self._rows.popitem(last=False)

    def change(self, number: int, **changes: Any) -> None:
        """Update a row; ignore a row beyond the limit."""
        row = self._rows.get(number)
        if row is not None:
            self._rows[number] = evolve(row, **changes)

    @property
    def rows(self) -> tuple[Request, ...]:
        """Snapshot of the rows."""
        return tuple(self._rows.values())

    @property
    def next_number(self) -> int:
        """Number of the next request."""
        return self._last_number + 1

    def count(self, endpoint: str) -> int:
        """Return the number of requests for an endpoint, including those beyond the limit."""
        return self._counts[endpoint]
