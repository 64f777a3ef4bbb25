"""A job takes what its limits and the latency need, and keeps no more rows in progress than that."""

from __future__ import annotations

import pytest

from facturaonline_async import Rate
from tests.provision.pace import CHAIN, ideal, play

COMPANIES = 200
RATE = 10
"""Creates in a second, by default."""
LOOKAHEAD = 4
"""Rows that wait for a start."""
START = 3
"""Calls before the first create: two pages of companies, and the main company."""


@pytest.mark.parametrize(("latency", "bound"), [(0.0, 1.02), (0.3, 1.05), (1.0, 1.12)])
def test_a_job_takes_what_its_limits_and_the_latency_need(latency: float, bound: float) -> None:
    pace = play(COMPANIES, latency)
    assert pace.seconds == pytest.approx(ideal(COMPANIES, latency) + START * latency)
    assert pace.seconds <= bound * ideal(COMPANIES, latency)


@pytest.mark.parametrize("latency", [0.0, 0.3, 1.0])
def test_rows_in_progress_follow_rate_and_latency(latency: float) -> None:
    """They are the rows between their create and their outcome, the first burst, and a few that wait for a start."""
    in_chain = RATE * len(CHAIN) * latency
    assert in_chain <= play(COMPANIES, latency).most <= in_chain + RATE + LOOKAHEAD


def test_concurrency_bounds_the_rows_in_progress() -> None:
    assert play(50, 1.0, concurrency=7).most == 7


def test_a_rate_of_the_host_does_not_delay_the_first_rows_by_further_ones() -> None:
    """A row in progress is finished instead of many that begin."""
    pace = play(100, 0.3, rates=(), host_rates=Rate(10, 1))
    assert pace.most <= 35
    assert pace.first <= 15
    assert pace.seconds == pytest.approx(100 * 8 / 10, rel=0.02)


def test_a_new_company_with_three_series_takes_eight_calls_and_one_of_the_audit() -> None:
    pace = play(20, 0.1)
    assert pace.calls == {
        "empresas.list": 2,
        "empresas.current": 1 + 20,
        "empresas.create": 20,
        "empresas.get": 20,
        "series.list": 2 * 20,
        "series.create": 3 * 20,
    }
    assert pace.audit == {"series.list": 20, "empresas.list": 2}
