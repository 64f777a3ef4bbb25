"""Processes that share a quota keep each window, whatever becomes of the database."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator

import pytest

from facturaonline_async import InvalidInputError, NotSentError, Rate, SharedUnavailableError
from facturaonline_async.events import OutageEvent
from facturaonline_async.postgres import Postgres, Share
from facturaonline_async.postgres._connection import Database
from facturaonline_async.postgres._quota import PostgresQuota, _LocalShare
from facturaonline_async.sharing import HORIZON, Lease, Window, burst_of
from tests.postgres.servers import Cluster
from tests.postgres.virtual import virtual_database
from tests.virtual import stall

pytestmark = pytest.mark.postgres

TEN = Window("ten", Rate(10, 1), burst=1)


def most_in(starts: list[float], per: float) -> int:
    """Return the largest number of starts in any interval of this length."""
    starts = sorted(starts)
    return max(sum(1 for other in starts if start <= other < start + per - 1e-6) for start in starts)


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    async with virtual_database() as database:
        await database.query("TRUNCATE facturaonline.windows")  # each test begins at the same time
        yield database


@pytest.fixture
def quota(database: Database) -> PostgresQuota:
    return PostgresQuota(database, "closed")


# ── Windows, on the server's clock ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.virtual_clock
@pytest.mark.parametrize("seed", range(8))
async def test_no_interval_holds_more_starts_than_its_window_allows(quota: PostgresQuota, seed: int) -> None:
    """Several processes lease at random moments, from one window or from several."""
    dice = random.Random(seed)
    rates = [Rate(dice.choice([1, 2, 5, 10, 40]), dice.choice([0.5, 1, 3])) for _ in range(3)]
    windows = [
        Window(f"{seed} {number}", rate, min(dice.randrange(5), rate.calls - 1)) for number, rate in enumerate(rates)
    ]
    begun: dict[str, list[float]] = {window.name: [] for window in windows}
    clock = asyncio.get_running_loop().time
    for _ in range(150):
        chosen = dice.sample(windows, dice.randint(1, 3))
        lease = await quota.lease(chosen, "key", dice.randint(1, 4))
        assert all(0 <= start <= HORIZON for start in lease.starts)
        assert list(lease.starts) == sorted(lease.starts)
        for window in chosen:
            begun[window.name] += [clock() + start for start in lease.starts]
        pause = lease.retry_in if dice.random() < 0.7 else dice.uniform(0, 3)
        stall(max(pause, 0.001))

    for window in windows:
        if begun[window.name]:
            assert most_in(begun[window.name], window.rate.per) <= window.rate.calls


@pytest.mark.virtual_clock
@pytest.mark.parametrize("rate", [Rate(1, 1), Rate(10, 1), Rate(200, 1), Rate(1000, 3600)])
async def test_a_window_under_load_gives_all_starts_but_its_burst(quota: PostgresQuota, rate: Rate) -> None:
    window = Window(f"under load {rate}", rate, burst_of(rate))
    given = 0
    until = asyncio.get_running_loop().time() + 10 * rate.per
    while (left := until - asyncio.get_running_loop().time()) > 0:
        lease = await quota.lease([window], "key", 4)
        given += sum(start < left for start in lease.starts)
        stall(min(left, lease.retry_in or 0.001))

    expected = 10 * (rate.calls - window.burst)
    assert 0.99 * expected <= given <= expected + window.burst + 1


@pytest.mark.virtual_clock
@pytest.mark.parametrize("burst", [1, 2, 10])
async def test_a_burst_of_all_calls_divides_by_nothing(quota: PostgresQuota, burst: int) -> None:
    window = Window(f"burst {burst}", Rate(1, 1), burst)
    leases = []
    for _ in range(3):
        leases.append(await quota.lease([window], "key", 4))
        stall(leases[-1].retry_in)

    assert [len(lease.starts) for lease in leases] == [1, 1, 1]
    assert [round(lease.retry_in, 2) for lease in leases] == [1.0, 1.0, 1.0]


@pytest.mark.virtual_clock
async def test_a_lease_says_what_blocks_it(quota: PostgresQuota) -> None:
    narrow, wide = Window("narrow", Rate(1, 10)), Window("wide", Rate(100, 1))
    assert await quota.lease([wide, narrow], "key", 2) == Lease((0.0,), 10.0, "narrow")
    await quota.hold("held", 60)
    blocked = await quota.lease([wide], "held", 1)
    assert (blocked.starts, blocked.blocked_by, round(blocked.retry_in, 3)) == ((), "held", 60.0)


@pytest.mark.virtual_clock
async def test_a_hold_delays_its_key_alone_and_the_longest_one_counts(quota: PostgresQuota) -> None:
    await quota.hold("mine", 30)
    await quota.hold("mine", 5)

    assert (await quota.lease([TEN], "another", 1)).starts == (0.0,)
    stall(29.9)
    assert (await quota.lease([TEN], "mine", 1)).starts == ()
    stall(0.2)
    assert (await quota.lease([TEN], "mine", 1)).starts == (0.0,)


@pytest.mark.virtual_clock
async def test_no_window_is_an_unlimited_lease(quota: PostgresQuota) -> None:
    assert await quota.lease([], "key", 3) == Lease((0.0, 0.0, 0.0), 0.0)


@pytest.mark.virtual_clock
async def test_names_may_hold_any_character(quota: PostgresQuota) -> None:
    names = ["quota's", 'a "b", {c}', "back\\slash", "ñandú %s", "NULL", ""]
    lease = await quota.lease([Window(name, Rate(1, 10)) for name in names], "key's", 1)
    assert lease.starts == (0.0,)
    assert [(await quota.lease([Window(name, Rate(1, 10))], "key's", 1)).starts for name in names] == 6 * [()]


@pytest.mark.virtual_clock
async def test_a_clock_that_is_set_back_stops_no_process(quota: PostgresQuota) -> None:
    await quota.lease([TEN], "key", 1)
    await quota.hold("key", 3600)
    stall(-10_000)

    assert (await quota.lease([TEN], "key", 1)).retry_in <= 0.3
    stall(0.3)
    assert (await quota.lease([TEN], "key", 1)).starts == (0.0,)


@pytest.mark.virtual_clock
async def test_a_lost_table_costs_one_start_of_each_window(quota: PostgresQuota, database: Database) -> None:
    """It is unlogged: a crash of the server empties it."""
    window = Window("lost", Rate(10, 1), burst=4)
    first = await quota.lease([window], "key", 10)
    await database.query("TRUNCATE facturaonline.windows")
    second = await quota.lease([window], "key", 10)

    assert (len(first.starts), len(second.starts)) == (1, 1)


# ── Several connections ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_leases_of_the_same_new_windows_at_once_do_not_deadlock(url: str) -> None:
    dice = random.Random(1)
    async with Postgres(url, connections=8) as pg:
        for number in range(30):
            windows = [Window(f"{letter} {number}", Rate(100_000, 1)) for letter in "abcdef"]
            choices = [dice.sample(windows, dice.randint(2, 6)) for _ in range(16)]
            await asyncio.gather(*(pg.quota.lease(choice, "key", 1) for choice in choices))
        found = await pg._database.query("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")

    assert found == [(0,)]


async def test_two_processes_share_a_window(url: str) -> None:
    window = Window("shared", Rate(50, 1))
    starts: list[float] = []

    async def process() -> None:
        async with Postgres(url) as pg:
            until = time.monotonic() + 1.5
            while time.monotonic() < until:
                lease = await pg.quota.lease([window], "key", 4)
                starts.extend(time.monotonic() + start for start in lease.starts)
                await asyncio.sleep(lease.retry_in)

    await asyncio.gather(process(), process())

    assert 50 <= len(starts) <= 76


# ── Outages ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_closed_quota_sends_nothing_in_an_outage_and_goes_on_after_it(cluster: Cluster, template: str) -> None:
    events: list[OutageEvent] = []
    async with Postgres(cluster.url(dbname=template), on_event=events.append) as pg:
        await pg.quota.lease([TEN], "key", 1)
        cluster.stop()
        try:
            for _ in range(20):
                with pytest.raises(SharedUnavailableError, match="no connection to PostgreSQL") as caught:
                    await pg.quota.lease([TEN], "key", 1)
                assert caught.value.is_transient
                await asyncio.sleep(0.02)
            await pg.quota.hold("key", 1)
        finally:
            cluster.start()
        await asyncio.sleep(0.3)
        assert len((await pg.quota.lease([TEN], "key", 1)).starts) == 1

    assert [event.is_over for event in events] == [False, True]
    assert events[0].reason.startswith("no connection to PostgreSQL")


async def test_an_open_quota_uses_its_share_in_an_outage(cluster: Cluster, template: str) -> None:
    window = Window("shared in an outage", Rate(200, 1), burst=4)
    async with Postgres(cluster.url(dbname=template), on_outage=Share(4)) as pg:
        await pg.quota.lease([window], "key", 1)
        cluster.stop()
        try:
            starts = []
            until = time.monotonic() + 1.0
            while (now := time.monotonic()) < until:
                lease = await pg.quota.lease([window], "key", 4)
                starts += [now + start for start in lease.starts]
                await asyncio.sleep(lease.retry_in)
        finally:
            cluster.start()
        await asyncio.sleep(0.3)
        await pg.quota.lease([window], "key", 1)
        assert pg._quota._problem is None

    assert 40 <= len(starts) <= 51


@pytest.mark.virtual_clock
@pytest.mark.parametrize("rate", [Rate(200, 1), Rate(10, 1), Rate(7, 1)])
async def test_all_shares_together_keep_the_rate(rate: Rate) -> None:
    shares = [_LocalShare(4) for _ in range(4)]
    starts: list[float] = []

    async def process(share: _LocalShare) -> None:
        clock = asyncio.get_running_loop().time
        until = clock() + 10
        while clock() < until:
            lease = share.lease([Window("rate", rate)], 4)
            starts.extend(clock() + start for start in lease.starts)
            await asyncio.sleep(max(lease.retry_in, 0.001))

    await asyncio.gather(*map(process, shares))

    assert most_in(starts, rate.per) <= rate.calls
    assert len(starts) >= 0.9 * 10 * 4 * (rate.calls // 4) - 4


@pytest.mark.virtual_clock
async def test_a_share_of_less_than_a_call_is_a_call_of_several_windows() -> None:
    share = _LocalShare(10)
    given = 0
    for _ in range(1000):
        given += len(share.lease([Window("rare", Rate(2, 1))], 4).starts)
        stall(0.1)

    assert 19 <= given <= 21


async def test_one_lease_at_a_time_asks_whether_an_outage_is_over(cluster: Cluster, template: str) -> None:
    async with Postgres(cluster.url(dbname=template)) as pg:
        cluster.stop()
        try:
            with pytest.raises(NotSentError):
                await pg.quota.lease([TEN], "key", 1)
            asked = 0
            real = pg._database.query

            async def counted(*arguments: object, **more: object) -> object:
                nonlocal asked
                asked += 1
                return await real(*arguments, **more)  # type: ignore[arg-type]

            pg._database.query = counted  # type: ignore[method-assign, assignment]
            await asyncio.sleep(0.3)
            await asyncio.gather(*(pg.quota.lease([TEN], "key", 1) for _ in range(50)), return_exceptions=True)
            assert asked == 1
        finally:
            cluster.start()


async def test_a_statement_that_the_server_refuses_is_no_outage(url: str) -> None:
    async with Postgres(url, on_outage=Share(2)) as pg:
        await pg._database.query("DROP FUNCTION facturaonline.lease_v1")
        with pytest.raises(NotSentError, match=r"function facturaonline\.lease_v1"):
            await pg.quota.lease([TEN], "key", 1)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"on_outage": "open"}, "on_outage"),
        ({"on_outage": 4}, "on_outage"),
        ({"connections": 0}, "connections"),
        ({"connections": True}, "connections"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": float("inf")}, "timeout"),
    ],
)
def test_malformed_settings_are_refused(settings: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        Postgres("postgresql://127.0.0.1/x", **settings)  # type: ignore[arg-type]
    assert caught.value.field == field
    with pytest.raises(InvalidInputError):
        Share(0)
