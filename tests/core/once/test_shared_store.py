"""Sessions of several processes over one store of creates, and a session whose store is away or faulty."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from attrs import define, field

from facturaonline_async import (
    FacturaOnline,
    NotSentError,
    RetryPolicy,
    SharedUnavailableError,
    UnreadableAnswerError,
)
from facturaonline_async._core.once import create
from facturaonline_async._core.once.shared_store import SharedStore
from facturaonline_async._core.once.states import Origin, StepState
from facturaonline_async._core.once.store import ANYWAY, Grant, Key, Result, Seen
from facturaonline_async._core.outage import Outage
from tests.core.once.stores import Network, RemoteStore, key
from tests.plans import nueva
from tests.provision.stage import EMPRESAS, SERIES, Stage, edited, slow, staged, unconnected, until
from tests.provision.world import SETTLE
from tests.sharing import SharedDouble

RFC = "AAA010101000"
OTHER = "BBB010101000"
WHATS = pytest.mark.parametrize("what", [EMPRESAS, SERIES])


@asynccontextmanager
async def processes(
    stage: Stage, number: int, shared: SharedDouble | None = None, **config: Any
) -> AsyncIterator[tuple[list[FacturaOnline], SharedDouble]]:
    """Open sessions that share a store of creates; give clients of the company with this RFC, if it is there."""
    shared = shared or SharedDouble(quota=None, network=Network(latency=0.005))
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(stage.session(shared=shared, **config)) for _ in range(number)]
        yield clients, shared


async def ensure(client: FacturaOnline, what: str) -> object:
    """Ensure a company, or a serie of the main one."""
    if what == EMPRESAS:
        return await client.empresas.ensure(nueva(RFC))
    return await client.series.ensure(letra="F", tipo_documento="factura")


def states(shared: SharedDouble) -> list[tuple[StepState, str | None]]:
    """Return the creates in the table that are pending."""
    assert shared.network is not None
    now = asyncio.get_running_loop().time()
    return [(row.state, row.uid) for row in shared.network.rows.values() if row.until > now]


# ── Several processes ─────────────────────────────────────────────────────────────────────────────────────────────────


@WHATS
@staged(list_lag=3.0)
async def test_processes_that_share_a_store_create_an_object_once(
    stage: Stage, client: FacturaOnline, what: str
) -> None:
    async with processes(stage, 4) as (clients, _):
        await asyncio.gather(*(ensure(client, what) for client in clients for _ in range(20)))
    assert stage.count(what) == 1


@WHATS
@staged(list_lag=3.0)
async def test_processes_without_a_shared_store_create_several(stage: Stage, client: FacturaOnline, what: str) -> None:
    """The control: the test above can fail."""
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(stage.session()) for _ in range(4)]
        await asyncio.gather(*(ensure(client, what) for client in clients), return_exceptions=True)
    assert stage.count(what) > 1


@pytest.mark.parametrize("seed", range(8))
@staged(list_lag=3.0)
async def test_no_fault_makes_processes_create_an_object_twice(stage: Stage, client: FacturaOnline, seed: int) -> None:
    """Lost answers, late work, refusals, failed lists, cancelled callers, and a store that loses answers."""
    stage.chance, stage.script = random.Random(seed), None
    network = Network(latency=0.05, loss=0.2, dice=random.Random(seed))
    shared = SharedDouble(quota=None, network=network)

    async def want(client: FacturaOnline, letra: str) -> None:
        for _ in range(100):
            try:
                async with asyncio.timeout(stage.chance.choice([None, None, 2.0])):
                    await client.series.ensure(letra=letra, tipo_documento="factura")
            except (Exception, TimeoutError):  # noqa: BLE001  # whatever it was: ask again
                await asyncio.sleep(stage.chance.uniform(0, SETTLE / 4))
            else:
                return
        raise AssertionError(letra)

    async with processes(stage, 3, shared) as (clients, _):
        await asyncio.gather(*(want(client, letra) for client in clients for letra in "ABC"))
    assert {key[1]: number for key, number in stage.sent.items()} == {"A": 1, "B": 1, "C": 1}


@staged(list_lag=3.0)
async def test_a_process_looks_at_the_store_and_not_at_lists_while_another_sends(
    stage: Stage, client: FacturaOnline
) -> None:
    stage.on(SERIES, slow(5.0))
    async with processes(stage, 2) as (clients, _):
        first = asyncio.create_task(ensure(clients[0], SERIES))
        await until(lambda: stage.count(SERIES))
        lists = stage.count("series.list")
        second = asyncio.create_task(ensure(clients[1], SERIES))
        await asyncio.sleep(4.5)
        assert stage.count("series.list") == lists
        assert await first == await second
    assert stage.count(SERIES) == 1


@staged(list_lag=3.0)
async def test_a_process_creates_at_once_when_the_create_of_another_was_not_done(
    stage: Stage, client: FacturaOnline
) -> None:
    clock = asyncio.get_running_loop().time

    async def refuse_late(*args: Any) -> Any:
        await asyncio.sleep(2)
        return await unconnected(*args)

    stage.on(SERIES, refuse_late, times=1)
    async with processes(stage, 2, retry=RetryPolicy(attempts=1)) as (clients, _):
        failing = asyncio.create_task(clients[0].series.create(letra="F", tipo_documento="factura"))
        await until(lambda: stage.count(SERIES))
        await ensure(clients[1], SERIES)
        assert clock() < 2 + 6
        assert isinstance((await asyncio.gather(failing, return_exceptions=True))[0], NotSentError)
    assert sum(stage.sent.values()) == 1


@staged(list_lag=3.0)
async def test_a_create_of_a_killed_process_is_found_in_lists_after_ten_seconds(
    stage: Stage, client: FacturaOnline
) -> None:
    """Its INTENT stays in the store, and nobody ends it."""
    clock = asyncio.get_running_loop().time
    stage.on(SERIES, slow(5_000.0))
    async with processes(stage, 2, deadline=30, settle=60) as (clients, shared):
        dead = asyncio.create_task(clients[0].series.create(letra="F", tipo_documento="factura"))
        await until(lambda: stage.count(SERIES))
        began = clock()
        await ensure(clients[1], SERIES)
        assert create.PATIENCE <= clock() - began < create.PATIENCE + 10
        assert [state for state, _ in states(shared)] == [StepState.DONE]
        dead.cancel()
        await asyncio.wait([dead])
    assert stage.count(SERIES) == 1


@staged()
async def test_a_plain_create_is_known_to_other_processes(stage: Stage, client: FacturaOnline) -> None:
    stage.on(SERIES, slow(3.0))
    async with processes(stage, 2) as (clients, shared):
        creating = asyncio.create_task(clients[0].series.create(letra="F", tipo_documento="factura"))
        await until(lambda: stage.count(SERIES))
        assert [state for state, _ in states(shared)] == [StepState.INTENT]
        await ensure(clients[1], SERIES)
        await creating
        await clients[1].series.create(letra="F", tipo_documento="factura")  # refused by nothing
    assert stage.count(SERIES) == 2


@WHATS
@staged()
async def test_a_deleted_object_may_be_created_by_another_process_at_once(
    stage: Stage, client: FacturaOnline, what: str
) -> None:
    async with processes(stage, 2) as (clients, shared):
        made: Any = await ensure(clients[0], what)
        service = clients[0].empresas if what == EMPRESAS else clients[0].series
        await service.delete(made.uid)
        assert states(shared) == []
        await ensure(clients[1], what)
    assert stage.count(what) == 2


# ── A uid that belongs to another object ──────────────────────────────────────────────────────────────────────────────


async def made_with_wrong_uid(stage: Stage, client: FacturaOnline, other: str) -> None:
    """Create a company; the answer has another one's uid, and the process is killed before it reads it."""

    def swap(body: Any) -> None:
        body["data"] = {"acco_uid": other}

    stage.on(EMPRESAS, edited(swap), times=1)
    await client.empresas.create(nueva(RFC))


@staged(list_lag=3.0)
async def test_a_swapped_answer_misleads_the_first_reader_only(stage: Stage, client: FacturaOnline) -> None:
    other = (await client.empresas.ensure(nueva(OTHER))).uid
    await asyncio.sleep(SETTLE + 1)
    async with processes(stage, 3) as (clients, shared):
        await made_with_wrong_uid(stage, clients[0], other)
        assert states(shared) == [(StepState.DONE, other)]

        reading = asyncio.create_task(clients[1].empresas.ensure(nueva(RFC)))
        await until(lambda: states(shared) == [(StepState.UNRESOLVED, None)])
        reads = stage.count("empresas.get", other)
        late = asyncio.create_task(clients[2].empresas.ensure(nueva(RFC)))
        found, found_late = await reading, await late
        assert (found.rfc, found.uid) == (RFC, found_late.uid)
        assert stage.count("empresas.get", other) == reads
        assert states(shared) == [(StepState.DONE, found.uid)]
    assert stage.count(EMPRESAS, RFC) == 1


@staged(list_lag=3.0)
async def test_an_answer_about_another_company_costs_a_reader_a_list(stage: Stage, client: FacturaOnline) -> None:
    """The create's uid is right, and one of the reads is swapped."""
    other = (await client.empresas.ensure(nueva(OTHER))).uid
    await asyncio.sleep(SETTLE + 1)
    details: list[Any] = []

    def swap(body: Any) -> None:
        details.append(body["data"])
        body["data"] = {**body["data"], "uid": other, "rfc": OTHER}

    async with processes(stage, 2) as (clients, _):
        await clients[0].empresas.create(nueva(RFC))
        stage.on("empresas.get", edited(swap), times=1)
        found = await clients[1].empresas.ensure(nueva(RFC))
    assert (len(details), found.rfc, stage.count(EMPRESAS, RFC)) == (1, RFC, 1)


@staged(list_lag=3.0)
async def test_a_company_whose_keys_are_not_readable_in_time_is_created_by_no_process(
    stage: Stage, client: FacturaOnline
) -> None:
    stage.on("empresas.get", unconnected, until=20)
    async with processes(stage, 2, deadline=5) as (clients, shared):
        for each in clients:
            with pytest.raises(UnreadableAnswerError):
                await each.empresas.ensure(nueva(RFC))
        assert [state for state, uid in states(shared) if uid is not None] == [StepState.DONE]
        await asyncio.sleep(15)
        await clients[1].empresas.ensure(nueva(RFC))
    assert stage.count(EMPRESAS) == 1


# ── The service is away, or faulty ────────────────────────────────────────────────────────────────────────────────────


@define(eq=False)
class Faulty(RemoteStore):
    """A store that fails while it is told to.

    Attributes:
        error: What it raises; None: it works.

    """

    error: Exception | None = field(default=None, kw_only=True)

    async def look(self, keys: Iterable[Key]) -> dict[Key, Seen]:
        """Fail, or look."""
        if self.error is not None:
            raise self.error
        return await super().look(keys)

    async def begin(self, seen: Seen, nonce: str) -> Grant | None:
        """Fail, or begin."""
        if self.error is not None:
            raise self.error
        return await super().begin(seen, nonce)

    async def end(self, of: Grant | Seen, result: Result) -> None:
        """Fail, against the protocol, or end."""
        if self.error is not None:
            raise self.error
        await super().end(of, result)

    async def forget(self, kind: str, owner: Any, uid: str) -> None:
        """Fail, against the protocol, or forget."""
        if self.error is not None:
            raise self.error
        await super().forget(kind, owner, uid)

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[Any]:
        """Fail, or subscribe."""
        if self.error is not None:
            raise self.error
        async with super().subscribe() as subscription:
            yield subscription


def away() -> NotSentError:
    """Return the error of a service that is away for a time."""
    error = NotSentError("no route to host")
    error.is_transient = True
    return error


@staged()
async def test_nothing_is_created_while_the_store_is_away(stage: Stage, client: FacturaOnline) -> None:
    shared, text = SharedDouble(quota=None), "the service that the processes share does not answer: no route to host"
    store = shared.store = Faulty(Network())
    async with processes(stage, 1, shared) as (clients, _):
        series, session = clients[0].series, clients[0].session
        store.error = away()
        for call in (series.ensure, series.create):
            with pytest.raises(SharedUnavailableError) as caught:
                await call(letra="F", tipo_documento="factura")
            assert (caught.value.args[0], session.stats.outage) == (text, text)
        assert await series.list() == []
        store.error = None
        await series.ensure(letra="F", tipo_documento="factura")
        assert session.stats.outage is None
    assert stage.count(SERIES) == 1


@staged()
async def test_an_end_that_the_store_does_not_take_changes_no_outcome(stage: Stage, client: FacturaOnline) -> None:
    shared = SharedDouble(quota=None)
    store = shared.store = Faulty(Network())

    async def fail_after(*args: Any) -> Any:
        answer = await slow(0.0)(*args)
        store.error = away()
        return answer

    stage.on(SERIES, fail_after, times=1)
    async with processes(stage, 1, shared) as (clients, _):
        series = clients[0].series
        await series.create(letra="F", tipo_documento="factura")
        serie = await series.find(letra="F", tipo_documento="factura")
        assert serie is not None
        await series.delete(serie.uid)
        store.error = None
        assert [state for state, _ in states(SharedDouble(network=store.network))] == [StepState.INTENT]


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (away(), SharedUnavailableError, "the service that the processes share does not answer: no route to host"),
        (SharedUnavailableError("away"), SharedUnavailableError, "away"),
        (NotSentError("the schema is too old"), NotSentError, "the schema is too old"),
        (ValueError("secret"), NotSentError, "the question to the service that the processes share failed: ValueError"),
    ],
    ids=["away", "away in its own words", "unusable", "a fault"],
)
@pytest.mark.parametrize("question", ["look", "begin", "subscribe"])
async def test_a_question_that_fails_is_not_sent(
    question: str, error: Exception, kind: type[NotSentError], text: str
) -> None:
    store = SharedStore(Faulty(Network(), error=error), Outage())
    asked: dict[str, Callable[[], Awaitable[object]]] = {
        "look": lambda: store.look([key("A")]),
        "begin": lambda: store.begin(Seen(key("A"), ANYWAY), "nonce"),
        "subscribe": lambda: store.subscribe().__aenter__(),
    }
    with pytest.raises(NotSentError) as caught:
        await asked[question]()
    assert (type(caught.value), str(caught.value), caught.value is error) == (kind, text, False)
    assert store.outage.reason == text
    assert caught.value.__cause__ is None


async def test_what_happened_is_told_without_an_error(caplog: pytest.LogCaptureFixture) -> None:
    service = Faulty(Network())
    store = SharedStore(service, Outage())
    grant = await store.begin(Seen(key("A"), ANYWAY), "nonce")
    assert grant is not None
    service.error = ValueError("secret")
    await store.end(grant, Result(StepState.DONE, Origin.CREATED, ("7",)))
    await store.forget("series", "owner", "7")
    assert [record.getMessage() for record in caplog.records] == [
        "the shared service was not told of the end of a create: ValueError"
    ] * 2
