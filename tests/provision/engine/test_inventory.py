"""What an account held before a run, whose keys are whose, and what a journal knows of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from attrs import evolve, fields, frozen

from facturaonline_async import Empresa, FacturaOnline, NuevaEmpresa
from facturaonline_async.provision import Plan, State, provision
from facturaonline_async.provision._engine.inventory import Inventory
from facturaonline_async.provision._journal.digests import payload
from facturaonline_async.provision._plan.models import ValueRow
from tests.plans import nueva
from tests.provision.stage import EMPRESAS, REFUSED, SERIES, Stage, answered, edited, lost, run, staged
from tests.provision.test_model import plan_of, there, wanted
from tests.steps import longest_step

RFC, OTHER = "AAA010101000", "AAA010101001"


# ── Keys ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _keyless(body: Any) -> None:
    for row in body["data"]:
        del row["api_key"], row["secret_key"]


def _mains_only(body: Any) -> None:
    _keyless({"data": body["data"][1:]})


@pytest.mark.parametrize("told", [_keyless, _mains_only])
@pytest.mark.parametrize("is_there", [True, False])
@staged()
async def test_unlisted_keys_are_verified_before_a_serie_is_created_with_them(
    stage: Stage,
    client: FacturaOnline,
    told: Callable[[Any], None],
    is_there: bool,  # noqa: FBT001
) -> None:
    """Lists show no keys, or the main ones only, and the API returns one company's keys for another."""
    other = stage.state.add_empresa({"rfc": OTHER})
    if is_there:
        stage.state.add_empresa({"rfc": RFC})
    row = stage.state.empresa(other)
    assert row is not None
    keys = {name: row[name] for name in ("api_key", "secret_key")}
    stage.on("empresas.list", edited(told))
    stage.on("empresas.get", edited(lambda body: body["data"].update(keys if body["data"]["rfc"] == RFC else {})))
    (outcome,), report = await run(client, plan_of([1]))
    assert f"the API gave the keys of the company {other} for the company {stage.uid(RFC)}" in outcome.reason
    assert (outcome.ok, report.is_complete, stage.count(SERIES)) == (False, False, 0)


@staged()
async def test_unlisted_keys_are_used_after_one_verification(stage: Stage, client: FacturaOnline) -> None:
    stage.on("empresas.list", edited(_keyless))
    _, report = await run(client, plan_of([1, 2]))
    assert (there(stage), report.is_complete) == (wanted(plan_of([1, 2])), True)
    assert stage.count("empresas.current", RFC) == stage.count("empresas.current", OTHER) == 1


# ── What was there before ─────────────────────────────────────────────────────────────────────────────────────────────


@staged()
async def test_the_main_company_is_adopted_although_no_list_shows_it(stage: Stage, client: FacturaOnline) -> None:
    uid = str(stage.state.main_uid())
    stage.on("empresas.list", edited(lambda body: body.update(data=[])))
    main = await client.empresas.current()
    (outcome,), report = await run(client, Plan.from_values([(nueva(main.rfc), plan_of([1]).rows[0].series)]))
    assert (outcome.state, outcome.uid, outcome.ok, stage.count(EMPRESAS)) == (State.ADOPTED, uid, True, 0)
    assert (report.audit, report.is_complete) == ([], True)


@pytest.mark.parametrize("count", [0, 1])
@staged()
async def test_the_main_company_is_not_created_again_after_a_lost_create_of_its_rfc(
    stage: Stage, client: FacturaOnline, count: int
) -> None:
    """The run that lost it could not read the main company, and no list shows that. A later one may show another."""
    main = await client.empresas.current()
    plan = Plan.from_values([(nueva(main.rfc), plan_of([1]).rows[0].series)])
    stage.on("empresas.list", edited(lambda body: body["data"].pop(0)))
    stage.on("empresas.current", answered(404), times=1)
    stage.on(EMPRESAS, lost(), times=1)
    async with provision(client, plan, journal="virtual", settle=30):
        while not stage.phases()["unknown"]:  # noqa: ASYNC110  # it rings no bell
            await asyncio.sleep(0.1)
    stage.book.execute("UPDATE steps SET sends = 0")  # it waited for the create of another task
    for _ in range(count):
        asyncio.get_running_loop().call_later(1, stage.state.add_empresa, {"rfc": main.rfc})
    (outcome,), _ = await run(client, plan, journal="virtual")
    assert outcome.state is (State.CONFLICT if count else State.ADOPTED)
    assert (outcome.uid, stage.count(EMPRESAS)) == (None if count else main.uid, 1)


@pytest.mark.parametrize("what", [EMPRESAS, SERIES])
@staged()
async def test_a_conflict_that_was_never_sent_may_be_removed_from_the_plan(
    stage: Stage, client: FacturaOnline, what: str
) -> None:
    uid = stage.state.add_empresa({"rfc": RFC})
    if what == EMPRESAS:
        stage.state.add_empresa({"rfc": RFC})
    else:
        for _ in range(2):
            stage.state.add_serie({"empresa": uid, "letra": "F", "tipo_documento": "factura"})
    (outcome, _), _ = await run(client, plan_of([1, 1]), journal="virtual")
    assert State.CONFLICT in {outcome.state, *(serie.state for serie in outcome.series)}
    kept, other = plan_of([0, 1]).rows
    _, report = await run(client, Plan([other] if what == EMPRESAS else [kept, other]), journal="virtual")
    assert (report.is_complete, stage.count(EMPRESAS), stage.count(SERIES)) == (True, 1, 1)


# ── What a journal knows ──────────────────────────────────────────────────────────────────────────────────────────────


@staged()
async def test_rows_with_the_same_number_are_distinguished(stage: Stage, client: FacturaOnline) -> None:
    """One is refused, one is lost, one is created; then only the first is tried again."""
    rows = [ValueRow(nueva=nueva(row.rfc), series=row.series, number=1) for row in plan_of([1, 1, 1])]
    plan = Plan(rows)
    stage.on(EMPRESAS, REFUSED, about=rows[0].rfc, times=1)
    stage.on(EMPRESAS, lost(), about=rows[1].rfc, times=1)
    outcomes, first = await run(client, plan, journal="virtual")
    assert [(each.rfc, each.number) for each in first.failed] == [(rows[0].rfc, 1)]
    assert {each.rfc: each.state for each in outcomes} == {
        rows[0].rfc: State.FAILED,
        rows[1].rfc: State.CREATED,
        rows[2].rfc: State.CREATED,
    }
    outcomes, report = await run(client, plan, journal="virtual")
    assert ([each.rfc for each in outcomes], report.is_complete) == ([rows[0].rfc], True)
    assert (there(stage), stage.count(EMPRESAS)) == (wanted(plan), 5)


@pytest.mark.parametrize("ahead", [3600.0, -3600.0])
@pytest.mark.parametrize("what", [EMPRESAS, SERIES])
@staged()
async def test_a_clock_that_was_set_between_two_runs_shortens_no_wait(
    stage: Stage, client: FacturaOnline, what: str, ahead: float
) -> None:
    """An unknown create of the first run takes effect nearly a settle time later, and is found; the audit, too."""
    stage.on(what, lost(done_after=25), times=1)
    async with provision(client, plan_of([1]), journal="virtual", settle=30):
        while not stage.phases()["unknown"]:  # noqa: ASYNC110  # it rings no bell
            await asyncio.sleep(0.1)
    stage.ahead = ahead
    clock = asyncio.get_running_loop().time
    async with stage.session() as again, provision(again, plan_of([1]), journal="virtual", settle=30) as under_way:
        async for _ in under_way:
            assert clock() < 40
    assert (there(stage), stage.count(what), under_way.report.is_complete) == (wanted(plan_of([1])), 1, True)
    assert clock() < 40 + 30 + 5


@frozen(kw_only=True)
class Later(NuevaEmpresa):
    """A company as a later version may know it."""

    giro: str = ""
    sitio: str | None = None
    is_matriz: bool = False


def test_new_attributes_of_later_versions_do_not_change_a_digest() -> None:
    def later(**more: Any) -> Later:
        known = nueva(RFC)
        return Later(**{each.name: getattr(known, each.name) for each in fields(NuevaEmpresa)} | more)

    assert payload(later()) == payload(nueva(RFC))
    said = [
        later(giro="x"),
        later(sitio="x"),
        later(is_matriz=True),
        later(mailtomyself=False),
        evolve(nueva(RFC), codpos="01000"),
    ]
    assert len({payload(each) for each in [nueva(RFC), *said]}) == 6


class EmptyAccount:
    """Service of an account whose list has no companies."""

    async def iterate(self, *, per_page: int) -> AsyncIterator[Empresa]:
        empresas: list[Empresa] = []
        for empresa in empresas[:per_page]:
            yield empresa


def test_no_step_of_the_comparison_with_the_final_list_grows_with_the_plan() -> None:
    steps = {}
    for number in (1_000, 3_000):

        async def compare(number: int = number) -> None:
            empresas: Any = EmptyAccount()
            inventory = Inventory(empresas, "account")
            for each in range(number):
                inventory.done[f"EKU{each:06d}3C9"] = f"607a{each:09d}"
                await asyncio.sleep(0)
            assert len(await inventory.audit()) == number

        steps[number] = longest_step(compare)
    assert steps[3_000] < 1.3 * steps[1_000], steps
