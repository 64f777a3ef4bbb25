"""A run never creates the company of a row that only gives series, and changes what a row with a uid gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from facturaonline_async import CambiosEmpresa, FacturaOnline
from facturaonline_async.provision import (
    Action,
    ExistingRow,
    Plan,
    PlanError,
    PlanSerie,
    RowOutcome,
    State,
    ValueRow,
    preview,
    provision,
)
from facturaonline_async.testing import Emulator
from tests.plans import nueva

pytestmark = pytest.mark.virtual_clock

F = PlanSerie(letra="F", tipo_documento="factura", folio=1)
P = PlanSerie(letra="P", tipo_documento="pago")
ONE, TWO = "AAA010101001", "AAA010101002"


async def run(client: FacturaOnline, plan: Plan, **how: Any) -> list[RowOutcome]:
    async with provision(client, plan, settle=0.2, **how) as under_way:
        return sorted([each async for each in under_way], key=lambda each: each.number)


def written(emulator: Emulator) -> list[str]:
    return [request.endpoint for request in emulator.requests if request.method != "GET"]


async def test_series_are_created_in_a_company_that_exists(client: FacturaOnline, emulator: Emulator) -> None:
    emulator.add_serie(emulator.add_empresa(rfc=ONE), letra="F", tipo_documento="factura")

    [row] = await run(client, Plan.from_values([ExistingRow(rfc=ONE, series=(F, P))]))

    assert (row.state, [serie.state for serie in row.series]) == (State.ADOPTED, [State.ADOPTED, State.CREATED])
    assert written(emulator) == ["series.create"]


async def test_a_missing_company_fails_its_row_before_anything_is_sent(
    client: FacturaOnline, emulator: Emulator
) -> None:
    [row] = await run(client, Plan.from_values([ExistingRow(rfc=ONE, series=(F,))]))

    assert (row.state, row.series[0].state, written(emulator)) == (State.FAILED, State.NOT_TRIED, [])
    assert "no company with this RFC" in row.reason


async def test_a_company_that_has_come_is_found_by_the_next_run(
    client: FacturaOnline, emulator: Emulator, tmp_path: Path
) -> None:
    plan, journal = Plan.from_values([ExistingRow(rfc=ONE, series=(F,))]), tmp_path / "run.sqlite"
    await run(client, plan, journal=journal)
    emulator.add_empresa(rfc=ONE)

    [row] = await run(client, plan, journal=journal)
    again = await run(client, plan, journal=journal)

    assert (row.state, row.series[0].state, again) == (State.ADOPTED, State.CREATED, [])
    assert written(emulator) == ["series.create"]


async def test_series_are_added_to_a_company_that_an_earlier_run_created(
    client: FacturaOnline, emulator: Emulator, tmp_path: Path
) -> None:
    journal = tmp_path / "run.sqlite"
    await run(client, Plan.from_values([ValueRow(nueva=nueva(ONE), series=(F,))]), journal=journal)

    [row] = await run(client, Plan.from_values([ExistingRow(rfc=ONE, series=(F, P))]), journal=journal)

    assert [serie.state for serie in row.series] == [State.CREATED, State.CREATED]
    assert written(emulator).count("series.create") == 2


@pytest.mark.parametrize("existing", ["update", "fail"])
async def test_a_row_of_series_changes_no_company(client: FacturaOnline, emulator: Emulator, existing: Any) -> None:
    emulator.add_empresa(rfc=ONE)

    [row] = await run(client, Plan.from_values([ExistingRow(rfc=ONE, series=(F,))]), existing=existing)

    assert (row.state, written(emulator)) == (State.ADOPTED, ["series.create"])


async def test_an_update_sends_what_a_row_with_a_uid_gives(client: FacturaOnline, emulator: Emulator) -> None:
    uid = emulator.add_empresa(rfc=ONE)
    plan = Plan.from_values([ExistingRow(rfc=ONE, uid=uid, cambios=CambiosEmpresa(codpos="06500"))])

    found = await preview(client, plan, existing="update")
    [row] = await run(client, plan, existing="update")
    again = await preview(client, plan, existing="update")

    assert ([change.name for change in found.rows[0].changes], row.state) == (["codpos"], State.UPDATED)
    assert ((await client.empresas.get(uid)).codpos, again.is_settled) == ("06500", True)


async def test_the_data_of_an_updated_row_may_not_change_within_a_journal(
    client: FacturaOnline, emulator: Emulator, tmp_path: Path
) -> None:
    uid, journal = emulator.add_empresa(rfc=ONE), tmp_path / "run.sqlite"

    def plan(codpos: str) -> Plan:
        return Plan.from_values([ExistingRow(rfc=ONE, uid=uid, cambios=CambiosEmpresa(codpos=codpos))])

    await run(client, plan("06500"), existing="update", journal=journal)

    with pytest.raises(PlanError, match="codpos"):
        await run(client, plan("06600"), existing="update", journal=journal)


async def test_a_row_with_another_uid_fails(client: FacturaOnline, emulator: Emulator) -> None:
    uid = emulator.add_empresa(rfc=ONE)

    [row] = await run(client, Plan.from_values([ExistingRow(rfc=ONE, uid=f"{uid}0", series=(F,))]))

    assert (row.state, written(emulator)) == (State.FAILED, [])
    assert f"has the uid {uid}" in row.reason


async def test_a_preview_says_what_a_run_refuses(client: FacturaOnline, emulator: Emulator) -> None:
    uid = emulator.add_empresa(rfc=TWO)
    plan = Plan.from_values([ExistingRow(rfc=ONE, series=(F,)), ExistingRow(rfc=TWO, uid=f"{uid}0", series=(F,))])

    found = await preview(client, plan)
    rows = await run(client, plan)

    assert [row.action for row in found.rows] == [Action.REFUSE, Action.REFUSE]
    assert [row.reason for row in found.rows] == [row.reason for row in rows]
    assert (found.series[Action.NOT_TRIED], found.is_settled) == (2, False)
