"""What several test files share."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import nullcontext
from typing import Any
from unittest.mock import Mock

import aiohttp
import aioresponses
import pytest
from attrs import evolve
from hypothesis import HealthCheck, settings

from facturaonline_async import Config, FacturaOnline, RetryPolicy, connect
from facturaonline_async.testing import Emulator
from tests import tasks
from tests.virtual import VirtualLoop, clocks

tasks.install()

# For a test that hangs: pytest-timeout reads it. No verdict depends on it.
os.environ.setdefault("PYTEST_TIMEOUT", "600")

# What is printed has colours only where a test asks for them: runners of workflows force them.
for _name in ("CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "FORCE_COLOR", "GITHUB_ACTIONS", "NO_COLOR", "PY_COLORS"):
    os.environ.pop(_name, None)

# Timing decides no test.
settings.register_profile(
    "house",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    # A verdict is the same each time: new examples are drawn by the full run, where it is no gate.
    derandomize="CI" in os.environ or os.environ.get("HYPOTHESIS_PROFILE") != "full",
)
settings.load_profile("house")


def _virtual_loop() -> VirtualLoop:
    return VirtualLoop(1000.0)  # no real loop begins at 0, which may stand for "never"


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Play tests with the mark ``virtual_clock`` on a loop whose time passes only when everybody waits."""
    return {"virtual": _virtual_loop} if item.get_closest_marker("virtual_clock") else {"real": asyncio.new_event_loop}


@pytest.fixture(autouse=True)
def _clocks(request: pytest.FixtureRequest) -> Iterator[None]:
    with clocks() if request.node.get_closest_marker("virtual_clock") else nullcontext():
        yield


QUICK = Config(rates=(), retry=RetryPolicy(transient=0.001, throttled=0.001), deadline=60, check_sello=False)
BRIEF = evolve(QUICK, deadline=0.5)
"""For tests on the virtual clock: elsewhere a slow machine takes half a second for anything."""


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator() as emulator:
        yield emulator


@pytest.fixture
async def client(emulator: Emulator) -> AsyncIterator[FacturaOnline]:
    """Connect with the main company's keys: no limits, quick repeats, a minute of patience."""
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
