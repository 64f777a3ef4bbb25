"""Several users of one session, or of one journal: what one of them makes, no other makes again."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import filelock
import pytest
from attrs import define
from hypothesis import given, strategies as st

from facturaonline_async import (
    ApiError,
    FacturaOnline,
    FacturaOnlineError,
    InvalidInputError,
    OutcomeUnknownError,
    RetryPolicy,
    UnreadableAnswerError,
)
from facturaonline_async._core.request import PreparedRequest
from facturaonline_async.provision import (
    Journal,
    JournalError,
    Plan,
    RowOutcome,
    RunReport,
    State,
    StepEvent,
    provision,
)
from facturaonline_async.provision._journal.filelock import is_locked
from facturaonline_async.provision._journal.writer import SqliteJournal
from facturaonline_async.testing import Emulator
from facturaonline_async.testing._emulator.dispatch import ReceivedRequest
from tests.effort import examples
from tests.plans import nueva
from tests.provision.stage import (
    EMPRESAS,
    REFUSED,
    SERIES,
    THROTTLED,
    YES,
    YES_IN_OTHER_WORDS,
    Act,
    Result,
    Stage,
    answered,
    delayed,
    edited,
    lost,
    run,
    slow,
    staged,
    unconnected,
    until,
)
from tests.provision.test_model import plan_of, there, wanted
from tests.provision.verdict import phases
from tests.provision.world import SETTLE
from tests.virtual import virtually

RFC = "AAA010101000"
OTHER = "BBB010101000"
WHATS = pytest.mark.parametrize("what", [EMPRESAS, SERIES])


async def ensure(client: FacturaOnline, what: str) -> object:
    """Ensure the company, or its serie F; the company itself is there already then."""
    if what == EMPRESAS:
        return await client.empresas.ensure(nueva(RFC))
    own = client.for_empresa(await client.empresas.ensure(nueva(RFC)))
    return await own.series.ensure(letra="F", tipo_documento="factura")


# ── Lists that go back ────────────────────────────────────────────────────────────────────────────────────────────────


def behind(seconds: float) -> Act:
    """Read what was there so many seconds ago."""

    async def act(stage: Stage, call: PreparedRequest, arrival: ReceivedRequest) -> Result:
        return stage._read(call, 200, stage.api.perform(arrival, behind=seconds).encode()[0])

    return act


@pytest.mark.parametrize("before", ["a run", "an ensure", "a find"])
@WHATS
@staged()
async def test_a_run_does_not_create_again_what_its_session_has_seen_and_lists_lack(
    stage: Stage, client: FacturaOnline, what: str, before: str
) -> None:
    if before == "a run":
        await run(client, plan_of([1]), audit=False)  # else it ends when lists must show all
    elif before == "an ensure":
        await ensure(client, SERIES)
    else:
        async with stage.session() as other:
            await ensure(other, SERIES)
        empresa = await client.empresas.find(RFC)
        assert empresa is not None
        await client.for_empresa(empresa).series.find(letra="F", tipo_documento="factura")
    clock = asyncio.get_running_loop().time
    stage.on("empresas.list" if what == EMPRESAS else "series.list", behind(600), until=clock() + 20)
    began = clock()
    async with provision(client, plan_of([1]), settle=SETTLE) as under_way:
        async for outcome in under_way:
            assert (outcome.ok, clock() - began < 10) == (True, True)  # read by its uid, and not waited for
    assert (there(stage), stage.count(EMPRESAS), stage.count(SERIES)) == (wanted(plan_of([1])), 1, 1)
    assert under_way.report.is_complete


@WHATS
@staged()
async def test_a_step_deleted_elsewhere_is_created_again_after_the_settle_time(
    stage: Stage, client: FacturaOnline, what: str
) -> None:
    """Another program deletes it: the run waits, lists, and creates it."""
    await ensure(client, SERIES)
    if what == EMPRESAS:
        stage.state.remove_empresa(stage.uid(RFC))
    else:
        stage.state.remove_serie(next(iter(stage.state.tables["series"])))
    _, report = await run(client, plan_of([1]))
    assert (there(stage), stage.count(what), report.is_complete) == (wanted(plan_of([1])), 2, True)
    first, second = stage.moments(what)
    assert second - first >= SETTLE


# ── Lists that show late what is there ────────────────────────────────────────────────────────────────────────────────


@staged(list_lag=8.0)
async def test_a_second_ensure_finds_a_company_that_lists_do_not_show_yet(stage: Stage, client: FacturaOnline) -> None:
    first = await client.empresas.ensure(nueva(RFC))
    second = await client.empresas.ensure(nueva(RFC))
    assert (first.uid, stage.count(EMPRESAS)) == (second.uid, 1)


@staged(list_lag=8.0)
async def test_a_run_adopts_a_company_that_ensure_created_just_before(stage: Stage, client: FacturaOnline) -> None:
    await client.empresas.ensure(nueva(RFC))
    _, report = await run(client, plan_of([1]))
    assert (there(stage), report.is_complete, report.empresas[State.ADOPTED]) == (wanted(plan_of([1])), True, 1)


@staged(list_lag=8.0)
async def test_ensure_finds_a_company_that_a_run_created_just_before(stage: Stage, client: FacturaOnline) -> None:
    async with provision(client, plan_of([0]), settle=SETTLE) as under_way:
        async for outcome in under_way:
            empresa = await client.empresas.ensure(nueva(RFC))
            assert (outcome.uid, stage.count(EMPRESAS)) == (empresa.uid, 1)
    assert under_way.report.is_complete


@staged(list_lag=8.0)
async def test_a_run_adopts_a_company_that_ensure_creates_meanwhile(stage: Stage, client: FacturaOnline) -> None:
    plan = plan_of([1] * 6)
    async with provision(client, plan, settle=SETTLE, concurrency=1) as under_way:
        async for outcome in under_way:
            if outcome.number == 1:
                await client.empresas.ensure(nueva(plan.rows[-1].rfc))
    assert (there(stage), under_way.report.empresas[State.ADOPTED], under_way.report.is_complete) == (
        wanted(plan),
        1,
        True,
    )


@staged(list_lag=8.0)
async def test_two_runs_of_the_same_rows_in_opposite_order_create_each_once(
    stage: Stage, client: FacturaOnline
) -> None:
    plan = plan_of([1] * 10)
    backwards = Plan.from_values((nueva(row.rfc), row.series) for row in reversed(plan.rows))
    ended = await asyncio.gather(run(client, plan, concurrency=1), run(client, backwards, concurrency=1))
    assert there(stage) == wanted(plan)
    assert [report.is_complete for _, report in ended] == [True, True]
    assert sum(report.empresas[State.CREATED] for _, report in ended) == 10


@staged()
async def test_the_end_of_a_run_does_not_drop_the_resolved_creates_of_another_run(
    stage: Stage, client: FacturaOnline
) -> None:
    """Two runs have a lost answer. One ends; the other reaches the step long after the pending create is resolved."""
    plan, other = plan_of([0] * 8), Plan.from_values([(nueva("BBB010101000"), [])])
    *there_before, last = [row.rfc for row in plan]
    for rfc in (*there_before, "BBB010101000"):
        stage.state.add_empresa({"rfc": rfc})
    async with provision(client, plan, settle=SETTLE, concurrency=1) as under_way:
        async for outcome in under_way:
            if outcome.number == 1:
                await run(client, other)
                await client.empresas.ensure(nueva(last))
                await asyncio.sleep(2 * client.session.config.settle)
    assert (there(stage), stage.count(EMPRESAS)) == (wanted(plan) + wanted(other), 1)
    assert (under_way.report.empresas[State.ADOPTED], under_way.report.is_complete) == (8, True)


@staged(list_lag=8.0)
async def test_a_serie_that_appears_while_a_run_waits_for_a_start_is_not_created_again(
    stage: Stage, client: FacturaOnline
) -> None:
    """An ensure sent it. The run's list does not show it; then the ensure finds it, and no create is pending."""
    own = client.for_empresa(await client.empresas.ensure(nueva(RFC)))
    ensuring = asyncio.create_task(own.series.ensure(letra="F", tipo_documento="factura"))
    await until(lambda: stage.count(SERIES))
    (outcome,), report = await run(client, plan_of([1]))
    serie = await ensuring
    assert (there(stage), stage.count(SERIES)) == (wanted(plan_of([1])), 1)
    assert (outcome.series[0].state, outcome.series[0].uid, report.is_complete) == (State.ADOPTED, serie.uid, True)


@staged(list_lag=8.0)
async def test_a_run_adopts_the_result_of_a_create_that_was_pending_when_it_began(
    stage: Stage, client: FacturaOnline
) -> None:
    plan = plan_of([0] * 8)
    *there_before, last = [row.rfc for row in plan]
    for rfc in there_before:
        stage.state.add_empresa({"rfc": rfc})
    await client.empresas.ensure(nueva(last))
    async with provision(client, plan, settle=SETTLE, concurrency=1) as under_way:
        async for outcome in under_way:
            if outcome.number == 1:
                await asyncio.sleep(2 * client.session.config.settle)
    assert (there(stage), stage.count(EMPRESAS)) == (wanted(plan), 1)
    assert (under_way.report.empresas[State.ADOPTED], under_way.report.is_complete) == (8, True)


@staged()
async def test_an_ensure_lists_again_if_its_list_is_older_than_the_end_of_a_pending_create(
    stage: Stage, client: FacturaOnline
) -> None:
    """A run's create is done late. It is not in the ensure's list yet; the run sees it before that list arrives."""
    stage.on(EMPRESAS, lost(done_after=28), times=1)
    running = asyncio.create_task(run(client, plan_of([0])))
    await until(lambda: stage.count(EMPRESAS))
    await asyncio.sleep(27)
    stage.on("empresas.list", slow(9), times=1)
    empresa = await client.empresas.ensure(nueva(RFC))
    (outcome,), report = await running
    assert (outcome.uid, outcome.state, report.is_complete) == (empresa.uid, State.ADOPTED, True)
    assert stage.count(EMPRESAS) == 1


@pytest.mark.parametrize(
    ("fate", "ending"), [("done late", (1, True)), ("never done", (2, True)), ("only a yes", (1, False))]
)
@WHATS
@staged()
async def test_no_ensure_repeats_a_pending_create_of_an_earlier_run(
    stage: Stage, client: FacturaOnline, what: str, fate: str, ending: tuple[int, bool]
) -> None:
    """It ends with so many creates, and complete or not."""
    fates = {"done late": lost(done_after=25), "never done": lost()}
    stage.on(what, fates.get(fate) or (YES_IN_OTHER_WORDS if what == EMPRESAS else YES), times=1)
    async with provision(client, plan_of([1]), journal="virtual", settle=SETTLE):
        await until(lambda: stage.count(what))
        await asyncio.sleep(2)
    lists = stage.count("series.list")
    async with stage.session() as again, provision(again, plan_of([1]), journal="virtual", settle=SETTLE) as under_way:
        if what == SERIES:  # their pending creates are known with the company's keys
            await until(lambda: stage.count("series.list") > lists)
        with pytest.raises((OutcomeUnknownError, UnreadableAnswerError)):
            await ensure(again, what)
        assert stage.count(what) == 1
        async for _ in under_way:
            pass
    assert max(there(stage).values(), default=0) <= 1
    assert (stage.count(what), under_way.report.is_complete) == ending


@staged()
async def test_two_runs_at_once_wait_for_the_pending_create_of_each_other(stage: Stage, client: FacturaOnline) -> None:
    """The first create is lost, its repeat comes late; the second run settles between the two."""
    stage.on(EMPRESAS, lost(), times=1)
    stage.on(EMPRESAS, lost(done_after=20), times=1)

    async def later() -> RunReport:
        await asyncio.sleep(7)
        return (await run(client, plan_of([1])))[1]

    (_, first), second = await asyncio.gather(run(client, plan_of([1])), later())
    assert (there(stage), stage.count(EMPRESAS)) == (wanted(plan_of([1])), 2)
    assert (first.is_complete, second.is_complete) == (True, True)


# ── Pending creates ───────────────────────────────────────────────────────────────────────────────────────────────────


@WHATS
@staged(settle=200.0)
async def test_the_pending_create_of_an_ensure_outlives_a_run_with_a_shorter_settle_time(
    stage: Stage, client: FacturaOnline, what: str
) -> None:
    """The create of the ensure is done when a run that waits for a few seconds only would have sent its own."""
    stage.on(what, lost(done_after=60), times=1)
    with pytest.raises(OutcomeUnknownError):
        await ensure(client, what)
    (outcome,), report = await run(client, plan_of([1]), settle=5.0)
    assert (there(stage), stage.count(what)) == (wanted(plan_of([1])), 1)
    assert (outcome.ok, report.is_complete) == (True, True)


@pytest.mark.parametrize(("what", "words"), [(EMPRESAS, YES_IN_OTHER_WORDS), (SERIES, YES)], ids=["company", "serie"])
@staged()
async def test_a_confirmed_create_is_not_sent_again_although_no_list_shows_it(
    stage: Stage, client: FacturaOnline, what: str, words: Act
) -> None:
    """A confirmation that cannot be read, or has no uid: ensures and runs wait for it long after the run."""
    stage.on(what, words, times=1)
    _, report = await run(client, plan_of([1]))
    await asyncio.sleep(2 * client.session.config.settle)
    with pytest.raises(UnreadableAnswerError, match="was created"):
        await ensure(client, what)
    (outcome,), again = await run(client, plan_of([1]))
    assert State.UNRESOLVED in {outcome.state, *(serie.state for serie in outcome.series)}
    assert (stage.count(what), report.is_complete, again.is_complete) == (1, False, False)


@WHATS
@staged()
async def test_several_matches_before_a_create_are_a_conflict(stage: Stage, client: FacturaOnline, what: str) -> None:
    """An ensure's create is pending. When a run reaches it, two exist that its lists did not show."""
    stage.on(what, lost(), times=1)
    with pytest.raises(OutcomeUnknownError):
        await ensure(client, what)
    if what == EMPRESAS:
        stage.on("empresas.list", edited(lambda body: body.update(data=body["data"][:1])), times=2)
        uids = [stage.state.add_empresa({"rfc": RFC}) for _ in range(2)]
    else:
        stage.on("series.list", edited(lambda body: body.update(data=[])), times=1)
        row = {"empresa": stage.uid(RFC), "letra": "F", "tipo_documento": "factura"}
        uids = [str(stage.state.add_serie(dict(row))) for _ in range(2)]
    (outcome,), _ = await run(client, plan_of([1]))
    found = outcome if what == EMPRESAS else outcome.series[0]
    assert (found.state, found.uid, stage.count(what)) == (State.CONFLICT, None, 1)
    text = "the account has 2 companies with this RFC" if what == EMPRESAS else "the company has 2 series of this kind"
    assert found.reason in {f"{text}: {', '.join(each)}" for each in (uids, uids[::-1])}


# ── What one of them finds or restores while another is about to create it ────────────────────────────────────────────


def lacking(text: str) -> Act:
    """Answer a list without the rows that hold this text."""
    return edited(lambda body: body.update(data=[row for row in body["data"] if text not in json.dumps(row)]))


async def leave_a_create_open(stage: Stage, client: FacturaOnline) -> None:
    """Leave a run in the middle: the create of its company has no answer, and is done 25 s after it was sent."""
    stage.on(EMPRESAS, lost(done_after=25), about=RFC, times=1)
    async with provision(client, plan_of([0]), journal="virtual", settle=SETTLE):
        await until(lambda: stage.count(EMPRESAS))
        await asyncio.sleep(2)


@staged()
async def test_a_run_does_not_create_a_company_that_an_ensure_found_after_a_list_that_lacked_it(
    stage: Stage, client: FacturaOnline
) -> None:
    """The run creates another company first. Meanwhile an ensure finds the one that the run's lists lacked."""
    stage.state.add_empresa({"rfc": RFC})
    stage.on("empresas.list", lacking(RFC), times=2)
    stage.on(EMPRESAS, slow(3), about=OTHER)
    plan = Plan.from_values([(nueva(OTHER), []), (nueva(RFC), [])])
    async with provision(client, plan, settle=SETTLE, concurrency=1) as under_way:
        await client.empresas.ensure(nueva(RFC))
        outcomes = [outcome async for outcome in under_way]
    assert [outcome.state for outcome in outcomes] == [State.CREATED, State.ADOPTED]
    assert (stage.count(EMPRESAS, RFC), there(stage)[RFC,]) == (0, 1)


@staged()
async def test_a_run_does_not_create_a_serie_that_another_run_found_while_its_list_was_under_way(
    stage: Stage, client: FacturaOnline
) -> None:
    """The first run's list lacks the serie and arrives late; the second run lists later, and adopts the serie."""
    uid = stage.state.add_empresa({"rfc": RFC})
    stage.state.add_serie({"empresa": uid, "letra": "F", "tipo_documento": "factura"})
    stage.on("series.list", delayed(lacking('"F"'), after=5), times=1)

    async def second() -> list[RowOutcome]:
        await until(lambda: stage.count("series.list"))
        return (await run(client, plan_of([1])))[0]

    (first, _), others = await asyncio.gather(run(client, plan_of([1])), second())
    assert [outcome.series[0].state for outcome in (*first, *others)] == [State.ADOPTED, State.ADOPTED]
    assert stage.count(SERIES) == 0


@staged()
async def test_a_run_waits_for_a_create_that_a_later_run_of_its_session_restored(
    stage: Stage, client: FacturaOnline
) -> None:
    """The later run resumes a journal. The lists of the earlier run are older, and nothing was pending then."""
    await leave_a_create_open(stage, client)
    stage.on(EMPRESAS, slow(4), about=OTHER)
    plan = Plan.from_values([(nueva(OTHER), []), (nueva(RFC), [])])
    async with stage.session() as again, provision(again, plan, settle=SETTLE, concurrency=1) as earlier:
        _, report = await run(again, plan_of([0]), journal="virtual")
        outcomes = [outcome async for outcome in earlier]
    assert [outcome.state for outcome in outcomes] == [State.CREATED, State.ADOPTED]
    assert (report.is_complete, stage.count(EMPRESAS, RFC), there(stage)[RFC,]) == (True, 1, 1)


@staged()
async def test_an_ensure_does_not_repeat_a_create_that_a_run_restored_while_the_ensure_listed(
    stage: Stage, client: FacturaOnline
) -> None:
    await leave_a_create_open(stage, client)
    lists = stage.count("empresas.list")
    async with stage.session() as again:
        stage.on("empresas.list", slow(8), times=1)
        ensuring = asyncio.create_task(again.empresas.ensure(nueva(RFC)))
        await until(lambda: stage.count("empresas.list") > lists)
        _, report = await run(again, plan_of([0]), journal="virtual")
        with pytest.raises(OutcomeUnknownError, match="may still show up"):
            await ensuring
    assert (report.is_complete, stage.count(EMPRESAS), there(stage)[RFC,]) == (True, 1, 1)


@staged()
async def test_an_ensure_does_not_repeat_an_open_create_while_the_run_that_knows_it_lists(
    stage: Stage, client: FacturaOnline
) -> None:
    """The run reads its journal while it lists the companies."""
    await leave_a_create_open(stage, client)
    lists = stage.count("empresas.list")
    async with stage.session() as again:
        stage.on("empresas.list", slow(8), times=1)
        running = asyncio.create_task(run(again, plan_of([0]), journal="virtual"))
        await until(lambda: stage.count("empresas.list") > lists)
        with pytest.raises(OutcomeUnknownError, match="may still show up"):
            await again.empresas.ensure(nueva(RFC))
        _, report = await running
    assert (report.is_complete, stage.count(EMPRESAS), there(stage)[RFC,]) == (True, 1, 1)


@staged(retry=RetryPolicy(transient=8.0, throttled=0.01))
async def test_an_ensure_does_not_repeat_an_unsent_create_whose_object_a_find_has_shown(
    stage: Stage, client: FacturaOnline
) -> None:
    """The first attempt finds no connection. A find sees the serie, made elsewhere, in the pause before the second."""
    stage.on(SERIES, unconnected, times=1)
    ensuring = asyncio.create_task(client.series.ensure(letra="F", tipo_documento="factura"))
    await until(lambda: stage.count(SERIES))
    made = {"empresa": stage.state.main_uid(), "letra": "F", "tipo_documento": "factura"}
    uid = stage.state.add_serie(made)
    await client.series.find(letra="F", tipo_documento="factura")
    assert ((await ensuring).uid, stage.count(SERIES)) == (uid, 1)


async def create_between_two_attempts(
    stage: Stage, client: FacturaOnline, answer: Act, then: Act | None = None
) -> tuple[RowOutcome, list[str], tuple[str, str, int]]:
    """Run a plan whose create finds no connection at first, and create its company directly in the pause.

    Args:
        stage: The stage.
        client: The client.
        answer: Answer to the direct create.
        then: Answer to the run's next list of companies.

    Returns:
        The outcome, the states that the step had, and the journal's state, origin and number of sends at the end.

    """
    stage.on(EMPRESAS, unconnected, times=1)
    stage.on(EMPRESAS, answer, times=1)
    states: list[str] = []
    running = asyncio.create_task(
        run(client, plan_of([0]), journal="virtual", audit=False, on_event=lambda event: states.append(event.state))
    )
    await until(lambda: stage.count(EMPRESAS))
    if then is not None:
        stage.on("empresas.list", then, times=1)
    with suppress(ApiError):
        await client.empresas.create(nueva(RFC), validate=False)
    (outcome,), _ = await running
    (written,) = stage.book.execute("SELECT state, origin, sends FROM steps").fetchall()
    return outcome, states, written


two_attempts = staged(retry=RetryPolicy(transient=8.0, throttled=0.01))


@two_attempts
async def test_a_second_attempt_that_another_create_prevents_counts_as_no_send(
    stage: Stage, client: FacturaOnline
) -> None:
    outcome, states, written = await create_between_two_attempts(stage, client, slow(15))
    assert (written, outcome.is_new) == (("done", "adopted", 0), False)
    assert states == ["intent", "planned", "done"]


@two_attempts
async def test_a_second_attempt_that_another_create_prevents_leaves_no_open_intent(
    stage: Stage, client: FacturaOnline
) -> None:
    """The list that follows fails, so that the row is tried again later; the other create is refused meanwhile."""
    refused_late = delayed(REFUSED, before=15)
    outcome, states, written = await create_between_two_attempts(stage, client, refused_late, answered(401))
    assert (written, outcome.is_new) == (("done", "created", 1), True)
    assert states == ["intent", "planned", "planned", "unknown", "planned", "intent", "done"]


@two_attempts
async def test_a_create_that_was_refused_between_two_attempts_does_not_prevent_the_second(
    stage: Stage, client: FacturaOnline
) -> None:
    outcome, states, written = await create_between_two_attempts(stage, client, REFUSED)
    assert (written, outcome.is_new) == (("done", "created", 1), True)
    assert states == ["intent", "intent", "done"]  # one intent for each attempt


# ── After a refusal ───────────────────────────────────────────────────────────────────────────────────────────────────

#: Answer to each create, and number of searches that follow.
REFUSALS = {
    "409": (answered(409, {"status": "error", "message": "ya existe"}, is_done=True), 1),
    "422": (answered(422, {"status": "error", "message": "ya existe"}, is_done=True), 1),
    "401": (answered(401), 0),
    "429": (THROTTLED, 0),
}


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("user", ["an ensure", "a run"])
@WHATS
@staged()
async def test_one_search_follows_a_refused_create_and_none_follows_401_and_429(
    stage: Stage, client: FacturaOnline, what: str, user: str, refusal: str
) -> None:
    """The search adopts what exists. 401 and 429 say nothing about the object."""
    if what == SERIES:
        await client.empresas.ensure(nueva(RFC))
    answer, searches = REFUSALS[refusal]
    stage.on(what, answer)
    if user == "a run":
        (outcome,), _ = await run(client, plan_of([1]), audit=False)
        state = outcome.state if what == EMPRESAS else outcome.series[0].state
    else:
        state = State.FAILED
        with suppress(ApiError):
            await ensure(client, what)
            state = State.ADOPTED
    first = stage.moments(what)[0]  # a run lists before it tries again, a second later
    looks = [at for at in stage.moments(what.replace("create", "list")) if first <= at < first + 0.9]
    assert (state, len(looks)) == ((State.ADOPTED, 1) if searches else (State.FAILED, 0))
    assert stage.count(what) == 1 or refusal == "429"


# ── All at once ───────────────────────────────────────────────────────────────────────────────────────────────────────


@define
class User:
    """Task that uses the session from a moment on, and may be cancelled."""

    begins: float
    patience: float | None
    what: int | None
    """Row of the company that is ensured, with its serie F; None: all are provisioned."""
    is_backwards: bool

    async def work(self, client: FacturaOnline, plan: Plan) -> None:
        await asyncio.sleep(self.begins)
        with suppress(FacturaOnlineError, TimeoutError):
            async with asyncio.timeout(self.patience):
                if self.what is None:
                    rows = reversed(plan.rows) if self.is_backwards else iter(plan.rows)
                    await run(client, Plan.from_values((nueva(row.rfc), row.series) for row in rows))
                else:
                    empresa = await client.empresas.ensure(nueva(plan.rows[self.what].rfc))
                    await client.for_empresa(empresa).series.ensure(letra="F", tipo_documento="factura")


USERS = st.builds(
    User,
    begins=st.floats(0, 90),
    patience=st.one_of(st.none(), st.floats(0, 60)),
    what=st.one_of(st.none(), st.integers(0, 1)),
    is_backwards=st.booleans(),
)


@examples(100)
@given(
    users=st.lists(USERS, min_size=2, max_size=5),
    chance=st.randoms(use_true_random=False),
    list_lag=st.sampled_from((0.0, 1.0, 8.0)),
    read_lag=st.sampled_from((0.0, 2.0)),
)
def test_runs_and_ensures_of_one_session_create_nothing_twice_under_any_faults(
    users: list[User], chance: random.Random, list_lag: float, read_lag: float
) -> None:
    stage, plan = Stage(chance=chance, list_lag=list_lag, read_lag=read_lag, script=None), plan_of([1, 2])

    async def main() -> None:
        with stage.rules():
            async with stage.session() as client:
                await asyncio.gather(*(user.work(client, plan) for user in users))
                await asyncio.sleep(2 * SETTLE)  # for what is done late
        assert max(there(stage).values(), default=0) <= 1, there(stage)
        assert max(stage.sent.values(), default=0) <= 1, stage.sent

    virtually(main())


# ── One journal ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def opened(path: Path) -> SqliteJournal:
    return await SqliteJournal.open(path, account="fingerprint", host="https://example.com/api")


def names_in(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


async def test_all_names_of_a_journal_share_one_lock(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "j")
    (tmp_path / "folder").symlink_to(tmp_path, target_is_directory=True)
    names = [tmp_path / "j", tmp_path / "link", tmp_path / "folder" / "j", tmp_path / "folder" / "link"]
    for first in names:  # the first of all by a link to nothing
        async with await opened(first):
            for second in names:
                with pytest.raises(JournalError, match="another process uses the journal"):
                    await opened(second)
    assert names_in(tmp_path) == {"folder", "j", "j.lock", "link"}


async def test_a_journal_with_a_hard_link_is_refused(tmp_path: Path) -> None:
    await (await opened(tmp_path / "j")).aclose()
    (tmp_path / "k").hardlink_to(tmp_path / "j")
    for name in "jk":
        with pytest.raises(JournalError, match=r"cannot be opened: it has several names \(hard links\)"):
            await opened(tmp_path / name)
    (tmp_path / "k").unlink()
    await (await opened(tmp_path / "j")).aclose()


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOTSUP])
async def test_a_file_system_without_locks_is_not_reported_as_a_journal_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(_: int, *, blocking: bool) -> bool:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(filelock, "lock_descriptor", refuse)
    with pytest.raises(JournalError, match=f"/j cannot be opened: {os.strerror(code)}") as caught:
        await opened(tmp_path / "j")
    assert "another process" not in str(caught.value)


def _remove(path: Path) -> None:
    path.unlink()


def _replace(path: Path) -> None:
    shutil.copy(path, path.with_name("copy"))
    path.with_name("copy").replace(path)


@pytest.mark.parametrize("meddle", [_remove, _replace])
async def test_a_removed_or_replaced_journal_stops_the_run_before_the_next_create(
    client: FacturaOnline, emulator: Emulator, tmp_path: Path, meddle: Callable[[Path], None]
) -> None:
    done: list[str] = []

    def on_event(event: StepEvent) -> None:
        if event.state == "done" and not event.letra:
            done.append(event.rfc)
            if len(done) == 3:
                meddle(tmp_path / "j")

    with pytest.raises(JournalError, match=r"the file was removed or replaced\. Nothing more is sent"):
        await run(client, plan_of([1] * 6), journal=tmp_path / "j", concurrency=1, on_event=on_event)
    assert (len(done), emulator.count(EMPRESAS), emulator.count(SERIES)) == (3, 3, 2)


@pytest.mark.parametrize("name", [":memory:", "file:x?mode=memory", "a?b#c%20.sqlite", "-"])
async def test_a_journal_name_with_special_characters_is_the_name_of_a_file(
    client: FacturaOnline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    _, report = await run(client, plan_of([1]), journal=name, settle=0.2)
    assert (report.is_complete, phases(tmp_path / name)) == (True, {"done": 2})
    assert names_in(tmp_path) == {name, f"{name}.lock"}


async def test_a_run_opens_the_journal_of_any_store(client: FacturaOnline, emulator: Emulator, tmp_path: Path) -> None:
    asked = []

    class Named:
        async def open(self, *, account: str, host: str) -> Journal:
            asked.append((account, host))
            return await SqliteJournal.open(tmp_path / "j", account=account, host=host)

    _, report = await run(client, plan_of([1]), journal=Named(), settle=0.2)
    assert (report.is_complete, phases(tmp_path / "j")) == (True, {"done": 2})
    assert asked == [(emulator.credentials.fingerprint, emulator.base_url)]
    assert not is_locked(tmp_path / "j.lock")


@pytest.mark.parametrize("name", ["", b"j", "nul\0", 7])
async def test_a_value_that_is_not_a_path_is_refused_by_name(
    client: FacturaOnline, emulator: Emulator, name: Any
) -> None:
    with pytest.raises(InvalidInputError, match="must be the path of a file or a JournalStore, and was") as caught:
        await run(client, plan_of([1]), journal=name)
    assert (caught.value.field, emulator.count(EMPRESAS)) == ("journal", 0)
