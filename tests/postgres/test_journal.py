"""A journal in PostgreSQL: fencing, silence, restarts of the server, and a new timeline."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import psycopg
import pytest

from facturaonline_async import FacturaOnline, InvalidInputError, Secret
from facturaonline_async._core.once.states import StepState
from facturaonline_async.postgres import Postgres, _journal, _schema
from facturaonline_async.postgres._connection import Database, read_url
from facturaonline_async.postgres._journal import PostgresJournal
from facturaonline_async.provision import FencedError, JournalError, RunReport, Step, provision
from facturaonline_async.testing import Emulator
from tests.journals import all_steps
from tests.postgres.servers import Cluster, database_of
from tests.postgres.sql import Sql
from tests.provision.test_model import plan_of

pytestmark = pytest.mark.postgres

KEYS = {"account": "fingerprint", "host": "https://example.com/api"}
RUN = "alta 2026-11"
HOUR = "interval '1 hour'"


def step(number: int = 1, **more: Any) -> Step:
    return Step(number=number, owner=f"AAA010101{number:03}", **more)


async def opened(pg: Postgres, *, run: str = RUN, lease: float = 30.0) -> PostgresJournal:
    journal = await pg.journal(run, lease=lease).open(**KEYS)
    assert isinstance(journal, PostgresJournal)
    return journal


async def begun(pg: Postgres, *, steps: int = 3) -> PostgresJournal:
    journal = await opened(pg)
    await journal.adjust(add=[step(number) for number in range(steps)])
    return journal


# ── Writes ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_saves_that_are_queued_together_are_one_call(pg: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    query = Database.query

    async def count(database: Database, statement: Any, *more: Any, **how: Any) -> Any:
        calls.append(statement)
        return await query(database, statement, *more, **how)

    journal = await begun(pg, steps=500)
    monkeypatch.setattr(Database, "query", count)
    await asyncio.gather(*(journal.save(step(number, state=StepState.INTENT)) for number in range(500)))
    assert len(calls) == 1
    await journal.aclose()


async def test_a_write_is_synchronous_whatever_the_database_says(cluster: Cluster) -> None:
    """The server crashes right after the save; an asynchronous commit would be lost."""
    with cluster.database() as name:
        url = cluster.url(dbname=name)
        async with Database(read_url(Secret(url), 5.0), connections=1, timeout=5.0) as database:
            await _schema.migrate(database)
        cluster.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
        async with Postgres(url) as pg:
            journal = await begun(pg)
            await asyncio.sleep(0.5)
            await journal.save(step(1, state=StepState.INTENT))
            cluster.stop()
            cluster.start()
            assert [each.state for each in await journal.steps_of_row(step(1).rfc)] == [StepState.INTENT]
            await journal.aclose()


async def test_a_reason_may_hold_any_characters(pg: Postgres) -> None:
    journal = await begun(pg)
    await journal.save(step(1, reason="a\0b\ud800c \U0001f600 %s '\\"))
    (read,) = await journal.steps_of_row(step(1).rfc)
    assert read.reason == "a\ufffdb?c \U0001f600 %s '\\"
    await journal.aclose()


async def test_moments_are_those_of_the_server(pg: Postgres, sql: Sql) -> None:
    sql(
        "CREATE OR REPLACE FUNCTION facturaonline.clock() RETURNS timestamptz LANGUAGE sql "
        f"AS $$ SELECT pg_catalog.clock_timestamp() + {HOUR} $$"
    )
    journal = await begun(pg)
    await journal.save(step(1, state=StepState.INTENT))
    await journal.save(step(1, state=StepState.UNKNOWN, due=time.time() + 100))
    (read,) = await journal.steps_of_row(step(1).rfc)
    assert read.due == pytest.approx(time.time() + 100, abs=30)
    [row] = sql("SELECT extract(epoch FROM due - now()), began, changed FROM facturaonline.steps WHERE due IS NOT NULL")
    assert float(row[0]) == pytest.approx(3700, abs=30)
    assert row[1] < row[2]
    await journal.aclose()


@pytest.mark.parametrize("run", ["", "a" * 201, "ñ" * 101, "a\nb", 7])
async def test_a_name_that_is_no_name_is_refused(url: str, run: Any) -> None:
    with pytest.raises(InvalidInputError, match="needs a name of 1 to 200 bytes") as caught:
        Postgres(url).journal(run)
    assert caught.value.field == "run"


async def test_a_lease_must_cover_the_grace(pg: Postgres, client: FacturaOnline, emulator: Emulator, sql: Sql) -> None:
    """Another process could take the run, and wait for a create that this one sends only then."""
    with pytest.raises(InvalidInputError, match=r"at least Config\.grace \(6 seconds\), and is 5") as caught:
        async with provision(client, plan_of([1]), journal=pg.journal(RUN, lease=5)):
            pass
    assert (caught.value.field, emulator.count("empresas.create")) == ("journal", 0)
    assert sql("SELECT token, holder FROM facturaonline.runs") == [(1, None)]


@pytest.mark.parametrize("lease", [0, 2.9, float("nan")])
async def test_a_lease_that_is_too_short_is_refused(url: str, lease: float) -> None:
    with pytest.raises(InvalidInputError) as caught:
        Postgres(url).journal(RUN, lease=lease)
    assert caught.value.field == "lease"


async def test_a_role_without_rights_on_tables_can_keep_a_journal(pg: Postgres, url: str, sql: Sql) -> None:
    role = f"worker_{database_of(url)}"
    sql(f"CREATE ROLE {role} LOGIN")
    try:
        async with Database(read_url(Secret(url), 5.0), connections=1, timeout=5.0) as database:
            await _schema.grant(database, role)
        async with Postgres(psycopg.conninfo.make_conninfo(url, user=role)) as worker:
            journal = await begun(worker)
            await journal.replace_baseline([], [(*step(1).primary_key, "7")])
            await journal.save(step(1, state=StepState.INTENT))
            assert len(await all_steps(journal)) == 3
            assert await journal.baseline()
            await journal.end_audit()
            await journal.clear_gap()
            await journal.aclose()
    finally:
        sql(f"DROP OWNED BY {role}")
        sql(f"DROP ROLE {role}")


# ── Who has the run ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_holder_whose_run_was_taken_is_fenced(pg: Postgres, sql: Sql) -> None:
    before = await begun(pg)
    sql.silence()
    after = await opened(pg)
    await after.save(step(1, state=StepState.INTENT))
    for attempt in (
        before.save(step(2, state=StepState.INTENT)),
        before.adjust(drop=[step(1)]),
        before.replace_baseline([], [(*step(1).primary_key, "7")]),
        before.end_audit(),
        before.clear_gap(),
    ):
        with pytest.raises(FencedError, match=f"another process has taken over the journal pg:{RUN}"):
            await attempt
    await before.aclose()
    assert sql.states() == {"planned": 2, "intent": 1}
    assert sql("SELECT * FROM facturaonline.baseline") == []
    await after.save(step(2, state=StepState.INTENT))  # its run was not released by the other one
    await after.aclose()


async def test_each_write_of_a_holder_before_is_refused_by_the_server(pg: Postgres, sql: Sql) -> None:
    """A holder that has not noticed yet, because it did not write."""
    for name in ("save", "adjust", "replace_baseline", "end_audit", "clear_gap"):
        before = await opened(pg, run=name)
        await before.adjust(add=[step(1, due=1.0)])
        sql(f"UPDATE facturaonline.runs SET gap = 'timeline', beat = beat - {HOUR} WHERE name = '{name}'")
        after = await opened(pg, run=name)
        writes = {
            "save": lambda journal: journal.save(step(1, state=StepState.DONE)),
            "adjust": lambda journal: journal.adjust(drop=[step(1)], add=[step(9)]),
            "replace_baseline": lambda journal: journal.replace_baseline([], [(*step(1).primary_key, "7")]),
            "end_audit": lambda journal: journal.end_audit(),
            "clear_gap": lambda journal: journal.clear_gap(),
        }
        with pytest.raises(FencedError):
            await writes[name](before)
        await before.aclose()
        await after.aclose()
    assert sql.states() == {"planned": 5}
    assert sql("SELECT DISTINCT gap FROM facturaonline.runs") == [("timeline",)]
    assert sql("SELECT * FROM facturaonline.baseline") == []


async def test_a_token_that_a_promoted_standby_repeats_is_refused(pg: Postgres, sql: Sql) -> None:
    """The standby did not have the first take, so that the next one got the same token."""
    before = await begun(pg)
    assert before._take.token == 1
    sql("UPDATE facturaonline.runs SET token = 0, holder = NULL; DELETE FROM facturaonline.takes")
    after = await opened(pg)
    assert after._take.token == 1
    with pytest.raises(FencedError):
        await before.save(step(1, state=StepState.INTENT))
    await after.save(step(1, state=StepState.INTENT))
    await before.aclose()
    await after.aclose()


async def test_a_take_waits_for_a_save_that_is_under_way(pg: Postgres, url: str, sql: Sql) -> None:
    before = await begun(pg)
    sql.silence()
    saved = _journal._encode([(*step(1).primary_key, *_journal._values(step(1, state=StepState.INTENT)))])
    async with await psycopg.AsyncConnection.connect(url) as connection:
        cursor = await connection.execute(_journal._SAVE, before._arguments(saved))
        assert await cursor.fetchall() == [("",)]
        taking = asyncio.create_task(opened(pg))
        await asyncio.sleep(0.3)
        assert not taking.done()
        await connection.rollback()
    after = await taking
    assert sql.states() == {"planned": 3}
    await before.aclose()
    await after.aclose()


async def test_a_save_that_comes_after_a_take_under_way_is_refused(pg: Postgres, url: str, sql: Sql) -> None:
    before = await begun(pg)
    sql.silence()
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute(_journal._TAKE, (before._take.run, "another", 30.0, "elsewhere", 7))
        saving = asyncio.ensure_future(before.save(step(1, state=StepState.INTENT)))
        await asyncio.sleep(0.3)
        assert not saving.done()
    with pytest.raises(FencedError):
        await saving
    await before.aclose()
    assert sql.states() == {"planned": 3}


async def test_an_idle_run_is_not_taken(pg: Postgres) -> None:
    before = await opened(pg, lease=3.0)
    await asyncio.sleep(3.5)
    with pytest.raises(JournalError, match="another process uses"):
        await opened(pg)
    await before.aclose()


async def test_a_silent_run_is_waited_for(pg: Postgres) -> None:
    before = await opened(pg, lease=3.0)
    before._writer.cancel()
    began = time.monotonic()
    after = await opened(pg)
    assert 2 < time.monotonic() - began
    await after.aclose()
    await before.aclose()


async def test_a_run_that_was_taken_again_lists_both_takes(pg: Postgres, sql: Sql) -> None:
    await (await begun(pg)).aclose()
    second = await opened(pg)
    sql.silence()
    await (await opened(pg)).aclose()
    await second.aclose()
    takes = sql("SELECT token, ended IS NOT NULL FROM facturaonline.takes ORDER BY token")
    assert takes == [(1, True), (2, True), (3, True)]


# ── A server that goes away ───────────────────────────────────────────────────────────────────────────────────────────


async def test_saves_wait_for_a_server_that_restarts(pg: Postgres, cluster: Cluster, sql: Sql) -> None:
    journal = await begun(pg, steps=20)
    await journal.save(step(0, state=StepState.INTENT))
    cluster.stop()
    saves = [journal.save(step(number, state=StepState.INTENT)) for number in range(1, 10)]
    await asyncio.sleep(1)
    assert not any(save.done() for save in saves)
    cluster.start()
    await asyncio.gather(*saves)
    assert sql.states() == {"intent": 10, "planned": 10}
    await journal.aclose()


async def test_a_server_that_stays_away_ends_the_run(
    pg: Postgres, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_journal, "_PATIENCE", 0.5)
    journal = await begun(pg)
    cluster.stop()
    try:
        with pytest.raises(JournalError, match=r"pg:alta 2026-11 cannot be written: .*Nothing more is sent"):
            await journal.save(step(1, state=StepState.INTENT))
    finally:
        cluster.start()
    with pytest.raises(JournalError):  # although it is there again
        await journal.save(step(1, state=StepState.INTENT))
    await journal.aclose()


async def test_closing_without_a_server_ends_and_loses_only_outcomes(
    pg: Postgres, cluster: Cluster, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_journal, "_CLOSE", 0.3)
    journal = await begun(pg)
    await journal.save(step(1, state=StepState.INTENT))
    cluster.stop()
    try:
        saving = journal.save(step(1, state=StepState.DONE))
        await asyncio.sleep(0.1)
        queued = journal.save(step(2, state=StepState.INTENT))
        await journal.aclose()
    finally:
        cluster.start()
    for save in (saving, queued):
        with pytest.raises(JournalError, match="is closed"):
            await save
    assert sql.states() == {"planned": 2, "intent": 1}


async def test_an_error_of_the_database_ends_the_run_at_once(
    pg: Postgres, sql: Sql, client: FacturaOnline, emulator: Emulator
) -> None:
    def on_event(event: Any) -> None:
        if event.state == "done":
            sql("ALTER TABLE IF EXISTS facturaonline.steps RENAME TO gone")

    with pytest.raises(JournalError, match=r"cannot be written: PostgreSQL refused the statement: .*steps"):
        await run(pg, client, on_event)
    sent = emulator.count("empresas.create"), emulator.count("series.create")
    await asyncio.sleep(0.2)
    assert (emulator.count("empresas.create"), emulator.count("series.create")) == sent
    sql("ALTER TABLE facturaonline.gone RENAME TO steps")
    assert (await run(pg, client)).is_complete
    assert (emulator.count("empresas.create"), emulator.count("series.create")) == (3, 3)


async def run(pg: Postgres, client: FacturaOnline, on_event: Any = None) -> RunReport:
    async with provision(
        client, plan_of([1, 1, 1]), journal=pg.journal(RUN), settle=0.3, concurrency=2, on_event=on_event
    ) as under_way:
        async for _ in under_way:
            pass
    return under_way.report


async def test_no_database_is_a_journal_error(pg: Postgres, cluster: Cluster) -> None:
    store = pg.journal(RUN)
    cluster.stop()
    try:
        with pytest.raises(JournalError, match=r"the journal pg:alta 2026-11 cannot be opened: no connection"):
            await store.open(**KEYS)
    finally:
        cluster.start()


# ── A new timeline ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", ["promoted", "restored by hand"])
async def test_a_new_timeline_fences_the_holder_and_makes_the_next_run_careful(
    pg: Postgres, sql: Sql, how: str
) -> None:
    before = await begun(pg)
    assert before.gap == ""
    if how == "promoted":
        sql.move_to("7/00000002")
    else:
        sql("SELECT facturaonline.restored_v1()")
    with pytest.raises(FencedError, match=r"was restored, or a standby .*Start the run again"):
        await before.save(step(1, state=StepState.INTENT))
    await before.aclose()
    for _ in range(2):  # it stays careful until lists were read
        journal = await opened(pg)
        assert journal.gap == "the database was restored, or a standby of it was promoted"
        await journal.aclose()
    journal = await opened(pg)
    await journal.save(step(1, state=StepState.INTENT))
    await journal.clear_gap()
    assert journal.gap == ""
    await journal.aclose()
    journal = await opened(pg)
    assert journal.gap == ""
    await journal.aclose()


async def test_a_new_run_on_a_new_timeline_is_careful_for_a_day(pg: Postgres, sql: Sql) -> None:
    """Its rows, and those of the take before, may be what was lost."""
    sql.move_to("7/00000001")
    await (await opened(pg, run="earlier")).aclose()
    sql.move_to("7/00000002")
    journal = await opened(pg, run="new")
    assert journal.gap
    await journal.aclose()
    sql("UPDATE facturaonline.meta SET timeline_since = timeline_since - interval '2 days'")
    journal = await opened(pg, run="newer")
    assert not journal.gap
    await journal.aclose()


async def test_a_run_after_a_promotion_waits_and_lists_before_it_creates(
    pg: Postgres, sql: Sql, client: FacturaOnline, emulator: Emulator
) -> None:
    """A create whose records were lost is adopted."""
    plan = plan_of([1])
    async with provision(client, plan, journal=pg.journal(RUN), settle=0.3) as under_way:
        async for _ in under_way:
            pass
    sql("UPDATE facturaonline.steps SET state = 'planned', origin = NULL, uid = NULL, sends = 0, digest = NULL")
    sql.move_to("7/00000002")
    async with provision(client, plan, journal=pg.journal(RUN), settle=0.3) as under_way:
        assert f"the journal pg:{RUN} may be incomplete: the database was restored" in under_way.caution
        async for _ in under_way:
            pass
    assert under_way.report.is_complete
    assert (emulator.count("empresas.create"), emulator.count("series.create")) == (1, 1)
