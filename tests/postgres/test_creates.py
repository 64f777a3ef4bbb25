"""What the store in PostgreSQL keeps beyond the contract of every store (tests/core/once/test_stores.py)."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from attrs import define, evolve, field

from facturaonline_async import SANDBOX, Config, InvalidInputError, NotSentError, SharedUnavailableError
from facturaonline_async._core.once.memory_store import MemoryStore
from facturaonline_async._core.once.pending import PendingCreates
from facturaonline_async.postgres import Postgres
from facturaonline_async.postgres._connection import Database
from facturaonline_async.postgres._creates import PostgresCreates, _Begun
from facturaonline_async.sharing import ANYWAY, Grant, Key, Origin, Result, Seen, StepState, Store, shared_clock
from tests.postgres import racer
from tests.postgres.proxy import proxied
from tests.postgres.servers import Cluster
from tests.postgres.virtual import virtual_creates

pytestmark = pytest.mark.postgres

SETTLE = 150.0
CONFIG = Config(base_url=SANDBOX)
DONE = Result(StepState.DONE, Origin.CREATED, ("7",))
FOUND = Result(StepState.DONE, Origin.ADOPTED, ("7",))
NOT_DONE = Result(StepState.PLANNED)
DAY = 86_400.0


def key(letra: str) -> Key:
    return "series", "owner", letra, "factura"


async def look(store: Store, each: Key) -> Seen:
    return (await store.look([each]))[each]


async def begun(store: Store, each: Key, nonce: str = "nonce") -> Grant:
    grant = await store.begin(await look(store, each), nonce)
    assert grant is not None
    return grant


def shown(seen: Seen) -> tuple[StepState, str | None] | None:
    return None if seen.pending is None else (seen.pending.state, seen.pending.uid)


@pytest.fixture
async def stores(request: pytest.FixtureRequest) -> AsyncIterator[tuple[PostgresCreates, PostgresCreates]]:
    """Open the store of two processes; the clock of server and processes is virtual."""
    async with virtual_creates(request.node.nodeid, SETTLE) as both:
        yield both


@pytest.fixture
def store(stores: tuple[PostgresCreates, PostgresCreates]) -> PostgresCreates:
    return stores[0]


@pytest.fixture
async def pg(url: str) -> AsyncIterator[Postgres]:
    async with Postgres(url) as pg:
        yield pg


async def changed(database: Database, statement: str) -> None:
    """Change the tables behind the store's back."""
    await database.query(statement)


# ── One winner ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_one_of_four_processes_begins_each_of_fifty_creates(url: str) -> None:
    moment = time.time() + 4
    racers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.postgres.racer", url, "50", str(moment)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    winners = [set(map(int, process.communicate(timeout=60)[0].split())) for process in racers]

    assert [process.returncode for process in racers] == 4 * [0]
    assert sorted(number for won in winners for number in won) == list(range(50))


async def test_begins_of_one_key_at_once_have_one_winner(pg: Postgres) -> None:
    store = pg.creates(CONFIG)
    for number in range(20):
        seen = await look(store, racer.key(number))
        grants = await asyncio.gather(*(store.begin(seen, f"nonce {each}") for each in range(8)))
        assert sum(grant is not None for grant in grants) == 1


# ── Durability ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("default", "kept"), [("off", "on"), ("local", "on"), ("remote_apply", "remote_apply")])
async def test_begin_waits_for_the_disk_whatever_the_default_is(pg: Postgres, default: str, kept: str) -> None:
    statement = f"""SET LOCAL synchronous_commit = {default};
        SELECT facturaonline.begin_v1('\\x01', '\\x02', 'nonce', 1, 150, NULL, NULL, NULL);
        SELECT current_setting('synchronous_commit')"""
    assert await pg._database.query(statement) == [(kept,)]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT facturaonline.end_v1('\\x01', 'nonce', 1, NULL, 'done', '7', 150)",
        "SELECT facturaonline.see_v1('\\x01', '\\x02', '7', 150)",
        "SELECT facturaonline.drop_uid_v1('\\x01', '7', 150)",
        "SELECT facturaonline.forget_v1('\\x02', '7')",
    ],
)
async def test_what_may_be_lost_does_not_wait_for_the_disk(pg: Postgres, statement: str) -> None:
    statement += "; SELECT current_setting('synchronous_commit'), current_setting('transaction_isolation')"
    assert await pg._database.query(statement) == [("off", "read committed")]


async def test_a_create_that_was_begun_survives_a_crash_of_the_server(cluster: Cluster, template: str) -> None:
    async with Postgres(cluster.url(dbname=template)) as pg:
        store = pg.creates(CONFIG)
        first = await look(store, key("crash"))
        await begun(store, key("crash"))
        cluster.stop()
        cluster.start()

        assert shown(await look(store, key("crash"))) == (StepState.INTENT, None)
        assert await store.begin(first, "another") is None


# ── Marks ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.virtual_clock
@pytest.mark.parametrize(("seconds", "is_refused"), [(DAY - 1, False), (DAY + 1, True)])
async def test_a_mark_is_good_for_a_day(store: PostgresCreates, seconds: float, is_refused: bool) -> None:  # noqa: FBT001
    async with store.subscribe() as subscription:
        seen = await look(store, key("A"))
        await asyncio.sleep(seconds)

        assert (await store.begin(seen, "nonce") is None) is is_refused
        assert (await store.begin(subscription.seen(key("B")), "nonce") is None) is is_refused


@pytest.mark.virtual_clock
async def test_a_deleted_row_is_never_taken_for_one_that_never_was(stores: tuple[PostgresCreates, ...]) -> None:
    """A list, then a create that ends and is swept away, then a begin with the old list."""
    store, another = stores
    mine = await look(store, key("A"))
    await another.end(await begun(another, key("A")), DONE)
    for _ in range(11):
        await asyncio.sleep(DAY)
        await another.database.query("SELECT facturaonline.sweep()")
    hashed = another._hash(*key("A"))
    assert await another.database.query("SELECT 1 FROM facturaonline.creates WHERE key = %s", [hashed]) == []

    assert await store.begin(mine, "mine") is None
    assert await store.begin(await look(store, key("A")), "mine") is not None


@pytest.mark.virtual_clock
async def test_rows_and_windows_stay_for_ten_days(store: PostgresCreates) -> None:
    await store.end(await begun(store, key("A")), NOT_DONE)
    await store.database.query("SELECT facturaonline.hold_v1(%s, 1)", [store.host])
    kept = """SELECT (SELECT count(*) FROM facturaonline.creates WHERE key = %s),
                      (SELECT count(*) FROM facturaonline.windows WHERE name = 'hold ' || %s)"""

    found = []
    for _ in range(2):
        await asyncio.sleep(10 * DAY - 5)
        await store.database.query("SELECT facturaonline.sweep()")
        found += await store.database.query(kept, [store._hash(*key("A")), store.host])
        await asyncio.sleep(10)

    assert found == [(1, 1), (0, 0)]


@pytest.mark.virtual_clock
async def test_begin_is_refused_for_a_mark_older_than_a_change_at_the_same_moment(
    stores: tuple[PostgresCreates, ...],
) -> None:
    """Both happen within a microsecond of the server's clock: the snapshot tells their order."""
    store, another = stores
    mine = await look(store, key("A"))
    await another.end(await begun(another, key("A")), NOT_DONE)

    assert await store.begin(mine, "mine") is None


async def test_many_keys_and_a_subscription_cost_one_round_trip(pg: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    real = Database.query

    async def counted(self: Database, statement: Any, *arguments: Any, **more: Any) -> Any:
        asked.append(statement)
        return await real(self, statement, *arguments, **more)

    monkeypatch.setattr(Database, "query", counted)
    store = pg.creates(CONFIG)
    seen = await store.look([key(str(number)) for number in range(5000)])
    async with store.subscribe() as subscription:
        marks = {id(subscription.seen(key(str(number))).mark) for number in range(5000)}

    assert (len(asked), len(seen), len(marks)) == (2, 5000, 1)
    assert await store.look([]) == {}


# ── Ends ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.virtual_clock
async def test_an_open_create_is_pending_for_grace_and_settle(stores: tuple[PostgresCreates, ...]) -> None:
    """Its first byte may be sent at the end of grace."""
    store, another = stores
    late = PostgresCreates(store.database, store.host, SETTLE, grace=6.0)
    await begun(late, key("A"))

    await asyncio.sleep(SETTLE + 5)
    assert shown(await look(another, key("A"))) == (StepState.INTENT, None)
    await asyncio.sleep(2)
    assert shown(await look(another, key("A"))) is None


@pytest.mark.virtual_clock
async def test_what_a_list_showed_is_as_old_as_its_create(stores: tuple[PostgresCreates, ...]) -> None:
    store, another = stores
    await store.end(await begun(store, key("A")), Result(StepState.UNKNOWN))
    await asyncio.sleep(100)
    await another.end(await look(another, key("A")), FOUND)

    seen = await look(store, key("A"))
    assert (shown(seen), seen.pending and seen.pending.origin) == ((StepState.DONE, "7"), None)
    await asyncio.sleep(SETTLE - 100 + 1)
    assert shown(await look(store, key("A"))) is None


@pytest.mark.virtual_clock
async def test_an_object_that_is_found_often_is_recorded_twice_per_settle_time_at_most(
    store: PostgresCreates, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded: list[float] = []
    real = type(store)._end

    async def counted(self: PostgresCreates, *arguments: Any) -> None:
        recorded.append(asyncio.get_running_loop().time())
        await real(self, *arguments)

    monkeypatch.setattr(PostgresCreates, "_end", counted)
    for _ in range(100):
        await store.end(await look(store, key("A")), FOUND)
        await asyncio.sleep(4.5)

    assert 3 <= len(recorded) <= 6
    created = await begun(store, key("B"))
    await store.end(created, DONE)
    before = len(recorded)
    await store.end(created, FOUND)
    assert len(recorded) == before


@pytest.mark.virtual_clock
async def test_a_confirmed_create_without_a_uid_is_pending_for_a_day_more(store: PostgresCreates) -> None:
    await store.end(await begun(store, key("A")), Result(StepState.DONE, Origin.CREATED))

    await asyncio.sleep(DAY + SETTLE - 1)
    seen = await look(store, key("A"))
    assert seen.pending is not None
    assert (seen.pending.state, round(seen.pending.seconds)) == (StepState.DONE, -86_399)
    await asyncio.sleep(2)
    assert shown(await look(store, key("A"))) is None


@pytest.mark.virtual_clock
async def test_a_create_that_was_not_done_uncovers_the_one_that_it_replaced(
    stores: tuple[PostgresCreates, ...],
) -> None:
    """Both are sent whatever exists; the first one has made an object."""
    store, another = stores
    await store.end(await begun(store, key("A")), DONE)
    second = await another.begin(Seen(key("A"), ANYWAY), "second")
    assert second is not None
    assert shown(await look(store, key("A"))) == (StepState.INTENT, None)
    await another.end(second, NOT_DONE)

    assert shown(await look(store, key("A"))) == (StepState.DONE, "7")


@pytest.mark.virtual_clock
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)], ids=str)
async def test_plain_creates_that_were_not_sent_leave_an_unknown_one_pending(
    stores: tuple[PostgresCreates, ...], order: tuple[int, ...]
) -> None:
    """They replaced it one after the other, whatever exists; its settle time goes on meanwhile."""
    store, another = stores
    await store.end(await begun(store, key("A")), Result(StepState.UNKNOWN))
    await asyncio.sleep(10)
    plain = [
        await each.begin(Seen(key("A"), ANYWAY), f"plain {number}")
        for number, each in enumerate((another, store, another))
    ]
    for number in order:
        grant = plain[number]
        assert grant is not None
        await another.end(grant, NOT_DONE)

    seen = await look(store, key("A"))
    assert shown(seen) == (StepState.UNKNOWN, None)
    assert seen.pending is not None
    assert seen.pending.seconds == pytest.approx(SETTLE - 10, abs=0.1)
    assert await store.begin(seen, "after") is None
    await asyncio.sleep(SETTLE - 10 + 1)
    assert await begun(store, key("A"), "after") is not None


@pytest.mark.virtual_clock
async def test_the_object_before_a_create_is_not_the_created_one(stores: tuple[PostgresCreates, ...]) -> None:
    store, another = stores
    await store.end(await begun(store, key("A")), DONE)
    assert await another.begin(Seen(key("A"), ANYWAY), "second") is not None
    await store.end(await look(store, key("A")), FOUND)

    assert shown(await look(store, key("A"))) == (StepState.INTENT, None)


@pytest.mark.virtual_clock
async def test_the_end_of_a_replaced_create_does_not_end_the_open_one(stores: tuple[PostgresCreates, ...]) -> None:
    store, another = stores
    first = await store.begin(Seen(key("A"), ANYWAY), "first")
    second = await another.begin(Seen(key("A"), ANYWAY), "second")
    assert first is not None
    assert second is not None
    await store.end(first, DONE)
    assert shown(await look(store, key("A"))) == (StepState.INTENT, None)
    await another.end(second, NOT_DONE)

    assert shown(await look(store, key("A"))) == (StepState.DONE, "7")


@pytest.mark.virtual_clock
async def test_a_late_end_without_an_outcome_hides_no_object(stores: tuple[PostgresCreates, ...]) -> None:
    store, another = stores
    late = await begun(store, key("A"))
    await another.end(await look(another, key("A")), FOUND)
    await store.end(late, Result(StepState.UNKNOWN))

    assert shown(await look(store, key("A"))) == (StepState.DONE, "7")


@pytest.mark.virtual_clock
async def test_a_late_end_without_an_outcome_is_pending(stores: tuple[PostgresCreates, ...]) -> None:
    """The object that another process found before has expired, and this create may have made another one."""
    store, another = stores
    late = await begun(store, key("A"))
    await another.end(await look(another, key("A")), FOUND)
    await asyncio.sleep(SETTLE + 1)
    await store.end(late, Result(StepState.UNKNOWN))

    assert shown(await look(store, key("A"))) == (StepState.UNKNOWN, None)


@pytest.mark.virtual_clock
async def test_a_deleted_object_may_be_created_at_once_but_not_after_an_older_list(
    stores: tuple[PostgresCreates, ...],
) -> None:
    store, another = stores
    await store.end(await begun(store, key("A")), DONE)
    old = await look(store, key("A"))
    await another.forget("series", "owner", "7")
    await another.forget("series", "another owner", "8")

    assert await store.begin(evolve_pending(old), "again") is None
    assert await store.begin(await look(store, key("A")), "again") is not None


def evolve_pending(seen: Seen) -> Seen:
    """Return what a caller would have that overlooked the pending create."""
    return Seen(seen.key, seen.mark)


@define
class Both:
    """The memory of a session and the database, with the same creates in both.

    Attributes:
        begun: Open creates, in both stores.

    """

    stores: tuple[Store, Store]
    dice: random.Random
    begun: list[tuple[Grant, Grant]] = field(factory=list)

    async def begin(self, seen: tuple[Seen, Seen], nonce: str) -> None:
        """Begin a create in both."""
        memory, database = [await store.begin(each, nonce) for store, each in zip(self.stores, seen, strict=True)]
        assert memory is not None
        assert database is not None
        self.begun.append((memory, database))

    async def end(self, of: tuple[Grant | Seen, Grant | Seen], result: Result) -> None:
        """Record a result in both."""
        for store, each in zip(self.stores, of, strict=True):
            await store.end(each, result)

    async def end_last(self, seen: Seen) -> None:
        """End the last create; of a replaced one, the database remembers more than the memory."""
        state = self.dice.choice(["planned", "failed", "unknown", "done", "unresolved"])
        if state == "unknown" and seen.pending is None:
            state = "failed"  # the memory ignores it; see test_a_late_end_without_an_outcome_is_pending
        uids = (self.dice.choice("78"),) if state == "done" and self.dice.random() < 0.7 else ()
        result = Result(StepState(state), Origin.CREATED if state == "done" else None, uids)
        await self.end(self.begun.pop(), result)

    async def step(self, seen: tuple[Seen, Seen], nonce: str) -> None:
        """Do something."""
        uid = self.dice.choice("78")
        match self.dice.choice(["begin", "anyway", "end", "end", "see", "forget", "drop", "sleep"]):
            case "begin" if seen[0].pending is None:
                await self.begin(seen, nonce)
            case "anyway":
                await self.begin((Seen(key("A"), ANYWAY), Seen(key("A"), ANYWAY)), nonce)
            case "end" if self.begun:
                await self.end_last(seen[0])
            case "see":
                await self.end(seen, Result(StepState.DONE, Origin.ADOPTED, (uid,)))
            case "forget":
                for store in self.stores:
                    await store.forget("series", "owner", uid)
            case "drop":
                await self.end(seen, Result(StepState.UNRESOLVED))
            case _:
                await asyncio.sleep(self.dice.choice([1, 10, 100, 149.5, 151, 90_000]))


@pytest.mark.virtual_clock
@pytest.mark.parametrize("seed", range(12))
async def test_one_process_sees_what_its_memory_would(store: PostgresCreates, seed: int) -> None:
    """Drawn creates, ends, sights and deletes, in both stores at once."""
    memory = MemoryStore(PendingCreates(), SETTLE)
    both = Both((memory, store), random.Random(seed))
    for number in range(60):
        seen = await look(memory, key("A")), await look(store, key("A"))
        assert shown(seen[0]) == shown(seen[1]), number
        if seen[0].pending is not None and seen[1].pending is not None:
            assert round(seen[0].pending.seconds, 3) == round(seen[1].pending.seconds, 3), number
        await both.step(seen, str(number))


# ── Cancelled and lost ────────────────────────────────────────────────────────────────────────────────────────────────


async def settled(pg: Postgres) -> None:
    """Wait for what goes on in the background."""
    while pg._database._tasks:
        await asyncio.wait(pg._database._tasks)


@pytest.mark.parametrize("pause", [0, 0.0005, 0.001, 0.002, 0.004, 0.02])
async def test_a_cancelled_begin_is_withdrawn(pg: Postgres, pause: float) -> None:
    store = pg.creates(CONFIG)
    seen = await look(store, key("A"))
    task = asyncio.create_task(store.begin(seen, "nonce"))
    await asyncio.sleep(pause)
    task.cancel()
    with suppress(asyncio.CancelledError):
        grant = await task
        assert grant is not None  # it was over before
        await store.end(grant, NOT_DONE)
    await settled(pg)

    assert shown(await look(store, key("A"))) is None


async def test_a_begin_whose_answer_is_lost_is_repeated(cluster: Cluster, template: str) -> None:
    """The server has recorded it, and the connection is lost."""
    async with proxied(cluster.port) as proxy, Postgres(cluster.url(dbname=template, port=proxy.port)) as pg:
        store = pg.creates(CONFIG)
        seen = await look(store, key("lost answer"))
        proxy.losses = 1
        grant = await store.begin(seen, "nonce")

        assert grant is not None
        assert proxy.losses == 0
        await store.end(grant, DONE)
        assert shown(await look(store, key("lost answer"))) == (StepState.DONE, "7")


async def test_a_begin_whose_answers_are_all_lost_is_withdrawn(cluster: Cluster, template: str) -> None:
    async with proxied(cluster.port) as proxy, Postgres(cluster.url(dbname=template, port=proxy.port)) as pg:
        store = pg.creates(CONFIG)
        seen = await look(store, key("lost answers"))
        proxy.losses = 2
        with pytest.raises(NotSentError):
            await store.begin(seen, "nonce")
        await settled(pg)

        assert shown(await look(store, key("lost answers"))) is None


async def test_an_attempt_that_was_given_up_is_not_begun_after_a_later_one(pg: Postgres) -> None:
    """Its statement waited in the server; its row would be withdrawn while the later attempt is in flight."""
    store = pg.creates(CONFIG)
    assert isinstance(store, PostgresCreates)
    seen = await look(store, key("A"))
    earlier = _Begun("nonce", next(store._attempts))
    later = await store.begin(seen, "nonce")
    assert later is not None

    assert await store._begin(seen, earlier) is False
    await store._end(Grant(key("A"), earlier), NOT_DONE)
    assert shown(await look(store, key("A"))) == (StepState.INTENT, None)
    await store.end(later, DONE)
    assert shown(await look(store, key("A"))) == (StepState.DONE, "7")


async def test_the_end_of_a_cancelled_create_does_not_wait_and_is_recorded_before_closing(url: str) -> None:
    async with Postgres(url) as pg:
        store = pg.creates(CONFIG)
        grant = await begun(store, key("A"))
        began = len(pg._database._tasks)
        await store.end(grant, Result(StepState.UNKNOWN, is_cancelled=True))
        assert len(pg._database._tasks) == began + 1
    async with Postgres(url) as pg:
        assert shown(await look(pg.creates(CONFIG), key("A"))) == (StepState.UNKNOWN, None)


async def test_an_end_goes_on_when_its_caller_is_cancelled(pg: Postgres) -> None:
    store = pg.creates(CONFIG)
    task = asyncio.create_task(store.end(await begun(store, key("A")), DONE))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await settled(pg)

    assert shown(await look(store, key("A"))) == (StepState.DONE, "7")


async def test_without_a_database_nothing_is_begun_and_no_end_raises(
    cluster: Cluster, template: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with Postgres(cluster.url(dbname=template), timeout=2) as pg:
        store = pg.creates(CONFIG)
        grant, seen = await begun(store, key("outage")), await look(store, key("B"))
        cluster.stop()
        try:
            with pytest.raises(SharedUnavailableError, match="no connection to PostgreSQL"):
                await store.begin(seen, "nonce")
            with pytest.raises(NotSentError):
                await look(store, key("B"))
            with pytest.raises(NotSentError):
                async with store.subscribe():
                    pass
            await store.end(grant, DONE)
            await store.forget("series", "owner", "7")
        finally:
            cluster.start()
        assert shown(await look(store, key("outage"))) == (StepState.INTENT, None)

    assert "the end of a create was not recorded" in caplog.text


async def test_a_grant_is_as_old_as_its_question(pg: Postgres) -> None:
    store = pg.creates(CONFIG)
    seen = await look(store, key("A"))
    await pg._database.query(
        """CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               PERFORM pg_sleep(0.3); RETURN NULL; END $$;
           CREATE TRIGGER late AFTER INSERT ON facturaonline.creates EXECUTE FUNCTION late()"""
    )
    asked = shared_clock()
    grant = await store.begin(seen, "nonce")

    assert grant is not None
    assert grant.asked_at is not None
    assert shared_clock() - 0.3 >= grant.asked_at >= asked


# ── The timeline ──────────────────────────────────────────────────────────────────────────────────────────────────────

PROMOTED = "UPDATE facturaonline.meta SET timeline = 'lost/00000001'"
GRACE = 6.0


@pytest.fixture
async def lost(pg: Postgres) -> Postgres:
    """Return a database whose server has another timeline since a moment ago."""
    await changed(pg._database, PROMOTED)
    return pg


async def test_after_a_lost_timeline_everything_may_exist_for_the_settle_time(lost: Postgres) -> None:
    store = lost.creates(CONFIG)
    seen = await look(store, key("A"))

    assert seen.pending is not None
    assert (seen.pending.state, seen.pending.uid, seen.pending.origin) == (StepState.UNKNOWN, None, None)
    assert SETTLE + GRACE - 5 < seen.pending.seconds <= SETTLE + GRACE
    async with store.subscribe() as subscription:
        for each in (evolve_pending(seen), subscription.seen(key("B"))):
            assert await store.begin(each, "nonce") is None


async def test_a_mark_from_before_a_lost_timeline_is_refused(pg: Postgres) -> None:
    store = pg.creates(CONFIG)
    seen = await look(store, key("A"))
    async with store.subscribe() as subscription:
        await changed(pg._database, PROMOTED)

        assert await store.begin(seen, "nonce") is None
        assert await store.begin(subscription.seen(key("B")), "nonce") is None
        since = await pg._database.query("SELECT timeline_since > now() - interval '5 s' FROM facturaonline.meta")
        assert since == [(True,)]


async def test_a_repeat_is_refused_after_a_lost_timeline(pg: Postgres) -> None:
    store = pg.creates(CONFIG)
    seen = await look(store, key("A"))
    assert await store.begin(seen, "nonce") is not None
    await changed(pg._database, PROMOTED)

    assert await store.begin(seen, "nonce") is None


async def test_a_create_sent_whatever_exists_is_recorded_after_a_lost_timeline(lost: Postgres) -> None:
    store = lost.creates(CONFIG)

    assert await store.begin(Seen(key("A"), ANYWAY), "nonce") is not None
    assert shown(await look(store, key("A"))) == (StepState.INTENT, None)


async def test_creates_go_on_after_the_settle_time_with_new_lists_only(lost: Postgres) -> None:
    store = lost.creates(CONFIG)
    during = await look(store, key("A"))
    await changed(
        lost._database,
        f"UPDATE facturaonline.meta SET timeline_since = timeline_since - interval '{SETTLE + GRACE} s'",
    )
    assert await store.begin(evolve_pending(during), "nonce") is not None  # its list is young enough now
    await changed(lost._database, "UPDATE facturaonline.meta SET timeline_since = now() - interval '155.8 s'")
    early = await look(store, key("B"))
    assert shown(early) == (StepState.UNKNOWN, None)
    await asyncio.sleep(0.5)
    assert await store.begin(evolve_pending(early), "nonce") is None
    after = await look(store, key("B"))
    assert shown(after) is None
    assert await store.begin(after, "nonce") is not None


async def test_a_restored_backup_is_said_by_hand(pg: Postgres) -> None:
    store = pg.creates(CONFIG)
    seen = await look(store, key("A"))
    await pg._database.query("SELECT facturaonline.restored_v1()")

    assert await store.begin(seen, "nonce") is None
    assert shown(await look(store, key("A"))) == (StepState.UNKNOWN, None)


# ── Settings and secrets ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_settle_time_that_a_late_create_could_outlive_is_refused(pg: Postgres) -> None:
    with pytest.raises(InvalidInputError, match="76") as caught:
        pg.creates(evolve(CONFIG, settle=75.9))
    assert caught.value.field == "settle"
    pg.creates(evolve(CONFIG, settle=76.0))
    with pytest.raises(InvalidInputError, match="90"):
        pg.creates(evolve(CONFIG, settle=89.0, grace=20))
    with pytest.raises(InvalidInputError, match="base_url"):
        pg.creates(Config())


async def test_the_tables_hold_no_key_and_no_natural_key(pg: Postgres) -> None:
    store = pg.creates(CONFIG)
    secret = ("empresas", "fingerprint-of-keys", "EKU9003173C9")
    await store.end(await begun(store, secret), Result(StepState.DONE, Origin.CREATED, ("62f0",)))

    [(text,)] = await pg._database.query("SELECT string_agg(c::text, ' ') FROM facturaonline.creates AS c")
    assert "62f0" in text
    assert [part for part in (*secret, SANDBOX) if part in text or part.encode().hex() in text] == []


async def test_another_host_has_other_creates(pg: Postgres) -> None:
    store, other = pg.creates(CONFIG), pg.creates(evolve(CONFIG, base_url="https://example.com/api"))
    await begun(store, key("A"))

    assert shown(await look(other, key("A"))) is None
    assert shown(await look(pg.creates(CONFIG), key("A"))) == (StepState.INTENT, None)


def test_two_keys_have_two_hashes() -> None:
    store = PostgresCreates(None, SANDBOX, SETTLE, GRACE)  # type: ignore[arg-type]
    keys = [("series", "a", "b"), ("series", "ab", ""), ("series", "a", '"b'), ("series", 'a", "b'), ("series", "a")]

    assert len({store._hash(*each) for each in keys}) == len(keys)
