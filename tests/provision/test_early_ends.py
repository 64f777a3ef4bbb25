"""A run that ends early: its report and its journal say the same of every row."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from facturaonline_async import FacturaOnline, connect
from facturaonline_async.provision import Plan, PlanSerie, RowOutcome, Run, RunReport, State, provision
from facturaonline_async.provision._journal.progress import read_progress
from facturaonline_async.testing import Emulator, Fault
from tests.conftest import QUICK
from tests.plans import nueva

SERIES = [PlanSerie(letra="F", tipo_documento="factura"), PlanSerie(letra="P", tipo_documento="pago")]
PLAN = Plan.from_values([(nueva(f"AAA010101{number:03}"), SERIES) for number in range(12)])
REFUSED = Fault.status(200, body={"status": "error", "message": {"cer": ["no"]}})


def numbers(found: Mapping[State, int] | Mapping[str, int]) -> dict[str, int]:
    return {str(state): number for state, number in found.items() if number}


async def work(client: FacturaOnline, journal: Path, how: str, rows: int, reports: list[RunReport]) -> list[RowOutcome]:
    """Run until so many rows have come, and then end in one of the ways."""
    outcomes = []
    async with provision(client, PLAN, journal=journal, concurrency=3, settle=0.2) as under_way:
        reports.append(under_way.report)
        async for outcome in under_way:
            outcomes.append(outcome)
            if len(outcomes) == rows and not await _goes_on(under_way, how):
                break
    return outcomes


async def _goes_on(under_way: Run, how: str) -> bool:
    if how == "stopped":
        under_way.stop()
    elif how == "cancelled":
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)
    return how != "left"


@pytest.mark.parametrize("how", ["stopped", "left", "cancelled"])
async def test_the_report_of_a_run_that_ends_early_agrees_with_the_journal(tmp_path: Path, how: str) -> None:
    journal, reports = tmp_path / "j", list[RunReport]()
    async with (
        Emulator(latency=0.01) as emulator,
        connect(emulator.credentials, base_url=emulator.base_url, config=QUICK) as client,
    ):
        emulator.inject(REFUSED, endpoint="empresas.create")
        for rows in (2, 3):
            await asyncio.gather(work(client, journal, how, rows, reports), return_exceptions=True)
            report, status = reports[-1], read_progress(journal)
            assert (numbers(report.empresas), numbers(report.series)) == (
                numbers(status.empresas),
                numbers(status.series),
            )
            assert (sum(report.empresas.values()), sum(report.series.values())) == (12, 24)
            assert (report.empresas[State.NOT_TRIED] > 0, report.is_complete) == (True, False)
            missing = [serie for row in report.failed for serie in row.series if not serie.state.is_there]
            assert [serie for serie in missing if not serie.reason] == []
        await work(client, journal, "finished", 0, reports)
    assert (reports[-1].is_complete, reports[-1].empresas[State.NOT_TRIED]) == (True, 0)


async def test_a_resumed_run_reports_what_an_earlier_run_created(tmp_path: Path) -> None:
    journal, reports = tmp_path / "j", list[RunReport]()
    async with (
        Emulator(latency=0.01) as emulator,
        connect(emulator.credentials, base_url=emulator.base_url, config=QUICK) as client,
    ):
        first = await work(client, journal, "stopped", 3, reports)
        second = await work(client, journal, "finished", 0, reports)
    before, after = reports
    assert (before.earlier_empresas.total(), before.earlier_series.total()) == (0, 0)
    assert after.earlier_empresas[State.CREATED] == before.empresas[State.CREATED]
    assert after.earlier_series[State.CREATED] == before.series[State.CREATED]
    assert (after.empresas[State.CREATED], after.series[State.CREATED]) == (12, 24)
    made = {outcome.rfc for outcome in first if outcome.state is State.CREATED}
    assert {outcome.rfc for outcome in second if outcome.is_earlier} <= made
    assert not [outcome.rfc for outcome in first if outcome.is_earlier]


async def test_unsent_steps_are_failed_in_the_journal_as_in_the_report(tmp_path: Path) -> None:
    journal, reports = tmp_path / "j", list[RunReport]()
    async with (
        Emulator() as emulator,
        connect(emulator.credentials, base_url=emulator.base_url, config=QUICK) as client,
    ):
        emulator.inject(Fault.throttle(), endpoint="empresas.create", times=10_000)
        await work(client, journal, "finished", 0, reports)
    assert numbers(reports[0].empresas) == numbers(read_progress(journal).empresas) == {"failed": 12}
    assert numbers(reports[0].series) == numbers(read_progress(journal).series) == {"not_tried": 24}
