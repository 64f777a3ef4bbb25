"""Sessions of several processes over PostgreSQL create nothing twice, by the log of the API.

``python -m tests.postgres.race`` plays the same rounds many times.
"""

from __future__ import annotations

import pytest
from attrs import evolve

from tests.postgres.processes import Processes, copies
from tests.postgres.race import LETRAS, RFCS, Round, play_round
from tests.postgres.servers import Cluster
from tests.postgres.session_worker import Job
from tests.postgres.witness import Behaviour, Report, witness

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

QUIET = Round(kills=0, stops=0, crashes=0, faults=0, others=0)
SECONDS = 540.0
KINDS = "FPN"
OF_COMPANIES = {f"{kind}{rfc[-3:]}" for rfc in RFCS for kind in KINDS}


def there(report: Report) -> set[str]:
    return {*report.series, *report.empresas}


async def test_four_processes_create_each_object_once(cluster: Cluster, url: str) -> None:
    report, processes = await play_round(QUIET, url, cluster)

    assert there(report) == {*LETRAS, *RFCS}
    assert report.duplicates == []
    assert (report.count("series.create"), report.count("empresas.create")) == (len(LETRAS), len(RFCS))
    assert processes.errors == {}


async def test_without_the_database_they_would_create_many_twice(cluster: Cluster) -> None:
    """Control."""
    report, _ = await play_round(QUIET, None, cluster)

    assert len(report.duplicates) > 2


@pytest.mark.parametrize("seed", range(3))
async def test_faults_kills_stops_and_a_crash_of_the_server_lead_to_no_second_object(
    cluster: Cluster, url: str, seed: int
) -> None:
    report, _ = await play_round(Round(seed), url, cluster)

    assert report.duplicates == []
    assert there(report) == {*LETRAS, *RFCS}


async def test_a_server_that_crashes_twice_leads_to_errors_and_to_no_second_object(cluster: Cluster, url: str) -> None:
    report, processes = await play_round(Round(1, kills=0, stops=0, crashes=2, faults=0.15), url, cluster)

    assert report.duplicates == []
    assert there(report) == {*LETRAS, *RFCS}
    assert "SharedUnavailableError" in processes.errors


@pytest.mark.parametrize("faults", [0.0, 0.2])
async def test_a_run_and_four_processes_of_ensure_create_each_object_once(url: str, faults: float) -> None:
    async with witness(Behaviour(0.05, list_lag=0.5, read_lag=0.5, faults=faults)) as api:
        job = Job(base_url=api.base_url, keys=api.keys, database=url, rfcs=RFCS, kinds=KINDS, times=2, seconds=SECONDS)
        processes = Processes([*copies(job), evolve(job, number=5, run="alta")])
        await processes.run()
        report = await api.report()

    assert report.duplicates == []
    assert there(report) == {*RFCS, *OF_COMPANIES}
    assert "never" not in processes.errors


@pytest.mark.parametrize("faults", [0.0, 0.2])
async def test_two_runs_of_different_names_over_one_plan_create_each_object_once(url: str, faults: float) -> None:
    async with witness(Behaviour(0.05, list_lag=0.5, read_lag=0.5, faults=faults)) as api:
        job = Job(base_url=api.base_url, keys=api.keys, database=url, rfcs=RFCS, kinds=KINDS, seconds=SECONDS)
        processes = Processes([evolve(job, number=number, run=f"alta {number}") for number in (1, 2)])
        await processes.run()
        report = await api.report()

    assert report.duplicates == []
    assert there(report) == {*RFCS, *OF_COMPANIES}
    assert "never" not in processes.errors
