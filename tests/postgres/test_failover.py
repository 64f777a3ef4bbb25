"""A real standby is promoted without the last creates: nothing is created twice, because of the timeline rule."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from attrs import evolve, frozen

from facturaonline_async import SANDBOX, Config, NotSentError, SharedUnavailableError
from facturaonline_async.postgres import Postgres, _schema
from facturaonline_async.postgres._postgres import open_database
from facturaonline_async.sharing import Key, Origin, Result, Seen, StepState, Store
from tests.postgres.servers import Cluster, program

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

SETTLE, GRACE = 14.0, 1.0
CONFIG = Config(base_url=SANDBOX, settle=SETTLE, grace=GRACE, upload_timeout=3.0)


def key(letra: object) -> Key:
    return "series", "owner", str(letra), "factura"


async def look(store: Store, each: Key) -> Seen:
    return (await store.look([each]))[each]


@frozen
class Pair:
    """A primary, and its asynchronous standby."""

    primary: Cluster
    standby: Cluster

    @property
    def url(self) -> str:
        """URL of whichever is the primary."""
        hosts = {"host": "127.0.0.1,127.0.0.1", "port": f"{self.primary.port},{self.standby.port}"}
        return self.primary.url(**hosts)

    def cut(self) -> None:
        """Let the standby get nothing more."""
        rules = self.primary.folder / "data" / "pg_hba.conf"
        rules.write_text("host all all 127.0.0.1/32 trust\n")  # and no replication
        self.primary.execute("SELECT pg_reload_conf()")
        time.sleep(0.3)
        self.primary.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_replication")

    def caught_up(self) -> None:
        """Wait until the standby has all that the primary has."""
        [(position,)] = self.primary.execute("SELECT pg_current_wal_flush_lsn()")
        until = time.monotonic() + 20
        while not self.standby.execute(f"SELECT pg_last_wal_replay_lsn() >= '{position}'")[0][0]:
            assert time.monotonic() < until
            time.sleep(0.02)

    def promote(self) -> None:
        """Kill the primary, and promote the standby."""
        self.primary.stop()
        self.standby.execute("SELECT pg_promote()")


@pytest.fixture
def pair() -> Iterator[Pair]:
    if program("pg_basebackup") is None:
        pytest.skip("no PostgreSQL: install it (apt-get install postgresql)")
    primary = Cluster.make(wal_level="replica")
    standby = None
    try:
        standby = Cluster.standby_of(primary)
        yield Pair(primary, standby)
    finally:
        primary.remove()
        if standby is not None:
            standby.remove()


@pytest.fixture
async def pg(pair: Pair) -> AsyncIterator[Postgres]:
    await install(pair.primary.conninfo)
    pair.caught_up()
    async with Postgres(pair.url) as pg:
        yield pg


async def install(url: str) -> None:
    async with open_database(url, connections=1, timeout=10) as database:
        await _schema.migrate(database)


async def look_again(store: Store, each: Key) -> Seen:
    """Look once the new primary answers."""
    until = time.monotonic() + 20
    while True:
        try:
            return await look(store, each)
        except NotSentError as error:
            assert error.is_transient
            assert time.monotonic() < until
            await asyncio.sleep(0.1)


async def creates_of(store: Store, api: list[str], letra: str, seen: Seen) -> bool:
    """Do what a create does: list (it lacks the object for a while), begin, send."""
    if seen.pending is not None:
        return False
    grant = await store.begin(seen, f"nonce {len(api)}")
    if grant is None:
        return False
    api.append(letra)
    await store.end(grant, Result(StepState.DONE, Origin.CREATED, (str(len(api)),)))
    return True


async def test_a_promoted_standby_without_the_last_creates_makes_none_twice(pair: Pair, pg: Postgres) -> None:
    store, api = pg.creates(CONFIG), list[str]()
    assert await creates_of(store, api, "A", await look(store, key("A")))
    pair.caught_up()
    before = await look(store, key("C"))
    pair.cut()
    assert await creates_of(store, api, "B", await look(store, key("B")))
    pair.promote()
    lost = await look_again(store, key("B"))

    # The record of B is lost, and its object may not show yet.
    assert lost.pending is not None
    assert (lost.pending.state, lost.pending.uid) == (StepState.UNKNOWN, None)
    assert not await creates_of(store, api, "B", lost)
    assert await store.begin(Seen(key("B"), lost.mark), "without a look") is None
    assert await store.begin(before, "an old mark") is None
    kept = await look(store, key("A"))
    assert kept.pending is not None
    assert kept.pending.uid == "1"

    await asyncio.sleep(SETTLE + GRACE + 1)
    assert await creates_of(store, api, "C", await look(store, key("C")))
    assert api == ["A", "B", "C"]


async def test_without_the_timeline_rule_it_would(pair: Pair, pg: Postgres) -> None:
    """Control: the lost record alone leads to a second create."""
    await pg._database.query("""
        CREATE OR REPLACE FUNCTION facturaonline.server_timeline() RETURNS text LANGUAGE sql AS $$ SELECT '' $$
    """)
    pair.caught_up()
    store, api = pg.creates(CONFIG), list[str]()
    pair.cut()
    assert await creates_of(store, api, "B", await look(store, key("B")))
    pair.promote()
    assert await creates_of(store, api, "B", await look_again(store, key("B")))

    assert api == ["B", "B"]


async def test_a_standby_is_refused_until_it_is_promoted(pair: Pair, pg: Postgres) -> None:
    with pytest.raises(SharedUnavailableError, match="no connection to PostgreSQL") as caught:
        await Postgres(pair.standby.conninfo).__aenter__()
    assert caught.value.is_transient
    anything = pair.standby.url(target_session_attrs="any")
    with pytest.raises(NotSentError) as refused:
        await Postgres(anything).__aenter__()
    assert refused.value.is_transient

    pair.caught_up()
    pair.promote()
    async with Postgres(pair.standby.conninfo) as promoted:
        assert (await look(promoted.creates(evolve(CONFIG)), key("A"))).pending is not None
