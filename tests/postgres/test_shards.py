"""A plan that is divided into shards is carried out once, whichever process has a shard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from typing import Any

import pytest
from attrs import evolve

from facturaonline_async import Credentials, FacturaOnline, InvalidInputError, connect
from facturaonline_async._core import shared
from facturaonline_async._core.http import deadlines
from facturaonline_async._core.once.store import Grant, Seen
from facturaonline_async._core.shared import shared_clock
from facturaonline_async.postgres import Postgres, RunCancelledError, ShardReport, audit_run, run_shard
from facturaonline_async.postgres._postgres import database_of
from facturaonline_async.postgres._shard_run import in_run
from facturaonline_async.postgres._shards import ShardedRun, cancel_run
from facturaonline_async.provision import (
    FencedError,
    InvalidJournalError,
    JournalError,
    JournalInUseError,
    Plan,
    RowOutcome,
    State,
    provision,
)
from facturaonline_async.provision._engine.step_store import StepStore
from facturaonline_async.provision._journal.progress import read_progress
from facturaonline_async.testing import Emulator, Fault
from tests.conftest import QUICK
from tests.postgres.sql import Sql
from tests.postgres.test_runs import reader
from tests.provision.verdict import Verdict, judge
from tests.provision.victim import make_plan

pytestmark = pytest.mark.postgres

EMPRESAS = 20
COUNT = 4
PLAN = make_plan(EMPRESAS)
LETRAS = {row.rfc: [serie.letra for serie in row.series] for row in PLAN}
RUN = "alta-2026-11"
PAGES = 2
"""Calls for one list of companies: the second page is empty."""
CONFIG = evolve(QUICK, connect_timeout=1, settle=0.5, grace=1)


@pytest.fixture(autouse=True)
def short_settle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the settle time be shorter than a create may take: no test is about that bound."""
    monkeypatch.setattr(shared, "_MARGIN", -100)


@asynccontextmanager
async def connected(
    emulator: Emulator, pg: Postgres | None, credentials: Credentials | None = None, **settings: Any
) -> AsyncIterator[FacturaOnline]:
    config = evolve(CONFIG, **settings)
    async with connect(
        credentials or emulator.credentials, base_url=emulator.base_url, config=config, shared=pg
    ) as client:
        yield client


@pytest.fixture
async def client(emulator: Emulator, pg: Postgres) -> AsyncIterator[FacturaOnline]:
    async with connected(emulator, pg) as client:
        yield client


async def shard(client: FacturaOnline, pg: Postgres, number: int, *, plan: Plan = PLAN, **more: Any) -> ShardReport:
    arguments: dict[str, Any] = {"run": RUN, "count": COUNT, "lease": 3, "concurrency": 8} | more
    return await run_shard(client, plan, pg, shard=number, **arguments)


async def audit(client: FacturaOnline, pg: Postgres, **more: Any) -> list[str] | None:
    arguments: dict[str, Any] = {"run": RUN, "count": COUNT, "lease": 3} | more
    return await audit_run(client, PLAN, pg, **arguments)


async def joined(client: FacturaOnline, pg: Postgres) -> ShardedRun:
    return await in_run(client, PLAN, pg, run=RUN, count=COUNT)


def creates(emulator: Emulator) -> int:
    return emulator.count("empresas.create") + emulator.count("series.create")


def size(number: int) -> int:
    return len(PLAN.shard(number, COUNT))


# ── A run ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_all_shards_together_create_each_row_once(
    emulator: Emulator, client: FacturaOnline, pg: Postgres, sql: Sql
) -> None:
    reports = await asyncio.gather(*(shard(client, pg, number) for number in range(COUNT)))
    assert [report.is_finished for report in reports] == [True] * COUNT
    assert sorted(report.left for report in reports) == [0, 1, 2, 3]
    assert sum(report.report.planned_empresas for report in reports) == EMPRESAS
    assert all(report.report.is_complete for report in reports)
    assert creates(emulator) == 4 * EMPRESAS
    assert judge(emulator.state, LETRAS) == Verdict(0, 0, 0)
    assert sql.states() == {"done": 4 * EMPRESAS}


async def test_a_second_attempt_sends_nothing_again(emulator: Emulator, client: FacturaOnline, pg: Postgres) -> None:
    first = await shard(client, pg, 1)
    again = await shard(client, pg, 1)
    assert creates(emulator) == 4 * size(1)
    assert (first.left, again.left) == (COUNT - 1, COUNT - 1)
    assert again.report.earlier_empresas[State.CREATED] == size(1)


async def test_a_shard_has_one_process_at_a_time(emulator: Emulator, client: FacturaOnline, pg: Postgres) -> None:
    async with await (await joined(client, pg)).take(0, 3):
        with pytest.raises(JournalInUseError, match=r"pg:alta-2026-11 \(shard 0 of 0 to 3\)"):
            await shard(client, pg, 0)
    assert creates(emulator) == 0
    assert (await shard(client, pg, 0)).is_finished


async def test_a_shard_that_is_stopped_goes_on_later(emulator: Emulator, client: FacturaOnline, pg: Postgres) -> None:
    stopping = asyncio.Event()

    async def stop(_: RowOutcome) -> None:
        stopping.set()

    stopped = await shard(client, pg, 0, stopping=stopping, on_row=stop, concurrency=1)
    assert (stopped.is_finished, stopped.left) == (False, COUNT)
    assert creates(emulator) < 4 * size(0)
    assert (await shard(client, pg, 0)).is_finished
    assert creates(emulator) == 4 * size(0)


async def test_a_run_that_is_cancelled_ends_its_shards(
    emulator: Emulator, client: FacturaOnline, pg: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facturaonline_async.postgres._shard_run._LOOK", 0.02)
    emulator.inject(Fault.delay(0.2), endpoint="empresas.create", times=None)
    running = asyncio.create_task(shard(client, pg, 0, concurrency=1))
    while not emulator.count("empresas.create"):  # noqa: ASYNC110  # the log rings no bell
        await asyncio.sleep(0.001)
    await cancel_run(database_of(pg), RUN)
    with pytest.raises(RunCancelledError, match="pg:alta-2026-11 was cancelled"):
        await running
    with pytest.raises(RunCancelledError):
        await shard(client, pg, 1)
    assert emulator.count("empresas.create") < size(0)
    with pytest.raises(JournalError, match="pg:missing does not exist"):
        await cancel_run(database_of(pg), "missing")


async def test_a_shard_whose_session_is_cancelled_leaves_its_journal_free(
    emulator: Emulator, client: FacturaOnline, pg: Postgres
) -> None:
    emulator.inject(Fault.delay(30), endpoint="empresas.create", times=1)
    running = asyncio.create_task(shard(client, pg, 0))
    while emulator.count("empresas.create") < 2:  # noqa: ASYNC110  # the log rings no bell
        await asyncio.sleep(0.001)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    report = await shard(client, pg, 0)
    assert report.is_finished
    assert judge(emulator.state, {row.rfc: LETRAS[row.rfc] for row in PLAN.shard(0, COUNT)}) == Verdict(0, 0, 0)


# ── What a run stores ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_another_plan_number_account_or_host_is_refused(
    emulator: Emulator, client: FacturaOnline, pg: Postgres
) -> None:
    await shard(client, pg, 0)
    sent = creates(emulator)

    async def refusal(of: FacturaOnline = client, **more: Any) -> str:
        with pytest.raises(InvalidJournalError) as caught:
            await shard(of, pg, 0, **more)
        return str(caught.value)

    assert "is divided into 4 shards, not 5" in await refusal(count=5)
    assert "was made with another plan" in await refusal(plan=make_plan(EMPRESAS + 1))
    other = Credentials(api_key="other", secret_key="other")
    async with connected(emulator, pg, other) as of_another_account:
        assert "belongs to another account" in await refusal(of_another_account)
    async with Emulator() as another, connected(another, pg, emulator.credentials) as of_another_host:
        assert f"but this run uses {another.base_url}" in await refusal(of_another_host)
    assert creates(emulator) == sent


async def test_the_order_and_the_data_of_the_plan_may_change(client: FacturaOnline, pg: Postgres) -> None:
    await shard(client, pg, 0)
    corrected = Plan([evolve(row, nueva=evolve(row.nueva, email="b@c.mx")) for row in reversed(PLAN.rows)])  # type: ignore[misc, attr-defined]
    assert (await shard(client, pg, 1, plan=corrected)).is_finished


async def test_the_name_of_a_run_belongs_to_one_kind_of_run(client: FacturaOnline, pg: Postgres) -> None:
    await shard(client, pg, 0)
    with pytest.raises(JournalError, match=r"pg:alta-2026-11 cannot be opened: the plan of this run is divided"):
        await pg.journal(RUN).open(account="a", host="b")
    await (await pg.journal("plain").open(account="a", host="b")).aclose()
    for call in (shard(client, pg, 0, run="plain"), cancel_run(database_of(pg), "plain")):
        with pytest.raises(JournalError, match="pg:plain is not divided into shards"):
            await call


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"number": 4}, "from 0 to 3, and was 4"),
        ({"count": 0}, "positive integer, and was 0"),
        ({"run": "a\nb"}, "needs a name of 1 to 200 bytes"),
        ({"lease": 1}, "lease must be at least 3 seconds"),
    ],
)
async def test_bad_arguments_are_refused_before_anything_is_sent(
    emulator: Emulator, client: FacturaOnline, pg: Postgres, given: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        await shard(client, pg, **({"number": 0} | given))
    assert len(emulator.requests) == 0


async def test_a_session_that_shares_nothing_is_refused(emulator: Emulator, pg: Postgres) -> None:
    async with connected(emulator, None) as alone:
        with pytest.raises(InvalidInputError, match="open its session with shared=database"):
            await shard(alone, pg, 0)
    assert creates(emulator) == 0


async def test_an_older_schema_is_refused_with_the_command(client: FacturaOnline, pg: Postgres, sql: Sql) -> None:
    sql("UPDATE facturaonline.meta SET version = 2")
    async with Postgres(sql.url) as older:  # all else works
        assert await older.list_runs() == []
    with pytest.raises(InvalidInputError, match="has version 2, and this library needs 3"):
        await shard(client, pg, 0)


async def test_no_secret_and_no_rfc_outside_of_journals_is_stored(
    emulator: Emulator, client: FacturaOnline, pg: Postgres, sql: Sql
) -> None:
    await shard(client, pg, 0)
    text = str(sql("SELECT * FROM facturaonline.sharded_runs")) + str(sql("SELECT * FROM facturaonline.runs"))
    secrets = [each.reveal() for each in (emulator.credentials.api_key, emulator.credentials.secret_key)]
    assert [word in text for word in (*secrets, *LETRAS)] == [False] * (2 + EMPRESAS)


# ── The list of companies that all shards have in common ──────────────────────────────────────────────────────────────


async def test_shards_that_begin_within_the_settle_time_read_one_list(emulator: Emulator, pg: Postgres) -> None:
    async with connected(emulator, pg, settle=300) as client:
        for number in range(COUNT):
            await shard(client, pg, number)
    assert emulator.count("empresas.list") == PAGES
    assert creates(emulator) == 4 * EMPRESAS


async def test_a_shard_that_begins_later_reads_another_list(emulator: Emulator, pg: Postgres, sql: Sql) -> None:
    async with connected(emulator, pg, settle=300) as client:
        await shard(client, pg, 0)
        sql("UPDATE facturaonline.sharded_runs SET mark_at = mark_at - 301000000")
        await shard(client, pg, 1)
        assert emulator.count("empresas.list") == 2 * PAGES
        await shard(client, pg, 2)  # takes the younger one
        assert emulator.count("empresas.list") == 2 * PAGES


async def test_an_attempt_that_goes_on_reads_a_list_of_its_own(emulator: Emulator, pg: Postgres) -> None:
    async with connected(emulator, pg, settle=300) as client:
        await shard(client, pg, 0)
        await shard(client, pg, 0)
    assert emulator.count("empresas.list") == 2 * PAGES


async def test_a_list_of_another_timeline_is_not_used(
    emulator: Emulator, client: FacturaOnline, pg: Postgres, sql: Sql
) -> None:
    run = await joined(client, pg)
    await run.list_companies(client, PLAN)
    await run.companies(client, PLAN, list(LETRAS), seconds=300)
    assert emulator.count("empresas.list") == PAGES
    sql.move_to("promoted/00000002")
    await run.companies(client, PLAN, list(LETRAS), seconds=300)
    assert emulator.count("empresas.list") == 2 * PAGES


async def test_the_common_list_proves_no_absence(emulator: Emulator, pg: Postgres) -> None:
    """Between the list and the shards, another process creates half of the companies."""
    async with connected(emulator, pg, settle=300) as client, connected(emulator, pg, settle=300) as other:
        run = await joined(client, pg)
        await run.list_companies(client, PLAN)
        for row in PLAN.rows[::2]:
            await other.empresas.ensure(await row.load())
        reports = [await shard(client, pg, number) for number in range(COUNT)]
    adopted = sum(report.report.empresas[State.ADOPTED] for report in reports)
    assert (adopted, emulator.count("empresas.create")) == (EMPRESAS // 2, EMPRESAS)
    assert judge(emulator.state, LETRAS) == Verdict(0, 0, 0)


async def test_shards_adopt_what_the_common_list_shows(emulator: Emulator, client: FacturaOnline, pg: Postgres) -> None:
    for row in PLAN:
        await client.empresas.create(await row.load())
    reports = [await shard(client, pg, number) for number in range(COUNT)]
    assert sum(report.report.empresas[State.ADOPTED] for report in reports) == EMPRESAS


# ── A process that was paused ─────────────────────────────────────────────────────────────────────────────────────────


async def paused_before_its_first_byte(
    pg: Postgres, sql: Sql, monkeypatch: pytest.MonkeyPatch, emulator: Emulator
) -> None:
    """Let one process sleep with a grant while another one takes its shard and finishes it."""
    begin, asleep, awake = StepStore.begin, asyncio.Event(), asyncio.Event()
    slept = 0.0

    async def begin_and_sleep(store: StepStore, seen: Seen, nonce: str) -> Grant | None:
        grant = await begin(store, seen, nonce)
        if not asleep.is_set():
            asleep.set()
            await awake.wait()
        return grant

    monkeypatch.setattr(StepStore, "begin", begin_and_sleep)
    monkeypatch.setattr(deadlines, "shared_clock", lambda: shared_clock() + slept)
    async with connected(emulator, pg) as before, connected(emulator, pg) as after:
        running = asyncio.create_task(shard(before, pg, 0, concurrency=1))
        await asleep.wait()
        sql.silence()
        sql("UPDATE facturaonline.creates SET until = 'epoch', expires = 'epoch'")  # its settle time is over
        assert (await shard(after, pg, 0)).is_finished
        slept = 2.0
        awake.set()
        with pytest.raises(FencedError):
            await running


async def test_a_paused_process_sends_nothing_after_another_one_took_its_shard(
    pg: Postgres, sql: Sql, monkeypatch: pytest.MonkeyPatch, emulator: Emulator
) -> None:
    await paused_before_its_first_byte(pg, sql, monkeypatch, emulator)
    assert creates(emulator) == 4 * size(0)
    assert judge(emulator.state, LETRAS).duplicates == 0


async def test_a_paused_process_that_ignores_the_age_of_its_grant_creates_a_duplicate(
    pg: Postgres, sql: Sql, monkeypatch: pytest.MonkeyPatch, emulator: Emulator
) -> None:
    """The control."""
    monkeypatch.setattr(deadlines.Deadline, "check_grant", lambda *_, **__: None)
    await paused_before_its_first_byte(pg, sql, monkeypatch, emulator)
    assert judge(emulator.state, LETRAS).duplicates == 1


# ── Delivery ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def keys_of(emulator: Emulator) -> dict[str, str]:
    return {row["rfc"]: row["api_key"] for row in emulator.state["empresas"].values()}


async def test_each_row_is_delivered_with_its_keys(emulator: Emulator, client: FacturaOnline, pg: Postgres) -> None:
    got: dict[str, str] = {}

    async def keep(row: RowOutcome) -> None:
        assert row.credentials is not None
        got[row.rfc] = row.credentials.api_key.reveal()

    for number in range(COUNT):
        await shard(client, pg, number, on_row=keep)
    known = keys_of(emulator)
    assert got == {rfc: known[rfc] for rfc in LETRAS}
    got.clear()
    await shard(client, pg, 0, on_row=keep)
    assert got == {}


async def test_what_an_earlier_attempt_could_not_deliver_is_delivered_by_the_next_one(
    emulator: Emulator, client: FacturaOnline, pg: Postgres
) -> None:
    """The first attempt has no receiver; the second one's receiver fails once."""
    await shard(client, pg, 0)
    got: list[str] = []

    async def fail_once(row: RowOutcome) -> None:
        assert row.credentials is not None
        got.append(row.rfc)
        if len(got) == 1:
            raise OSError("the vault is closed")

    with pytest.raises(OSError, match="the vault is closed"):
        await shard(client, pg, 0, on_row=fail_once)
    assert sorted(got) == sorted(row.rfc for row in PLAN.shard(0, COUNT))
    first = got[0]
    got[:] = ["…"]
    assert (await shard(client, pg, 0, on_row=fail_once)).is_finished
    assert got == ["…", first]


async def test_a_shard_whose_rows_are_not_all_delivered_is_not_finished(client: FacturaOnline, pg: Postgres) -> None:
    async def fail(_: RowOutcome) -> None:
        raise OSError

    with pytest.raises(OSError, match=r"^$"):
        await shard(client, pg, 0, on_row=fail)
    assert (await shard(client, pg, 1)).left == COUNT - 1


# ── The audit ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_audit_waits_for_the_last_shard(client: FacturaOnline, pg: Postgres, sql: Sql) -> None:
    for number in range(COUNT - 1):
        await shard(client, pg, number)
        assert await audit(client, pg) is None
    await shard(client, pg, COUNT - 1)
    waiting = "SELECT count(*) FROM facturaonline.steps WHERE due IS NOT NULL"
    assert sql(waiting) == [(4 * EMPRESAS,)]
    assert await audit(client, pg) == []
    assert sql(waiting) == [(0,)]


async def test_the_audit_lists_the_companies_once_and_the_series_of_each(
    emulator: Emulator, client: FacturaOnline, pg: Postgres
) -> None:
    for number in range(COUNT):
        await shard(client, pg, number)
    lists, series = emulator.count("empresas.list"), emulator.count("series.list")
    assert await audit(client, pg) == []
    assert emulator.count("empresas.list") == lists + PAGES
    assert emulator.count("series.list") == series + EMPRESAS
    asked = len(emulator.requests)
    assert await audit(client, pg) == []
    assert len(emulator.requests) == asked


@pytest.mark.parametrize("endpoint", ["empresas.create", "series.create"])
async def test_the_audit_finds_what_the_server_made_twice(
    emulator: Emulator, client: FacturaOnline, pg: Postgres, sql: Sql, endpoint: str
) -> None:
    emulator.inject(Fault.commit_twice(0.3), endpoint=endpoint, skip=3)
    for number in range(COUNT):
        await shard(client, pg, number)
    assert await audit(client, pg) is not None
    assert sql.states() == {"done": 4 * EMPRESAS - 1, "conflict": 1}


async def test_the_audit_of_a_run_that_created_nothing_asks_nothing(
    emulator: Emulator, client: FacturaOnline, pg: Postgres
) -> None:
    async with connected(emulator, None) as before, provision(before, PLAN, audit=False) as run:
        async for _ in run:
            pass
    for number in range(COUNT):
        await shard(client, pg, number)
    asked = len(emulator.requests)
    assert await audit(client, pg) == []
    assert len(emulator.requests) == asked


async def test_an_audit_that_is_stopped_has_no_result(client: FacturaOnline, pg: Postgres) -> None:
    for number in range(COUNT):
        await shard(client, pg, number)
    stopping = asyncio.Event()
    stopping.set()
    assert await audit(client, pg, stopping=stopping) is None
    assert await audit(client, pg) == []


# ── For people ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_shards_are_shown_as_one_run(client: FacturaOnline, pg: Postgres, url: str) -> None:
    async def left(check: Callable[[], Any]) -> Any:
        return await asyncio.to_thread(check)

    run = await joined(client, pg)
    await run.write_plan(PLAN, lease=3)
    planned = await left(lambda: read_progress(reader(url, RUN)))
    assert (planned.empresas["not_tried"], planned.series["not_tried"]) == (EMPRESAS, 3 * EMPRESAS)
    await asyncio.gather(*(shard(client, pg, number) for number in range(COUNT)))
    await audit(client, pg)
    status = await left(lambda: read_progress(reader(url, RUN)))
    assert (status.is_complete, status.is_running) == (True, False)
    assert (status.empresas["created"], status.series["created"]) == (EMPRESAS, 3 * EMPRESAS)
    spans = status.spans
    assert spans == sorted(spans)
    assert all(end <= begin for (_, end), (begin, _) in pairwise(spans))
    [summary] = await pg.list_runs()
    assert (summary.name, summary.planned, summary.done, summary.is_running) == (RUN, 4 * EMPRESAS, 4 * EMPRESAS, False)


async def test_a_run_is_deleted_with_its_shards_unless_one_is_at_work(
    client: FacturaOnline, pg: Postgres, sql: Sql
) -> None:
    await shard(client, pg, 0)
    run = await joined(client, pg)
    async with await run.take(1, 3):
        with pytest.raises(JournalInUseError):
            await pg.delete_run(RUN)
    await pg.delete_run(RUN)
    for table in ("runs", "sharded_runs", "takes", "steps", "baseline", "delivered"):
        assert sql(f"SELECT count(*) FROM facturaonline.{table}") == [(0,)]
    assert (await run.state()).is_there is False
    with pytest.raises(JournalError, match="pg:alta-2026-11 does not exist"):
        await run.take(1, 3)
