"""The example job: its exit codes, its metrics, and a signal in the middle."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from facturaonline_async.provision._journal.progress import read_progress
from facturaonline_async.provision._journal.writer import SqliteJournal
from facturaonline_async.testing import Emulator, Fault, emulator_in_thread
from tests.integrations.programs import EXAMPLES, created, environment, make_plan, started

pytestmark = pytest.mark.integrations

JOB = str(EXAMPLES / "batch_job.py")


async def test_a_job_that_a_signal_ends_says_later_and_the_next_one_completes_it(tmp_path: Path) -> None:
    make_plan(tmp_path / "plan", 30)
    plan, journal, metrics = (str(tmp_path / name) for name in ("plan/plan.csv", "run.sqlite", "metrics.prom"))
    with emulator_in_thread(Emulator(latency=0.01)) as emulator:
        env = environment(emulator)
        async with started(JOB, plan, journal, "--metrics", metrics, env=env) as program:
            while emulator.count("series.create") < 5:
                assert program.process.returncode is None
                await asyncio.sleep(0.02)
            program.process.send_signal(signal.SIGTERM)
            assert await program.ended() == 75
        status = read_progress(journal)
        assert (status.empresas["unknown"], status.series["unknown"], status.is_broken_off) == (0, 0, False)
        assert "facturaonline_complete 0" in Path(metrics).read_text(encoding="utf-8")
        async with started(JOB, plan, journal, "--metrics", metrics, env=env) as program:
            assert await program.ended() == 0
        written = Path(metrics).read_text(encoding="utf-8").splitlines()
        assert 'facturaonline_rows{kind="empresas",state="created"} 30' in written
        assert written[-1] == "facturaonline_complete 1"
        assert created(emulator) == (30, 90, 0)


async def test_a_job_whose_journal_is_in_use_says_later(tmp_path: Path) -> None:
    make_plan(tmp_path / "plan", 3)
    journal = tmp_path / "run.sqlite"
    with emulator_in_thread() as emulator:
        account = {"account": emulator.credentials.fingerprint, "host": emulator.base_url}
        async with (
            await SqliteJournal.open(journal, **account),
            started(JOB, str(tmp_path / "plan" / "plan.csv"), str(journal), env=environment(emulator)) as program,
        ):
            assert await program.ended() == 75
        assert created(emulator) == (0, 0, 0)


async def test_a_refused_row_is_printed_and_the_exit_code_says_so(tmp_path: Path) -> None:
    make_plan(tmp_path / "plan", 3)
    refusal = Fault.status(200, body={"status": "error", "message": {"cer": ["No es válido."]}})
    with emulator_in_thread() as emulator:
        emulator.inject(refusal, endpoint="empresas.create")
        paths = (str(tmp_path / "plan" / "plan.csv"), str(tmp_path / "run.sqlite"))
        async with started(JOB, *paths, env=environment(emulator)) as program:
            assert await program.ended() == 1
        assert created(emulator) == (2, 6, 0)
    assert [line for line in program.lines if "No es válido." in line] != []
