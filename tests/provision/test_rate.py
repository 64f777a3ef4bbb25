"""The host's rate is kept by a whole run, and used to the full; the machine's own stumbling is measured beside it."""

from __future__ import annotations

import asyncio
import sys
import time
from bisect import bisect_left

from attrs import evolve

from facturaonline_async import Rate, connect
from facturaonline_async.provision import provision
from facturaonline_async.testing import Emulator
from tests.conftest import QUICK
from tests.provision.victim import make_plan

RATE = 200
EMPRESAS = 130
"""About eight calls for each: five seconds of them."""


async def lateness(late: list[float]) -> None:
    """Measure how late the loop is, for the emulator sees what comes in only when it has its turn."""
    while True:
        began = time.monotonic()
        await asyncio.sleep(0.005)
        late.append(time.monotonic() - began - 0.005)


def most_in(times: list[float], seconds: float) -> int:
    """Return how many there are in the fullest window of so many seconds."""
    return max(bisect_left(times, at + seconds) - place for place, at in enumerate(times))


async def test_never_more_than_the_rate_and_nearly_never_less() -> None:
    late: list[float] = []
    config = evolve(QUICK, rates=(), host_rates=(Rate(RATE, 1),), deadline=30)
    async with Emulator() as emulator:
        measuring = asyncio.create_task(lateness(late))
        async with (
            connect(emulator.credentials, base_url=emulator.base_url, config=config) as client,
            provision(client, make_plan(EMPRESAS), settle=1, concurrency=48) as run,
        ):
            async for _ in run:
                pass
        measuring.cancel()
        times = sorted(request.at for request in emulator.requests)
    assert run.report.is_complete
    # What starts in time may be seen late: so many more may be seen at once.
    jitter = 1 + round(RATE * max(late))
    fullest, steady = most_in(times, 1), most_in(times, 2)
    overall = (len(times) - RATE) / (times[-1] - times[RATE])
    sys.stdout.write(
        f"{len(times)} calls: at most {fullest} in a second of {RATE} (jitter {jitter}), "
        f"{steady / 2:.1f}/s over the best two seconds, {overall:.1f}/s overall\n"
    )
    assert fullest <= RATE + jitter
    assert steady >= 0.99 * 2 * RATE
