"""What several test files share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from facturaonline_async import Config, FacturaOnline, RetryPolicy, connect
from facturaonline_async.testing import Emulator

QUICK = Config(rates=(), retry=RetryPolicy(transient=0.001, throttled=0.001), deadline=0.5)


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator() as emulator:
        yield emulator


@pytest.fixture
async def client(emulator: Emulator) -> AsyncIterator[FacturaOnline]:
    """Connect with the main company's keys: no limits, quick repeats, half a second of patience."""
    async with connect(emulator.credentials, base_url=emulator.base_url, config=QUICK) as client:
        yield client
