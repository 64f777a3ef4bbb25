"""Workers carry out the runs of a queue, and nothing is lost or done twice when one of them ends."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from attrs import evolve

pytest.importorskip("procrastinate", reason="the extra procrastinate is not installed")

from facturaonline_async import Config, InvalidInputError, NotSentError, Secret
from facturaonline_async._core import shared
from facturaonline_async.postgres import Postgres
from facturaonline_async.postgres._postgres import database_of
from facturaonline_async.procrastinate import Worker, cancel, enqueue
from facturaonline_async.procrastinate._schema import install_queue
from facturaonline_async.provision import InvalidJournalError, Plan, RowOutcome
from facturaonline_async.testing import Emulator, Fault
from tests.conftest import QUICK
from tests.postgres.bouncer import bouncer
from tests.postgres.servers import Cluster, Server, database_of as database_of_url
from tests.postgres.sql import Sql
from tests.provision.verdict import Verdict, judge
from tests.provision.victim import make_plan

pytestmark = pytest.mark.postgres

EMPRESAS = 12
COUNT = 3
PLAN = make_plan(EMPRESAS)
LETRAS = {row.rfc: [serie.letra for serie in row.series] for row in PLAN}
RUN = "alta"
PAGES = 2
"""Calls for one list of companies: the second page is empty."""
BEFORE = signal.getsignal(signal.SIGTERM)
LISTENING = """
    SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()
"""


@pytest.fixture(autouse=True)
def short_settle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "_MARGIN", -100)
    monkeypatch.setattr("facturaonline_async.procrastinate._worker._POLL", 0.05)


@pytest.fixture(autouse=True)
async def queue(pg: Postgres) -> None:
    assert await install_queue(database_of(pg))


async def plans(run: str) -> Plan:
    assert run == RUN
    return PLAN


def make_worker(emulator: Emulator, url: str, *, settle: float = 0.5, **more: Any) -> Worker:
    config = evolve(QUICK, base_url=emulator.base_url, connect_timeout=1, settle=settle, grace=1)
    arguments: dict[str, Any] = {"plans": plans, "credentials": emulator.credentials, "database": url, "lease": 3}
    return Worker(config, **(arguments | more))


@asynccontextmanager
async def at_work(worker: Worker) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(worker.run())
    try:
        yield task
    finally:
        if not task.done():
            worker.stop()
        await asyncio.wait({task})
    task.result()


async def put(emulator: Emulator, url: str, **more: Any) -> None:
    arguments: dict[str, Any] = {"run": RUN, "shards": COUNT, "database": url, "credentials": emulator.credentials}
    await enqueue(PLAN, **(arguments | {"base_url": emulator.base_url} | more))


async def until(check: Callable[[], Any]) -> None:
    while not check():  # noqa: ASYNC110  # it is in a database
        await asyncio.sleep(0.02)


def is_audited(sql: Sql) -> bool:
    return sql("SELECT is_audited FROM facturaonline.sharded_runs") == [(True,)]


async def test_a_worker_carries_out_a_run(emulator: Emulator, url: str, sql: Sql) -> None:
    await put(emulator, url)
    assert sql.states() == {"planned": 4 * EMPRESAS}
    async with at_work(make_worker(emulator, url)):
        await until(lambda: is_audited(sql))
    assert judge(emulator.state, LETRAS) == Verdict(0, 0, 0)
    assert sql.states() == {"done": 4 * EMPRESAS}
    await until(lambda: sql("SELECT count(*) FROM procrastinate_jobs") == [(0,)])


async def test_three_workers_carry_out_a_run_together(emulator: Emulator, url: str, sql: Sql) -> None:
    await put(emulator, url)
    workers = [make_worker(emulator, url) for _ in range(3)]
    async with at_work(workers[0]), at_work(workers[1]), at_work(workers[2]):
        await until(lambda: is_audited(sql))
    assert judge(emulator.state, LETRAS) == Verdict(0, 0, 0)
    assert emulator.count("empresas.create") == EMPRESAS


async def test_the_companies_are_listed_once_before_all_shards(emulator: Emulator, url: str, sql: Sql) -> None:
    await put(emulator, url)
    async with at_work(make_worker(emulator, url, settle=300)):
        await until(lambda: sql("SELECT count(*) FROM facturaonline.runs WHERE is_finished") == [(COUNT,)])
    assert emulator.count("empresas.list") == PAGES


async def test_a_job_holds_the_name_of_its_run_and_numbers(emulator: Emulator, url: str, sql: Sql) -> None:
    await put(emulator, url)
    emulator.inject(Fault.delay(30), endpoint="empresas.create", times=None)
    async with at_work(make_worker(emulator, url, stop_within=0.1)):
        await until(lambda: emulator.count("empresas.create"))
        found = sql("SELECT task_name, args FROM procrastinate_jobs ORDER BY id")
    assert found == [("facturaonline.shard", {"run": RUN, "shard": number, "count": COUNT}) for number in range(COUNT)]


async def test_a_worker_that_is_stopped_puts_its_job_back(emulator: Emulator, url: str, sql: Sql) -> None:
    await put(emulator, url)
    emulator.inject(Fault.delay(0.3), endpoint="empresas.create", times=None)
    async with at_work(make_worker(emulator, url, concurrency=1)):
        await until(lambda: emulator.count("empresas.create"))
    sent = emulator.count("empresas.create")
    assert sent < EMPRESAS
    assert set(sql("SELECT status::text, count(*) FROM procrastinate_jobs GROUP BY 1")) == {("todo", COUNT)}
    assert not set(sql.states()) & {"intent", "unknown"}
    assert sql("SELECT count(*) FROM facturaonline.runs WHERE holder IS NOT NULL") == [(0,)]
    emulator.clear_faults()
    async with at_work(make_worker(emulator, url)):
        await until(lambda: is_audited(sql))
    assert judge(emulator.state, LETRAS) == Verdict(0, 0, 0)


async def test_a_worker_does_not_wait_for_ever_for_a_request_in_flight(emulator: Emulator, url: str, sql: Sql) -> None:
    await put(emulator, url)
    emulator.inject(Fault.delay(30), endpoint="empresas.create", times=1)
    async with at_work(make_worker(emulator, url, concurrency=1, stop_within=0.1)):
        await until(lambda: emulator.count("empresas.create"))
    assert sql.states()["unknown"] == 1
    async with at_work(make_worker(emulator, url)):
        await until(lambda: is_audited(sql))
    assert judge(emulator.state, LETRAS) == Verdict(0, 0, 0)


async def test_sigterm_stops_a_worker(emulator: Emulator, url: str) -> None:
    async with at_work(make_worker(emulator, url)) as task:
        await until(lambda: signal.getsignal(signal.SIGTERM) != BEFORE)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait({task})
    assert signal.getsignal(signal.SIGTERM) == BEFORE


async def test_a_job_whose_worker_is_silent_is_carried_out_by_another_one(
    emulator: Emulator, url: str, sql: Sql
) -> None:
    await put(emulator, url)
    async with at_work(make_worker(emulator, url)):
        await until(lambda: is_audited(sql))
    sql("UPDATE facturaonline.sharded_runs SET is_audited = false")
    # A killed worker had the job of a shard.
    sql("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '1 hour')")
    sql(
        """
        INSERT INTO procrastinate_jobs (queue_name, task_name, status, args, worker_id)
        SELECT 'facturaonline', 'facturaonline.shard', 'doing', '{"run": "alta", "shard": 0, "count": 3}', max(id)
        FROM procrastinate_workers
        """
    )
    async with at_work(make_worker(emulator, url, heartbeat=0.2, stalled_after=5)):
        await until(lambda: is_audited(sql))
    assert emulator.count("empresas.create") == EMPRESAS


async def test_a_worker_goes_on_when_the_database_is_back(
    cluster: Cluster, emulator: Emulator, url: str, sql: Sql
) -> None:
    await put(emulator, url)
    emulator.inject(Fault.delay(0.1), endpoint="empresas.create", times=None)
    worker = make_worker(emulator, url, heartbeat=0.3, stalled_after=3)
    async with at_work(worker):
        await until(lambda: emulator.count("empresas.create") > 2)
        cluster.stop()
        await asyncio.sleep(1)
        cluster.start()
        await until(lambda: is_audited(sql))
    assert judge(emulator.state, LETRAS) == Verdict(0, 0, 0)
    assert emulator.count("empresas.create") == EMPRESAS


async def test_a_worker_waits_for_a_database_that_is_away(
    cluster: Cluster, emulator: Emulator, url: str, sql: Sql, caplog: pytest.LogCaptureFixture
) -> None:
    await put(emulator, url)
    cluster.stop()
    try:
        worker = make_worker(emulator, url)
        async with at_work(worker):
            await until(lambda: "the worker waits for the database" in caplog.text)
        async with at_work(worker):
            await until(lambda: caplog.text.count("the worker waits for the database") > 1)
            cluster.start()
            await until(lambda: is_audited(sql))
    finally:
        cluster.stop()
        cluster.start()
    assert judge(emulator.state, LETRAS) == Verdict(0, 0, 0)


async def test_a_run_that_is_cancelled_stops_and_goes_on_when_it_is_enqueued_again(
    emulator: Emulator, url: str, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facturaonline_async.postgres._shard_run._LOOK", 0.05)
    await put(emulator, url)
    emulator.inject(Fault.delay(0.3), endpoint="empresas.create", times=None)
    async with at_work(make_worker(emulator, url, concurrency=1)):
        await until(lambda: emulator.count("empresas.create"))
        await cancel(RUN, database=url)
        await until(lambda: sql("SELECT count(*) FROM procrastinate_jobs") == [(0,)])
        sent = emulator.count("empresas.create")
        assert sent < EMPRESAS
        emulator.clear_faults()
        await put(emulator, url)
        await until(lambda: is_audited(sql))
    assert judge(emulator.state, LETRAS) == Verdict(0, 0, 0)


async def test_a_run_that_was_deleted_leaves_nothing_to_do(
    emulator: Emulator, url: str, pg: Postgres, sql: Sql
) -> None:
    await put(emulator, url)
    await pg.delete_run(RUN)
    async with at_work(make_worker(emulator, url)):
        await until(lambda: sql("SELECT count(*) FROM procrastinate_jobs") == [(0,)])
    assert len(emulator.requests) == 0
    assert sql("SELECT count(*) FROM facturaonline.runs") == [(0,)]


async def test_another_number_of_shards_or_plan_is_not_enqueued(emulator: Emulator, url: str, sql: Sql) -> None:
    await put(emulator, url)
    with pytest.raises(InvalidJournalError, match="is divided into 3 shards, not 4"):
        await put(emulator, url, shards=4)
    arguments = {"run": RUN, "shards": COUNT, "database": url, "credentials": emulator.credentials}
    with pytest.raises(InvalidJournalError, match="was made with another plan"):
        await enqueue(make_plan(3), base_url=emulator.base_url, **arguments)  # type: ignore[arg-type]
    assert sql("SELECT count(*) FROM procrastinate_jobs") == [(1,)]


async def test_a_worker_with_another_plan_sends_nothing(emulator: Emulator, url: str, sql: Sql) -> None:
    async def another(_: str) -> Plan:
        return make_plan(EMPRESAS + 1)

    await put(emulator, url)
    async with at_work(make_worker(emulator, url, plans=another)):
        await until(lambda: sql("SELECT status::text FROM procrastinate_jobs") == [("failed",)])
    assert len(emulator.requests) == 0


async def test_the_new_keys_are_delivered_and_never_stored(emulator: Emulator, url: str, sql: Sql) -> None:
    got: dict[str, Secret] = {}

    async def keep(row: RowOutcome) -> None:
        assert row.credentials is not None
        got[row.rfc] = row.credentials.api_key

    await put(emulator, url)
    async with at_work(make_worker(emulator, url, on_row=keep)):
        await until(lambda: is_audited(sql))
    known = {row["rfc"]: row["api_key"] for row in emulator.state["empresas"].values()}
    assert {rfc: key.reveal() for rfc, key in got.items()} == {rfc: known[rfc] for rfc in LETRAS}
    tables = [
        name
        for (name,) in sql(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables "
            "WHERE schemaname = 'facturaonline' OR tablename LIKE 'procrastinate%'"
        )
    ]
    stored = "".join(str(sql(f"SELECT * FROM {name}")) for name in tables)
    assert [key for key in known.values() if key in stored] == []


async def test_notices_pass_beside_pgbouncer(
    shared_server: Server, emulator: Emulator, url: str, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Polling alone would find the jobs after an hour."""
    if not isinstance(shared_server, Cluster):
        pytest.skip("pgbouncer stands before a private cluster: unset DATABASE_URL and PG*")
    monkeypatch.setattr("facturaonline_async.procrastinate._worker._POLL", 3600)
    with bouncer(shared_server, pool=4) as pooler:
        pooled = pooler.url(database_of_url(url))
        async with at_work(make_worker(emulator, pooled, listen=url)):
            await until(lambda: sql("SELECT count(*) FROM procrastinate_workers") == [(1,)])
            await until(lambda: sql(LISTENING) == [(1,)])
            await put(emulator, pooled)
            await until(lambda: is_audited(sql))
    assert judge(emulator.state, LETRAS) == Verdict(0, 0, 0)


# ── Arguments ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"plans": None}, "plans must be a coroutine function"),
        ({"on_row": 1}, "on_row must be a coroutine function"),
        ({"credentials": "key"}, "credentials must be Credentials, or a function"),
        ({"jobs": 0}, "jobs must be"),
        ({"lease": 1}, "lease must be at least 3 seconds"),
        ({"heartbeat": 0}, "heartbeat must be"),
        ({"stalled_after": 15}, "at least twice heartbeat"),
    ],
)
def test_bad_settings_are_refused(given: dict[str, Any], reason: str) -> None:
    config = Config(base_url="https://sandbox.facturaonline.com.mx/api")
    with pytest.raises(InvalidInputError, match=reason):
        Worker(config, **({"plans": plans} | given))


def test_a_worker_needs_a_base_url_and_shows_no_secret() -> None:
    with pytest.raises(InvalidInputError, match="base_url"):
        Worker(Config(), plans=plans)
    worker = Worker(
        Config(base_url="https://sandbox.facturaonline.com.mx/api"),
        plans=plans,
        database="postgresql://someone:pa55word@127.0.0.1/x",
    )
    assert repr(worker) == "<Worker: not at work>"
    assert "pa55word" not in str(vars(worker))


async def test_a_database_without_the_tables_of_the_queue_is_refused(emulator: Emulator, url: str, sql: Sql) -> None:
    tables = "procrastinate_events, procrastinate_periodic_defers, procrastinate_jobs, procrastinate_workers"
    sql(f"DROP TABLE {tables} CASCADE")
    for call in (make_worker(emulator, url).run(), put(emulator, url), cancel(RUN, database=url)):
        with pytest.raises(InvalidInputError, match="run facturaonline postgres install"):
            await call


async def test_a_worker_runs_once_at_a_time(emulator: Emulator, url: str) -> None:
    worker = make_worker(emulator, url)
    async with at_work(worker):
        await until(lambda: repr(worker) == "<Worker: at work>")
        with pytest.raises(NotSentError, match="at work already"):
            await worker.run()
    async with at_work(worker):
        await until(lambda: repr(worker) == "<Worker: at work>")


async def test_a_forked_child_cannot_use_the_worker_of_its_parent(
    emulator: Emulator, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = make_worker(emulator, url)
    async with at_work(worker):
        await until(lambda: repr(worker) == "<Worker: at work>")
        with monkeypatch.context() as child:
            child.setattr("facturaonline_async.procrastinate._worker.getpid", lambda: -1)
            with pytest.raises(NotSentError, match="before the process was forked"):
                worker.stop()
            with pytest.raises(NotSentError, match="before the process was forked"):
                await worker.run()
