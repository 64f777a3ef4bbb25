"""Routing of requests to endpoints, and the argument of their handlers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from attrs import field, frozen

from facturaonline_async.testing._emulator.request_bodies import Body
from facturaonline_async.testing._emulator.responses import Answer, html_page

if TYPE_CHECKING:
    from facturaonline_async.testing._emulator.state import AccountState

__all__ = ["PREFIX", "Call", "Route", "Router"]

PREFIX: Final = "/api"
"""Prefix of the path of every endpoint."""


@frozen(kw_only=True)
class Call:
    """A parsed request, as its handler receives it.

    Attributes:
        uid: uid in the path; ``""`` if there is none.
        query: query parameters; for a repeated name, the last value.
        body: the body, parsed by its Content-Type.
        empresa: uid of the company with these keys.
        behind: age of the data that is read, in seconds; see `Fault.stale`.

    """

    uid: str
    query: dict[str, str]
    body: Body = field(repr=False)
    empresa: str
    behind: float = 0.0


Handler = Callable[["AccountState", Call], Answer]
"""Function that does the work of one call without waiting, and returns the response."""


@frozen
class Route:
    """One endpoint.

    Attributes:
        name: name of the endpoint, such as ``"series.create"``.
        method: HTTP method.
        path: path below `PREFIX`; ``{uid}`` stands for a uid.
        handle: function that does the work.
        form_method: required value of the form field ``_method``; None: no such field is needed.

    """

    name: str
    method: str
    path: str
    handle: Handler = field(repr=False)
    form_method: str | None = None


class Router:
    """Router that, like the API's, finds the route before the keys are verified."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._fixed: dict[tuple[str, str], Route] = {}
        self._patterns: list[tuple[re.Pattern[str], Route]] = []
        for route in routes:
            if "{uid}" in route.path:
                pattern = re.escape(PREFIX + route.path).replace(r"\{uid\}", "([^/]+)")
                self._patterns.append((re.compile(pattern), route))
            else:
                self._fixed[route.method, PREFIX + route.path] = route
        self._fixed_paths = {path for _, path in self._fixed}

    def find(self, method: str, path: str) -> tuple[Route | None, str]:
        """Return the route of a method and a path, or None, and the uid in the path."""
        route = self._fixed.get((method, path))
        if route is not None:
            return route, ""
        for pattern, candidate in self._patterns:
            found = pattern.fullmatch(path) if candidate.method == method else None
            if found is not None:
                return candidate, found[1]
        return None, ""

    def refuse(self, path: str) -> Answer:
        """Return the HTML page for a request without a route: HTTP 405 or 404."""
        known = path in self._fixed_paths or any(pattern.fullmatch(path) for pattern, _ in self._patterns)
        status = 405 if known else 404
        return Answer(html_page(status), status)
