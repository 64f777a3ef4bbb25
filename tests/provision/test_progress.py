"""Progress of a run: many followers, early and late ones, each with the last snapshot."""

from __future__ import annotations

import asyncio
import json

import pytest

from facturaonline_async import FacturaOnline, InvalidInputError
from facturaonline_async.errors import ServerError
from facturaonline_async.provision import (
    Plan,
    PlanSerie,
    Progress,
    ProgressSnapshot,
    RowOutcome,
    Run,
    RunReport,
    SerieOutcome,
    State,
    provision,
)
from tests.plans import nueva
from tests.provision.stage import EMPRESAS, REFUSED, SERIES, Stage, slow, staged, until

F = PlanSerie(letra="F", tipo_documento="factura")
PLAN = Plan.from_values([(nueva(f"AAA010101{number:03}"), [F]) for number in range(6)])
CREATED = SerieOutcome(letra="F", tipo_documento="factura", state=State.CREATED)


def created(number: int) -> RowOutcome:
    return RowOutcome(number=number, rfc=f"AAA010101{number:03}", state=State.CREATED, series=(CREATED,))


def failed(number: int, reason: str) -> RowOutcome:
    rfc = f"AAA010101{number:03}"
    missing = SerieOutcome(letra="F", tipo_documento="factura", state=State.NOT_TRIED, reason="its company comes first")
    return RowOutcome(number=number, rfc=rfc, state=State.FAILED, reason=f"{rfc}: {reason}", series=(missing,))


def progress_of(planned: int = 10, clock: float = 0.0) -> Progress:
    return Progress(RunReport(planned_empresas=planned, planned_series=planned), lambda: clock, lambda: 0.0)


async def all_of(progress: Progress, every: float = 0.0) -> list[ProgressSnapshot]:
    return [snapshot async for snapshot in progress.follow(every=every)]


async def finished(stage: Stage, client: FacturaOnline) -> Progress:
    async with provision(client, PLAN, settle=5) as run:
        async for _ in run:
            pass
    return run.progress


# ── Followers ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@staged()
async def test_every_follower_gets_the_last_snapshot_also_a_late_one(stage: Stage, client: FacturaOnline) -> None:
    async with asyncio.TaskGroup() as group, provision(client, PLAN, settle=5) as run:
        early = [group.create_task(all_of(run.progress)) for _ in range(2)]
        await asyncio.sleep(0)
        outcomes = run.__aiter__()
        for _ in range(3):
            await anext(outcomes)
        middle = group.create_task(all_of(run.progress))
        async for _ in outcomes:
            pass
    late = await all_of(run.progress)

    last = run.progress.snapshot
    assert (last.phase, last.is_complete, last.existing_empresas, last.existing_series) == ("ended", True, 6, 6)
    assert [task.result()[-1] for task in (*early, middle)] == [last] * 3
    assert late == [last]
    assert [snapshot.existing_empresas for snapshot in early[0].result()][:1] == [0]
    assert middle.result()[0].existing_empresas >= 3


async def test_a_slow_follower_misses_snapshots_and_not_the_last() -> None:
    progress = progress_of()
    follower = progress.follow()
    first = await anext(follower)
    for number in range(10):
        progress.add(created(number))
    progress.enter("ended")
    assert [first.existing_empresas, *[each.existing_empresas async for each in follower]] == [0, 10]


async def test_a_follower_waits_until_something_changes() -> None:
    progress = progress_of()
    follower = progress.follow()
    await anext(follower)
    waiting = asyncio.ensure_future(anext(follower))
    await asyncio.sleep(0)
    assert not waiting.done()
    progress.add(created(1))
    assert (await waiting).existing_empresas == 1


async def test_a_cancelled_follower_does_not_disturb_the_others() -> None:
    progress = progress_of()
    tasks = [asyncio.create_task(all_of(progress)) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    progress.add(created(1))
    await asyncio.sleep(0)
    progress.enter("ended")
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [asyncio.CancelledError, list, list]
    assert [[each.existing_empresas for each in result][-1] for result in results[1:] if isinstance(result, list)] == [
        1,
        1,
    ]


@pytest.mark.virtual_clock
async def test_snapshots_keep_their_distance_and_the_last_comes_at_once() -> None:
    loop = asyncio.get_running_loop()
    progress, began = progress_of(100), loop.time()

    async def follow() -> list[float]:
        return [loop.time() - began async for _ in progress.follow(every=10)]

    task = asyncio.create_task(follow())
    for number in range(25):
        await asyncio.sleep(1)
        progress.add(created(number))
    progress.enter("ended")
    assert await task == [0, 10, 20, 25]


@pytest.mark.parametrize("every", [-1, float("nan")])
async def test_an_invalid_distance_of_snapshots_is_refused(every: float) -> None:
    with pytest.raises(InvalidInputError):
        await all_of(progress_of(), every)


# ── Figures ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_rate_is_that_of_the_last_minute_and_the_estimate_follows_it() -> None:
    now = 0.0
    progress = Progress(RunReport(planned_empresas=1000, planned_series=1000), lambda: now, lambda: 0.0)
    assert (progress.snapshot.rate, progress.snapshot.eta) == (None, None)
    for number in range(100):  # one row in a second, and then two
        now += 1.0
        progress.add(created(number))
    for number in range(200):
        now += 0.5
        progress.add(created(number))
    snapshot = progress.snapshot
    assert snapshot.rate is not None
    assert (snapshot.rate.seconds, snapshot.rate.empresas, snapshot.rate.series) == (60, 2, 2)
    assert snapshot.eta == 1400 / 4


def test_what_earlier_runs_finished_is_counted_and_does_not_speed_up_the_estimate() -> None:
    now = 0.0
    report = RunReport(planned_empresas=100, planned_series=0)
    report.empresas[State.CREATED] = 80
    progress = Progress(report, lambda: now, lambda: 0.0)
    for number in range(10):
        now += 1.0
        progress.add(RowOutcome(number=number, rfc="AAA010101AA1", state=State.CREATED))
    assert (progress.snapshot.existing_empresas, progress.snapshot.eta) == (90, 10)


def test_a_row_that_fails_is_finished_for_the_estimate_and_does_not_exist() -> None:
    now = 0.0
    progress = Progress(RunReport(planned_empresas=2, planned_series=2), lambda: now, lambda: 0.0)
    now = 1.0
    progress.add(failed(1, "no"))
    snapshot = progress.snapshot
    assert (snapshot.existing_empresas, snapshot.empresas[State.FAILED], snapshot.eta) == (0, 1, 1.0)


def test_the_last_reasons_are_grouped_and_the_latest_comes_first() -> None:
    progress = progress_of(200)
    for number, reason in enumerate(["wrong password", "expired", "wrong password", *"abcd"], 1):
        progress.add(failed(number, reason))
    reasons = progress.snapshot.reasons
    assert [(each.count, each.text.partition(": ")[2], each.number) for each in reasons] == [
        (1, "d", 7),
        (1, "c", 6),
        (1, "b", 5),
        (1, "a", 4),
        (2, "wrong password", 1),
    ]


def test_the_number_of_remembered_reasons_is_bounded() -> None:
    progress = progress_of(5000)
    for number in range(1000):
        progress.add(failed(number, "x" * (number + 1)))
    assert len(progress._groups) == 100


def test_a_snapshot_becomes_json_with_all_its_figures() -> None:
    progress = progress_of(2)
    progress.add(failed(1, "no"))
    found = json.loads(json.dumps(progress.snapshot.to_dict()))
    states = dict.fromkeys(map(str, State), 0)
    assert found == {
        "phase": "running",
        "complete": False,
        "seconds": 0.0,
        "empresas": {"planned": 2, "there": 0, **states, "failed": 1},
        "series": {"planned": 2, "there": 0, **states, "not_tried": 1},
        "rate": None,
        "eta": None,
        "audit_wait": 0.0,
        "reasons": [
            {
                "state": "failed",
                "what": "empresa",
                "count": 1,
                "reason": "AAA010101001: no",
                "example": {"row": 1, "rfc": "AAA010101001", "letra": "", "tipo_documento": ""},
            }
        ],
    }


# ── Phases ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@staged()
async def test_a_run_passes_from_its_rows_to_the_audit_and_to_its_end(stage: Stage, client: FacturaOnline) -> None:
    async with asyncio.TaskGroup() as group, provision(client, PLAN, settle=5) as run:
        following = group.create_task(all_of(run.progress))
        async for _ in run:
            pass
    snapshots = following.result()
    phases = [snapshot.phase for snapshot in snapshots]
    assert list(dict.fromkeys(phases)) == ["running", "auditing", "ended"]
    auditing = snapshots[phases.index("auditing")]
    assert (auditing.eta, 0 < auditing.audit_wait <= 5, auditing.is_complete) == (0.0, True, False)
    assert (snapshots[-1].is_complete, snapshots[-1].audit_wait, snapshots[-1].seconds) == (
        True,
        0.0,
        run.report.seconds,
    )


@staged()
async def test_the_last_snapshot_of_a_stopped_run_counts_all_rows(stage: Stage, client: FacturaOnline) -> None:
    async with provision(client, PLAN, settle=5, concurrency=1) as run:
        async for _ in run:
            await run.stop()
            assert run.progress.snapshot.phase == "stopping"
    last = run.progress.snapshot
    assert (last.phase, sum(last.empresas.values()), sum(last.series.values()), last.eta) == ("ended", 6, 6, 0.0)
    assert (last.empresas[State.NOT_TRIED] > 0, last.is_complete) == (True, False)


@staged()
async def test_a_run_that_breaks_ends_its_followers(stage: Stage, client: FacturaOnline) -> None:
    async def work() -> None:
        async with provision(client, PLAN, settle=5) as run:
            following.append(asyncio.create_task(all_of(run.progress)))
            async for _ in run:
                raise ServerError("the caller's own")

    following: list[asyncio.Task[list[ProgressSnapshot]]] = []
    with pytest.raises(ServerError):
        await work()
    assert (await following[0])[-1].phase == "ended"


@staged()
async def test_refused_rows_show_their_reason_while_the_run_works(stage: Stage, client: FacturaOnline) -> None:
    stage.on(EMPRESAS, REFUSED)
    progress = await finished(stage, client)
    (reason,) = progress.snapshot.reasons
    assert (reason.state, reason.is_empresa, reason.count) == ("failed", True, 6)


# ── Stopping ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@staged()
async def test_awaiting_the_stop_waits_for_the_requests_in_flight(stage: Stage, client: FacturaOnline) -> None:
    """Another task may close the session then: the journal holds their answers."""
    stage.on(SERIES, slow(30.0))

    async def work() -> None:
        async with provision(client, PLAN, settle=5) as run:
            runs.append(run)
            async for _ in run:
                pass

    runs: list[Run] = []
    task = asyncio.create_task(work())
    await until(lambda: stage.count(SERIES))
    (run,) = runs
    loop = asyncio.get_running_loop()
    before, sent = loop.time(), stage.count(SERIES)
    await run.stop()
    assert (29 < loop.time() - before <= 30, stage.count(SERIES)) == (True, sent)
    await task
    assert stage.count(SERIES) == sent


@staged()
async def test_the_iteration_may_await_the_stop_itself(stage: Stage, client: FacturaOnline) -> None:
    async with provision(client, PLAN, settle=5, concurrency=2) as run:
        outcomes = []
        async for outcome in run:
            outcomes.append(outcome)
            await run.stop()
    assert 1 <= len(outcomes) < 6
    await run.stop()  # also when it has ended


@staged()
async def test_a_wait_for_the_stop_that_is_cancelled_leaves_the_run_stopped(
    stage: Stage, client: FacturaOnline
) -> None:
    stage.on(SERIES, slow(30.0))
    async with provision(client, PLAN, settle=5) as run:
        iteration = asyncio.create_task(all_outcomes(run))
        await until(lambda: stage.count(SERIES))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await run.stop()
        sent = stage.count(SERIES)
        await iteration
    assert stage.count(SERIES) == sent


async def all_outcomes(run: Run) -> list[RowOutcome]:
    return [outcome async for outcome in run]
