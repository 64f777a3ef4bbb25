"""What several test files share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any
from unittest.mock import Mock

import aiohttp
import aioresponses
import pytest
from hypothesis import HealthCheck, settings

from facturaonline_async import Config, FacturaOnline, RetryPolicy, connect
from facturaonline_async.testing import Emulator
from tests import tasks

tasks.install()

# Timing decides no test.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")

QUICK = Config(rates=(), retry=RetryPolicy(transient=0.001, throttled=0.001), deadline=0.5, check_sello=False)


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator() as emulator:
        yield emulator


@pytest.fixture
async def client(emulator: Emulator) -> AsyncIterator[FacturaOnline]:
    """Connect with the main company's keys: no limits, quick repeats, half a second of patience."""
    async with connect(emulator.credentials, base_url=emulator.base_url, config=QUICK) as client:
        yield client


class _BridgedResponse(aiohttp.ClientResponse):
    """aioresponses 0.7.9 does not know an argument that aiohttp >= 3.14 asks for (aioresponses issue 289)."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **{"stream_writer": Mock(output_size=0), **more})


@pytest.fixture
def mocked(monkeypatch: pytest.MonkeyPatch) -> Iterator[aioresponses.aioresponses]:
    """Mock aiohttp's requests, for what no server can easily make."""
    monkeypatch.setattr(aioresponses.core, "ClientResponse", _BridgedResponse)
    with aioresponses.aioresponses() as mocked:
        yield mocked
