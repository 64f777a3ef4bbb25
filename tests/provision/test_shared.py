"""Runs of sessions that share a service with other processes, and what a run does while the service is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from attrs import define, field

from facturaonline_async import FacturaOnline, InvalidInputError, NotSentError, Rate, SharedUnavailableError
from facturaonline_async.provision import Plan, State, provision
from facturaonline_async.sharing import Grant, Seen
from tests.core.limits.quotas import QuotaDouble
from tests.core.once.stores import Network, RemoteStore
from tests.plans import nueva
from tests.provision.stage import EMPRESAS, SERIES, Stage, lost, run, staged, until
from tests.provision.test_model import plan_of, there, wanted
from tests.provision.world import SETTLE
from tests.sharing import SharedDouble

RFC = "AAA010101000"


@define(eq=False)
class Store(RemoteStore):
    """A store of creates that is away while it is told to.

    Attributes:
        is_away: Whether it answers with an error.

    """

    is_away: bool = field(default=False, kw_only=True)

    async def begin(self, seen: Seen, nonce: str) -> Grant | None:
        """Fail, or begin."""
        if self.is_away:
            error = NotSentError("the store is away")
            error.is_transient = True
            raise error
        return await super().begin(seen, nonce)


def make_shared() -> tuple[SharedDouble, QuotaDouble, Store]:
    """Return a service, its quota and its store."""
    quota, shared = QuotaDouble(latency=0.002), SharedDouble(network=Network())
    shared.quota, shared.store = quota, Store(Network(latency=0.002))
    return shared, quota, shared.store


@asynccontextmanager
async def opened(stage: Stage, shared: SharedDouble, **config: Any) -> AsyncIterator[FacturaOnline]:
    async with stage.session(shared=shared, host_rates=Rate(100, 1), **config) as client:
        yield client


async def away(quota: QuotaDouble, store: Store, what: str, since: float, until: float) -> None:
    """Take the quota or the store away between two moments."""
    clock = asyncio.get_running_loop().time
    await asyncio.sleep(since - clock())
    quota.is_away, store.is_away = what == "the quota", what == "the store"
    await asyncio.sleep(until - clock())
    quota.is_away = store.is_away = False


# ── Nothing twice ─────────────────────────────────────────────────────────────────────────────────────────────────────


@staged(list_lag=3.0)
async def test_two_runs_and_ensures_of_other_processes_create_everything_once(
    stage: Stage, client: FacturaOnline
) -> None:
    shared, _, _ = make_shared()
    plan = plan_of([3, 2, 3, 1])

    async def want(process: FacturaOnline, number: int) -> None:
        empresa = await process.empresas.ensure(nueva(f"AAA010101{number:03}"))
        own = process.for_empresa(empresa)
        for serie in list(plan)[number].series:
            await own.series.ensure(letra=serie.letra, tipo_documento=serie.tipo_documento)

    async with opened(stage, shared) as one, opened(stage, shared) as two, opened(stage, shared) as three:
        runs = [asyncio.create_task(run(process, plan)) for process in (one, two)]
        await asyncio.gather(*runs, *(want(three, number) for number in range(4)))
    assert there(stage) == wanted(plan)
    assert set(stage.sent.values()) == {1}
    assert [each.result()[1].is_complete for each in runs] == [True, True]


@staged()
async def test_a_run_and_other_processes_without_a_shared_service_create_twice(
    stage: Stage, client: FacturaOnline
) -> None:
    """The control: the test above can fail."""
    plan = plan_of([3, 2, 3, 1])
    async with stage.session() as one, stage.session() as two:
        await asyncio.gather(run(one, plan), run(two, plan))
    assert max(stage.sent.values()) > 1


@staged()
async def test_a_run_creates_again_what_lists_lack_after_the_settle_time(stage: Stage, client: FacturaOnline) -> None:
    """Its own create, whose outcome is unknown, is pending in the shared store for as long as in the run."""
    shared, _, _ = make_shared()
    stage.on(EMPRESAS, lost(), times=1)
    stage.on(SERIES, lost(), times=1)
    async with opened(stage, shared) as process:
        _, report = await run(process, plan_of([1]))
    assert (there(stage), report.is_complete) == (wanted(plan_of([1])), True)
    assert (stage.count(EMPRESAS), stage.count(SERIES)) == (2, 2)


@staged()
async def test_a_settle_time_of_a_run_that_is_too_short_is_refused(stage: Stage, client: FacturaOnline) -> None:
    shared, _, _ = make_shared()
    async with opened(stage, shared) as process:
        with pytest.raises(InvalidInputError) as caught:
            await run(process, plan_of([1]), settle=20.9)
    assert (caught.value.field, stage.calls) == ("settle", [])


# ── The service is away ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("what", ["the quota", "the store"])
@pytest.mark.parametrize("since", [0.5, 1.0, 1.5, 2.0, 3.0, 4.0])
@staged()
async def test_rows_wait_while_the_service_is_away(
    stage: Stage, client: FacturaOnline, since: float, what: str
) -> None:
    """The outage lasts ten times the settle time."""
    shared, quota, store = make_shared()
    plan = plan_of([3, 2, 3, 1, 2])
    async with opened(stage, shared) as process:
        outage = asyncio.create_task(away(quota, store, what, since, since + 10 * SETTLE))
        async with provision(process, plan, settle=SETTLE) as under_way:
            outcomes = [outcome async for outcome in under_way]
        await outage
    assert there(stage) == wanted(plan)
    assert [outcome.reason for outcome in outcomes if outcome.reason] == []
    assert under_way.report.is_complete
    assert asyncio.get_running_loop().time() < since + 10 * SETTLE + 30 + 3 * SETTLE
    during = [each for each in stage.calls if since + 1.5 < each.at < since + 10 * SETTLE]
    assert [each for each in during if each.endpoint in {EMPRESAS, SERIES}] == []


@staged()
async def test_no_further_row_begins_while_the_service_is_away(stage: Stage, client: FacturaOnline) -> None:
    """A plan of any size waits in constant memory, and asks no more often than a small one."""
    shared, quota, store = make_shared()
    plan = Plan.from_values((nueva(f"AAA010101{number:03}"), []) for number in range(100))
    rows: set[int] = set()
    async with (
        opened(stage, shared) as process,
        provision(
            process, plan, settle=SETTLE, on_event=lambda event: rows.add(event.number), audit=False
        ) as under_way,
    ):
        outage = asyncio.create_task(away(quota, store, "the store", 0, 1000))
        begun: list[int] = []
        asyncio.get_running_loop().call_at(999, lambda: begun.append(len(rows)))
        async for _ in under_way:
            pass
        await outage
    assert begun[0] <= 10
    assert len(quota.leases) < 20 * 1000 / 15
    assert there(stage) == wanted(plan)


@staged()
async def test_a_run_that_is_stopped_while_the_service_is_away_leaves_rows_for_the_next_run(
    stage: Stage, client: FacturaOnline
) -> None:
    shared, _, store = make_shared()
    plan = plan_of([2, 1])
    async with opened(stage, shared) as process:
        store.is_away = True
        async with provision(process, plan, settle=SETTLE) as under_way:
            asyncio.get_running_loop().call_later(100, under_way.stop)
            outcomes = [outcome async for outcome in under_way]
        assert [outcome.state for outcome in outcomes] == [State.NOT_TRIED, State.NOT_TRIED]
        assert {outcome.reason for outcome in outcomes} == {"not tried: the run was stopped"}
        assert asyncio.get_running_loop().time() < 102
        store.is_away = False
        _, report = await run(process, plan)
    assert (there(stage), report.is_complete) == (wanted(plan), True)


@pytest.mark.parametrize("about", [EMPRESAS, SERIES])
@staged()
async def test_a_step_with_an_unknown_outcome_is_looked_for_after_the_outage(
    stage: Stage, client: FacturaOnline, about: str
) -> None:
    shared, quota, store = make_shared()
    stage.on(about, lost(done_after=1), times=1)
    plan = plan_of([1])
    async with opened(stage, shared) as process:
        task = asyncio.create_task(run(process, plan))
        await until(lambda: stage.count(about))
        now = asyncio.get_running_loop().time()
        await asyncio.gather(task, away(quota, store, "the quota", now + 0.1, now + 20 * SETTLE))
        _, report = task.result()
    assert (there(stage), report.is_complete, stage.count(about)) == (wanted(plan), True, 1)


@staged()
async def test_the_audit_waits_while_the_service_is_away(stage: Stage, client: FacturaOnline) -> None:
    shared, quota, store = make_shared()
    plan = plan_of([1, 1])
    async with opened(stage, shared) as process:
        async with provision(process, plan, settle=SETTLE) as under_way:
            outage = None
            async for _ in under_way:
                if stage.count(SERIES) == 2 and outage is None:
                    now = asyncio.get_running_loop().time()
                    outage = asyncio.create_task(away(quota, store, "the quota", now + 0.1, now + 20 * SETTLE))
        assert outage is not None
        await outage
    assert (under_way.report.audit, under_way.report.is_complete) == ([], True)


@staged()
async def test_a_run_that_begins_while_the_service_is_away_fails_at_once(stage: Stage, client: FacturaOnline) -> None:
    shared, quota, _ = make_shared()
    quota.is_away = True
    async with opened(stage, shared) as process:
        with pytest.raises(SharedUnavailableError):
            await run(process, plan_of([1]))
    assert stage.calls == []


@staged()
async def test_a_service_that_is_unusable_for_good_fails_the_rows(stage: Stage, client: FacturaOnline) -> None:
    """The run does not wait for what a person has to mend."""

    class Unusable(RemoteStore):
        """A store whose schema is too old."""

        async def begin(self, *_: object) -> Grant | None:
            """Fail."""
            raise NotSentError("the schema is too old")

    shared, _, _ = make_shared()
    shared.store = Unusable(Network())
    async with opened(stage, shared) as process:
        outcomes, report = await run(process, plan_of([1]))
    assert (report.is_complete, outcomes[0].state, "the schema is too old" in outcomes[0].reason) == (
        False,
        State.FAILED,
        True,
    )
