"""The host's rate is kept by a whole run, and used to the full."""

from __future__ import annotations

from bisect import bisect_left

from facturaonline_async import FacturaOnline, Rate
from tests.provision.stage import Stage, run, staged
from tests.provision.test_model import plan_of

RATE = 200
EMPRESAS = 130
"""About eight calls for each: five seconds of them."""


def most_in(times: list[float], seconds: float) -> int:
    """Return how many there are in the fullest window of so many seconds."""
    return max(bisect_left(times, at + seconds) - place for place, at in enumerate(times))


@staged(host_rates=(Rate(RATE, 1),))
async def test_a_run_keeps_the_rate_and_uses_99_percent_of_it(stage: Stage, client: FacturaOnline) -> None:
    _, report = await run(client, plan_of([3] * EMPRESAS), concurrency=EMPRESAS)
    starts = sorted(seen.at for seen in stage.calls)
    assert report.is_complete
    assert most_in(starts, 1) <= RATE
    assert most_in(starts, 2) >= 0.99 * 2 * RATE
