"""What a queue makes of a lease: which starts it uses, and when it asks again. No loop runs."""

from __future__ import annotations

import math

import pytest

from facturaonline_async._core.limits.leasing import LeasingQueue, SharedWindow
from facturaonline_async._core.limits.quota import HORIZON, Lease
from facturaonline_async._core.limits.window import KeyPairState
from facturaonline_async.config import Rate

NOW = 100.0


def make_queue(*windows: SharedWindow, waiting: int = 1) -> LeasingQueue:
    queue = LeasingQueue(KeyPairState("key", ()), windows or (SharedWindow("endpoint", Rate(200, 1)),), ())
    queue.waiting = waiting
    return queue


def receive(queue: LeasingQueue, lease: Lease, *, wanted: int = 4, took: float = 0.0) -> None:
    queue.receive(lease, wanted, asked_at=NOW - took, now=NOW)


# ── How many starts are asked for ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("rate", "most"),
    [(Rate(1, 1), 1), (Rate(19, 1), 1), (Rate(20, 1), 2), (Rate(40, 1), 4), (Rate(200, 1), 4), (Rate(600, 60), 4)],
    ids=str,
)
def test_a_lease_asks_for_the_burst_of_its_rate_at_most(rate: Rate, most: int) -> None:
    assert make_queue(SharedWindow("w", rate), waiting=10).ask(10) == most


def test_a_lease_asks_for_what_each_window_has_left() -> None:
    narrow, wide = SharedWindow("narrow", Rate(30, 1)), SharedWindow("wide", Rate(200, 1))
    queue, other = make_queue(narrow, wide, waiting=10), make_queue(wide, waiting=10)

    assert [queue.ask(10), other.ask(10)] == [3, 1]
    assert [narrow.asked, wide.asked] == [3, 4]


def test_a_window_that_gave_too_few_starts_is_asked_for_one_lease_at_a_time() -> None:
    endpoint, account = SharedWindow("endpoint", Rate(200, 1)), SharedWindow("account", Rate(200, 1))
    queue = make_queue(endpoint, account)
    receive(queue, Lease((0.0,), 0.01, "account"))
    account.closed_until = 0.0
    endpoint.asked = account.asked = 1

    assert [endpoint.next_ask_at(NOW), account.next_ask_at(NOW)] == [0.0, math.inf]


def test_a_window_that_gave_all_starts_is_asked_for_several_again() -> None:
    window = SharedWindow("endpoint", Rate(200, 1))
    queue = make_queue(window)
    window.asked = 1
    assert window.next_ask_at(NOW) == 0.0  # nor is it contended at first

    receive(queue, Lease((0.0,), 0.01, "endpoint"))
    assert window.next_ask_at(NOW) == math.inf
    receive(queue, Lease((0.0,) * 4, 0.0))
    window.closed_until = 0.0
    assert window.next_ask_at(NOW) == 0.0


# ── When it asks again ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_window_that_blocks_is_closed_for_all_its_queues() -> None:
    shared, own = SharedWindow("shared", Rate(200, 1)), SharedWindow("own", Rate(200, 1))
    queue, other, free = make_queue(shared), make_queue(shared), make_queue(own)
    receive(queue, Lease((), 0.02, "shared"))

    assert [each.next_start_at(NOW) for each in (queue, other, free)] == [NOW + 0.02, NOW + 0.02, 0.0]
    assert queue.next_start_at(NOW + 0.02) == 0.0


def test_a_key_that_is_held_is_held_for_all_its_queues() -> None:
    key, window = KeyPairState("key", ()), SharedWindow("w", Rate(200, 1))
    queue, other = LeasingQueue(key, (window,), ()), LeasingQueue(key, (SharedWindow("other", Rate(200, 1)),), ())
    receive(queue, Lease((), 7.0, "key"))

    assert [queue.next_start_at(NOW), other.next_start_at(NOW)] == [NOW + 7.0] * 2
    assert window.next_ask_at(NOW) == 0.0


def test_a_shorter_hold_does_not_end_a_longer_one() -> None:
    queue = make_queue()
    receive(queue, Lease((), 7.0, "key"))
    receive(queue, Lease((), 2.0, "key"))

    assert queue.next_start_at(NOW) == NOW + 7.0


def test_without_a_reason_the_queue_alone_waits() -> None:
    window = SharedWindow("w", Rate(200, 1))
    queue, other = make_queue(window), make_queue(window)
    receive(queue, Lease((), 0.02))

    assert [queue.next_start_at(NOW), other.next_start_at(NOW)] == [NOW + 0.02, 0.0]
    assert queue.next_start_at(NOW + 0.02) == 0.0


def test_a_pause_of_nothing_is_a_millisecond() -> None:
    queue = make_queue()
    receive(queue, Lease((), 0.0, "endpoint"))

    assert queue.next_start_at(NOW) == NOW + 0.001


@pytest.mark.parametrize("took", [0.0, 0.1])
def test_the_question_for_a_distant_start_leaves_early_by_its_way_and_a_random_part(took: float) -> None:
    asks = set[float]()
    for _ in range(50):
        queue = make_queue()
        receive(queue, Lease((), 2.0, "endpoint"), took=took)
        asks.add(queue.next_start_at(NOW))

    assert len(asks) > 1
    assert all(NOW + 2.0 - took - HORIZON / 2 <= at <= NOW + 2.0 - took - HORIZON / 4 for at in asks)


def test_enough_starts_close_nothing() -> None:
    queue = make_queue()
    receive(queue, Lease((0.0, 0.01), 0.04, "endpoint"), wanted=2)

    assert queue.next_start_at(NOW) == 0.0


# ── Which starts are used ─────────────────────────────────────────────────────────────────────────────────────────────


def test_starts_are_counted_from_the_answer() -> None:
    queue = make_queue()
    receive(queue, Lease((0.0, 0.03), 0.0), wanted=2, took=0.2)

    assert list(queue.starts) == [NOW, NOW + 0.03]


def test_the_starts_of_a_slow_answer_are_dropped_once() -> None:
    queue = make_queue()
    given = []
    for took in (0.26, 0.26, 0.24, 0.26):
        receive(queue, Lease((0.0,), 0.0), wanted=1, took=took)
        given.append(len(queue.starts))

    assert given == [0, 1, 2, 2]


def test_a_start_is_used_until_it_is_50_ms_late() -> None:
    queue = make_queue()
    queue.starts.extend([NOW, NOW + 0.01])

    assert queue.next_leased_start(NOW - 0.02) == NOW
    assert queue.next_leased_start(NOW + 0.005) == NOW + 0.005
    assert queue.next_leased_start(NOW + 0.055) == NOW + 0.055
    assert list(queue.starts) == [NOW + 0.01]
    assert queue.next_leased_start(NOW + 0.07) is None


def test_a_start_that_a_hold_or_a_full_window_outlasts_is_dropped() -> None:
    held, full = make_queue(), make_queue(SharedWindow("w", Rate(1, 1)))
    held.key_pair.held_until = NOW + 0.1
    full.all_windows[0].start(NOW - 0.9)
    for queue in (held, full):
        queue.starts.extend([NOW, NOW + 0.07])

    assert [queue.next_leased_start(NOW) for queue in (held, full)] == [NOW + 0.1] * 2
    assert [list(queue.starts) for queue in (held, full)] == [[NOW + 0.07]] * 2


def test_a_reservation_delays_a_start_by_a_millisecond() -> None:
    window = SharedWindow("w", Rate(1, 1))
    queue = make_queue(window)
    window.reserved = 1
    queue.starts.append(NOW)

    assert queue.next_leased_start(NOW) == NOW + 0.001


# ── Slots ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_slots_are_kept_for_a_lease_under_way() -> None:
    queue = make_queue(waiting=4)
    queue.slots = queue.ask(4)
    assert (queue.slots, queue.excess_slots()) == (4, 0)

    queue.waiting = 3  # a waiter has left
    assert queue.excess_slots() == 1
    queue.end_lease(4)
    assert (queue.excess_slots(), queue.is_asking) == (4, False)


@pytest.mark.parametrize(
    ("slots", "waiting", "starts", "excess"), [(3, 3, 3, 0), (3, 3, 1, 2), (3, 1, 3, 2), (1, 3, 3, 0)]
)
def test_slots_are_kept_for_starts_in_hand_that_have_a_waiter(
    slots: int, waiting: int, starts: int, excess: int
) -> None:
    queue = make_queue(waiting=waiting)
    queue.slots = slots
    queue.starts.extend([NOW] * starts)

    assert queue.excess_slots() == excess
