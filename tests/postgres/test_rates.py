"""Four processes keep one quota, whatever becomes of one of them, of the database, or of the way to it.

The judged moments are those of the starts that the database granted, or of the shares that the processes took: when a
request arrives depends on the machine, too. ``python -m tests.postgres.rates`` prints the arrivals.
"""

from __future__ import annotations

from collections import Counter

import pytest
from attrs import evolve

from tests.postgres.grants import exceeding, most_in
from tests.postgres.rates import CASES, COUNT, Outcome, play
from tests.postgres.servers import Cluster

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

SECONDS = 6.0
RATE = 40  # low, so that the quota is what limits the calls, also on a slow machine
HORIZON = 0.05
CLOCKS = 0.005  # what may lie between the readings of two clocks of one machine


async def outcome_of(name: str, cluster: Cluster, url: str) -> Outcome:
    """Play a case, and check that each window was kept, and that each request had a start of its own."""
    case = CASES[name]
    outcome = await play(evolve(case, settings={**case.settings, "host": RATE}), cluster, url, SECONDS)
    assert exceeding(outcome.grants) == {}
    late = [
        round(start - arrival, 3)
        for arrival, start in zip(sorted(outcome.report.moments()), outcome.starts, strict=False)
        if arrival < start - CLOCKS
    ]
    assert late == []
    assert len(outcome.report.arrivals) <= len(outcome.starts)
    return outcome


def by_process(outcome: Outcome, since: float = 0.0) -> Counter[str]:
    """Return the starts that the database granted to each process."""
    return Counter(each.process for each in outcome.grants if each.is_first and each.at >= since)


@pytest.mark.parametrize("name", ["undisturbed", "several windows", "through pgbouncer"])
async def test_four_processes_keep_each_window_and_all_get_their_calls(name: str, cluster: Cluster, url: str) -> None:
    outcome = await outcome_of(name, cluster, url)

    assert len(by_process(outcome)) == COUNT
    assert outcome.processes.errors == {}


async def test_each_on_its_own_they_exceed_it(cluster: Cluster, url: str) -> None:
    """Control."""
    outcome = await play(evolve(CASES["each on its own"], settings={"host": RATE}), cluster, url, SECONDS)

    assert most_in(outcome.report.moments(), 1) > RATE


async def test_a_killed_process_leaves_the_rate_to_the_others(cluster: Cluster, url: str) -> None:
    outcome = await outcome_of("a client is killed", cluster, url)
    killed = outcome.moments["killed"]

    assert by_process(outcome, since=killed + HORIZON + CLOCKS).keys() == {f"process {each}" for each in (1, 2, 3)}
    assert outcome.processes.errors == {}


@pytest.mark.parametrize("name", ["connections end", "answers and connections are lost"])
async def test_lost_connections_cost_no_call(name: str, cluster: Cluster, url: str) -> None:
    outcome = await outcome_of(name, cluster, url)

    assert outcome.processes.errors == {}


@pytest.mark.parametrize("what", ["restarts", "stands still"])
async def test_closed_processes_send_nothing_while_the_server_is_away(what: str, cluster: Cluster, url: str) -> None:
    outcome = await outcome_of(f"the server {what}, closed", cluster, url)

    assert outcome.shares == []
    assert outcome.processes.errors.keys() == {"SharedUnavailableError"}
    assert by_process(outcome, since=outcome.moments["back"])


async def test_processes_that_share_go_on_at_their_share_while_the_server_restarts(cluster: Cluster, url: str) -> None:
    outcome = await outcome_of("the server restarts, share", cluster, url)
    away, back = outcome.moments["away"], outcome.moments["back"]

    assert outcome.processes.errors == {}
    assert [each for each in outcome.shares if away + 1 < each < back]
    assert by_process(outcome, since=back)
    for result in outcome.processes.results:
        assert most_in(result["starts"], 1) <= RATE // COUNT + 1
