"""Entries of a session's pending creates: what they know, how many are kept, and what dropping the others costs."""

from __future__ import annotations

import asyncio

import pytest

from facturaonline_async._core.once.pending import PendingCreate, PendingCreates
from facturaonline_async._core.once.states import Origin, StepState

HOUR = 3600.0


class Counted(PendingCreate):
    """Entry that counts how often its end is looked at."""

    looks = 0

    def is_over(self, now: float) -> bool:
        Counted.looks += 1
        return super().is_over(now)


def key(number: int) -> tuple[str, str, str]:
    return "series", "account", str(number)


def known(pending: PendingCreates, number: int = 1) -> tuple[StepState, str | None] | None:
    entry = pending.get(key(number))
    return None if entry is None else (entry.state, entry.uid)


# ── Creates ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_creates_that_were_not_done_leave_the_first_one_pending() -> None:
    pending = PendingCreates()
    first, second, third = (pending.begin(key(1), HOUR) for _ in range(3))
    pending.end(key(1), second, HOUR, StepState.FAILED)
    pending.end(key(1), third, HOUR, StepState.PLANNED)
    assert pending.get(key(1)) is first


async def test_a_repeated_create_that_was_not_done_leaves_an_earlier_one_pending() -> None:
    pending = PendingCreates()
    first = pending.begin(key(1), HOUR)
    pending.end(key(1), first, HOUR, StepState.UNKNOWN)
    pending.begin(key(1), HOUR, nonce="mine")
    again = pending.begin(key(1), HOUR, nonce="mine")
    pending.end(key(1), again, HOUR, StepState.FAILED)
    assert pending.get(key(1)) is first


async def test_an_outcome_is_recorded_although_another_create_has_begun() -> None:
    pending = PendingCreates()
    first = pending.begin(key(1), HOUR)
    pending.begin(key(1), HOUR)
    pending.end(key(1), first, HOUR, StepState.DONE, "7")
    assert known(pending) == (StepState.DONE, "7")


async def test_a_create_whose_uid_was_read_has_no_unknown_uid() -> None:
    pending = PendingCreates()
    pending.end(key(1), pending.begin(key(1), HOUR), HOUR, StepState.UNKNOWN)
    assert pending.has_unknown_uids
    pending.learn_uid(key(1), "7")
    assert (pending.has_unknown_uids, known(pending)) == (False, (StepState.DONE, "7"))


@pytest.mark.parametrize("end", [StepState.PLANNED, StepState.FAILED])
async def test_a_repeated_create_that_was_not_done_keeps_an_object_that_was_read_meanwhile(end: StepState) -> None:
    """Between two attempts with one nonce, a list shows the object that another process created."""
    pending = PendingCreates()
    pending.begin(key(1), HOUR, nonce="mine")
    pending.see(key(1), "7", HOUR)
    again = pending.begin(key(1), HOUR, nonce="mine")
    pending.end(key(1), again, HOUR, end)
    assert known(pending) == (StepState.DONE, "7")


async def test_a_create_that_was_not_done_has_no_unknown_uid() -> None:
    pending = PendingCreates()
    pending.end(key(1), pending.begin(key(1), HOUR), HOUR, StepState.FAILED)
    assert not pending.has_unknown_uids


async def test_a_create_of_an_earlier_session_is_pending_until_lists_must_show_it() -> None:
    pending, now = PendingCreates(), asyncio.get_running_loop().time()
    version = pending.version(key(1))
    pending.restore(key(1), HOUR, StepState.UNKNOWN)
    entry = pending.get(key(1))
    assert entry is not None
    assert (known(pending), version.number) == ((StepState.UNKNOWN, None), 1)
    assert entry.until == pytest.approx(now + HOUR, abs=10)


async def test_a_create_of_an_earlier_session_hides_nothing_that_this_one_knows() -> None:
    pending = PendingCreates()
    pending.see(key(1), "7", HOUR)
    pending.restore(key(1), HOUR, StepState.UNKNOWN)
    assert known(pending) == (StepState.DONE, "7")


# ── Reads ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_stale_read_of_the_earlier_object_does_not_replace_a_new_one_that_was_read() -> None:
    pending = PendingCreates()
    pending.see(key(1), "earlier", HOUR)
    pending.begin(key(1), HOUR)
    pending.see(key(1), "new", HOUR)
    pending.see(key(1), "earlier", HOUR)
    assert known(pending) == (StepState.DONE, "new")


async def test_a_uid_that_was_wrong_leaves_a_create_that_is_confirmed_for_the_settle_time_and_a_day() -> None:
    pending, now = PendingCreates(), asyncio.get_running_loop().time()
    pending.see(key(1), "earlier", HOUR)
    pending.end(key(1), pending.begin(key(1), HOUR), HOUR, StepState.DONE, "wrong")
    pending.drop_uid(key(1), "wrong", 2 * HOUR)
    entry = pending.get(key(1))
    assert entry is not None
    assert (entry.state, entry.uid, entry.before) == (StepState.UNRESOLVED, None, "earlier")
    assert entry.until == pytest.approx(now + 2 * HOUR, abs=10)


async def test_a_listed_uid_changes_no_entry_that_has_one() -> None:
    pending = PendingCreates()
    pending.see(key(1), "7", HOUR)
    pending.learn_uid(key(1), "8")
    entry = pending.get(key(1))
    assert entry is not None
    assert (entry.uid, entry.origin) == ("7", Origin.ADOPTED)


@pytest.mark.parametrize("begins", [False, True])
async def test_what_a_caller_reads_itself_makes_only_the_lists_of_others_too_old(begins: bool) -> None:  # noqa: FBT001
    pending, mine, others = PendingCreates(), set[int](), set[int]()
    with pending.subscribe(mine), pending.subscribe(others):
        if begins:
            pending.begin(key(1), HOUR, mine=mine)
            others.clear()
        pending.see(key(1), "7", HOUR, mine=mine)
    assert (mine, others) == (set(), {hash(key(1))})


# ── How many are kept ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_objects_may_be_deleted_at_any_time_while_entries_are_dropped() -> None:
    for deleted_after in range(64, 80):
        pending = PendingCreates()
        for number in range(deleted_after):
            pending.see(key(number), str(number), 0.0)
        for number in range(deleted_after):
            pending.forget("series", "account", str(number))
        for number in range(1_000, 1_020):
            pending.see(key(number), str(number), 0.0)
        assert len(pending._by_uid) <= 20 + 16


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
