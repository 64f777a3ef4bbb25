"""A world on a virtual clock: the API without sockets, a journal without a thread, and crashes at any step.

The code under test is the real one, from `provision` down to the session; only `Transport.attempt` and the journal's
thread are replaced. Hours pass in milliseconds, and a failure can be repeated to the letter.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import anyio.to_thread
import pytest
from attrs import define, field

from facturaonline_async import Config, Credentials, FacturaOnline, RetryPolicy, SessionManager
from facturaonline_async._core.http import transport
from facturaonline_async._core.http.transport import Transport
from facturaonline_async._core.protocol import envelope
from facturaonline_async._core.request import PreparedRequest
from facturaonline_async.errors import FacturaOnlineError, NotSentError, OutcomeUnknownError, RequestTimeoutError
from facturaonline_async.provision import Plan, Run, RunReport, _run, provision
from facturaonline_async.provision._engine import audit, creator, resume, series as run_series, step_store, waiting_rows
from facturaonline_async.provision._journal import schema, writer
from facturaonline_async.provision._journal.writer import SqliteJournal
from facturaonline_async.testing._emulator import empresas, series, state
from facturaonline_async.testing._emulator.dispatch import Api, ReceivedRequest
from facturaonline_async.testing._emulator.initial_data import main_row
from tests.virtual import run_sync

T = TypeVar("T")

SETTLE = 30.0
LATEST = 20.9
"""Seconds after which nothing that came is done any more: with the lists' lag and the way, just below `SETTLE`."""

CONFIG = Config(
    base_url="http://127.0.0.1/api",
    rates=(),
    retry=RetryPolicy(transient=0.01, throttled=0.01),
    deadline=10,
    total_timeout=5,
    upload_timeout=5,
    settle=SETTLE,
    check_sello=False,
)
_CREATES = {"empresas.create", "series.create"}
_DONE = {
    *("ok", "slow", "too slow", "done late", "done and dropped", "done, then 502", "torn, done", "unreadable yes"),
}
_ANSWERS = {
    "throttled": (429, b"{}"),
    "refused": (422, b'{"status": "error", "message": "no"}'),
    "502": (502, b"<html>"),
    "done, then 502": (502, b"<html>"),
    "torn": (200, b'{"status":"succ'),
    "torn, done": (200, b'{"status":"succ'),
    "unreadable yes": (200, b'{"status": "create", "0": 7}'),
}
_ERRORS = {"not sent": NotSentError, "too slow": RequestTimeoutError}
FATES = (*("ok",) * 5, *sorted({*_DONE, *_ANSWERS, *_ERRORS, "dropped"}))
_EPOCH = 1_700_000_000.0
_COPIES = 12


@define(eq=False)
class Life:
    """One process: it lives until it ends, or until its last step."""

    steps: int | None
    dead: asyncio.Event = field(factory=asyncio.Event)

    def step(self) -> bool:
        """Count a step, and return whether it is still alive."""
        if self.steps is not None and not self.dead.is_set():
            self.steps -= 1
            if self.steps < 0:
                self.dead.set()
        return not self.dead.is_set()


@define(eq=False)
class World:
    """What is there, and what happened.

    Attributes:
        chance: draws every fate.
        has_faults: whether anything goes wrong.
        choices: the fates that are drawn from.
        script: fates of the creates of an RFC or a letra, in their order, instead of those that are drawn.
        ahead: seconds by which somebody has set the wall clock forward.
        sent: how many creates of each key have been done, or will be: never two.
        fates: how many creates and lists met which fate.
        copies: what the journal's own file may hold where its -wal is lost: some earlier moments of it.
        gap: what the next run is told of its journal.

    """

    chance: random.Random
    list_lag: float = 0.0
    read_lag: float = 0.0
    has_faults: bool = True
    choices: tuple[str, ...] = FATES
    script: dict[str, list[str]] | None = None
    ahead: float = 0.0
    sent: Counter[tuple[str, ...]] = field(factory=Counter)
    fates: Counter[str] = field(factory=Counter)
    copies: list[bytes] = field(factory=list)
    gap: str = ""
    state: state.AccountState = field(init=False)
    api: Api = field(init=False)
    book: sqlite3.Connection = field(init=False)
    life: Life = field(init=False)

    def __attrs_post_init__(self) -> None:
        behaviour = state.Behaviour(list_lag=self.list_lag, read_lag=self.read_lag, paging=False)
        self.state = state.AccountState(0, behaviour, {"empresas", "series"})
        self.state.add_empresa(main_row())
        self.api = Api(self.state, (*series.ROUTES, *empresas.ROUTES))
        self.book = sqlite3.connect(":memory:", isolation_level=None)

    # ── The API ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def attempt(self, call: PreparedRequest) -> envelope.Reply | FacturaOnlineError:
        """Answer a call, or not."""
        life, name = self.life, call.endpoint.name
        if not life.step():
            return await _never()
        await asyncio.sleep(self.chance.choice((0.0, 0.01, 0.2, 1.0)))
        arrival = self.arrive(call)
        if name in _CREATES:
            outcome = await self._create(call, arrival)
        elif self.has_faults and self.script is None and name.endswith(".list") and self.chance.random() < 0.2:
            self.fates[f"{name} failed"] += 1
            outcome = self._read(call, 500, b"no")
        else:
            outcome = self._perform(call, arrival)
        return outcome if life.step() else await _never()

    def arrive(self, call: PreparedRequest) -> ReceivedRequest:
        """Return the call as the API reads it."""
        headers = {**call.headers, **(transport._headers(call) or {})}
        content = bytes(call.body.content) if call.body is not None else b""
        return self.api.read(call.endpoint.method, call.url.path, dict(call.url.query), headers, content)

    async def _create(self, call: PreparedRequest, arrival: ReceivedRequest) -> envelope.Reply | FacturaOnlineError:
        fate = self._fate(arrival)
        self.fates[fate] += 1
        if fate in _DONE:
            self._count(arrival)
        if fate in {"ok", "slow"}:  # also if no task waits any more
            return await asyncio.shield(asyncio.create_task(self._perform_later(call, arrival, slow=fate == "slow")))
        if fate in {"done late", "too slow"}:
            later = self.chance.choice((0.5, 5.0, LATEST))
            asyncio.get_running_loop().call_later(later, self.api.perform, arrival)
        elif fate in _DONE:
            self.api.perform(arrival)
        if fate == "too slow":
            await asyncio.sleep(5)
        if fate in _ANSWERS:
            return self._read(call, *_ANSWERS[fate])
        error = _ERRORS.get(fate, OutcomeUnknownError)("no answer")
        error.is_transient = True
        return call.annotate(error)

    def _fate(self, arrival: ReceivedRequest) -> str:
        if self.script is not None:
            fates = self.script.get(arrival.body.fields.get("letra") or arrival.body.fields["rfc"])
            return fates.pop(0) if fates else "ok"
        return self.chance.choice(self.choices) if self.has_faults else "ok"

    def _count(self, arrival: ReceivedRequest) -> None:
        """Note that this will be there; nothing may ever be there twice."""
        fields = arrival.body.fields
        if arrival.endpoint == "empresas.create":
            key: tuple[str, ...] = (fields["rfc"],)
        else:
            owner = self.state.tables["empresas"][str(arrival.empresa)]
            key = owner["rfc"], fields["letra"], fields["tipoDocumento"]
        self.sent[key] += 1

    def _perform(self, call: PreparedRequest, arrival: ReceivedRequest) -> envelope.Reply | FacturaOnlineError:
        body, _ = self.api.perform(arrival).encode()
        return self._read(call, 200, body)

    async def _perform_later(
        self, call: PreparedRequest, arrival: ReceivedRequest, *, slow: bool
    ) -> envelope.Reply | FacturaOnlineError:
        if slow:
            await asyncio.sleep(self.chance.uniform(0, 4))
        return self._perform(call, arrival)

    @staticmethod
    def _read(call: PreparedRequest, status: int, body: bytes) -> envelope.Reply | FacturaOnlineError:
        try:
            return envelope.parse_envelope(
                envelope.RawResponse(call.endpoint, status, body, call.uid, None, call.secrets)
            )
        except FacturaOnlineError as error:
            return error.with_traceback(None)

    # ── Runs ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def run(
        self,
        plan: Plan,
        *,
        steps: int | None = None,
        cancel_after: float | None = None,
        stop_after: float | None = None,
    ) -> RunReport | None:
        """Run the plan as a process of its own would, and return the report if it lived to its end."""
        life = self.life = Life(steps)
        row = self.state.empresa(str(self.state.main_uid()))
        assert row is not None
        keys = Credentials(api_key=row["api_key"], secret_key=row["secret_key"])
        async with SessionManager(CONFIG) as session:
            client = FacturaOnline(session, keys)
            task = asyncio.create_task(self._work(client, plan, stop_after))
            death = asyncio.create_task(life.dead.wait())
            await asyncio.wait({task, death}, timeout=cancel_after, return_when=asyncio.FIRST_COMPLETED)
            is_over = task.done() and not life.dead.is_set()
            death.cancel()
            task.cancel()
            # With faults, the list at the beginning may fail for good: then there was no run.
            with suppress(asyncio.CancelledError, *([FacturaOnlineError] if self.has_faults else [])):
                report = await task
                return report if is_over else None
        return None

    async def _work(self, client: FacturaOnline, plan: Plan, stop_after: float | None) -> RunReport:
        async with provision(client, plan, journal="virtual", settle=SETTLE) as under_way:
            if stop_after is not None:
                asyncio.get_running_loop().call_later(stop_after, under_way.stop)
            await _exhaust(under_way)
        return under_way.report

    @contextmanager
    def rules(self) -> Iterator[None]:
        """Let this world take the place of the real one, until it ends."""
        loop = asyncio.get_running_loop()
        clock = SimpleNamespace(time=lambda: _EPOCH + loop.time() + self.ahead, monotonic=loop.time)

        async def attempt(_: Transport, call: PreparedRequest, *__: object) -> envelope.Reply | FacturaOnlineError:
            return await self.attempt(call)

        async def opened(*, account: str, host: str) -> SqliteJournal:
            return VirtualJournal(self, account, host)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Transport, "attempt", attempt)
            patch.setattr(_run, "SqliteJournalStore", lambda _: SimpleNamespace(open=opened))
            patch.setattr(anyio.to_thread, "run_sync", run_sync)
            for module in (
                audit,
                run_series,
                writer,
                waiting_rows,
                resume,
                creator,
                step_store,
                schema,
                empresas,
                series,
                state,
            ):
                patch.setattr(module, "time", clock)
            try:
                yield
            finally:
                self.book.close()

    def keep_copy(self) -> None:
        """Keep what the journal says now, or not; a few of all moments."""
        copy = self.book.serialize()
        if len(self.copies) < _COPIES:
            self.copies.append(copy)
        elif (place := random.Random(len(self.fates) + sum(self.fates.values())).randrange(4 * _COPIES)) < _COPIES:
            self.copies[place] = copy

    def lose_wal(self) -> None:
        """Set the journal back to an earlier moment; the next run gets a journal that may be incomplete."""
        if self.copies:
            self.book.close()
            self.book = sqlite3.connect(":memory:", isolation_level=None)
            self.book.deserialize(self.chance.choice(self.copies))
            self.gap = "without its -wal"

    def phases(self) -> Counter[str]:
        """Count the journal's steps by their phase."""
        return Counter(dict(self.book.execute("SELECT state, count(*) FROM steps GROUP BY state")))


class VirtualJournal(SqliteJournal):
    """The journal on the world's clock: it writes at once, and reports it a little later if its process lives."""

    def __init__(self, world: World, account: str, host: str) -> None:
        self.path = Path("virtual")
        self.name = "virtual"
        self._world = world
        self._life = world.life
        self._connection = world.book
        self._loop = asyncio.get_running_loop()
        self._checkpoint_at = 0
        if not world.book.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            schema.create_tables(world.book, account, host)
        schema.check_journal(world.book, self.path)
        schema.check_owner(world.book, self.path, account, host)
        self._salt = schema.read_meta(world.book, self.path)["salt"]
        self.gap = schema.begin_run(world.book, world.gap)

    async def aclose(self) -> None:
        """Leave the tables for the next one."""

    def _submit(self, work: Callable[[sqlite3.Cursor], T]) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self._loop.create_future()
        if not self._life.step():
            return future
        self._connection.execute("BEGIN")
        result = work(self._connection.cursor())
        self._connection.execute("COMMIT")
        self._world.keep_copy()
        if self._life.step():
            self._loop.call_later(self._world.chance.choice((0.0, 0.001, 0.1)), self._answer, future, result)
        return future

    def _answer(self, future: asyncio.Future[Any], result: object) -> None:
        if not (future.done() or self._life.dead.is_set()):
            future.set_result(result)


async def _never() -> envelope.Reply:
    """Wait until cancelled, as the code of a process that is no more."""
    while True:
        await asyncio.Event().wait()


async def _exhaust(under_way: Run) -> None:
    async for _ in under_way:
        pass
