"""The costs of sharing are measured, with numbers so small that the figures mean nothing."""

from __future__ import annotations

import math

import pytest

from tests.postgres.costs import measure
from tests.postgres.servers import program

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


@pytest.mark.skipif(program("initdb") is None, reason="PostgreSQL is not installed")
async def test_each_case_has_its_costs() -> None:
    figures = await measure(rounds=1, calls=2, rows=2)
    assert all(math.isfinite(figure.value) for figure in figures)
    assert len({(each.case, each.measure) for each in figures}) == len(figures) == 6 * 3
