"""Entries of a session's pending creates: how many are kept, and how long dropping the others takes."""

from __future__ import annotations

import asyncio

from facturaonline_async._core.once.pending import PendingCreate, PendingCreates
from facturaonline_async._core.once.states import StepState

HOUR = 3600.0


class Counted(PendingCreate):
    """Entry that counts how often its end is looked at."""

    looks = 0

    def is_over(self, now: float) -> bool:
        Counted.looks += 1
        return super().is_over(now)


def key(number: int) -> tuple[str, str, str]:
    return "series", "account", str(number)


async def test_entries_that_are_over_are_dropped_while_others_come() -> None:
    pending = PendingCreates()
    for number in range(20_000):
        pending.see(key(number), str(number), 0.0)
    assert len(pending) < 300
    assert len(pending._by_uid) < 300


async def test_entries_that_are_not_over_are_kept() -> None:
    pending = PendingCreates()
    for number in range(5_000):
        pending.see(key(number), str(number), HOUR)
    assert len(pending) == 5_000
    assert all(pending.is_pending("series", "account", str(number)) for number in range(5_000))


async def test_no_update_looks_at_more_than_a_few_entries() -> None:
    pending = PendingCreates()
    until = asyncio.get_running_loop().time() + HOUR
    most = 0
    for number in range(10_000):
        before = Counted.looks
        pending.update(key(number), Counted(until, StepState.DONE, str(number)))
        most = max(most, Counted.looks - before)
    assert most == 16


async def test_a_key_that_is_created_again_while_entries_are_dropped_is_kept() -> None:
    pending = PendingCreates()
    for number in range(64):  # the last one begins a sweep
        pending.see(key(number), str(number), 0.0)
    for number in range(64):
        pending.see(key(number), f"again {number}", HOUR)
    for number in range(1_000, 1_200):
        pending.see(key(number), str(number), 0.0)
    assert all(pending.is_pending("series", "account", f"again {number}") for number in range(64))
