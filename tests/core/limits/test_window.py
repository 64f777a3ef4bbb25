"""One sliding window: which wait it predicts, and what it counts when a start is moved."""

from __future__ import annotations

import asyncio
import math
from functools import partial

import pytest
from hypothesis import given, strategies as st

from facturaonline_async import Rate
from facturaonline_async._core.limits.window import EndpointQueue, KeyPairState, SlidingWindow, Waiter
from tests.effort import examples


def serve(window: SlidingWindow, number: int, now: float) -> float:
    """Start this many waiting calls, each as soon as the window allows it, and return the time of the last start."""
    for _ in range(number):
        while start_at := window.next_start_at(now):
            now = start_at
        window.reserve(now)
        window.commit(now)
    return now


def used(rate: Rate, arrivals: list[tuple[float, int]]) -> tuple[SlidingWindow, float]:
    """Return a window after these arrivals, (time, number of calls), and the time of the last start."""
    window, now = SlidingWindow(rate), 0.0
    for arrived_at, number in arrivals:
        now = max(now, arrived_at)
        for _ in range(number):
            window.add_waiter(now)
        now = serve(window, number, now)
    return window, now


def predicted_and_real(window: SlidingWindow, ahead: int, now: float) -> tuple[float, float]:
    """Return the predicted and the real start of one more call behind `ahead` others."""
    for _ in range(ahead):
        window.add_waiter(now)
    predicted = max(now, window.next_start_behind(ahead, now))
    window.add_waiter(now)
    return predicted, serve(window, ahead + 1, now)


# ── The predicted wait ────────────────────────────────────────────────────────────────────────────────────────────────


@examples(1200)
@given(
    st.builds(Rate, st.integers(1, 6), st.sampled_from([0.1, 1.0, 2.5])),
    st.lists(st.tuples(st.floats(0, 1.5), st.integers(1, 4)), max_size=6),
    st.floats(0, 3),
    st.integers(0, 8),
)
def test_no_predicted_wait_is_longer_than_the_real_one(
    rate: Rate, history: list[tuple[float, int]], pause: float, ahead: int
) -> None:
    """A call is refused because of a prediction; it must not be refused if it could start in time."""
    at, arrivals = 0.0, []
    for gap, number in history:
        at += gap * rate.per
        arrivals.append((at, number))
    window, last = used(rate, arrivals)
    predicted, real = predicted_and_real(window, ahead, max(at, last) + pause * rate.per)
    assert predicted <= real + 1e-9


@pytest.mark.parametrize(
    ("rate", "arrivals", "now", "ahead", "start"),
    [
        (Rate(4, 1), [], 0.1, 3, 0.1),
        (Rate(2, 1), [], 0.5, 2, 1.5),
        (Rate(2, 1), [(0, 1)], 0.5, 3, 2.0),
        (Rate(1, 0.1), [(0, 1)], 0.05, 1, 0.2),
        (Rate(2, 1), [(0, 1), (0.75, 1)], 0.75, 1, 1.75),
        (Rate(4, 1), [(0, 6)], 1.3, 0, 1.5),
        (Rate(4, 1), [(0, 6)], 1.3, 1, 1.75),
        (Rate(4, 1), [(0, 1), (0.9, 4), (1.9, 1)], 1.9, 2, 2.65),
    ],
    ids=[
        *("a burst", "behind a burst", "behind a part of a burst", "a short window", "behind a recent start"),
        *("on the grid", "later on the grid", "on a grid that is later than the window"),
    ],
)
def test_the_predicted_wait_is_exact(
    rate: Rate, arrivals: list[tuple[float, int]], now: float, ahead: int, start: float
) -> None:
    window, _ = used(rate, arrivals)
    assert predicted_and_real(window, ahead, now) == pytest.approx((start, start))


def test_the_predicted_wait_counts_grants_whose_callers_have_not_resumed() -> None:
    window = SlidingWindow(Rate(2, 1))
    window.add_waiter(0.5)
    window.reserve(0.5)
    assert window.next_start_behind(1, 0.5) == 1.5


# ── The grid ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_call_that_finds_a_free_window_on_the_grid_takes_a_time_of_the_grid() -> None:
    window, _ = used(Rate(4, 1), [(0, 6)])
    assert window.next_start_at(1.52) == 0.0
    window.start(1.52)
    assert window.next_start_at(1.52) == 1.75


@pytest.mark.parametrize("leaves", ["started", "cancelled"])
def test_calls_that_need_not_wait_are_not_spread_after_others_have_waited(leaves: str) -> None:
    window, now = used(Rate(2, 1), [(0, 2)])
    window.add_waiter(now)
    if leaves == "started":
        serve(window, 1, now)
    else:
        window.remove_waiter()
    for at in (10, 10.3, 11.01, 11.31):
        assert window.next_start_at(at) == 0.0
        window.start(at)


def test_the_grid_ends_with_a_start_that_comes_late() -> None:
    window, _ = used(Rate(4, 1), [(0, 4)])
    for _ in range(3):
        window.add_waiter(0.1)
    starts = [window.next_start_at(0.1)]
    for at in (1.04, 1.31):
        window.reserve(at)
        window.commit(at)
        starts.append(window.next_start_at(at))

    assert starts == [1.0, 1.25, 0.0]


def test_a_start_beside_calls_that_wait_begins_the_grid() -> None:
    """They wait for another limit."""
    window = SlidingWindow(Rate(2, 1))
    window.add_waiter(0.0)
    window.start(0.0)
    window.start(0.4)
    window.reserve(1.0)
    assert window.next_start_at(1.0) == math.inf
    window.commit(1.0)
    assert window.next_start_at(1.41) == 1.5


def test_waiters_and_reservations_are_counted_one_by_one() -> None:
    window, counts = SlidingWindow(Rate(4, 1)), list[tuple[int, int]]()
    add, reserve, commit = (partial(each, 0.0) for each in (window.add_waiter, window.reserve, window.commit))
    for step in (add, add, add, reserve, reserve, window.cancel, commit, window.remove_waiter):
        step()
        counts.append((window.waiting, window.reserved))

    assert counts == [(1, 0), (2, 0), (3, 0), (2, 1), (1, 2), (1, 1), (1, 0), (0, 0)]


# ── Moved starts ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_start_in_a_full_window_may_be_moved() -> None:
    window, _ = used(Rate(2, 1), [(0.6, 1), (0.7, 1)])
    assert window.may_restart(0.6, 1.0)
    window.restart(0.6, 1.0)
    assert list(window.starts) == [0.7, 1.0]


def test_a_start_that_the_window_dropped_is_moved_only_into_a_free_one() -> None:
    window, _ = used(Rate(2, 1), [(0, 1), (0.5, 1)])
    assert window.may_restart(0, 1.0)
    window.restart(0, 1.0)
    assert (list(window.starts), window.may_restart(0, 1.0)) == ([0.5, 1.0], False)


def test_a_start_that_the_window_does_not_have_is_not_forgotten() -> None:
    window, _ = used(Rate(2, 1), [(1.0, 1)])
    assert (window.forget(1.5, 1.6), window.forget(1.0, 1.6), list(window.starts)) == (False, True, [])


def test_a_moved_start_takes_no_time_of_the_grid() -> None:
    window, _ = used(Rate(4, 1), [(0, 5)])
    window.add_waiter(1.1)
    window.restart(1.0, 1.1)
    assert serve(window, 1, 1.1) == 1.25


def test_a_start_that_the_window_dropped_takes_a_time_of_the_grid() -> None:
    window, _ = used(Rate(4, 1), [(0, 6)])
    window.restart(0, 1.52)
    assert window.next_start_at(1.52) == 1.75


# ── Queues ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_calls_that_are_repeated_wait_before_the_others_each_in_its_order() -> None:
    queue, loop = EndpointQueue(KeyPairState("key", ()), (), ()), asyncio.get_running_loop()
    for ticket in (1, 0, -9, 2, -8):
        queue.add(Waiter(queue, ticket, loop.create_future()))

    assert ([each.ticket for each in queue.waiters], queue.count_restarts()) == ([-9, -8, 1, 0, 2], 2)
