"""What another program creates between a run's list and its create is treated as what the list shows."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from facturaonline_async import FacturaOnline
from facturaonline_async._core.request import PreparedRequest
from facturaonline_async.provision import Existing, RowOutcome, State, provision
from facturaonline_async.testing._emulator.dispatch import ReceivedRequest
from tests.plans import nueva
from tests.provision.stage import EMPRESAS, REFUSED, SERIES, Act, Result, Stage, lost, run, slow, staged, until
from tests.provision.test_model import plan_of

RFC = "AAA010101000"
EVERY = pytest.mark.parametrize("existing", ["adopt", "update", "fail"])


def add_company(stage: Stage, count: int = 1) -> None:
    """Add the company of the plan, with other data than the plan's."""
    for _ in range(count):
        stage.state.add_empresa({"rfc": RFC, "codpos": "99999"})


def too_late(count: int = 1) -> Act:
    """Let another program create the company, and refuse the run's create."""

    async def act(stage: Stage, call: PreparedRequest, arrival: ReceivedRequest) -> Result:
        add_company(stage, count)
        return await REFUSED(stage, call, arrival)

    return act


def summary(stage: Stage, outcome: RowOutcome) -> tuple[Any, ...]:
    """Return what became of the company, what it has, and what the journal says of it."""
    (written,) = stage.book.execute("SELECT state, origin, sends FROM steps WHERE kind = 'empresas'").fetchall()
    codpos = [row["codpos"] for row in stage.state.tables["empresas"].values() if row["rfc"] == RFC]
    others = [serie.state for serie in outcome.series]
    return outcome.state, outcome.reason.partition(": ")[0], others, codpos, stage.count("empresas.update"), written


async def of_the_first_list(existing: str, count: int = 1) -> tuple[Any, ...]:
    """Play a run whose first list shows the company."""
    stage = Stage()
    with stage.rules():
        async with stage.session() as client:
            add_company(stage, count)
            (outcome,), _ = await run(client, plan_of([1]), journal="virtual", existing=existing)
            return summary(stage, outcome)


@pytest.mark.parametrize("count", [1, 2])
@EVERY
@staged()
async def test_a_company_that_appears_before_its_create_is_treated_as_a_listed_one(
    stage: Stage, client: FacturaOnline, existing: str, count: int
) -> None:
    stage.on(EMPRESAS, too_late(count))
    (outcome,), _ = await run(client, plan_of([1]), journal="virtual", existing=existing)
    assert summary(stage, outcome) == await of_the_first_list(existing, count)
    assert stage.count(EMPRESAS) == 1


@EVERY
@staged()
async def test_a_company_that_the_session_creates_meanwhile_is_treated_as_a_listed_one(
    stage: Stage, client: FacturaOnline, existing: str
) -> None:
    stage.on("empresas.current", slow(8), times=1)  # the run has listed the companies, and waits for the main one
    running = asyncio.create_task(run(client, plan_of([1]), journal="virtual", existing=existing))
    await until(lambda: stage.count("empresas.list") and stage.count("empresas.current"))
    await asyncio.sleep(3)
    await client.empresas.ensure(nueva(RFC, codpos="99999"))
    (outcome,), _ = await running
    assert summary(stage, outcome) == await of_the_first_list(existing)
    assert stage.count(EMPRESAS) == 1


@EVERY
@staged()
async def test_a_company_whose_create_by_the_session_was_lost_is_treated_as_a_listed_one(
    stage: Stage, client: FacturaOnline, existing: str
) -> None:
    """The run waits for the create of the ensure, and sends none of its own. One list shows the company."""
    stage.on(EMPRESAS, lost(done_after=15))
    ensuring = asyncio.create_task(client.empresas.ensure(nueva(RFC, codpos="99999")))
    await until(lambda: stage.count(EMPRESAS))
    (outcome,), _ = await run(client, plan_of([1]), journal="virtual", existing=existing, audit=False)
    await asyncio.wait([ensuring])
    assert summary(stage, outcome) == await of_the_first_list(existing)
    assert (stage.count(EMPRESAS), ensuring.exception() is not None) == (1, True)
    created_at = stage.moments(EMPRESAS)[0] + 15
    assert len([at for at in stage.moments("empresas.list") if at >= created_at]) == 2  # calls of one list


@EVERY
@staged()
async def test_a_company_that_the_next_run_lists_first_is_treated_as_a_listed_one(
    stage: Stage, client: FacturaOnline, existing: Existing
) -> None:
    """The run before waited for the create of an ensure, and was interrupted. Each list of the next one shows it."""
    stage.on(EMPRESAS, lost(done_after=15))
    ensuring = asyncio.create_task(client.empresas.ensure(nueva(RFC, codpos="99999")))
    await until(lambda: stage.count(EMPRESAS))
    async with provision(client, plan_of([1]), journal="virtual", existing=existing):
        await until(lambda: stage.phases()["unknown"])
    await asyncio.wait([ensuring])
    await until(lambda: RFC in {row["rfc"] for row in stage.state.tables["empresas"].values()})
    async with stage.session() as again:
        (outcome,), _ = await run(again, plan_of([1]), journal="virtual", existing=existing)
    assert summary(stage, outcome) == await of_the_first_list(existing)
    assert stage.count(EMPRESAS) == 1


@EVERY
@staged(list_lag=8.0)
async def test_a_company_that_the_session_has_created_and_lists_lack_is_treated_as_a_listed_one(
    stage: Stage, client: FacturaOnline, existing: str
) -> None:
    await client.empresas.ensure(nueva(RFC, codpos="99999"))
    (outcome,), _ = await run(client, plan_of([1]), journal="virtual", existing=existing)
    assert summary(stage, outcome) == await of_the_first_list(existing)
    assert stage.count(EMPRESAS) == 1


@EVERY
@staged()
async def test_a_company_that_a_lost_create_of_the_run_made_stays_as_it_is(
    stage: Stage, client: FacturaOnline, existing: str
) -> None:
    """It comes later than anything should, so that its repeat is refused. It is the run's own company."""
    stage.on(EMPRESAS, lost(), times=1)
    stage.on(EMPRESAS, too_late())
    (outcome,), _ = await run(client, plan_of([1]), journal="virtual", existing=existing)
    assert (outcome.state, stage.count("empresas.update")) == (State.ADOPTED, 0)


@staged()
async def test_the_only_active_one_of_several_series_that_appear_is_adopted(
    stage: Stage, client: FacturaOnline
) -> None:
    """A list that shows them before the create has the same outcome."""
    empresa = await client.empresas.ensure(nueva(RFC))
    uids = []

    async def act(stage: Stage, call: PreparedRequest, arrival: ReceivedRequest) -> Result:
        for estatus in ("Pausada", "Activa"):
            row = {"empresa": empresa.uid, "letra": "F", "tipo_documento": "factura", "estatus": estatus}
            uids.append(stage.state.add_serie(row))
        return await REFUSED(stage, call, arrival)

    stage.on(SERIES, act)
    (appeared,), _ = await run(client, plan_of([1]), journal="virtual")
    (listed,), _ = await run(client, plan_of([1]))
    assert appeared.series[0] == listed.series[0]
    assert (appeared.series[0].state, appeared.series[0].uid) == (State.ADOPTED, uids[1])
