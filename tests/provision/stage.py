"""A world that follows a script: a test says what happens to which call, and one session may have several users."""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Concatenate, ParamSpec, TypeAlias

from attrs import define, evolve, field, frozen

from facturaonline_async import Credentials, FacturaOnline, SessionManager
from facturaonline_async._core.protocol import envelope
from facturaonline_async._core.request import PreparedRequest
from facturaonline_async.errors import FacturaOnlineError, NotSentError, OutcomeUnknownError
from facturaonline_async.provision import Plan, RowOutcome, RunReport, provision
from facturaonline_async.sharing import Shared
from facturaonline_async.testing._emulator.dispatch import ReceivedRequest
from tests.provision.world import CONFIG, SETTLE, Life, World
from tests.virtual import virtually

P = ParamSpec("P")
Result: TypeAlias = envelope.Reply | FacturaOnlineError
Act: TypeAlias = Callable[["Stage", PreparedRequest, ReceivedRequest], Awaitable[Result]]

_LONG = 10_000.0
"""Seconds of the virtual clock: what takes longer never ends."""

EMPRESAS, SERIES = "empresas.create", "series.create"


# ── What may happen to a call ─────────────────────────────────────────────────────────────────────────────────────────


def answered(status: int, body: Mapping[str, Any] | None = None, *, is_done: bool = False) -> Act:
    """Answer this, and do the work or not."""

    async def act(stage: Stage, call: PreparedRequest, arrival: ReceivedRequest) -> Result:
        if is_done:
            stage.do(arrival)
        return stage._read(call, status, json.dumps(body or {}).encode())

    return act


def lost(*, done_after: float | None = None) -> Act:
    """Give no answer, and do the work so many seconds later, or never."""

    async def act(stage: Stage, call: PreparedRequest, arrival: ReceivedRequest) -> Result:
        if done_after is not None:
            asyncio.get_running_loop().call_later(done_after, stage.do, arrival)
        return call.annotate(OutcomeUnknownError("no answer"))

    return act


def slow(seconds: float) -> Act:
    """Do the work at once, and answer so many seconds later."""

    async def act(stage: Stage, call: PreparedRequest, arrival: ReceivedRequest) -> Result:
        result = stage.do(arrival, call)
        await asyncio.sleep(seconds)
        return result

    return act


def delayed(act: Act, *, before: float = 0.0, after: float = 0.0) -> Act:
    """Let something happen so many seconds later, also to a caller that has gone, and answer later still."""

    async def happen(stage: Stage, call: PreparedRequest, arrival: ReceivedRequest) -> Result:
        await asyncio.sleep(before)
        return await act(stage, call, arrival)

    async def delay(stage: Stage, call: PreparedRequest, arrival: ReceivedRequest) -> Result:
        result = await asyncio.shield(asyncio.create_task(happen(stage, call, arrival)))
        await asyncio.sleep(after)
        return result

    return delay


async def unconnected(_: Stage, call: PreparedRequest, __: ReceivedRequest) -> Result:
    """Refuse the connection, so that nothing is sent."""
    error = NotSentError("connection refused")
    error.is_transient = True
    return call.annotate(error)


def edited(edit: Callable[[Any], object]) -> Act:
    """Do the work, and change the answer's JSON."""

    async def act(stage: Stage, call: PreparedRequest, arrival: ReceivedRequest) -> Result:
        body = json.loads(stage.api.perform(arrival).encode()[0])
        edit(body)
        return stage._read(call, 200, json.dumps(body).encode())

    return act


REFUSED = answered(422, {"status": "error", "message": "no"})
BROKEN = answered(500)
THROTTLED = answered(429)
YES = answered(200, {"response": "success", "message": "ok"})
YES_IN_OTHER_WORDS = answered(200, {"status": "create", "0": 7})


# ── The stage ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@frozen
class Seen:
    """A call that came: when, for what, and about whom (an RFC, a letra, a uid)."""

    at: float
    endpoint: str
    about: frozenset[str]


@define
class _Cue:
    endpoint: str
    about: str
    act: Act
    times: float
    skip: int
    since: float
    until: float

    def takes(self, seen: Seen) -> bool:
        if seen.endpoint != self.endpoint or not self.since <= seen.at < self.until:
            return False
        if self.about and self.about not in seen.about:
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.times -= 1
        return self.times >= 0


@define(eq=False)
class Stage(World):
    """A world in which all goes well, but for what a test asks for with `on`."""

    chance: random.Random = field(factory=lambda: random.Random(1))
    script: dict[str, list[str]] | None = field(factory=dict)
    calls: list[Seen] = field(factory=list)
    _cues: list[_Cue] = field(factory=list)

    def on(
        self,
        endpoint: str,
        act: Act,
        *,
        about: str = "",
        times: float = float("inf"),
        skip: int = 0,
        since: float = 0.0,
        until: float = float("inf"),
    ) -> None:
        """Let something happen to the calls of an endpoint that are about this RFC, letra or uid, between moments."""
        self._cues.append(_Cue(endpoint, about, act, times, skip, since, until))

    def count(self, endpoint: str, about: str = "") -> int:
        """Return how many calls came."""
        return len(self.moments(endpoint, about))

    def moments(self, endpoint: str, about: str = "") -> list[float]:
        """Return when calls came."""
        return [seen.at for seen in self.calls if seen.endpoint == endpoint and (not about or about in seen.about)]

    def do(self, arrival: ReceivedRequest, call: PreparedRequest | None = None) -> Result:
        """Do the work, and return its answer."""
        if arrival.endpoint in {EMPRESAS, SERIES}:
            self._count(arrival)
        body = self.api.perform(arrival).encode()[0]
        return self._read(call, 200, body) if call is not None else OutcomeUnknownError("nobody asked")

    async def attempt(self, call: PreparedRequest) -> Result:
        arrival = self.arrive(call)
        owner = self.state.tables["empresas"].get(str(arrival.empresa), {})
        fields = arrival.body.fields
        about = {str(each) for each in (fields.get("letra"), fields.get("rfc"), owner.get("rfc"), arrival.uid) if each}
        seen = Seen(asyncio.get_running_loop().time(), call.endpoint.name, frozenset(about))
        self.calls.append(seen)
        for cue in self._cues:
            if cue.takes(seen):
                return await cue.act(self, call, arrival)
        return await super().attempt(call)

    @asynccontextmanager
    async def session(self, *, shared: Shared | None = None, **config: Any) -> AsyncIterator[FacturaOnline]:
        """Begin a process: give a client with the main keys."""
        self.life = Life(None)
        row = self.state.empresa(str(self.state.main_uid()))
        assert row is not None
        async with SessionManager(evolve(CONFIG, **config), shared) as session:
            yield FacturaOnline(session, Credentials(api_key=row["api_key"], secret_key=row["secret_key"]))

    def uid(self, rfc: str) -> str:
        """Return the uid of a company that is there once."""
        (uid,) = (uid for uid, row in self.state.tables["empresas"].items() if row["rfc"] == rfc)
        return str(uid)


def staged(
    list_lag: float = 0.0, **config: Any
) -> Callable[[Callable[Concatenate[Stage, FacturaOnline, P], Awaitable[None]]], Callable[P, None]]:
    """Let a test be played on a stage of its own, with a client of a session with this configuration."""

    def decorate(test: Callable[Concatenate[Stage, FacturaOnline, P], Awaitable[None]]) -> Callable[P, None]:
        @functools.wraps(test)
        def played(*args: P.args, **kwargs: P.kwargs) -> None:
            async def main() -> None:
                stage = Stage(list_lag=list_lag)
                with stage.rules():
                    async with asyncio.timeout(_LONG), stage.session(**config) as client:
                        await test(stage, client, *args, **kwargs)

            virtually(main())

        signature = inspect.signature(test)
        rest = list(signature.parameters.values())[2:]
        played.__signature__ = signature.replace(parameters=rest)  # type: ignore[attr-defined]
        return played

    return decorate


async def run(
    client: FacturaOnline, plan: Plan, *, settle: float = SETTLE, **how: Any
) -> tuple[list[RowOutcome], RunReport]:
    """Run the plan to its end, and return what came of it."""
    async with provision(client, plan, settle=settle, **how) as under_way:
        outcomes = [outcome async for outcome in under_way]
    return sorted(outcomes, key=lambda outcome: outcome.number), under_way.report


async def until(is_so: Callable[[], object]) -> None:
    """Wait until something is so."""
    while not is_so():  # noqa: ASYNC110  # nothing rings a bell
        await asyncio.sleep(0.01)
