"""Dispatch of one request: its route, its company, and its handler or a refusal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from attrs import field, frozen

from facturaonline_async.testing._emulator.probe_report import ProbeReport
from facturaonline_async.testing._emulator.request_bodies import Body, read_body
from facturaonline_async.testing._emulator.responses import Answer, permission_denied, unknown_keys
from facturaonline_async.testing._emulator.routes import Call, Route, Router
from facturaonline_async.testing._emulator.state import AccountState

__all__ = ["Api", "ReceivedRequest"]


@frozen(kw_only=True)
class ReceivedRequest:
    """A request that was read completely and has no response yet.

    It holds secrets and is never logged.

    Attributes:
        method: HTTP method.
        path: path of the request, including ``/api``.
        query: query parameters.
        content_type: the Content-Type header; ``""`` if it is missing.
        body: the body, parsed by its Content-Type.
        api_key: the F-Api-Key header.
        secret_key: the F-Secret-Key header.
        route: route of the endpoint; None if the router knows none.
        uid: uid in the path; ``""`` if there is none.
        empresa: uid of the company with these keys; None for unknown keys.

    """

    method: str
    path: str
    query: dict[str, str]
    content_type: str
    body: Body = field(repr=False)
    api_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    route: Route | None
    uid: str
    empresa: str | None

    @property
    def endpoint(self) -> str:
        """Name of the endpoint; ``""`` for an unknown path."""
        return "" if self.route is None else self.route.name


class Api:
    """The API without its server. It never waits.

    Args:
        state: tables of the account.
        routes: routes of all endpoints.
        on_change: called after each call that changed a row.
        report: report whose answers are played, or None.

    """

    def __init__(
        self,
        state: AccountState,
        routes: Iterable[Route],
        on_change: Callable[[ReceivedRequest], None] | None = None,
        report: ProbeReport | None = None,
    ) -> None:
        self._report = report
        self._state = state
        self._router = Router(routes)
        self._on_change = on_change

    def read(
        self, method: str, path: str, query: dict[str, str], headers: Mapping[str, str], raw: bytes
    ) -> ReceivedRequest:
        """Parse a request: find its route and its company, and read its body."""
        route, uid = self._router.find(method, path)
        content_type = headers.get("Content-Type", "")
        api_key, secret_key = headers.get("F-Api-Key", ""), headers.get("F-Secret-Key", "")
        return ReceivedRequest(
            method=method,
            path=path,
            query=query,
            content_type=content_type,
            body=read_body(content_type, raw),
            api_key=api_key,
            secret_key=secret_key,
            route=route,
            uid=uid,
            empresa=self._state.uid_of_keys(api_key, secret_key),
        )

    def perform(self, arrival: ReceivedRequest, *, behind: float = 0.0) -> Answer:
        """Do the work or refuse it.

        The router may refuse it first, then the keys, then the endpoint.

        Args:
            arrival: the request.
            behind: age of the data that is read, in seconds; see `Fault.stale`.

        """
        answer = self._answer(arrival, behind)
        return answer if self._report is None else self._report.play(arrival.endpoint, answer)

    def _answer(self, arrival: ReceivedRequest, behind: float) -> Answer:
        route = arrival.route
        if route is None:
            return self._router.refuse(arrival.path)
        if route.form_method and str(arrival.body.form.get("_method", "")).lower() != route.form_method:
            return self._router.refuse(arrival.path)
        row = None if arrival.empresa is None else self._state.empresa(arrival.empresa)
        if arrival.empresa is None or row is None:
            return unknown_keys(arrival.api_key, arrival.secret_key)
        if not row.get("api_access", True):
            return permission_denied()
        call = Call(uid=arrival.uid, query=arrival.query, body=arrival.body, empresa=arrival.empresa, behind=behind)
        answer = route.handle(self._state, call)
        if self._on_change is not None and answer.is_success and route.method != "GET":
            self._on_change(arrival)
        return answer
