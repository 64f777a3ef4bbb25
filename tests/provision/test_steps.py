"""Large plans: no step of a run grows with its plan."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest
from attrs import frozen

from facturaonline_async import connect
from facturaonline_async.provision import Plan, RunReport, State, provision
from facturaonline_async.testing import Emulator
from tests.conftest import QUICK
from tests.plans import nueva
from tests.steps import emulator_in_a_thread, longest_step

pytestmark = pytest.mark.one_python

FEW: Final = 1_000
MANY: Final = 2_000
_DONE: Final = "UPDATE steps SET state = 'done', origin = 'adopted', uid = printf('607a%09d', number)"
_UNKNOWN: Final = "UPDATE steps SET state = 'unknown', sends = 1"


@frozen
class Job:
    """A plan whose companies exist, and the emulator of their account."""

    plan: Plan
    emulator: Emulator

    def run(self, journal: Path, *, is_stopped: bool = False) -> tuple[int, RunReport]:
        """Run the plan, and return the longest step and the report."""
        reports = []

        async def run() -> None:
            async with (
                connect(self.emulator.credentials, base_url=self.emulator.base_url, config=QUICK) as client,
                provision(client, self.plan, journal=journal, settle=0.1) as run,
            ):
                if is_stopped:
                    run.stop()
                async for _ in run:
                    pass
            reports.append(run.report)

        return longest_step(run), reports[0]


@pytest.fixture(scope="module")
def jobs() -> Iterator[dict[int, Job]]:
    """Jobs with `FEW` and `MANY` rows."""
    jobs = {}
    for number in (FEW, MANY):
        rfcs = {each: f"EKU{each:06d}3C9" for each in range(1, number + 1)}
        emulator = Emulator(log_limit=0)
        for each, rfc in rfcs.items():
            emulator.add_empresa(rfc=rfc, uid=f"607a{each:09d}")
        jobs[number] = Job(Plan.from_values((nueva(rfc), ()) for rfc in rfcs.values()), emulator)
    with emulator_in_a_thread(jobs[FEW].emulator), emulator_in_a_thread(jobs[MANY].emulator):
        yield jobs


@pytest.mark.parametrize(
    ("earlier", "is_stopped", "state"),
    [
        pytest.param("", True, State.NOT_TRIED, id="a new journal"),
        pytest.param(_DONE, False, State.ADOPTED, id="finished rows"),
        pytest.param(_UNKNOWN, True, State.UNKNOWN, id="unfinished rows"),
        pytest.param(_UNKNOWN, False, State.ADOPTED, id="waiting rows", marks=pytest.mark.slow),
    ],
)
def test_no_step_of_a_run_grows_with_its_plan(
    jobs: dict[int, Job], tmp_path: Path, earlier: str, state: State, *, is_stopped: bool
) -> None:
    def attempt(job: Job, number: int, place: int) -> int:
        """Return the longest step of a run with a journal of its own."""
        journal = tmp_path / f"{number}-{place}.sqlite"
        if earlier:
            job.run(journal, is_stopped=True)
            with closing(sqlite3.connect(journal)) as connection, connection:
                connection.execute(earlier)
        longest, report = job.run(journal, is_stopped=is_stopped)
        assert report.empresas[state] == number
        return longest

    # A busy machine may deliver several answers in one step; a step that grows is long in each attempt.
    steps = {number: min(attempt(job, number, place) for place in range(6)) for number, job in jobs.items()}
    assert steps[MANY] < 1.3 * steps[FEW], steps
