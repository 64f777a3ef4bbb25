"""Waiting rows, their reconciliation, and how a run ends: by itself, stopped, left or cancelled."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import pytest

from facturaonline_async import FacturaOnline, OutcomeUnknownError
from facturaonline_async._core.request import PreparedRequest
from facturaonline_async.config import Rate
from facturaonline_async.provision import Plan, RowOutcome, Run, State, provision
from facturaonline_async.testing._emulator.dispatch import ReceivedRequest
from tests.plans import nueva
from tests.provision.stage import (
    BROKEN,
    EMPRESAS,
    SERIES,
    THROTTLED,
    YES,
    Act,
    Result,
    Stage,
    answered,
    lost,
    run,
    slow,
    staged,
    unconnected,
    until,
)
from tests.provision.test_model import plan_of, there, wanted
from tests.provision.world import CONFIG, SETTLE

RFC = "AAA010101000"
WHATS = pytest.mark.parametrize("what", [EMPRESAS, SERIES])


def found(outcome: RowOutcome, what: str) -> tuple[State, str]:
    """Return what became of the company, or of its only serie."""
    step = outcome if what == EMPRESAS else outcome.series[0]
    return step.state, step.reason


# ── What is sent again ────────────────────────────────────────────────────────────────────────────────────────────────


@WHATS
@staged()
async def test_a_create_that_never_succeeds_fails_after_three_sends_and_is_tried_by_the_next_run(
    stage: Stage, client: FacturaOnline, what: str
) -> None:
    stage.on(what, answered(502), times=4)
    (outcome,), report = await run(client, plan_of([1]), journal="virtual")
    state, reason = found(outcome, what)
    assert (stage.count(what), state, report.is_complete) == (3, State.FAILED, False)
    assert reason.startswith("it was sent 3 times, and lists do not show it")
    async with stage.session() as again:
        _, report = await run(again, plan_of([1]), journal="virtual")
    assert (stage.count(what), there(stage), report.is_complete) == (5, wanted(plan_of([1])), True)


@WHATS
@staged()
async def test_a_second_send_that_is_refused_as_existing_is_adopted(
    stage: Stage, client: FacturaOnline, what: str
) -> None:
    """The first create comes about later than anything should, just before its repeat."""
    stage.on(what, lost(), times=1)
    stage.on(what, answered(422, {"status": "error", "message": "ya existe"}, is_done=True), times=1)
    (outcome,), report = await run(client, plan_of([1]))
    assert (found(outcome, what), report.is_complete) == ((State.ADOPTED, ""), True)
    assert (stage.count(what), there(stage)) == (2, wanted(plan_of([1])))


@WHATS
@staged()
async def test_a_first_send_that_is_refused_as_existing_is_adopted(
    stage: Stage, client: FacturaOnline, what: str
) -> None:
    """Another process was faster: a refused create is listed as `ensure` does, sent before or not."""
    stage.on(what, answered(409, {"status": "error", "message": "ya existe"}, is_done=True), times=1)
    (outcome,), report = await run(client, plan_of([1]))
    assert (found(outcome, what), report.is_complete) == ((State.ADOPTED, ""), True)
    assert (stage.count(what), there(stage)) == (1, wanted(plan_of([1])))


@WHATS
@staged()
async def test_a_refused_create_is_failed_unless_a_list_shows_the_object(
    stage: Stage, client: FacturaOnline, what: str
) -> None:
    stage.on(what, answered(422, {"status": "error", "message": "no"}))
    (outcome,), _ = await run(client, plan_of([1]))
    state, reason = found(outcome, what)
    assert (state, reason.endswith("the API refused: no (HTTP 422)"), stage.count(what)) == (State.FAILED, True, 1)
    skip = 2 if what == EMPRESAS else 1  # what is there is listed first
    listing = "empresas.list" if what == EMPRESAS else "series.list"
    stage.on(listing, BROKEN, skip=skip, until=60)
    (outcome,), _ = await run(client, plan_of([1]))
    state, reason = found(outcome, what)
    assert (state, "whether it is there could not be seen" in reason, stage.count(what)) == (State.FAILED, True, 2)


@staged()
async def test_refused_rows_share_one_list(stage: Stage, client: FacturaOnline) -> None:
    stage.on(EMPRESAS, answered(422, {"status": "error", "message": "no"}))
    outcomes, _ = await run(client, plan_of([0] * 64), concurrency=32)
    assert Counter(outcome.state for outcome in outcomes) == {State.FAILED: 64}
    assert stage.count("empresas.list") < 20


@pytest.mark.parametrize("act", [THROTTLED, unconnected], ids=["throttled", "unconnected"])
@WHATS
@staged()
async def test_a_create_that_cannot_be_sent_for_a_while_is_sent_later(
    stage: Stage, client: FacturaOnline, what: str, act: Act
) -> None:
    stage.on(what, act, until=20)
    (outcome,), report = await run(client, plan_of([1]))
    assert (found(outcome, what), report.is_complete) == ((State.CREATED, ""), True)
    pauses = longer_than(0.9, stage.moments(what))
    assert pauses == sorted(pauses)
    assert (len(pauses) >= 4, pauses[-1] > 3 * pauses[0]) == (True, True)


@staged()
async def test_a_create_that_can_never_be_sent_fails_and_is_tried_by_the_next_run(
    stage: Stage, client: FacturaOnline
) -> None:
    stage.on(EMPRESAS, unconnected, until=90)
    (outcome,), report = await run(client, plan_of([1]), journal="virtual")
    assert (outcome.state, report.is_complete) == (State.FAILED, False)
    assert "connection refused" in outcome.reason
    assert (len(longer_than(0.9, stage.moments(EMPRESAS))), asyncio.get_running_loop().time() < 90) == (6, True)
    await asyncio.sleep(30)
    _, report = await run(client, plan_of([1]), journal="virtual")
    assert report.is_complete


def longer_than(least: float, moments: list[float]) -> list[float]:
    """Return the pauses between one and the next, but for short ones."""
    pauses = (after - before for before, after in pairwise(moments))
    return [pause for pause in pauses if pause > least]


REFUSED_KEYS = answered(200, {"status": "error", "message": "La cuenta que intenta autenticarse no existe"})


async def refused_later(stage: Stage, call: PreparedRequest, arrival: ReceivedRequest) -> Result:
    await asyncio.sleep(5)
    return await REFUSED_KEYS(stage, call, arrival)


@staged()
async def test_a_company_that_was_sent_once_is_not_reported_as_not_tried(stage: Stage, client: FacturaOnline) -> None:
    """One got no answer, and the keys are refused by the time at which it would be sent again."""
    created, lost_one, refused, *others = (row.rfc for row in plan_of([1] * 5))
    stage.on(EMPRESAS, slow(10), about=created)
    stage.on(EMPRESAS, lost(), about=lost_one)
    stage.on(EMPRESAS, refused_later)
    outcomes, _ = await run(client, plan_of([1] * 5), concurrency=2)
    assert {outcome.rfc: outcome.reason for outcome in outcomes} == {
        created: "",
        lost_one: "it was sent, lists do not show it, and it is not sent again: the API refused the main keys",
        refused: "empresas.create: the API refused: La cuenta que intenta autenticarse no existe (HTTP 200)",
        **dict.fromkeys(others, "not tried: the API refused the main keys"),
    }
    assert stage.count(EMPRESAS) == 3


@staged()
async def test_refused_main_keys_stop_further_creates(stage: Stage, client: FacturaOnline) -> None:
    stage.on(EMPRESAS, REFUSED_KEYS)
    outcomes, report = await run(client, plan_of([1] * 90))
    tried = stage.count(EMPRESAS)
    reasons = Counter(outcome.reason for outcome in outcomes)
    counts = report.empresas[State.FAILED], report.empresas[State.NOT_TRIED]
    assert (report.is_complete, counts, tried <= 32) == (False, (tried, 90 - tried), True)
    assert reasons["not tried: the API refused the main keys"] == 90 - tried


# ── Looks ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("what", "looks", "skip"), [(EMPRESAS, "empresas.list", 2), (SERIES, "series.list", 1)])
@staged()
async def test_lists_that_fail_for_a_while_do_not_shorten_the_settle_time(
    stage: Stage, client: FacturaOnline, what: str, looks: str, skip: int
) -> None:
    """Lists fail from the first, early one on, until the settle time is nearly over."""
    stage.on(what, lost(), times=1)
    stage.on(looks, BROKEN, skip=skip, until=25)
    (outcome,), report = await run(client, plan_of([1]))
    assert (found(outcome, what), report.is_complete) == ((State.CREATED, ""), True)
    first, second = stage.moments(what)
    assert SETTLE <= second - first < SETTLE + 5


@staged(settle=200.0)
async def test_a_list_that_fails_before_a_create_fails_only_its_row(stage: Stage, client: FacturaOnline) -> None:
    """An ensure's create of a serie is pending, and the list fails when the run reaches it."""
    stage.on(SERIES, lost(), times=1)
    own = client.for_empresa(await client.empresas.ensure(nueva(RFC)))
    with pytest.raises(OutcomeUnknownError):
        await own.series.ensure(letra="F", tipo_documento="factura")
    tries = 4  # of a read
    looks = stage.count("series.list", RFC)

    async def fails(stage: Stage, call: PreparedRequest, arrival: ReceivedRequest) -> Result:
        is_rows_own = (stage.count("series.list", RFC) - looks - 1) % (1 + tries) == 0
        return stage.do(arrival, call) if is_rows_own else await BROKEN(stage, call, arrival)

    stage.on("series.list", fails, about=RFC)
    plan = plan_of([1] * 5)
    outcomes, report = await run(client, plan)
    assert ([each.ok for each in outcomes], report.is_complete) == ([False] + [True] * 4, False)
    (state, reason) = found(outcomes[0], SERIES)
    assert (state, stage.count(SERIES, RFC)) == (State.FAILED, 1)
    assert "whether it is there could not be seen" in reason


@pytest.mark.parametrize("how", ["parked", "listed"])
@WHATS
@staged()
async def test_a_list_with_several_matches_is_a_conflict(
    stage: Stage, client: FacturaOnline, what: str, how: str
) -> None:
    """Another program creates one, too, while a create of the run is pending, or is not listed yet."""

    async def and_another(stage: Stage, call: PreparedRequest, arrival: ReceivedRequest) -> Result:
        stage.do(arrival)
        return await (lost(done_after=0) if how == "parked" else slow(0))(stage, call, arrival)

    stage.on(what, and_another, times=1)
    (outcome,), report = await run(client, plan_of([1]))
    state, reason = found(outcome, what)
    if (what, how) == (EMPRESAS, "listed"):  # its create returned the uid: the final list shows the other
        assert state is State.CREATED
        assert "the account has 2 companies with this RFC" in str(report.audit)
    else:
        assert (state, "has 2 " in reason) == (State.CONFLICT, True)
    assert (stage.count(what), report.is_complete) == (1, False)


@pytest.mark.parametrize("mode", ["deleted", "another RFC"])
@staged()
async def test_unknown_series_of_a_company_that_cannot_be_read_do_not_block_the_run(
    stage: Stage, client: FacturaOnline, mode: str
) -> None:
    stage.on(SERIES, lost(), times=1)
    async with provision(client, plan_of([1]), journal="virtual", settle=SETTLE):
        await until(lambda: stage.phases()["unknown"])
    uid = stage.uid(RFC)
    if mode == "deleted":
        stage.state.remove_empresa(uid)
    else:
        stage.state.tables["empresas"][uid]["rfc"] = "BBB010101000"
    before = len(stage.calls)
    async with stage.session() as again:
        (outcome,), report = await run(again, plan_of([1]), journal="virtual")
    assert (found(outcome, SERIES)[0], outcome.ok, report.is_complete) == (State.UNKNOWN, False, False)
    assert outcome.reason
    assert len(stage.calls) - before < 60
    assert stage.count(EMPRESAS) + stage.count(SERIES) == 2


@pytest.mark.parametrize("is_left", [True, False])
@staged()
async def test_a_confirmed_serie_that_no_list_shows_is_not_complete(
    stage: Stage,
    client: FacturaOnline,
    is_left: bool,  # noqa: FBT001
) -> None:
    stage.on(SERIES, YES)
    if is_left:
        async with provision(client, plan_of([1]), journal="virtual", settle=SETTLE):
            await until(lambda: stage.count("series.list") == 3)
    for _ in range(2):
        async with stage.session() as again:
            (outcome,), report = await run(again, plan_of([1]), journal="virtual")
        assert (outcome.ok, outcome.series[0].uid, report.is_complete) == (False, None, False)
        assert "was not listed before the deadline" in outcome.series[0].reason
    assert stage.count(SERIES) == 1


# ── The end ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@staged()
async def test_a_run_stopped_while_it_lists_reports_each_row_once(stage: Stage, client: FacturaOnline) -> None:
    """Two rows wait, and their list is being read; the create of a third takes longer."""
    first, second, third = (row.rfc for row in plan_of([0] * 3))
    stage.on(EMPRESAS, lost(done_after=0), about=first)
    stage.on(EMPRESAS, lost(done_after=0), about=second)
    stage.on(EMPRESAS, slow(8), about=third)
    stage.on("empresas.list", slow(3), skip=2)
    async with provision(client, plan_of([0] * 3), settle=SETTLE) as under_way:
        stopping = asyncio.create_task(stopped(under_way, lambda: stage.count("empresas.list") == 3))
        outcomes = [outcome async for outcome in under_way]
    await stopping
    assert {outcome.rfc: outcome.state for outcome in outcomes} == {
        first: State.UNKNOWN,
        second: State.UNKNOWN,
        third: State.CREATED,
    }
    assert (len(outcomes), under_way.report.audit, under_way.report.is_complete) == (3, None, False)


async def stopped(under_way: Run, is_so: Callable[[], object]) -> None:
    await until(is_so)
    under_way.stop()


@staged(endpoint_rates={SERIES: (Rate(1, 20),)})
async def test_a_stopped_run_waits_for_requests_in_flight_and_sends_no_others(
    stage: Stage, client: FacturaOnline
) -> None:
    """One serie is being created; the others wait for the limiter."""
    stage.on(SERIES, slow(4), times=1)
    async with provision(client, plan_of([3]), journal="virtual", settle=SETTLE) as under_way:
        stopping = asyncio.create_task(stopped(under_way, lambda: stage.count(SERIES) == 1))
        (outcome,) = [outcome async for outcome in under_way]
    await stopping
    assert Counter((serie.state, serie.uid is not None, serie.reason) for serie in outcome.series) == {
        (State.CREATED, True, ""): 1,
        (State.NOT_TRIED, False, "not tried: the run was stopped"): 2,
    }
    assert (stage.count(SERIES), stage.phases()) == (1, {"done": 2, "planned": 2})


@pytest.mark.parametrize("how", ["not looked at", "stopped"])
@staged()
async def test_a_run_without_its_final_list_is_not_complete(stage: Stage, client: FacturaOnline, how: str) -> None:
    """The journal says that all is done, and all has been deleted since."""
    _, report = await run(client, plan_of([1, 1]), journal="virtual")
    assert report.is_complete
    for row in plan_of([1, 1]):
        stage.state.remove_empresa(stage.uid(row.rfc))
    async with provision(client, plan_of([1, 1]), journal="virtual", settle=SETTLE) as under_way:
        if how == "stopped":
            under_way.stop()
            assert [outcome async for outcome in under_way] == []
    assert (under_way.report.audit, under_way.report.is_complete) == (None, False)
    _, report = await run(client, plan_of([1, 1]), journal="virtual")
    assert (len(report.audit or ()), report.is_complete) == (2, False)


UNREAD = answered(404, {"status": "error", "message": "La empresa no existe"})


@staged()
async def test_a_company_that_is_readable_only_after_the_deadline_gets_its_series(
    stage: Stage, client: FacturaOnline
) -> None:
    stage.on("empresas.get", UNREAD, until=CONFIG.deadline + 10)
    (outcome,), report = await run(client, plan_of([2]))
    assert (outcome.reason, report.is_complete, there(stage)) == ("", True, wanted(plan_of([2])))


@staged(list_lag=CONFIG.deadline + 10)
async def test_series_that_are_listed_only_after_the_deadline_are_complete(stage: Stage, client: FacturaOnline) -> None:
    (outcome,), report = await run(client, plan_of([2]))
    assert [(serie.state, serie.uid is not None, serie.reason) for serie in outcome.series] == [
        (State.CREATED, True, "")
    ] * 2
    assert (report.is_complete, stage.count(SERIES)) == (True, 2)


@staged()
async def test_a_company_that_never_becomes_readable_ends_its_row_when_the_settle_time_is_over(
    stage: Stage, client: FacturaOnline
) -> None:
    stage.on("empresas.get", UNREAD)
    (outcome,), report = await run(client, plan_of([1]))
    assert (outcome.state, "was not readable before the deadline" in outcome.reason) == (State.CREATED, True)
    seconds = stage.moments("empresas.get")[-1] - stage.moments(EMPRESAS)[0]
    assert (report.is_complete, SETTLE <= seconds <= SETTLE + 2 * CONFIG.deadline + 1) == (False, True)


@staged()
async def test_a_row_that_a_stopped_run_did_not_send_has_that_reason(stage: Stage, client: FacturaOnline) -> None:
    """The run is stopped at each moment between a worker's taking the row and the first byte of its create."""
    outcomes: list[RowOutcome] = []
    for ticks in range(8):
        async with provision(client, plan_of([0]), settle=SETTLE) as under_way:
            for _ in range(ticks):
                await asyncio.sleep(0)
            under_way.stop()
            outcomes += [outcome async for outcome in under_way if outcome.state is State.NOT_TRIED]
    assert {outcome.reason for outcome in outcomes} == {"not tried: the run was stopped"}


@staged()
async def test_a_row_that_a_stopped_run_did_not_send_again_has_that_reason(stage: Stage, client: FacturaOnline) -> None:
    """The run is stopped at each moment after the list that shows that the first create was not done."""
    stage.on(EMPRESAS, lost())
    reasons = set()
    for ticks in range(12):
        async with stage.session() as again, provision(again, plan_of([0]), settle=SETTLE) as under_way:
            lists = stage.count("empresas.list")
            # Two lists are read, and the early one finds nothing.
            stage.on("empresas.list", stopping(under_way, ticks), skip=3, times=1)
            reasons |= {outcome.reason async for outcome in under_way if outcome.state is State.NOT_TRIED}
        assert stage.count("empresas.list") == lists + 4
    assert reasons == {"not tried again: the run was stopped"}


def stopping(under_way: Run, ticks: int) -> Act:
    async def look(stage: Stage, call: PreparedRequest, arrival: ReceivedRequest) -> Result:
        asyncio.create_task(stop_after(ticks, under_way))  # noqa: RUF006  # it ends at once
        return stage.do(arrival, call)

    return look


async def stop_after(ticks: int, under_way: Run) -> None:
    for _ in range(ticks):
        await asyncio.sleep(0)
    under_way.stop()


@staged()
async def test_a_serie_that_appears_after_the_settle_time_is_reported_by_the_audit(
    stage: Stage, client: FacturaOnline
) -> None:
    """It was sent again when the settle time was over, and then the first one comes; the run still has work."""
    stage.on(SERIES, lost(done_after=40), about="F", times=1)
    stage.on(SERIES, lost(), about="P", times=2)
    outcomes, report = await run(client, plan_of([2]))
    assert [serie.state for serie in outcomes[0].series] == [State.CREATED, State.CREATED]
    uids = [str(uid) for uid, row in stage.state.tables["series"].items() if row["letra"] == "F"]
    told = "; ".join(report.audit or ())
    assert (report.is_complete, sorted(told.rpartition(": ")[2].split(", "))) == (False, sorted(uids))
    assert told.startswith(f"{RFC}: the company has 2 series of this kind (F:factura): ")


@staged()
async def test_a_cancelled_run_leaves_no_task_and_a_new_run_completes_it(stage: Stage, client: FacturaOnline) -> None:
    plan = plan_of([2] * 50)
    before = len(asyncio.all_tasks())
    task = asyncio.create_task(run(client, plan))
    await until(lambda: stage.count(SERIES) >= 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(asyncio.all_tasks()) == before
    assert "0 waiting, 0 in flight" in repr(client.session)
    # A new session, for the old one would not create again what it may have created: see `Config.settle`.
    async with stage.session() as again:
        _, report = await run(again, plan)
    assert (report.is_complete, there(stage)) == (True, wanted(plan))


@staged()
async def test_a_task_that_is_cancelled_while_leaving_a_run_is_cancelled(stage: Stage, client: FacturaOnline) -> None:
    """At each moment: a list that is being read is cancelled, too."""
    stage.on(EMPRESAS, lost())
    stage.on("empresas.list", slow(1), skip=2)
    leaving, left = asyncio.Event(), asyncio.Event()

    async def work(number: int) -> None:
        lists = stage.count("empresas.list")
        plan = Plan.from_values([(nueva(f"AAA010101{number:03}"), [])])
        async with provision(client, plan, settle=SETTLE):
            await until(lambda: stage.count("empresas.list") == lists + 3)
            leaving.set()
        left.set()
        await asyncio.sleep(1)

    were_leaving = 0
    for ticks in range(16):
        task = asyncio.create_task(work(ticks))
        await leaving.wait()
        for _ in range(ticks):
            await asyncio.sleep(0)
        were_leaving += not left.is_set()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        leaving.clear()
        left.clear()
    assert 1 < were_leaving < 16
