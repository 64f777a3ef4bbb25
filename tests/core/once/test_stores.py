"""Every store keeps the same promises, and `create_once` needs no more than these."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from attrs import define

from facturaonline_async import NotSentError, OutcomeUnknownError, UnreadableAnswerError, ValidationError
from facturaonline_async._core.once import shared_store
from facturaonline_async._core.once.create import CreateOutcome, create_once
from facturaonline_async._core.once.layered import LayeredStore
from facturaonline_async._core.once.memory_store import MemoryStore
from facturaonline_async._core.once.pending import PendingCreates
from facturaonline_async._core.once.states import Origin, StepState
from facturaonline_async._core.once.store import ANYWAY, Grant, Key, Result, Seen, Store
from facturaonline_async.provision import JournalError
from tests.core.once import worlds
from tests.core.once.stores import (
    OWNER,
    SETTLE,
    STORES,
    Network,
    RemoteStore,
    journal,
    key,
    listed,
    params,
    steps_of,
    two_processes,
    written,
)
from tests.core.once.toy import Attempts, Cliente, Toy, ToyApi

pytestmark = pytest.mark.virtual_clock


@pytest.fixture(params=[*params(), "listed"])
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Store, Store]]:
    async with (STORES | {"listed": listed})[request.param](tmp_path) as both:
        yield both


@pytest.fixture
def store(stores: tuple[Store, Store]) -> Store:
    return stores[0]


async def look(store: Store, each: Key) -> Seen:
    return (await store.look([each]))[each]


async def begun(store: Store, each: Key, nonce: str = "nonce") -> Grant:
    grant = await store.begin(await look(store, each), nonce)
    assert grant is not None
    return grant


def shown(seen: Seen) -> tuple[StepState, str | None] | None:
    return None if seen.pending is None else (seen.pending.state, seen.pending.uid)


# ── What a store promises ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_nothing_is_pending_at_first(store: Store) -> None:
    assert [shown(seen) for seen in (await store.look([key("A"), key("B")])).values()] == [None, None]


async def test_what_a_store_gives_names_its_key(store: Store) -> None:
    async with store.subscribe() as subscription:
        seen, looked, grant = subscription.seen(key("A")), await look(store, key("A")), await begun(store, key("A"))
    assert [seen.key, looked.key, grant.key] == [key("A")] * 3


async def test_a_create_is_pending_from_its_begin(store: Store) -> None:
    await begun(store, key("A"))

    seen = await look(store, key("A"))
    assert seen.pending is not None
    assert seen.pending.state in {StepState.INTENT, StepState.UNKNOWN}
    assert 0 < seen.pending.seconds <= SETTLE
    assert shown(await look(store, key("B"))) is None


async def test_a_grant_is_as_old_as_the_question_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer comes late; the memory before the store says nothing about the age."""
    clock = asyncio.get_running_loop().time
    monkeypatch.setattr(shared_store, "shared_clock", clock)
    mine, _ = two_processes(Network(latency=5))
    seen = await look(mine, key("A"))
    asked_at = clock()
    grant = await mine.begin(seen, "nonce")

    assert grant is not None
    assert grant.asked_at == asked_at < clock()


async def test_begin_is_refused_after_another_create_of_the_key(stores: tuple[Store, Store]) -> None:
    store, another = stores
    mine, others = await look(store, key("A")), await look(another, key("A"))
    assert await another.begin(others, "another") is not None

    assert await store.begin(mine, "mine") is None
    assert await store.begin(await look(store, key("B")), "mine") is not None


async def test_begin_may_be_repeated_with_its_nonce(store: Store) -> None:
    seen = await look(store, key("A"))
    await store.begin(seen, "nonce")
    again = await store.begin(seen, "nonce")

    assert again is not None
    await store.end(again, Result(StepState.DONE, Origin.CREATED, ("7",)))
    assert shown(await look(store, key("A"))) == (StepState.DONE, "7")


async def test_begin_is_not_repeated_with_another_nonce(store: Store) -> None:
    seen = await look(store, key("A"))
    await store.begin(seen, "nonce")

    assert await store.begin(seen, "another") is None


async def test_begin_is_refused_after_another_create_since_the_subscription(stores: tuple[Store, Store]) -> None:
    store, another = stores
    async with store.subscribe() as subscription:
        mine, other = subscription.seen(key("A")), subscription.seen(key("B"))
        await begun(another, key("A"), "another")

        assert await store.begin(mine, "mine") is None
        assert await store.begin(other, "mine") is not None


async def test_begin_is_refused_for_what_was_pending_at_the_subscription(stores: tuple[Store, Store]) -> None:
    store, another = stores
    await another.end(await begun(another, key("A")), Result(StepState.UNKNOWN))
    async with store.subscribe() as subscription:
        seen = subscription.seen(key("A"))
        assert await store.begin(seen, "mine") is None
        await asyncio.sleep(SETTLE + 1)
        assert shown(await look(store, key("A"))) is None
        assert await store.begin(await look(store, key("A")), "mine") is not None


async def test_begin_is_refused_after_a_create_that_has_expired_and_was_found_again(
    stores: tuple[Store, Store],
) -> None:
    """The caller's list is older than all of that: it waited for a start of the limiter."""
    store, another = stores
    mine = await look(store, key("A"))
    await another.end(await begun(another, key("A")), Result(StepState.DONE, Origin.CREATED, ("7",)))
    await asyncio.sleep(SETTLE + 1)
    await another.end(await look(another, key("A")), Result(StepState.DONE, Origin.ADOPTED, ("7",)))

    assert await store.begin(mine, "mine") is None


@pytest.mark.parametrize("patience", [0.0, 0.1, 0.3])
async def test_a_begin_that_is_cancelled_leaves_nothing_pending(stores: tuple[Store, Store], patience: float) -> None:
    """Before the store gets it, or before its answer comes."""
    store, another = stores
    begin = asyncio.ensure_future(store.begin(await look(store, key("A")), "nonce"))
    await asyncio.sleep(patience)
    if not begin.done():
        begin.cancel()
        await asyncio.wait([begin])
        await asyncio.sleep(5)

        assert shown(await look(another, key("A"))) is None


async def test_a_create_sent_whatever_exists_is_never_refused(stores: tuple[Store, Store]) -> None:
    store, another = stores
    mine = Seen(key("A"), ANYWAY)
    await begun(another, key("A"))

    assert await store.begin(mine, "mine") is not None
    assert await store.begin(mine, "mine") is not None


@pytest.mark.parametrize("first", [0, 1])
async def test_two_creates_at_once_that_were_both_not_done_leave_nothing_pending(
    stores: tuple[Store, Store], first: int
) -> None:
    """Whichever ends first; each is sent whatever exists."""
    grants = [await store.begin(Seen(key("A"), ANYWAY), f"nonce {number}") for number, store in enumerate(stores)]
    for number in (first, 1 - first):
        grant = grants[number]
        assert grant is not None
        await stores[number].end(grant, Result(StepState.FAILED))

    assert shown(await look(stores[0], key("A"))) is None


@pytest.mark.parametrize("state", [StepState.PLANNED, StepState.FAILED])
async def test_a_create_that_was_not_done_is_not_pending(store: Store, state: StepState) -> None:
    await store.end(await begun(store, key("A")), Result(state, error=NotSentError("no")))

    assert shown(await look(store, key("A"))) is None
    assert await store.begin(await look(store, key("A")), "again") is not None


async def test_a_create_without_an_outcome_is_pending_for_the_settle_time(store: Store) -> None:
    await store.end(await begun(store, key("A")), Result(StepState.UNKNOWN))

    assert shown(await look(store, key("A"))) == (StepState.UNKNOWN, None)
    await asyncio.sleep(SETTLE - 1)
    assert shown(await look(store, key("A"))) == (StepState.UNKNOWN, None)
    await asyncio.sleep(3)
    assert shown(await look(store, key("A"))) is None


async def test_a_created_object_is_known_by_its_uid_for_the_settle_time(store: Store) -> None:
    await store.end(await begun(store, key("A")), Result(StepState.DONE, Origin.CREATED, ("7",)))

    assert shown(await look(store, key("A"))) == (StepState.DONE, "7")
    await asyncio.sleep(SETTLE + 1)
    assert shown(await look(store, key("A"))) is None


async def test_an_unreadable_yes_stays_pending_beyond_the_settle_time(store: Store) -> None:
    """A journal keeps it for a person; the others for a day."""
    await store.end(await begun(store, key("A")), Result(StepState.UNRESOLVED))

    await asyncio.sleep(10 * SETTLE)
    assert shown(await look(store, key("A"))) == (StepState.UNRESOLVED, None)


async def test_a_run_may_repeat_its_own_create_without_another_list(tmp_path: Path) -> None:
    """What its own store recorded is not notified to the subscription of a session."""
    async with STORES["memory"](tmp_path) as (store, _), store.subscribe() as subscription:
        seen, found = subscription.seen(key("A")), subscription.seen(key("B"))
        first = await store.begin(seen, "first")
        assert first is not None
        await store.end(first, Result(StepState.FAILED))
        await store.end(found, Result(StepState.DONE, Origin.ADOPTED, ("7",)))

        assert await store.begin(seen, "second") is not None
        assert await store.begin(found, "third") is not None


async def test_two_runs_of_a_session_create_an_object_once() -> None:
    """Each has a record of its own, which knows nothing of the other."""
    pending = PendingCreates()
    one, other = (LayeredStore(MemoryStore(pending, SETTLE), RemoteStore(Network())) for _ in range(2))
    mine, others = await look(one, key("A")), await look(other, key("A"))
    assert await one.begin(mine, "mine") is not None

    assert await other.begin(others, "others") is None


# A journal alone says DONE, and a run creates no such step.
except_journal = pytest.mark.parametrize("name", params("journal"))


@except_journal
async def test_what_a_list_showed_is_known_by_its_uid(name: str, tmp_path: Path) -> None:
    async with STORES[name](tmp_path) as (store, _):
        await store.end(await look(store, key("A")), Result(StepState.DONE, Origin.ADOPTED, ("7",)))

        assert shown(await look(store, key("A"))) == (StepState.DONE, "7")


@except_journal
@pytest.mark.parametrize("mark", ["look", "subscription"])
async def test_begin_is_refused_after_the_object_was_found(name: str, tmp_path: Path, mark: str) -> None:
    async with STORES[name](tmp_path) as (store, another), store.subscribe() as subscription:
        mine = subscription.seen(key("A")) if mark == "subscription" else await look(store, key("A"))
        await another.end(await look(another, key("A")), Result(StepState.DONE, Origin.ADOPTED, ("7",)))

        assert await store.begin(mine, "mine") is None


@except_journal
async def test_begin_is_not_repeated_after_the_object_was_found(name: str, tmp_path: Path) -> None:
    """The first attempt was certainly not done, and another task found the object before the second one."""
    async with STORES[name](tmp_path) as (store, another):
        mine = await look(store, key("A"))
        assert await store.begin(mine, "mine") is not None
        await another.end(await look(another, key("A")), Result(StepState.DONE, Origin.ADOPTED, ("7",)))

        assert await store.begin(mine, "mine") is None


@except_journal
async def test_a_uid_that_belongs_to_another_object_is_dropped_and_the_create_stays_confirmed(
    name: str, tmp_path: Path
) -> None:
    """The answer to the create was about another object; whoever reads that uid finds out."""
    async with STORES[name](tmp_path) as (store, another):
        await store.end(await begun(store, key("A")), Result(StepState.DONE, Origin.CREATED, ("7",)))
        await another.end(await look(another, key("A")), Result(StepState.UNRESOLVED))

        assert shown(await look(another, key("A"))) == (StepState.UNRESOLVED, None)
        await asyncio.sleep(10 * SETTLE)
        assert shown(await look(another, key("A"))) == (StepState.UNRESOLVED, None)


@except_journal
async def test_a_uid_that_was_found_later_is_not_dropped(name: str, tmp_path: Path) -> None:
    async with STORES[name](tmp_path) as (store, another):
        await store.end(await begun(store, key("A")), Result(StepState.DONE, Origin.CREATED, ("7",)))
        late = await look(another, key("A"))
        await store.end(await look(store, key("A")), Result(StepState.DONE, Origin.ADOPTED, ("8",)))
        await another.end(late, Result(StepState.UNRESOLVED))

        assert shown(await look(store, key("A"))) == (StepState.DONE, "8")


async def test_a_deleted_object_is_not_pending(store: Store) -> None:
    await store.end(await begun(store, key("A")), Result(StepState.DONE, Origin.CREATED, ("7",)))
    await store.end(await begun(store, key("B")), Result(StepState.DONE, Origin.CREATED, ("8",)))
    await store.forget("series", OWNER, "7")

    assert shown(await look(store, key("A"))) is None
    assert shown(await look(store, key("B"))) == (StepState.DONE, "8")


# ── A journal outlives its process ────────────────────────────────────────────────────────────────────────────────────


async def test_a_journal_that_is_opened_again_knows_an_open_create(tmp_path: Path) -> None:
    async with journal(tmp_path) as (store, _):
        await begun(store, key("A"))
        await store.end(await begun(store, key("B")), Result(StepState.UNKNOWN))
    async with journal(tmp_path) as (store, _):
        found = await store.look([key("A"), key("B"), key("C")])

    assert [shown(seen) for seen in found.values()] == [(StepState.UNKNOWN, None), (StepState.UNKNOWN, None), None]


async def test_an_end_that_cannot_be_written_raises_nothing_and_stays_open(tmp_path: Path) -> None:
    async with written(tmp_path) as (opened, steps):
        with steps_of(opened, steps) as store:
            grant = await begun(store, key("A"))
            await opened.aclose()
            await store.end(grant, Result(StepState.DONE, Origin.CREATED, ("7",)))
            assert isinstance(store.problem, JournalError)
            with pytest.raises(JournalError):
                await begun(store, key("B"))

    async with journal(tmp_path) as (reopened, _):
        found = await reopened.look([key("A"), key("B")])
    assert [shown(seen) for seen in found.values()] == [(StepState.UNKNOWN, None), None]


# ── `create_once` over each store ─────────────────────────────────────────────────────────────────────────────────────


async def test_begin_is_recorded_before_the_first_byte(store: Store) -> None:
    pending: list[tuple[StepState, str | None] | None] = []

    @define
    class Watched(ToyApi):
        """API that looks into the store when a create arrives."""

        async def create(self, letra: str) -> str:
            """Look, and create."""
            pending.append(shown(await look(store, key(letra))))
            return await super().create(letra)

    outcome = await create_once(store, Toy(Watched(), "A"))

    assert (outcome.state, outcome.origin, outcome.uid) == (StepState.DONE, Origin.CREATED, "0")
    assert [each is not None for each in pending] == [True]


async def test_the_store_is_asked_before_the_list(store: Store) -> None:
    api, asked = ToyApi(), list[str]()
    real = type(store).look

    async def watched(self: Store, keys: Any) -> Any:
        asked.append(f"look, {len(api.calls)} calls before")
        return await real(self, keys)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(store), "look", watched)
        await create_once(store, Toy(api, "A"))

    assert (asked[0], api.calls) == ("look, 0 calls before", ["list A", "create A"])


async def test_a_list_older_than_another_create_leads_to_no_second_one(stores: tuple[Store, Store]) -> None:
    """Its answer comes late: the other create began, and ended, in the meantime."""
    mine, others = stores
    api = ToyApi(latency=0.0)

    @define
    class Late(Toy):
        """A resource whose first list is answered late."""

        is_late: bool = True

        async def find_all(self) -> list[Cliente]:
            """Answer the first list after the other create."""
            found = await self.api.list(self.letra)
            if self.is_late:
                self.is_late = False
                await asyncio.sleep(5)
            return found

    late = asyncio.create_task(create_once(mine, Late(api, "A")))
    await asyncio.sleep(1)
    outcome = await create_once(others, Toy(api, "A"))
    adopted = await late

    assert (outcome.origin, adopted.origin) == (Origin.CREATED, Origin.ADOPTED)
    assert api.calls.count("create A") == 1


async def test_nothing_is_created_while_a_create_is_pending(store: Store) -> None:
    await store.end(await begun(store, key("A")), Result(StepState.UNKNOWN))
    api = ToyApi()
    outcome = await create_once(store, Toy(api, "A"))

    assert (outcome.state, api.calls) == (StepState.UNKNOWN, ["list A"])
    await asyncio.sleep(SETTLE + 1)
    assert (await create_once(store, Toy(api, "A"))).origin is Origin.CREATED


@pytest.mark.parametrize(
    ("uids", "state", "origin"),
    [(("7",), StepState.DONE, Origin.ADOPTED), (("7", "8"), StepState.CONFLICT, None)],
    ids=["once", "twice"],
)
async def test_what_exists_is_adopted_unless_it_exists_twice(
    store: Store, uids: tuple[str, ...], state: StepState, origin: Origin | None
) -> None:
    clientes = [Cliente(uid, "A") for uid in uids]
    api = ToyApi(made=[(0.0, cliente) for cliente in clientes])
    outcome = await create_once(store, Toy(api, "A"))

    assert (outcome.state, outcome.origin, outcome.uids, api.calls) == (state, origin, uids, ["list A"])
    assert (list(outcome.values), outcome.of.key) == (clientes, key("A"))


@pytest.mark.parametrize(
    ("known", "reported"),
    [
        (Result(StepState.UNKNOWN), (StepState.UNKNOWN, (), OutcomeUnknownError)),
        (Result(StepState.UNRESOLVED), (StepState.UNRESOLVED, (), UnreadableAnswerError)),
        (Result(StepState.DONE, Origin.CREATED, ("7",)), (StepState.UNKNOWN, ("7",), UnreadableAnswerError)),
    ],
    ids=["unknown", "confirmed", "confirmed with a uid"],
)
@except_journal
async def test_a_create_that_is_pending_is_reported_as_far_as_it_is_known(
    name: str, tmp_path: Path, known: Result, reported: tuple[StepState, tuple[str, ...], type[Exception]]
) -> None:
    async with STORES[name](tmp_path) as (store, _):
        await store.end(await begun(store, key("A")), known)
        outcome = await create_once(store, Toy(ToyApi(), "A"))

    assert (outcome.state, outcome.uids, type(outcome.error)) == reported
    assert isinstance(outcome.error, (OutcomeUnknownError, UnreadableAnswerError))
    assert (outcome.error.endpoint, outcome.seconds is not None) == ("series.create", True)


async def test_every_user_searches_after_a_refusal(store: Store) -> None:
    """The object may exist, and that may be the reason of the refusal."""
    api = ToyApi(lag=20)
    await api.create("A")
    refused = Toy(api, "A", ValidationError("it exists"))
    outcome = await create_once(store, refused)
    await asyncio.sleep(20)
    found = await create_once(store, refused)

    assert (outcome.state, api.calls.count("list A")) == (StepState.FAILED, 3)
    assert (found.state, found.origin, found.uid) == (StepState.DONE, Origin.ADOPTED, "0")


async def test_a_create_cancelled_before_its_first_byte_is_not_pending(store: Store) -> None:
    is_begun = asyncio.Event()

    class Stuck(Attempts):
        """An attempt that waits before its first byte."""

        async def send(self, _: float | None = None) -> str:
            """Wait."""
            is_begun.set()
            await asyncio.sleep(1000)
            return ""

    @define
    class Waiting(Toy):
        """A resource whose create waits."""

        async def attempts(self) -> Any:
            """Return an attempt that waits."""
            return Stuck(self.api, self.letra, None)

    task = asyncio.create_task(create_once(store, Waiting(ToyApi(), "A")))
    await is_begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert shown(await look(store, key("A"))) is None


async def test_a_create_cancelled_in_flight_is_pending(store: Store) -> None:
    task = asyncio.create_task(create_once(store, Toy(ToyApi(create_latency=1e6), "A")))
    await asyncio.sleep(5000)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert shown(await look(store, key("A"))) == (StepState.UNKNOWN, None)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("name", params("journal"))
async def test_many_tasks_create_each_object_once(name: str, seed: int, tmp_path: Path) -> None:
    """Answers are lost, lists lag, and the store itself is slow and loses answers."""
    api = ToyApi(lag=0.5, latency=0.3, loss=0.3, dice=random.Random(seed))
    async with STORES[name](tmp_path) as stores:

        async def want(letra: str, store: Store) -> None:
            """Ask until the object exists."""
            for _ in range(100):
                outcome: CreateOutcome[Cliente] = await create_once(store, Toy(api, letra))
                if outcome.state is StepState.DONE:
                    return
                await asyncio.sleep(api.dice.uniform(0, 3))
            raise AssertionError(letra)

        async with asyncio.TaskGroup() as group:
            for letra in "ABC":
                for number in range(10):
                    group.create_task(want(letra, stores[number % 2]))

    assert sorted(each.letra for _, each in api.made) == ["A", "B", "C"]


@pytest.mark.parametrize("name", params())
def test_drawn_worlds_have_each_object_once(name: str) -> None:
    """Lost answers, late lists, refusals, cancelled callers and killed processes; `nox -s worlds` draws thousands."""
    assert [seed for seed in range(25) if worlds.duplicates(name, seed)] == []
