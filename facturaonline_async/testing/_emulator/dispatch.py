"""One call from its headers to its answer: who asks, for what, and whether the answer is no before the work starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from attrs import field, frozen

from facturaonline_async.testing._emulator.request_bodies import Body, read_body
from facturaonline_async.testing._emulator.responses import Answer, permission_denied, unknown_keys
from facturaonline_async.testing._emulator.routes import Call, Route, Router
from facturaonline_async.testing._emulator.state import State

__all__ = ["Api", "ReceivedRequest"]


@frozen(kw_only=True)
class ReceivedRequest:
    """A request that was read to its end and is not answered yet. It holds secrets: it is never logged."""

    method: str
    path: str
    query: dict[str, str]
    content_type: str
    body: Body = field(repr=False)
    api_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    #: None where the router sends the request to no handler.
    route: Route | None
    uid: str
    #: The company whose keys came; None where nobody has them.
    empresa: str | None

    @property
    def endpoint(self) -> str:
        """Name of the endpoint; "" where there is none."""
        return "" if self.route is None else self.route.name


class Api:
    """The API without its server: it waits for nothing. `on_change` is called after each call that changed a row."""

    def __init__(
        self, state: State, routes: Iterable[Route], on_change: Callable[[ReceivedRequest], None] | None = None
    ) -> None:
        self._state = state
        self._router = Router(routes)
        self._on_change = on_change

    def read(
        self, method: str, path: str, query: dict[str, str], headers: Mapping[str, str], raw: bytes
    ) -> ReceivedRequest:
        """Read a request: its route, its body, its company."""
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
        """Do the work, or refuse it: first the router, then the keys, then the endpoint itself.

        What is read lies behind by so many seconds.
        """
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
