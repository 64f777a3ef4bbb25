"""Stores for the contract: of a session, of a run's journal, and those that several processes share."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest
from attrs import define, evolve, field, frozen

from facturaonline_async import NotSentError
from facturaonline_async._core.once.layered import LayeredStore, ListedStore
from facturaonline_async._core.once.memory_store import MemoryStore
from facturaonline_async._core.once.pending import PendingCreates
from facturaonline_async._core.once.shared_store import SharedStore
from facturaonline_async._core.once.states import Origin, StepState
from facturaonline_async._core.once.store import ANYWAY, Grant, Key, Pending, Result, Seen, Store
from facturaonline_async._core.outage import Outage
from facturaonline_async.provision._engine.recorder import Recorder
from facturaonline_async.provision._engine.step_store import StepStore
from facturaonline_async.provision._journal.writer import SqliteJournal
from facturaonline_async.provision._steps import SERIES, Step

__all__ = [
    "OWNER",
    "SETTLE",
    "STORES",
    "Network",
    "RemoteStore",
    "key",
    "listed",
    "params",
    "steps_of",
    "two_processes",
    "written",
]

SETTLE = 30.0
OWNER = "EKU9003173C9"
_JOURNAL = {"account": "fingerprint", "host": "https://example.com/api"}


def key(letra: str) -> Key:
    """Return the key of a serie."""
    return SERIES, OWNER, letra, "factura"


# ── A store that several processes share ──────────────────────────────────────────────────────────────────────────────


@define
class _Row:
    number: int
    state: StepState
    until: float
    nonce: str = ""
    uid: str | None = None
    origin: Origin | None = None


@define
class Network:
    """Table of a server, and the network before it: answers come late, or never after the work was done.

    Attributes:
        rows: The table.
        latency: Longest delay of a request or an answer, in seconds.
        loss: Share of the answers that are lost.

    """

    rows: dict[Key, _Row] = field(factory=dict)
    latency: float = 0.0
    loss: float = 0.0
    dice: random.Random = field(factory=lambda: random.Random(1))
    _number: int = 0

    async def call(self, work: Callable[[], object]) -> object:
        """Do some work in the table, and lose its answer now and then."""
        await asyncio.sleep(self.dice.uniform(0, self.latency))
        answer = work()
        await asyncio.sleep(self.dice.uniform(0, self.latency))
        if self.dice.random() < self.loss:
            raise ConnectionError
        return answer

    def next_number(self) -> int:
        """Return the number of the next create, or of the next object that is found."""
        self._number += 1
        return self._number


@frozen
class _Since:
    """Subscription of a shared store: a number says which creates began later."""

    number: int

    def seen(self, each: Key) -> Seen:
        """Return what a list that began after the subscription may rely on."""
        return Seen(each, self)


@define(eq=False)
class RemoteStore:
    """One process's view of the table."""

    network: Network
    _withdrawing: list[asyncio.Future[None]] = field(factory=list, init=False)

    async def _repeated(self, work: Callable[[], object]) -> object:
        for _ in range(10):
            try:
                return await self.network.call(work)
            except ConnectionError:
                continue
        error = NotSentError("the store does not answer")
        error.is_transient = True
        raise error

    def _pending(self, each: Key) -> Pending | None:
        row, now = self.network.rows.get(each), asyncio.get_running_loop().time()
        if row is None or row.until <= now:
            return None
        return Pending(row.state, row.until - now, row.uid, row.origin)

    async def look(self, keys: Iterable[Key]) -> dict[Key, Seen]:
        """See `Store.look`."""

        def work() -> dict[Key, Seen]:
            rows = self.network.rows
            return {each: Seen(each, rows[each].number if each in rows else 0, self._pending(each)) for each in keys}

        found = await self._repeated(work)
        assert isinstance(found, dict)
        return found

    async def begin(self, seen: Seen, nonce: str) -> Grant | None:
        """See `Store.begin`."""

        def work() -> Grant | None:
            row, now = self.network.rows.get(seen.key), asyncio.get_running_loop().time()
            is_mine = row is not None and row.nonce == nonce
            if isinstance(seen.mark, _Since):
                is_refused = row is not None and (row.number > seen.mark.number or row.until > now)
            elif seen.mark is ANYWAY:
                is_refused = False
            else:
                is_refused = (0 if row is None else row.number) != seen.mark
            if is_refused and not is_mine:
                return None
            number = self.network.next_number()
            self.network.rows[seen.key] = _Row(number, StepState.INTENT, now + SETTLE, nonce)
            return Grant(seen.key, number)

        asking = asyncio.ensure_future(self._repeated(work))
        try:
            grant = await asyncio.shield(asking)
        except asyncio.CancelledError:
            self._withdrawing.append(asyncio.ensure_future(self._withdraw(asking)))
            raise
        assert grant is None or isinstance(grant, Grant)
        return grant

    async def _withdraw(self, asking: asyncio.Future[object]) -> None:
        with suppress(NotSentError):
            if isinstance(grant := await asking, Grant):
                await self.end(grant, Result(StepState.PLANNED))

    async def end(self, of: Grant | Seen, result: Result) -> None:
        """See `Store.end`."""

        def work() -> None:
            rows, until = self.network.rows, asyncio.get_running_loop().time() + SETTLE
            row, uid = rows.get(of.key), next(iter(result.uids), None)
            if result.origin is Origin.ADOPTED or result.state is StepState.CONFLICT:
                if row is None or row.uid != uid:
                    number = self.network.next_number()
                    rows[of.key] = _Row(number, StepState.DONE, until, uid=uid, origin=Origin.ADOPTED)
            elif isinstance(of, Grant) and row is not None and row.number == of.mark:
                is_open = result.state not in {StepState.PLANNED, StepState.FAILED}
                day = 86_400.0 if uid is None and result.state in {StepState.DONE, StepState.UNRESOLVED} else 0.0
                rows[of.key] = evolve(row, state=result.state, until=until + day if is_open else 0.0, uid=uid)
            elif (
                isinstance(of, Seen)
                and result.state is StepState.UNRESOLVED
                and row is not None
                and (row.number, row.uid) == (of.mark, of.pending and of.pending.uid)
            ):
                rows[of.key] = evolve(row, state=result.state, until=until + 86_400.0, uid=None)

        try:
            await self._repeated(work)
        except NotSentError:
            return  # the row says by itself that the outcome is open

    async def forget(self, kind: str, owner: Hashable, uid: str) -> None:
        """See `Store.forget`."""

        def work() -> None:
            for each, row in self.network.rows.items():
                if each[:2] == (kind, owner) and row.uid == uid:
                    row.until = 0.0

        with suppress(NotSentError):  # the row ends by itself
            await self._repeated(work)

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[_Since]:
        """See `Store.subscribe`."""
        yield _Since(self.network._number)


# ── Each store, open ──────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def steps_of(journal: SqliteJournal, steps: Iterable[Step]) -> Iterator[StepStore]:
    """Give a run's store with these steps."""
    store = StepStore(Recorder(journal, None), SETTLE)
    with ExitStack() as stack:
        for step in steps:
            stack.enter_context(store.bound(key(step.letra), step))
        yield store


@asynccontextmanager
async def written(path: Path) -> AsyncIterator[tuple[SqliteJournal, list[Step]]]:
    """Open a journal with the steps of three series."""
    async with await SqliteJournal.open(path / "j", **_JOURNAL) as journal:
        steps = await journal.steps_of_row(OWNER)
        if not steps:
            steps = [Step.of_serie(2, OWNER, letra, "factura") for letra in ("A", "B", "C")]
            await journal.adjust(add=steps)
        yield journal, steps


@asynccontextmanager
async def memory(_: Path) -> AsyncIterator[tuple[Store, Store]]:
    """Open the store of a session, and of another task of it."""
    pending = PendingCreates()
    yield MemoryStore(pending, SETTLE), MemoryStore(pending, SETTLE)


@asynccontextmanager
async def journal(path: Path) -> AsyncIterator[tuple[Store, Store]]:
    """Open the store of a run's journal, which has one owner."""
    async with written(path) as (opened_journal, steps):
        with steps_of(opened_journal, steps) as store:
            yield store, store


@asynccontextmanager
async def remote(_: Path) -> AsyncIterator[tuple[Store, Store]]:
    """Open a store over a slow network that loses answers, from two processes."""
    network = Network(latency=0.2, loss=0.3)
    yield RemoteStore(network), RemoteStore(network)


@asynccontextmanager
async def layered(path: Path) -> AsyncIterator[tuple[Store, Store]]:
    """Open the memory of a session over a run's journal, and another task's."""
    async with memory(path) as (mine, anothers), journal(path) as (below, _):
        yield LayeredStore(mine, below), LayeredStore(anothers, below)


@asynccontextmanager
async def listed(path: Path) -> AsyncIterator[tuple[Store, Store]]:
    """Open the store of a caller that listed before, and another task's.

    It is not among `STORES`: tasks that share its list hold a lock of the key, too.
    """
    async with memory(path) as (mine, anothers), mine.subscribe() as subscription:
        yield ListedStore(mine, subscription), anothers


def two_processes(network: Network) -> tuple[Store, Store]:
    """Return the stores of two sessions that share a store: each has a memory of its own before it."""
    first, second = (
        LayeredStore(MemoryStore(PendingCreates(), SETTLE), SharedStore(RemoteStore(network), Outage()))
        for _ in range(2)
    )
    return first, second


@asynccontextmanager
async def shared(_: Path) -> AsyncIterator[tuple[Store, Store]]:
    """Open the memories of two sessions over a store that they share."""
    yield two_processes(Network(latency=0.2, loss=0.3))


@asynccontextmanager
async def postgres(path: Path) -> AsyncIterator[tuple[Store, Store]]:
    """Open the store of two processes in PostgreSQL; each path has objects of its own."""
    from tests.postgres.virtual import virtual_creates  # noqa: PLC0415  # the other stores need no driver

    async with virtual_creates(str(path), SETTLE) as both:
        yield both


@asynccontextmanager
async def postgres_shared(path: Path) -> AsyncIterator[tuple[Store, Store]]:
    """Open the memories of two sessions over PostgreSQL."""
    async with postgres(path) as both:
        one, other = (LayeredStore(MemoryStore(PendingCreates(), SETTLE), below) for below in both)
        yield one, other


STORES: dict[str, Callable[[Path], AbstractAsyncContextManager[tuple[Store, Store]]]] = {
    "memory": memory,
    "journal": journal,
    "remote": remote,
    "layered": layered,
    "shared": shared,
    "postgres": postgres,
    "postgres_shared": postgres_shared,
}
"""Each opens a store, and the same one as another task or process has it."""


def params(*but: str) -> list[object]:
    """Return the names of the stores as parameters of tests.

    Args:
        *but: names to leave out.

    """
    names = [name for name in STORES if name not in but]
    return [pytest.param(name, marks=pytest.mark.postgres) if "postgres" in name else name for name in names]
