"""What was asked: a row for each request, without its keys and passwords."""

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
    """One request that the emulator read to its end. It never holds a key or a password.

    Attributes:
        number: 1 for the first request, and so on.
        at: ``time.monotonic()`` of its arrival, in seconds.
        endpoint: name such as ``"series.create"``; ``""`` where the emulator has no such endpoint.
        method: HTTP method.
        path: path as it came, with its ``/api``.
        query: query parameters, secrets masked.
        empresa: uid of the company whose keys came, or None where nobody has them.
        content_type: the Content-Type header; ``""`` where there was none.
        fields: fields of the body as the API understood them; empty where the Content-Type did not fit. Passwords are
            ``"***"``, files that came as text are ``"<file>"``.
        files: files by field name: file name, size and SHA-256. Files that came as base64 text stand here too.
        status: HTTP status of the answer; None while there is none, where the connection was dropped, or where the
            client had gone.
        committed: whether the work was done: for a call that writes, that the state was changed. False where the API
            refused.
        fault: the injected fault that met it, or None.

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
    """Return the fields with passwords, keys and files replaced by markers."""
    return {name: _masked(name, value) for name, value in fields.items()}


def _masked(name: str, value: Any) -> Any:
    if _FILE_NAME.search(name):
        return "<file>"
    if _SECRET_NAME.search(name):
        return "***"
    # No field of the API is nested; what a stray client nests here could be anything.
    return f"<{type(value).__name__}>" if isinstance(value, (dict, list)) else value


class RequestLog:
    """The requests in the order of their arrival; the last `limit` of them, where there is a limit."""

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
        """Note what became of a request. A row that has been dropped stays dropped."""
        row = self._rows.get(number)
        if row is not None:
            self._rows[number] = evolve(row, **changes)

    @property
    def rows(self) -> tuple[Request, ...]:
        """The rows as they are now."""
        return tuple(self._rows.values())

    @property
    def next_number(self) -> int:
        """Number of the next request."""
        return self._last_number + 1

    def count(self, endpoint: str) -> int:
        """Return how many requests came for the endpoint, those beyond the limit included."""
        return self._counts[endpoint]
