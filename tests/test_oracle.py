"""The client's account of what happened is never wrong, whatever goes wrong: not once, on any path."""

from __future__ import annotations

import asyncio

import pytest
from attrs import evolve
from hypothesis import given, strategies as st

from facturaonline_async import connect
from facturaonline_async._core import retry
from facturaonline_async.testing import Emulator
from tests.conftest import QUICK
from tests.effort import examples
from tests.oracle import FAULTS, OPERATIONS, Oracle

pytestmark = pytest.mark.virtual_clock

MAIN = "607a062eae2bb"
STEPS = st.lists(st.tuples(st.sampled_from(OPERATIONS), st.integers(0, 99)), min_size=1, max_size=25)
#: A budget that no amount of trouble uses up: repeats are what may go wrong.
CONFIG = evolve(QUICK, deadline=0.1, settle=0.01, retry=evolve(QUICK.retry, budget=10**6))


async def accounts(seed: int, trouble: float, steps: list[tuple[str, int]]) -> Oracle:
    async with (
        Emulator(seed=seed) as emulator,
        connect(emulator.credentials, base_url=emulator.base_url, config=CONFIG) as client,
    ):
        for fault in FAULTS:
            emulator.inject(fault, times=None, probability=trouble)
        oracle = Oracle(emulator, client, MAIN)
        for operation, choice in steps:
            await oracle.call(operation, choice)
        return oracle


@examples(150)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.03, 0.1, 0.3]), STEPS)
def test_the_outcomes_that_the_client_reports_are_true(seed: int, trouble: float, steps: list[tuple[str, int]]) -> None:
    assert asyncio.run(accounts(seed, trouble, steps)).wrong == []


def test_the_oracle_detects_a_policy_that_retries_creates(monkeypatch: pytest.MonkeyPatch) -> None:
    """A negative control."""
    monkeypatch.setattr(retry, "_safe_action", lambda error, endpoint: retry.Action.REPEAT)
    oracle = asyncio.run(accounts(1, 0.1, [("create", each) for each in range(60)]))
    assert oracle.wrong != []


def test_the_oracle_detects_a_client_that_reports_only_its_last_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    """A negative control: the last attempt was throttled, and those before it are forgotten."""
    monkeypatch.setattr("facturaonline_async._core.engine.PreparedRequest.merge_outcomes", lambda call, error: error)
    steps = [("create empresa", 0)] * 5 + [("update", each) for each in range(400)]
    assert asyncio.run(accounts(3, 0.12, steps)).wrong != []
