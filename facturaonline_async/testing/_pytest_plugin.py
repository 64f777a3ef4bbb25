"""Fixtures for pytest, which finds this module by its entry point.

It imports nothing of the package but what a test asks for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from facturaonline_async.client import FacturaOnline
    from facturaonline_async.testing import Emulator

__all__ = ["facturaonline_client", "facturaonline_emulator"]


@pytest.fixture
def facturaonline_emulator() -> Iterator[Emulator]:
    """Emulator of FacturaOnline's API, new for each test, in a thread of its own.

    It serves synchronous tests, and asynchronous ones with any event loop; see
    `facturaonline_async.testing.emulator_in_thread`.
    """
    from facturaonline_async.testing import emulator_in_thread  # noqa: PLC0415

    with emulator_in_thread() as emulator:
        yield emulator


@pytest.fixture
def facturaonline_client(facturaonline_emulator: Emulator) -> Iterator[FacturaOnline]:
    """Client with the main keys of `facturaonline_emulator`, without rate limits.

    It belongs to the event loop of its first call, and is closed with that loop, or after the test.
    """
    from facturaonline_async.testing._fixture_client import fixture_client  # noqa: PLC0415

    with fixture_client(facturaonline_emulator) as client:
        yield client
