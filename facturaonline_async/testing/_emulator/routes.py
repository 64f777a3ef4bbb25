"""Which endpoint a request is for, and what a handler is given."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from attrs import field, frozen

from facturaonline_async.testing._emulator.request_bodies import Body
from facturaonline_async.testing._emulator.responses import Answer, html_page

if TYPE_CHECKING:
    from facturaonline_async.testing._emulator.state import State

__all__ = ["PREFIX", "Call", "Route", "Router"]

PREFIX: Final = "/api"
"""Every endpoint is mounted below it."""


@frozen(kw_only=True)
class Call:
    """A request that was read, as a handler sees it.

    Attributes:
        uid: uid in the path; ``""`` where the path has none.
        query: query parameters; of equal names the last one counts.
        body: the body, read by its Content-Type.
        empresa: uid of the company whose keys came.
        behind: seconds by which what is read lies behind; see `Fault.stale`.

    """

    uid: str
    query: dict[str, str]
    body: Body = field(repr=False)
    empresa: str
    behind: float = 0.0


Handler = Callable[["State", Call], Answer]
"""Does the work of one call, at once and without waiting, and answers."""


@frozen
class Route:
    """One endpoint.

    Attributes:
        name: such as ``"series.create"``.
        method: HTTP method.
        path: path below `PREFIX`; ``{uid}`` stands for a uid.
        handle: does the work.
        form_method: what the form field ``_method`` must say, where the router asks for it.

    """

    name: str
    method: str
    path: str
    handle: Handler = field(repr=False)
    form_method: str | None = None


class Router:
    """Finds the route of a request, as the API's own router does: before it looks at any key."""

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
        """Return the route and the uid in its path; no route where the method and the path fit none."""
        route = self._fixed.get((method, path))
        if route is not None:
            return route, ""
        for pattern, candidate in self._patterns:
            found = pattern.fullmatch(path) if candidate.method == method else None
            if found is not None:
                return candidate, found[1]
        return None, ""

    def refuse(self, path: str) -> Answer:
        """Return the router's own page for a request that it can give to no handler: HTTP 405 or 404."""
        known = path in self._fixed_paths or any(pattern.fullmatch(path) for pattern, _ in self._patterns)
        status = 405 if known else 404
        return Answer(html_page(status), status)
