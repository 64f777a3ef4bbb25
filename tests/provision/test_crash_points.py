"""A process that dies at any step of the protocol leaves nothing that the next one cannot bring to its end, once."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path
from typing import Any

import pytest

from facturaonline_async import connect
from facturaonline_async.provision import RunReport, provision
from facturaonline_async.testing import Emulator, Fault
from tests.conftest import QUICK
from tests.provision.verdict import Verdict, judge, phases
from tests.provision.victim import POINTS, REACHED, make_plan

pytestmark = pytest.mark.slow

EMPRESAS = 3
SETTLE = 0.6
LETRAS = {row.rfc: [serie.letra for serie in row.series] for row in make_plan(EMPRESAS)}

#: Points that a run comes to only if an answer is lost, and those that only a second run comes to.
LOST = {point for point in POINTS if "unknown" in point}
AGAIN = {point for point in POINTS if "compared" in point}


async def victim(emulator: Emulator, journal: Path, point: str | None = None, **more: Any) -> Process:
    """Start a process that dies at this point, or not."""
    keys = emulator.credentials
    orders = {
        "api_key": keys.api_key.reveal(),
        "secret_key": keys.secret_key.reveal(),
        "base_url": emulator.base_url,
        "empresas": EMPRESAS,
        "journal": str(journal),
        "settle": SETTLE,
        "point": point,
    }
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.provision.victim",
        json.dumps(orders | more),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
    )


async def dies(emulator: Emulator, journal: Path, point: str, **more: Any) -> None:
    """Let a process die at this point, and see that it came so far."""
    process = await victim(emulator, journal, point, **more)
    _, problems = await process.communicate()
    assert process.returncode == REACHED, problems.decode()


async def resumed(emulator: Emulator, journal: Path) -> RunReport:
    """Go on where it stood, in this process, and without faults."""
    emulator.clear_faults()
    async with (
        connect(emulator.credentials, base_url=emulator.base_url, config=QUICK) as client,
        provision(client, make_plan(EMPRESAS), journal=journal, settle=SETTLE) as run,
    ):
        async for _ in run:
            pass
    return run.report


async def brought_to_its_end(emulator: Emulator, journal: Path) -> None:
    """See that the next run finishes the plan, and that everything is there once."""
    report = await resumed(emulator, journal)
    assert judge(emulator.state, LETRAS, journal) == Verdict(0, 0, 0)
    assert (report.is_complete, phases(journal)) == (True, {"done": EMPRESAS * 4})


@pytest.mark.parametrize("point", sorted({*POINTS} - LOST - AGAIN))
async def test_after_a_crash_at_any_point_the_next_run_creates_everything_once(
    emulator: Emulator, tmp_path: Path, point: str
) -> None:
    journal = tmp_path / "run.sqlite"
    is_once = "plan" in point or "list at the end" in point
    await dies(emulator, journal, point, skip=0 if is_once else 1)
    await brought_to_its_end(emulator, journal)


@pytest.mark.parametrize("point", sorted(LOST))
async def test_after_a_crash_with_lost_answers_the_next_run_creates_everything_once(
    emulator: Emulator, tmp_path: Path, point: str
) -> None:
    journal = tmp_path / "run.sqlite"
    for fault in (Fault.drop_after_commit(), Fault.commit_late(0.3), Fault.drop_before_commit()):
        emulator.inject(fault, endpoint="empresas.create")
    await dies(emulator, journal, point)
    await brought_to_its_end(emulator, journal)


@pytest.mark.parametrize("point", sorted(AGAIN))
async def test_after_a_crash_while_resuming_the_next_run_creates_everything_once(
    emulator: Emulator, tmp_path: Path, point: str
) -> None:
    journal = tmp_path / "run.sqlite"
    emulator.inject(Fault.commit_late(0.4), endpoint="empresas.create")
    await dies(emulator, journal, "after a serie's intent, before the first byte")
    await dies(emulator, journal, point)
    await dies(emulator, journal, point)
    await brought_to_its_end(emulator, journal)


@pytest.mark.parametrize("endpoint", ["empresas.create", "series.create"])
@pytest.mark.parametrize("is_done", [True, False])
async def test_after_a_kill_during_a_request_the_next_run_creates_everything_once(
    emulator: Emulator,
    tmp_path: Path,
    endpoint: str,
    is_done: bool,  # noqa: FBT001
) -> None:
    """Killed when the request has arrived: it is done already, or it will be when the next process is at work."""
    journal = tmp_path / "run.sqlite"
    emulator.inject(Fault.delay_answer(30) if is_done else Fault.delay(0.4), endpoint=endpoint, skip=1)
    process = await victim(emulator, journal)
    while not any(request.fault for request in emulator.requests):  # noqa: ASYNC110  # it rings no bell
        await asyncio.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    await process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert phases(journal)["intent"] > 0
    await brought_to_its_end(emulator, journal)


async def test_a_second_run_without_a_crash_changes_nothing(emulator: Emulator, tmp_path: Path) -> None:
    journal = tmp_path / "run.sqlite"
    process = await victim(emulator, journal)
    output, problems = await process.communicate()
    assert (process.returncode, json.loads(output)) == (0, {"complete": True}), problems.decode()
    creates = emulator.count("empresas.create"), emulator.count("series.create")
    await brought_to_its_end(emulator, journal)
    assert (emulator.count("empresas.create"), emulator.count("series.create")) == creates == (EMPRESAS, 3 * EMPRESAS)
