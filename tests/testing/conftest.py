from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from facturaonline_async.testing import Emulator

from .caller import Caller


@pytest_asyncio.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator() as emulator:
        yield emulator


@pytest_asyncio.fixture
async def caller(emulator: Emulator) -> AsyncIterator[Caller]:
    async with Caller(emulator) as caller:
        yield caller
