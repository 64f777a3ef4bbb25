"""The host's rate is kept by a whole run, and used to the full, by the client's starts and by the emulator's log."""

from __future__ import annotations

import asyncio
import sys
from bisect import bisect_left

import pytest
from attrs import evolve

from facturaonline_async import AttemptEvent, Event, Rate, connect
from facturaonline_async.provision import provision
from facturaonline_async.testing import Emulator
from tests.conftest import QUICK
from tests.provision.victim import make_plan

pytestmark = pytest.mark.slow

RATE = 200
EMPRESAS = 130
"""About eight calls for each: five seconds of them."""


def most_in(times: list[float], seconds: float) -> int:
    """Return how many there are in the fullest window of so many seconds."""
    return max(bisect_left(times, at + seconds) - place for place, at in enumerate(times))


async def test_never_more_than_the_rate_and_nearly_never_less() -> None:
    loop = asyncio.get_running_loop()
    starts: list[float] = []

    def on_event(event: Event) -> None:
        if isinstance(event, AttemptEvent):
            starts.append(loop.time() - event.took)

    config = evolve(QUICK, rates=(), host_rates=(Rate(RATE, 1),), deadline=30, on_event=on_event)
    async with Emulator() as emulator:
        async with (
            connect(emulator.credentials, base_url=emulator.base_url, config=config) as client,
            provision(client, make_plan(EMPRESAS), settle=1, concurrency=48) as run,
        ):
            async for _ in run:
                pass
        seen = sorted(request.at for request in emulator.requests)
    starts.sort()
    assert (run.report.is_complete, len(starts)) == (True, len(seen))
    # A busy machine sees late what started in time; so much later, so many more may be seen at once.
    way = max(at - start for start, at in zip(starts, seen, strict=True))
    fullest, logged, steady = most_in(starts, 1), most_in(seen, 1), most_in(starts, 2) / 2
    overall = (len(seen) - RATE) / (seen[-1] - seen[RATE])
    sys.stdout.write(
        f"{len(seen)} calls: at most {fullest} started in a second of {RATE}, {logged} were seen (up to "
        f"{way * 1e3:.0f} ms later); {steady:.1f}/s over the best two seconds, {overall:.1f}/s overall\n"
    )
    assert fullest <= RATE + 1
    assert logged <= RATE * (1 + way) + 1
    assert steady >= 0.99 * RATE
