"""Three ways of doing it wrong make duplicates, and the oracles of the other tests see them."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from pathlib import Path

import pytest

from facturaonline_async import connect
from facturaonline_async.provision import provision
from facturaonline_async.testing import Emulator, Fault
from tests.conftest import QUICK
from tests.plans import nueva
from tests.provision import world as worlds
from tests.provision.controls import intent_after_send, provision_naively
from tests.provision.test_model import Ending, live, plan_of
from tests.provision.verdict import judge
from tests.provision.victim import make_plan
from tests.provision.world import World
from tests.virtual import virtually

pytestmark = pytest.mark.virtual_clock

EMPRESAS = 10
LATE = 0.5
LETRAS = {row.rfc: [serie.letra for serie in row.series] for row in make_plan(EMPRESAS)}


async def duplicates(emulator: Emulator, journal: Path, *, settle: float) -> int:
    """Run the plan until the report is good, or five times, and count what is there too often."""
    for _ in range(5):
        async with (
            connect(emulator.credentials, base_url=emulator.base_url, config=QUICK) as client,
            provision(client, make_plan(EMPRESAS), journal=journal, settle=settle) as run,
        ):
            async for _ in run:
                pass
        if run.report.is_complete:
            break
    await asyncio.sleep(LATE)  # what is done late is done by then
    return judge(emulator.state, LETRAS, journal).duplicates


@pytest.mark.parametrize("endpoint", ["empresas.create", "series.create"])
async def test_without_a_settle_time_late_creates_are_duplicated(
    emulator: Emulator, tmp_path: Path, endpoint: str
) -> None:
    emulator.inject(Fault.commit_late(LATE), endpoint=endpoint, times=5)
    assert await duplicates(emulator, tmp_path / "run.sqlite", settle=0) > 0


@pytest.mark.parametrize("endpoint", ["empresas.create", "series.create"])
async def test_retries_without_reconciling_make_duplicates(emulator: Emulator, endpoint: str) -> None:
    emulator.inject(Fault.drop_after_commit(), endpoint=endpoint, times=None, probability=0.5)
    rows = [(nueva(row.rfc), row.series) for row in make_plan(EMPRESAS)]
    async with connect(emulator.credentials, base_url=emulator.base_url, config=QUICK) as client:
        await provision_naively(client, rows)
    assert judge(emulator.state, LETRAS).duplicates > 0


def test_an_intent_that_is_recorded_after_the_send_makes_duplicates_in_a_crash() -> None:
    def made(seed: int) -> int:
        world = World(random.Random(seed), list_lag=8.0, choices=("ok",))
        with suppress(AssertionError):
            virtually(live(world, plan_of([1] * 3), [Ending(steps=steps) for steps in (20, 30, 40, 50)]))
        return max(world.sent.values())

    assert {made(seed) for seed in range(5)} == {1}
    with intent_after_send():
        assert 2 in {made(seed) for seed in range(5)}


@pytest.mark.parametrize("settle", [0.0, worlds.LATEST / 2])
def test_a_settle_time_that_is_too_short_makes_duplicates(monkeypatch: pytest.MonkeyPatch, settle: float) -> None:
    """The model's own oracle sees them, too, and they are what it is about: with the right settle there are none."""

    def made(seed: int) -> int:
        world = World(random.Random(seed), list_lag=8.0, script={"F": ["done late"], "P": ["done late"]})
        virtually(live(world, plan_of([2]), []))
        return max(world.sent.values())

    assert made(1) == 1
    monkeypatch.setattr(worlds, "SETTLE", settle)
    with pytest.raises(AssertionError, match=r"\('AAA010101000', '[FP]', '(factura|pago)'\): 2"):
        made(1)
