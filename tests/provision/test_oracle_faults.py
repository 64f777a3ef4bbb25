"""Everything goes wrong at random, runs are cancelled and resumed, and what the emulator has is exactly the plan."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from attrs import evolve

from facturaonline_async import FacturaOnlineError, RetryPolicy, connect
from facturaonline_async.provision import RunReport, provision
from facturaonline_async.testing import Emulator, Fault
from tests.conftest import QUICK
from tests.provision.verdict import Verdict, judge, phases
from tests.provision.victim import make_plan

pytestmark = [pytest.mark.slow, pytest.mark.virtual_clock]

EMPRESAS = 30
PLAN = make_plan(EMPRESAS)
LETRAS = {row.rfc: [serie.letra for serie in row.series] for row in PLAN}

TIMEOUT = 0.4
LIST_LAG = 0.2
SETTLE = 1.2
"""Above what the latest fault and the lists' lag can take together."""

CONFIG = evolve(
    QUICK, total_timeout=TIMEOUT, upload_timeout=TIMEOUT, deadline=2, retry=RetryPolicy(transient=0.01, throttled=0.01)
)
FAULTS = (
    Fault.drop_before_commit(),
    Fault.drop_after_commit(),
    Fault.commit_late(0.6),
    Fault.status(502),
    Fault.status(502, commit=True),
    Fault.status(500, commit=True),
    Fault.garbage(),
    Fault.garbage(commit=False),
    Fault.html_page(),
    Fault.html_page(commit=False),
    Fault.throttle(),
    Fault.delay(TIMEOUT + 0.2),
    Fault.delay_answer(TIMEOUT + 0.2),
    Fault.status(200, body={"status": "create"}, commit=True),  # a yes without the uid
)
FAULTS_OF_READS = (Fault.status(500), Fault.drop_before_commit(), Fault.throttle(), Fault.html_page())


def faulty(seed: int) -> Emulator:
    emulator = Emulator(seed=seed, list_lag=LIST_LAG, read_lag=0.05)
    for endpoint in ("empresas.create", "series.create"):
        for fault in FAULTS:
            emulator.inject(fault, endpoint=endpoint, times=None, probability=0.03)
    for endpoint in ("empresas.list", "empresas.get", "series.list"):
        for fault in FAULTS_OF_READS:
            emulator.inject(fault, endpoint=endpoint, times=None, probability=0.03)
    return emulator


async def run(emulator: Emulator, journal: Path | None, *, cancel_after: float | None = None) -> RunReport | None:
    """Run the plan; None where it did not come to its end."""

    async def work() -> RunReport:
        async with (
            connect(emulator.credentials, base_url=emulator.base_url, config=CONFIG) as client,
            provision(client, PLAN, journal=journal, settle=SETTLE, concurrency=8) as under_way,
        ):
            async for _ in under_way:
                pass
        return under_way.report

    task = asyncio.create_task(work())
    await asyncio.wait({task}, timeout=cancel_after)
    task.cancel()
    with suppress(asyncio.CancelledError, FacturaOnlineError):
        return await task
    return None


def committed_twice(emulator: Emulator) -> list[str]:
    """Return what the log shows as done more than once, in any present state."""
    names = Counter(
        str(request.fields.get("rfc") or request.fields.get("letra"))
        for request in emulator.requests
        if request.endpoint in {"empresas.create", "series.create"} and request.committed
    )
    return [name for name, number in names.items() if number > 1]


@pytest.mark.parametrize("seed", range(4))
async def test_runs_cancelled_again_and_again_under_faults_create_everything_once(tmp_path: Path, seed: int) -> None:
    journal, chance = tmp_path / "run.sqlite", random.Random(seed)
    async with faulty(seed) as emulator:
        for _ in range(4):
            await run(emulator, journal, cancel_after=chance.uniform(0.05, 0.8))
        await run(emulator, journal)
        met = {request.fault.label for request in emulator.requests if request.fault is not None}
        emulator.clear_faults()
        report = await run(emulator, journal)
        assert report is not None
        assert (judge(emulator.state, LETRAS, journal), committed_twice(emulator)) == (Verdict(0, 0, 0), [])
    assert (report.is_complete, phases(journal)) == (True, {"done": 4 * EMPRESAS}), report
    assert len(met) >= len(FAULTS) // 2


@pytest.mark.parametrize("seed", range(2))
async def test_one_run_without_a_journal_creates_nothing_twice(seed: int) -> None:
    async with faulty(seed) as emulator:
        report = None
        while report is None:  # the list at the beginning may fail
            report = await run(emulator, None)
        await asyncio.sleep(1)
        verdict = judge(emulator.state, LETRAS)
        assert (verdict.duplicates, verdict.wrong_owner, committed_twice(emulator)) == (0, 0, [])
    there = sum(
        number for counts in (report.empresas, report.series) for state, number in counts.items() if state.is_there
    )
    assert there <= 4 * EMPRESAS - verdict.lost  # everything reported as existing exists
