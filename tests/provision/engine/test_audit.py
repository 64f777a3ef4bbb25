"""The final audit: a run with duplicates that lists show within the settle time is never complete."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from facturaonline_async import FacturaOnline, connect
from facturaonline_async._core.request import PreparedRequest
from facturaonline_async.provision import Plan, PlanSerie, RunReport, State, provision
from facturaonline_async.provision._engine.delay_queue import DelayQueue
from facturaonline_async.testing import Emulator, Fault
from facturaonline_async.testing._emulator.dispatch import ReceivedRequest
from tests.conftest import QUICK
from tests.plans import nueva
from tests.provision.stage import BROKEN, EMPRESAS, SERIES, Act, Result, Stage, lost, run, staged, until
from tests.provision.test_model import plan_of, there, wanted
from tests.provision.world import SETTLE

RFC = "AAA010101000"
WHATS = pytest.mark.parametrize("what", [EMPRESAS, SERIES])
#: A company by itself, and one with a serie.
PLANS = {EMPRESAS: plan_of([0]), SERIES: plan_of([1])}
LISTS = {EMPRESAS: "empresas.list", SERIES: "series.list"}


def twice(seconds: float) -> Act:
    """Do the work, answer, and do it once more so many seconds later."""

    async def act(stage: Stage, call: PreparedRequest, arrival: ReceivedRequest) -> Result:
        result = stage.do(arrival, call)
        asyncio.get_running_loop().call_later(seconds, stage.api.perform, arrival)
        return result

    return act


def now() -> float:
    return asyncio.get_running_loop().time()


# ── A server that does a POST twice ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seconds", [0.0, 0.5, 5.0, SETTLE - 9.0])
@WHATS
@staged(list_lag=8.0)
async def test_a_run_with_a_duplicate_made_by_the_server_is_not_complete(
    stage: Stage, client: FacturaOnline, what: str, seconds: float
) -> None:
    """Lists show it a while later, but within the settle time."""
    stage.on(what, twice(seconds), times=1)
    (outcome,), report = await run(client, PLANS[what], journal="virtual")
    assert (report.is_complete, stage.count(what)) == (False, 1)
    assert "2 " in str([outcome.reason, *(serie.reason for serie in outcome.series), *(report.audit or ())])
    assert stage.phases()["conflict"] == 1


@WHATS
@staged()
async def test_a_conflict_found_by_the_audit_ends_when_a_person_has_resolved_it(
    stage: Stage, client: FacturaOnline, what: str
) -> None:
    stage.on(what, twice(5), times=1)
    _, report = await run(client, plan_of([1]), journal="virtual")
    assert not report.is_complete
    for _ in range(2):
        async with stage.session() as again:
            (outcome,), report = await run(again, plan_of([1]), journal="virtual")
        assert (report.is_complete, outcome.ok) == (False, False)
        assert State.CONFLICT in {outcome.state, *(serie.state for serie in outcome.series)}
    table = stage.state.tables["series" if what == SERIES else "empresas"]
    newest = next(reversed(table))
    stage.state.remove_serie(newest) if what == SERIES else stage.state.remove_empresa(newest)
    async with stage.session() as again:
        _, report = await run(again, plan_of([1]), journal="virtual")
    assert (report.is_complete, there(stage), stage.count(what)) == (True, wanted(plan_of([1])), 1)


@pytest.mark.virtual_clock
@pytest.mark.parametrize("endpoint", [EMPRESAS, SERIES])
async def test_the_audit_finds_a_post_that_a_balancer_sent_twice(endpoint: str) -> None:
    async with (
        Emulator() as emulator,
        connect(emulator.credentials, base_url=emulator.base_url, config=QUICK) as client,
    ):
        emulator.inject(Fault.commit_twice(5), endpoint=endpoint)
        plan = Plan.from_values([(nueva(RFC), [PlanSerie(letra="F", tipo_documento="factura")])])
        _, report = await run(client, plan, settle=20)
        assert (report.is_complete, len(report.audit or ()), emulator.count(endpoint)) == (False, 1, 1)


# ── What it costs, and when it is made ────────────────────────────────────────────────────────────────────────────────


@staged()
async def test_the_audit_lists_each_company_with_new_series_once_after_settle(
    stage: Stage, client: FacturaOnline
) -> None:
    plan = plan_of([2, 0, 1, 1])
    adopted = plan.rows[3].rfc
    uid = stage.state.add_empresa({"rfc": adopted})
    stage.state.add_serie({"empresa": uid, "letra": "F", "tipo_documento": "factura"})
    _, report = await run(client, plan)
    assert (report.audit, report.is_complete) == ([], True)
    lists = {row.rfc: stage.moments("series.list", row.rfc) for row in plan}
    creates = {row.rfc: stage.moments(SERIES, row.rfc) for row in plan}
    for row in plan.rows[:3]:
        if creates[row.rfc]:
            assert [moment >= creates[row.rfc][-1] + SETTLE for moment in lists[row.rfc][-2:]] == [False, True]
    assert ([len(lists[row.rfc]) for row in plan], len(creates[adopted])) == ([3, 0, 3, 1], 0)
    assert stage.moments("empresas.list")[-1] >= stage.moments(EMPRESAS)[-1] + SETTLE


@staged()
async def test_companies_are_audited_while_the_run_continues(stage: Stage, client: FacturaOnline) -> None:
    """Its end waits for the last one alone, and nothing is kept of those before."""
    plan = plan_of([1] * 40)
    waiting = []
    async with provision(client, plan, settle=SETTLE, concurrency=1) as under_way:
        async for _ in under_way:
            await asyncio.sleep(5)
            assert under_way._audit is not None
            waiting.append(len(under_way._audit._waiting))
        assert (under_way.report.is_complete, max(waiting) < 12) == (True, True)
    assert now() < stage.moments(SERIES)[-1] + SETTLE + 5


@staged()
async def test_without_an_audit_a_run_ends_at_once_and_nothing_is_listed_again(
    stage: Stage, client: FacturaOnline
) -> None:
    stage.on(SERIES, lost(done_after=0), about="P", times=1)
    _, report = await run(client, plan_of([2]), journal="virtual", audit=False)
    assert (report.audit, report.is_complete) == (None, True)
    ended = now()
    assert ended < SETTLE / 2
    calls = len(stage.calls)
    async with stage.session() as again:
        _, report = await run(again, plan_of([2]), journal="virtual")
    assert (report.audit, report.is_complete, now() - ended < 5) == ([], True, True)
    assert {seen.endpoint for seen in stage.calls[calls:]} == {"empresas.list", "empresas.current"}


@staged()
async def test_a_run_that_creates_nothing_does_not_wait_for_an_audit(stage: Stage, client: FacturaOnline) -> None:
    await run(client, plan_of([1]), journal="virtual")
    began = now()
    _, report = await run(client, plan_of([1]), journal="virtual")
    assert (report.is_complete, now() - began < 5) == (True, True)


@WHATS
@staged()
async def test_a_timer_that_fires_early_on_a_coarse_clock_is_not_set_repeatedly(
    stage: Stage, client: FacturaOnline, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Where a clock is coarse, the time is a little before the moment when the timer for that moment goes off."""
    reads = 0

    def coarse(_: object) -> float:
        nonlocal reads
        reads += 1
        assert reads < 200, "it is set again and again"
        return now() - 1e-9

    monkeypatch.setattr(DelayQueue, "now", coarse)
    stage.on(what, lost(), times=1)
    _, report = await run(client, plan_of([1]))
    assert (report.is_complete, stage.count(what)) == (True, 2)


# ── A run that ends before it ─────────────────────────────────────────────────────────────────────────────────────────


async def left(stage: Stage, client: FacturaOnline, plan: Plan, how: str) -> RunReport:
    """Run a plan whose rows are all done, and end the run before its audit."""
    number = len(plan) + plan.series_count
    async with provision(client, plan, journal="virtual", settle=SETTLE) as under_way:
        if how == "left":
            await until(lambda: stage.phases()["done"] == number)
            await asyncio.sleep(2)
            return under_way.report
        stopping = asyncio.create_task(stopped(under_way.stop, stage, number))
        async for _ in under_way:
            pass
        await stopping
    return under_way.report


async def stopped(stop: Callable[[], object], stage: Stage, number: int) -> None:
    await until(lambda: stage.phases()["done"] == number)
    await asyncio.sleep(5)
    stop()


@pytest.mark.parametrize("how", ["left", "stopped"])
@WHATS
@staged()
async def test_the_next_run_makes_the_audit_that_an_earlier_run_skipped(
    stage: Stage, client: FacturaOnline, what: str, how: str
) -> None:
    stage.on(what, twice(15), times=1)
    report = await left(stage, client, PLANS[what], how)
    assert (report.audit, report.is_complete) == (None, False)
    assert now() < SETTLE / 2
    async with stage.session() as again:
        _, report = await run(again, PLANS[what], journal="virtual")
    assert (report.is_complete, len(report.audit or ()), stage.count(what)) == (False, 1, 1)


@staged()
async def test_a_journal_is_not_complete_before_the_audit(stage: Stage, client: FacturaOnline) -> None:
    def unaudited() -> int:
        statement = "SELECT count(*) FROM steps WHERE state = 'done' AND due > 0"
        return int(stage.book.execute(statement).fetchone()[0])

    await left(stage, client, plan_of([1]), "stopped")
    assert unaudited() == 2
    async with stage.session() as again:
        (outcome,), report = await run(again, plan_of([1]), journal="virtual")
    assert (outcome.ok, report.is_complete, unaudited()) == (True, True, 0)


# ── Lists that fail, or lack something ────────────────────────────────────────────────────────────────────────────────


@WHATS
@staged()
async def test_an_audit_list_that_fails_for_a_while_is_read_again(
    stage: Stage, client: FacturaOnline, what: str
) -> None:
    stage.on(LISTS[what], BROKEN, since=SETTLE - 2, until=SETTLE + 20)
    _, report = await run(client, plan_of([1]))
    assert (report.audit, report.is_complete) == ([], True)


@WHATS
@staged()
async def test_an_audit_list_that_never_succeeds_is_reported(stage: Stage, client: FacturaOnline, what: str) -> None:
    stage.on(LISTS[what], BROKEN, since=SETTLE - 2)
    _, report = await run(client, plan_of([1]))
    assert report.audit is not None
    (said,) = report.audit
    assert ("could not be" in said, "the server failed" in said, report.is_complete) == (True, True, False)
    assert now() < 3 * SETTLE


@staged()
async def test_the_audit_reports_a_created_serie_that_was_deleted(stage: Stage, client: FacturaOnline) -> None:
    uids = []
    async with provision(client, plan_of([1]), settle=SETTLE) as under_way:
        async for outcome in under_way:
            uids += [serie.uid for serie in outcome.series]
            stage.state.remove_serie(uids[0])
    assert under_way.report.audit == [f"{RFC}: the list does not show its serie F:factura ({uids[0]})"]
    assert not under_way.report.is_complete
