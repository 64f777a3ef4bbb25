"""Everything works through a real pgbouncer in transaction mode, where no session has a connection of its own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from facturaonline_async import SANDBOX, Config, NotSentError, Rate
from facturaonline_async.postgres import Postgres
from facturaonline_async.sharing import Key, Origin, Result, StepState, Window
from tests.cli.test_app import run
from tests.postgres.bouncer import Bouncer, bouncer
from tests.postgres.servers import Cluster, database_of

pytestmark = pytest.mark.postgres

CONFIG = Config(base_url=SANDBOX)
DONE = Result(StepState.DONE, Origin.CREATED, ("7",))


def key(letra: object) -> Key:
    return "series", "owner", str(letra), "factura"


@pytest.fixture(scope="module")
def pooler(shared_server: Cluster) -> Iterator[Bouncer]:
    if not isinstance(shared_server, Cluster):
        pytest.skip("pgbouncer stands before a private cluster: unset DATABASE_URL and PG*")
    with bouncer(shared_server) as running:
        yield running


@pytest.fixture
def pooled_url(pooler: Bouncer, url: str) -> str:
    return pooler.url(database_of(url))


async def create_all(pg: Postgres, number: int) -> None:
    """Lease, look, begin and end."""
    store = pg.creates(CONFIG)
    lease = await pg.quota.lease([Window("all", Rate(10_000, 1))], "key", 1)
    assert len(lease.starts) == 1
    seen = (await store.look([key(number)]))[key(number)]
    grant = await store.begin(seen, f"nonce {number}")
    assert grant is not None
    await store.end(grant, DONE)
    pending = (await store.look([key(number)]))[key(number)].pending
    assert pending is not None
    assert (pending.state, pending.uid) == (StepState.DONE, "7")


async def test_more_connections_than_the_server_has_do_all_their_work(pooled_url: str) -> None:
    async with Postgres(pooled_url, connections=8) as one, Postgres(pooled_url, connections=8) as other:
        await asyncio.gather(*(create_all((one, other)[number % 2], number) for number in range(100)))


async def test_no_setting_outlives_its_statement(pooled_url: str) -> None:
    """Not even after an error, and not in the connection that another client gets."""
    shown = """SELECT current_setting('statement_timeout'), current_setting('synchronous_commit'),
                      current_setting('transaction_isolation')"""
    async with Postgres(pooled_url) as pg:
        store = pg.creates(CONFIG)
        for _ in range(5):
            await create_all(pg, 1)
            await store.forget("series", "owner", "7")
            with pytest.raises(NotSentError, match="division by zero"):
                await pg._database.query("SET LOCAL synchronous_commit = off; SELECT 1 / 0")
        # Asked without the settings that come before each statement.
        [connection] = pg._database._idle[:1]
        for _ in range(4):
            assert await connection.run(shown, []) == [("0", "on", "read committed")]


async def test_statements_are_read_committed_at_any_default(pooled_url: str, pooler: Bouncer) -> None:
    name = database_of(pooled_url)
    pooler.cluster.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
    async with Postgres(pooled_url) as pg:
        await asyncio.gather(*(create_all(pg, number) for number in range(30)))


def test_one_of_four_processes_begins_each_create(pooled_url: str) -> None:
    moment = time.time() + 4
    racers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.postgres.racer", pooled_url, "50", str(moment)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    winners = [set(map(int, process.communicate(timeout=60)[0].split())) for process in racers]

    assert sorted(number for won in winners for number in won) == list(range(50))


async def test_a_pooler_that_is_killed_costs_no_error_once_it_is_back(pooled_url: str, pooler: Bouncer) -> None:
    async with Postgres(pooled_url) as pg:
        await create_all(pg, 1)
        pooler.stop()
        pooler.start()
        await create_all(pg, 2)


async def test_a_server_that_restarts_behind_the_pooler_is_an_outage_and_no_longer(
    pooled_url: str, pooler: Bouncer
) -> None:
    async with Postgres(pooled_url, timeout=2) as pg:
        await create_all(pg, 1)
        pooler.cluster.stop()
        try:
            with pytest.raises(NotSentError) as caught:
                await pg.creates(CONFIG).look([key(1)])
            assert caught.value.is_transient
        finally:
            pooler.cluster.start()
        async with asyncio.timeout(20):
            while True:
                try:
                    await create_all(pg, 2)
                    break
                except NotSentError as error:  # pgbouncer has not noticed yet
                    assert error.is_transient
                    await asyncio.sleep(0.1)
        found = (await pg.creates(CONFIG).look([key(1)]))[key(1)].pending
        assert found is not None


async def test_the_schema_is_installed_through_the_pooler(pooler: Bouncer, empty_url: str) -> None:
    pooled = pooler.url(database_of(empty_url))
    ran = await run("postgres", "install", "--yes", env={"FACTURAONLINE_DATABASE_URL": pooled})
    assert (ran.code, ran.err) == (0, "")
    async with Postgres(pooled) as pg:
        await create_all(pg, 1)


async def test_the_pool_of_the_server_is_as_small_as_it_was(pooled_url: str, pooler: Bouncer) -> None:
    """Control: these tests do go through pgbouncer."""
    async with Postgres(pooled_url, connections=8) as pg:
        await asyncio.gather(*(pg._database.query("SELECT pg_sleep(0.05)") for _ in range(8)))
        assert len(pg._database._idle) == 8
        name = database_of(pooled_url)
        found = pooler.cluster.execute(f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'")
    assert found == [(2,)]
