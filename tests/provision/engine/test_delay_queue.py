"""Items that wait for a moment of the loop's clock, on the virtual clock."""

from __future__ import annotations

import asyncio

import pytest

from facturaonline_async.provision._engine.delay_queue import DelayQueue, is_set_before

pytestmark = pytest.mark.virtual_clock


BEGIN = 1000.0
"""Where the clock of these tests begins."""


def now() -> float:
    return asyncio.get_running_loop().time()


def passed() -> float:
    """Return the seconds since the test began."""
    return now() - BEGIN


@pytest.fixture
def queue() -> DelayQueue[str]:
    return DelayQueue()


async def test_items_become_due_at_their_moments_in_any_order_of_arrival(queue: DelayQueue[str]) -> None:
    queue.put("late", BEGIN + 30)
    queue.put("soon", BEGIN + 10)
    found = []
    while queue:
        assert await queue.wait()
        for item in queue.due():
            found.append((item, passed()))
            queue.remove(item)
    assert found == [("soon", 10), ("late", 30)]


async def test_an_item_put_during_a_wait_is_due_at_its_moment(queue: DelayQueue[str]) -> None:
    queue.put("late", BEGIN + 30)
    waiting = asyncio.create_task(queue.wait())
    await asyncio.sleep(1)
    queue.put("soon", BEGIN + 5)
    assert (await waiting, passed(), queue.due()) == (True, 5, ["soon"])


async def test_an_item_put_again_is_due_only_at_its_new_moment(queue: DelayQueue[str]) -> None:
    queue.put("item", BEGIN + 10)
    waiting = asyncio.create_task(queue.wait())
    await asyncio.sleep(1)
    queue.put("item", BEGIN + 20)
    assert (await waiting, passed(), len(queue), queue["item"], queue.last) == (True, 20, 1, now(), now())


async def test_an_item_that_comes_back_to_its_moment_is_due_once(queue: DelayQueue[str]) -> None:
    for _ in range(2):
        queue.put("moved", BEGIN)
        queue.put("back", BEGIN)
        queue.remove("back")
    queue.put("back", BEGIN)
    assert (await queue.wait(), queue.due()) == (True, ["moved", "back"])


async def test_due_items_are_taken_in_parts(queue: DelayQueue[str]) -> None:
    for item in "bca":
        queue.put(item, BEGIN)
    queue.put("first", BEGIN - 1)
    found = queue.due(2)
    queue.remove("first")
    assert (found, queue.due(2), queue.due()) == (["first", "b"], ["b"], ["b", "c", "a"])


async def test_a_removed_item_is_not_waited_for(queue: DelayQueue[str]) -> None:
    queue.put("gone", BEGIN + 10)
    queue.put("item", BEGIN + 20)
    waiting = asyncio.create_task(queue.wait())
    await asyncio.sleep(1)
    queue.remove("gone")
    assert (await waiting, passed(), "gone" in queue) == (True, 20, False)


async def test_a_queue_that_was_shut_down_ends_when_it_is_empty(queue: DelayQueue[str]) -> None:
    queue.put("item", BEGIN + 10)
    waiting = asyncio.create_task(queue.wait())
    await asyncio.sleep(1)
    queue.shutdown()
    assert (await waiting, passed()) == (True, 10)
    queue.remove("item")
    assert await queue.wait() is False


async def test_shutting_down_an_empty_queue_ends_the_wait_for_it(queue: DelayQueue[str]) -> None:
    waiting = asyncio.create_task(queue.wait())
    await asyncio.sleep(1)
    queue.shutdown()
    assert (await waiting, passed()) == (False, 1)


@pytest.mark.parametrize("seconds", [1e-9, 0.0005])
async def test_a_timer_that_goes_off_early_is_not_set_for_the_same_moment_again(
    queue: DelayQueue[str], monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """Where a clock is coarse, the time is a little before the moment when the timer for that moment goes off."""
    reads = 0

    def coarse(_: object) -> float:
        nonlocal reads
        reads += 1
        assert reads < 100, "it is set again and again"
        return now() - seconds

    monkeypatch.setattr(DelayQueue, "now", coarse)
    queue.put("item", BEGIN + 10)
    assert (await queue.wait(), queue.due()) == (True, ["item"])
    assert 10 <= passed() < 10 + seconds + 0.002


async def test_a_wait_ends_at_the_event_or_at_its_moment() -> None:
    event = asyncio.Event()
    assert (await is_set_before(event, BEGIN + 10), passed()) == (False, 10)
    asyncio.get_running_loop().call_later(5, event.set)
    assert (await is_set_before(event, BEGIN + 100), passed()) == (True, 15)
