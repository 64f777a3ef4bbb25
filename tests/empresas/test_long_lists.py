"""Long lists of companies: no step of reading one grows with its length."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

import pytest

from facturaonline_async import FacturaOnline, connect
from facturaonline_async.testing import Emulator
from tests.conftest import QUICK
from tests.steps import emulator_in_a_thread, longest_step

pytestmark = pytest.mark.one_python

FEW: Final = 1_000
MANY: Final = 3_000


@pytest.fixture(scope="module", params=["whole answers", "pages", "contradictory answers"])
def accounts(request: pytest.FixtureRequest) -> Iterator[dict[int, Emulator]]:
    """Emulators of accounts with `FEW` and `MANY` companies."""
    accounts = {number: Emulator(paging=request.param == "pages", log_limit=0) for number in (FEW, MANY)}
    for number, emulator in accounts.items():
        keys = {"api_key": "k" * 80} if request.param == "contradictory answers" else {}
        for each in range(number):
            emulator.add_empresa(rfc=f"EKU{each:06d}3C9", **(keys if each < 2 else {}))
    with emulator_in_a_thread(accounts[FEW]), emulator_in_a_thread(accounts[MANY]):
        yield accounts


async def listed(client: FacturaOnline) -> None:
    await client.empresas.list()


async def iterated(client: FacturaOnline) -> None:
    async for _ in client.empresas.iterate(per_page=200):
        pass


async def found(client: FacturaOnline) -> None:
    await client.empresas.find("AAA010101AA1")


@pytest.mark.parametrize("work", [listed, iterated, found])
def test_no_step_of_a_list_grows_with_its_length(
    accounts: dict[int, Emulator], work: Callable[[FacturaOnline], Awaitable[Any]]
) -> None:
    steps = {}
    for number, emulator in accounts.items():

        async def connected(emulator: Emulator = emulator) -> None:
            async with connect(emulator.credentials, base_url=emulator.base_url, config=QUICK) as client:
                await work(client)

        steps[number] = longest_step(connected)
    assert steps[MANY] < 1.3 * steps[FEW], steps
