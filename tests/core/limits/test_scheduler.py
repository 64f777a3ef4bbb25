"""The scheduler's guarantees, on a virtual clock."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from facturaonline_async import Config, InvalidInputError, LimiterWaitError, Rate
from facturaonline_async._core.limits.scheduler import Scheduler, _is_spent
from facturaonline_async._core.limits.window import SlidingWindow
from tests.virtual import stall, virtually


def make_scheduler(**limits: Any) -> Scheduler:
    """Return a scheduler with these limits and no others."""
    many = {"concurrency": 10**6, "concurrency_per_key": 10**6}
    return Scheduler(Config(**({"rates": ()} | many | limits)))


def now() -> float:
    return asyncio.get_running_loop().time()


async def starts(
    limiter: Scheduler, number: int, *, endpoint: str = "series.list", key: str = "k", max_wait: float | None = None
) -> list[float]:
    """Acquire `number` times at once, and return the time of each start, in order of arrival."""

    async def one() -> float:
        await limiter.acquire(endpoint, key, max_wait=max_wait)
        return now()

    return await asyncio.gather(*(one() for _ in range(number)))


def most_in_any_window(times: list[float], per: float) -> int:
    ordered = sorted(times)
    return max(sum(start <= time < start + per - 1e-9 for time in ordered) for start in ordered)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_an_uncontended_call_starts_at_once() -> None:
    async def main() -> float:
        await make_scheduler(rates=[Rate(1, 1)]).acquire("series.list", "k")
        return now()

    assert virtually(main()) == 0.0


def test_no_window_holds_more_starts_than_calls() -> None:
    async def main() -> list[float]:
        limiter = make_scheduler(rates=[Rate(7, 2.5)])
        first = await starts(limiter, 20)
        await asyncio.sleep(0.9)
        return first + await starts(limiter, 40)

    assert most_in_any_window(virtually(main()), 2.5) == 7


def test_every_rate_of_an_endpoint_binds() -> None:
    async def main() -> list[float]:
        return await starts(make_scheduler(rates=[Rate(3, 1), Rate(5, 10)]), 23)

    times = virtually(main())
    assert (most_in_any_window(times, 1), most_in_any_window(times, 10)) == (3, 5)


@pytest.mark.parametrize("rate", [Rate(500, 1), Rate(10, 1), Rate(1, 0.01), Rate(97, 13.7)])
def test_the_rate_is_kept_to_995_permille_under_load(rate: Rate) -> None:
    number = 20 * rate.calls

    async def main() -> float:
        return max(await starts(make_scheduler(rates=[rate]), number))

    assert number / virtually(main()) >= 0.995 * rate.calls / rate.per


def test_waiters_are_granted_in_order_of_arrival() -> None:
    async def main() -> list[int]:
        limiter = make_scheduler(rates=[Rate(2, 1)])
        served: list[int] = []

        async def one(number: int) -> None:
            await asyncio.sleep(number * 0.1)
            await limiter.acquire("series.list", "k")
            served.append(number)

        await asyncio.gather(*(one(number) for number in reversed(range(50))))
        return served

    assert virtually(main()) == list(range(50))


@pytest.mark.parametrize("busy", [6, 9, 30])
def test_a_queue_gets_its_rate_however_busy_the_others_are(busy: int) -> None:
    """The other queues always have a granted call that has not resumed yet."""

    async def main() -> list[float]:
        limiter = make_scheduler(endpoint_rates={"series.list": Rate(1, 0.05)}, concurrency=4, concurrency_per_key=4)
        loop = asyncio.get_running_loop()

        async def keep_busy() -> None:
            while True:
                await limiter.acquire("series.get", "k")
                await asyncio.sleep(0)
                stall(1e-5)
                limiter.release("k")

        async def one() -> float:
            await limiter.acquire("series.list", "k")
            limiter.release("k")
            return loop.time()

        others = [asyncio.create_task(keep_busy()) for _ in range(busy)]
        await settle()
        started_at = loop.time()
        times = await asyncio.wait_for(asyncio.gather(*(one() for _ in range(5))), 10)
        for other in others:
            other.cancel()
        return [time - started_at for time in times]

    assert virtually(main()) == pytest.approx([0.0, 0.05, 0.1, 0.15, 0.2], abs=0.01)


def test_a_slot_granted_to_a_cancelled_caller_passes_on_at_once() -> None:
    async def main() -> list[str]:
        limiter = make_scheduler(concurrency=2)
        served: list[str] = []

        async def one(name: str) -> None:
            await limiter.acquire("series.list", "k")
            served.append(name)

        await one("first")
        await one("second")
        waiting = {name: asyncio.create_task(one(name)) for name in ("granted", "cancelled", "next")}
        await settle()
        limiter.release("k")
        limiter.release("k")
        waiting["cancelled"].cancel()
        await settle()
        return served

    assert virtually(main()) == ["first", "second", "granted", "next"]


def test_a_restart_within_the_window_moves_the_start_and_uses_no_capacity() -> None:
    async def main() -> list[float]:
        limiter = make_scheduler(rates=[Rate(2, 1)])
        started_at = await limiter.acquire("series.list", "k")
        await asyncio.sleep(0.5)
        renewed = await limiter.reacquire("series.list", "k", started_at)
        return [renewed, *await starts(limiter, 2)]

    assert virtually(main()) == [0.5, 0.5, 1.5]


def test_restarts_go_before_waiting_calls_and_keep_the_rate() -> None:
    async def main() -> tuple[list[str], list[float], str]:
        limiter = make_scheduler(rates=[Rate(1, 1)], concurrency=3)
        served: list[str] = []
        times: list[float] = []

        async def one(name: str, pause: float) -> None:
            started_at = await limiter.acquire("series.list", "k")
            if pause:
                await asyncio.sleep(pause)
                await limiter.reacquire("series.list", "k", started_at)
            served.append(name)
            times.append(now())
            limiter.release("k")

        await asyncio.gather(one("a", 2.5), one("b", 1.5), *(one(name, 0) for name in "cd"))
        return served, times, repr(limiter)

    served, times, state = virtually(main())
    assert (served, most_in_any_window(times, 1)) == (["c", "a", "b", "d"], 1)
    assert "0 waiting, 0 in flight" in state


def test_the_predicted_wait_of_a_restart_counts_only_restarts() -> None:
    async def main() -> tuple[float, float, list[float]]:
        limiter = make_scheduler(rates=Rate(1, 10))
        delayed = []
        for _ in range(2):
            delayed.append(await limiter.acquire("series.list", "k"))
            await asyncio.sleep(10)
        await limiter.acquire("series.list", "k")
        calls = asyncio.create_task(starts(limiter, 3))
        await settle()
        restart = asyncio.create_task(limiter.reacquire("series.list", "k", delayed[0], max_wait=15))
        await settle()
        with pytest.raises(LimiterWaitError) as refused:
            await limiter.reacquire("series.list", "k", delayed[1], max_wait=15)
        return refused.value.retry_after or 0.0, await restart, await calls

    assert virtually(main()) == (20.0, 30.0, [40.0, 50.0, 60.0])


@pytest.mark.parametrize("is_cancelled", [False, True], ids=["granted", "cancelled"])
def test_a_restart_gives_its_slot_of_the_key_to_another_call_while_it_waits(is_cancelled: bool) -> None:  # noqa: FBT001
    async def main() -> tuple[list[bool], bool, bool]:
        limiter = make_scheduler(endpoint_rates={"series.list": Rate(1, 10)}, concurrency_per_key=3)
        started_at = await limiter.acquire("series.list", "k")
        await asyncio.sleep(20)
        for endpoint in ("series.get", "series.list"):
            await limiter.acquire(endpoint, "k")
        others = [asyncio.create_task(limiter.acquire("series.get", "k")) for _ in range(2)]
        await settle()
        restart = asyncio.create_task(limiter.reacquire("series.list", "k", started_at))
        await settle()
        have_started = [each.done() for each in others]
        for _ in range(2):
            limiter.release("k")
        await settle()
        if is_cancelled:
            restart.cancel()
        await asyncio.wait([restart])  # its caller holds a slot again, and so do the two others
        more = asyncio.create_task(limiter.acquire("series.get", "k"))
        await settle()
        starts_at_once = more.done()
        limiter.release("k")
        await settle()
        return have_started, starts_at_once, more.done()

    assert virtually(main()) == ([True, False], False, True)


def test_a_restart_of_a_queue_that_was_dropped_counts_in_a_new_one() -> None:
    async def main() -> tuple[bool, list[float]]:
        limiter = make_scheduler(rates=Rate(1, 1))
        started_at = await limiter.acquire("series.list", "k")
        for number in range(100):
            await limiter.acquire("series.list", f"k{number}")
            limiter.release(f"k{number}")
        await asyncio.sleep(100)
        await limiter.acquire("series.list", "one")  # begins a sweep
        await asyncio.sleep(1)
        is_dropped = ("series.list", "k") not in limiter._queues
        return is_dropped, [await limiter.reacquire("series.list", "k", started_at), *await starts(limiter, 1)]

    assert virtually(main()) == (True, [101.0, 102.0])


@pytest.mark.parametrize("how", ["cancelled", "too long", "closed"])
def test_a_failed_restart_frees_its_slot_once(how: str) -> None:
    async def main() -> str:
        limiter = make_scheduler(rates=[Rate(1, 10)])

        async def late() -> None:
            started_at = await limiter.acquire("series.list", "k")
            try:
                await asyncio.sleep(20)
                await starts(limiter, 1)
                await limiter.reacquire("series.list", "k", started_at, max_wait=1 if how == "too long" else None)
            finally:
                limiter.release("k")

        task = asyncio.create_task(late())
        await asyncio.sleep(21)
        if how == "cancelled":
            task.cancel()
        limiter.close()
        await asyncio.wait([task])
        limiter.release("k")  # the call that started in between
        return repr(limiter)

    assert "0 waiting, 0 in flight" in virtually(main())


def test_a_late_arrival_does_not_overtake_a_due_waiter() -> None:
    """The waiter is due at 1.0; a call that arrives at 1.0 starts after it."""

    async def main() -> list[str]:
        limiter = make_scheduler(rates=[Rate(1, 1)])
        served: list[str] = []

        async def one(name: str, at: float) -> None:
            await asyncio.sleep(at)
            await limiter.acquire("series.list", "k")
            served.append(name)

        await limiter.acquire("series.list", "k")
        await asyncio.gather(one("late", 1.0), one("waiting", 0.5))
        return served

    assert virtually(main()) == ["waiting", "late"]


@pytest.mark.parametrize("limits", [{"total_rates": [Rate(1, 1)]}, {"host_rates": [Rate(1, 1)]}])
def test_a_late_arrival_at_another_endpoint_does_not_overtake_under_a_shared_rate(
    limits: dict[str, list[Rate]],
) -> None:
    async def main() -> list[str]:
        limiter = make_scheduler(**limits)
        served: list[str] = []

        async def one(endpoint: str) -> None:
            await limiter.acquire(endpoint, "k")
            served.append(endpoint)

        await limiter.acquire("series.get", "k")
        waiting = asyncio.create_task(one("series.list"))
        await settle()
        stall(1.5)  # the window is open again, but the timer has not run yet
        await one("series.create")
        await waiting
        return served

    assert virtually(main()) == ["series.list", "series.create"]


@pytest.mark.parametrize("leaving", ["head", "middle", "tail", "all but the last", "all"])
def test_cancelled_waiters_lose_no_capacity_and_wake_the_rest(leaving: str) -> None:
    indexes = {
        "head": range(1),
        "middle": range(4, 6),
        "tail": range(9, 10),
        "all but the last": range(9),
        "all": range(10),
    }[leaving]

    async def main() -> tuple[list[float], str]:
        limiter = make_scheduler(rates=[Rate(2, 1)])
        await starts(limiter, 2)
        tasks = [asyncio.create_task(starts(limiter, 1)) for _ in range(10)]
        await asyncio.sleep(0.5)
        for index in indexes:
            tasks[index].cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        after = await starts(limiter, 1)
        return [time for each in done if isinstance(each, list) for time in each] + after, repr(limiter)

    times, state = virtually(main())
    waited = 10 - len(indexes)
    assert times == pytest.approx([1 + index / 2 for index in range(waited + 1)])
    assert f"0 waiting, {2 + waited + 1} in flight" in state  # no cancelled waiter


@pytest.mark.parametrize("limit", ["concurrency", "concurrency_per_key"])
def test_a_waiter_cancelled_at_its_grant_passes_the_grant_on(limit: str) -> None:
    async def main() -> list[float]:
        limiter = make_scheduler(rates=[Rate(2, 1)], host_rates=[Rate(3, 1)], **{limit: 1})
        await limiter.acquire("series.list", "k")
        granted = asyncio.create_task(limiter.acquire("series.list", "k"))
        following = asyncio.create_task(starts(limiter, 1, endpoint="series.get"))
        await settle()
        stall(1.0)
        limiter.release("k")  # grants, but the task has not run yet
        granted.cancel()
        with pytest.raises(asyncio.CancelledError):
            await granted
        times = await following
        limiter.release("k")
        await limiter.acquire("series.list", "k", max_wait=0)  # the window cancelled the reservation
        return times

    assert virtually(main()) == [1.0]


@pytest.mark.parametrize("by", ["the end of a hold", "a window", "a slot"])
def test_a_grant_cancelled_in_the_same_loop_iteration_goes_to_the_next_at_once(by: str) -> None:
    """Grant and cancellation fall into one iteration: no capacity is lost, and no call overtakes."""

    async def main() -> dict[str, float]:
        limits: dict[str, Any] = {
            "the end of a hold": {"rates": Rate(2, 10)},
            "a window": {"rates": (Rate(2, 10), Rate(1, 1))},
            "a slot": {"rates": Rate(3, 60), "concurrency": 2},
        }
        limiter = make_scheduler(**limits[by])
        loop, started = asyncio.get_running_loop(), dict[str, float]()

        async def wait(name: str, after: float = 0.0) -> None:
            await asyncio.sleep(after)
            await limiter.acquire("series.list", "k")
            started[name] = now()

        await limiter.acquire("series.list", "k")
        if by == "the end of a hold":
            limiter.hold("k", 1.0)
        if by == "a slot":
            await limiter.acquire("series.list", "k")
            loop.call_at(1.0, limiter.release, "k")
        tasks = [asyncio.create_task(wait(*waiter)) for waiter in (("leaving", 0.0), ("next", 0.0), ("late", 3.0))]
        await asyncio.sleep(0.5)
        loop.call_at(1.0 + 5e-10, tasks[0].cancel)
        await asyncio.sleep(4)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return started

    started = virtually(main())
    assert started["next"] == pytest.approx(1.0)
    assert ("leaving" in started, started.get("late", 99.0) >= 3.0) == (False, True)


def test_no_timing_lets_a_waiter_overtake_or_get_lost() -> None:
    """All events fall on the times at which windows open; every waiter is cancelled at every time."""

    async def main(leaving: tuple[int, float], hold: float, per: float) -> tuple[list[int], str]:
        limiter = make_scheduler(rates=Rate(1, per), total_rates=Rate(2, 2 * per), concurrency=2)
        loop, served = asyncio.get_running_loop(), list[int]()

        async def one(number: int) -> None:
            await limiter.acquire("series.list", "k")
            served.append(number)
            loop.call_later(0.5, limiter.release, "k")

        limiter.hold("k", hold)
        tasks = [asyncio.create_task(one(number)) for number in range(6)]
        await settle()
        loop.call_at(leaving[1], tasks[leaving[0]].cancel)
        loop.call_at(leaving[1] + 1e-10, lambda: tasks.append(asyncio.create_task(one(6))))
        await asyncio.sleep(100)
        return served, repr(limiter)

    for cancelled in range(3):
        for when in (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0):
            for hold in (0.0, 1.0):
                for per in (0.5, 1.0):
                    served, state = virtually(main((cancelled, when), hold, per))
                    assert served == sorted(served)
                    assert {0, 1, 2, 3, 4, 5, 6} - set(served) <= {cancelled}
                    assert "0 waiting, 0 in flight" in state


def test_a_grant_that_is_cancelled_frees_one_slot_of_the_key() -> None:
    async def main() -> list[bool]:
        limiter = make_scheduler(concurrency_per_key=2)
        for _ in range(2):
            await limiter.acquire("series.list", "k")
        waiting = asyncio.create_task(limiter.acquire("series.list", "k"))
        await settle()
        limiter.release("k")
        waiting.cancel()  # it is granted, and has not resumed
        await asyncio.wait([waiting])
        tasks = [asyncio.create_task(limiter.acquire("series.list", "k")) for _ in range(2)]
        await settle()
        have_started = [task.done() for task in tasks]
        limiter.release("k")
        await asyncio.wait(tasks)
        return have_started

    assert virtually(main()) == [True, False]


def test_a_cancelled_waiter_is_not_counted_in_the_predicted_wait() -> None:
    async def main() -> float | None:
        limiter = make_scheduler(rates=Rate(1, 1))
        await starts(limiter, 1)
        tasks = [asyncio.create_task(starts(limiter, 1)) for _ in range(4)]
        await settle()
        tasks[1].cancel()
        await settle()
        with pytest.raises(LimiterWaitError) as refused:
            await limiter.acquire("series.list", "k", max_wait=0)
        await asyncio.wait(tasks)
        return refused.value.retry_after

    assert virtually(main()) == 4.0


def test_a_call_that_has_started_is_not_counted_in_the_predicted_wait() -> None:
    async def main() -> float | None:
        limiter = make_scheduler(rates=Rate(1, 1))
        await starts(limiter, 1)
        tasks = [asyncio.create_task(starts(limiter, 1)) for _ in range(3)]
        await asyncio.sleep(1.5)
        with pytest.raises(LimiterWaitError) as refused:
            await limiter.acquire("series.list", "k", max_wait=0)
        await asyncio.wait(tasks)
        return refused.value.retry_after

    assert virtually(main()) == 2.5


def test_slots_of_a_key_bound_the_calls_that_have_waited() -> None:
    async def main() -> list[bool]:
        limiter = make_scheduler(concurrency_per_key=2)
        await starts(limiter, 2)
        tasks = [asyncio.create_task(limiter.acquire("series.list", "k")) for _ in range(3)]
        await settle()
        for _ in range(2):
            limiter.release("k")
        await settle()
        have_started = [task.done() for task in tasks]
        limiter.release("k")
        await asyncio.wait(tasks)
        return have_started

    assert virtually(main()) == [True, True, False]


def test_deadlines_of_cancelled_waiters_do_not_pile_up() -> None:
    async def main() -> tuple[int, float, float]:
        limiter = make_scheduler(rates=Rate(1, 10))
        await starts(limiter, 1)
        patient = asyncio.create_task(limiter.acquire("series.list", "k"))
        tasks = [asyncio.create_task(limiter.acquire("series.list", "k", max_wait=10_000)) for _ in range(200)]
        await settle()
        for task in tasks:
            task.cancel()
        await settle()
        kept = len(limiter._deadlines)
        return kept, await patient, await limiter.acquire("series.list", "k", max_wait=100)

    kept, first, second = virtually(main())
    assert (kept <= 2 + 32, first, second) == (True, 10.0, 20.0)


def test_cancelling_half_of_many_waiters_halves_the_time() -> None:
    async def main() -> float:
        limiter = make_scheduler(rates=[Rate(50, 1)])
        await starts(limiter, 50)
        tasks = [asyncio.create_task(limiter.acquire("series.list", "k")) for _ in range(2000)]
        await asyncio.sleep(0.1)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return now()

    assert virtually(main()) <= 1 + 1000 / 50


def test_a_queue_whose_only_waiter_left_serves_the_next_one() -> None:
    async def main() -> list[float]:
        limiter = make_scheduler(concurrency=1)
        await limiter.acquire("series.list", "busy")
        leaving = asyncio.create_task(limiter.acquire("series.list", "a"))
        other = asyncio.create_task(limiter.acquire("series.list", "b"))
        await settle()
        leaving.cancel()
        await asyncio.sleep(1)
        limiter.release("busy")
        times = [await other]
        late = asyncio.create_task(limiter.acquire("series.list", "a"))
        await asyncio.sleep(1)
        limiter.release("b")
        return [*times, await late]

    assert virtually(main()) == [1.0, 2.0]


def test_cancelled_waiters_do_not_pile_up_behind_a_long_hold() -> None:
    async def main() -> tuple[int, int]:
        limiter = make_scheduler(rates=[Rate(10, 1)])
        limiter.hold("k", 1e6)
        staying = asyncio.create_task(limiter.acquire("series.list", "k"))
        for _ in range(2000):
            task = asyncio.create_task(limiter.acquire("series.list", "k", max_wait=1e9))
            await asyncio.sleep(0.001)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        kept = len(limiter._queues["series.list", "k"].waiters), len(limiter._deadlines)
        staying.cancel()
        await asyncio.gather(staying, return_exceptions=True)
        return kept

    assert max(virtually(main())) < 100


def test_one_timer_serves_any_number_of_waiters() -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        limiter = make_scheduler(rates=[Rate(10, 1)], host_rates=[Rate(50, 1)])
        tasks = [
            asyncio.create_task(limiter.acquire("series.list", f"k{number % 20}", max_wait=1e6))
            for number in range(5000)
        ]
        await settle()
        timers = [timer for timer in loop._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return len(timers)

    assert virtually(main()) == 1


def test_no_timer_remains_when_no_call_waits() -> None:
    async def main() -> list[asyncio.TimerHandle]:
        limiter = make_scheduler(rates=[Rate(1, 100)])
        task = asyncio.create_task(starts(limiter, 2))
        await settle()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return [timer for timer in asyncio.get_running_loop()._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]

    assert virtually(main()) == []


def test_endpoints_and_keys_do_not_wait_for_each_other() -> None:
    async def main() -> list[float]:
        limiter = make_scheduler(rates=[Rate(1, 60)])
        return [
            *await starts(limiter, 1, endpoint="series.list", key="a"),
            *await starts(limiter, 1, endpoint="series.get", key="a"),
            *await starts(limiter, 1, endpoint="series.list", key="b"),
        ]

    assert virtually(main()) == [0.0, 0.0, 0.0]


def test_an_endpoint_may_have_rates_of_its_own() -> None:
    async def main() -> tuple[list[float], list[float]]:
        limiter = make_scheduler(rates=[Rate(1, 1)], endpoint_rates={"series.create": [Rate(1, 5)], "series.get": []})
        return await starts(limiter, 2, endpoint="series.create"), await starts(limiter, 100, endpoint="series.get")

    assert virtually(main()) == ([0.0, 5.0], [5.0] * 100)


def test_the_total_binds_all_endpoints_of_a_key_and_no_other_key() -> None:
    async def main() -> tuple[list[float], list[float]]:
        limiter = make_scheduler(total_rates=[Rate(2, 1)])
        mine = await asyncio.gather(
            *(starts(limiter, 1, endpoint=name) for name in ("series.list", "series.get", "series.create"))
        )
        return [time for (time,) in mine], await starts(limiter, 2, key="other")

    assert virtually(main()) == ([0.0, 0.0, 1.0], [1.0, 1.0])


def test_the_host_rate_binds_all_keys_oldest_first() -> None:
    async def main() -> list[tuple[float, int]]:
        limiter = make_scheduler(host_rates=[Rate(3, 1)])

        async def one(number: int) -> tuple[float, int]:
            await limiter.acquire("series.list", f"k{number}")
            return now(), number

        return await asyncio.gather(*(one(number) for number in range(9)))

    expected = [0, 0, 0, 1, 4 / 3, 5 / 3, 2, 7 / 3, 8 / 3]
    started = virtually(main())
    assert [start for start, _ in started] == pytest.approx(expected)
    assert [number for _, number in started] == list(range(9))


EACH = pytest.mark.parametrize("name", ["rates", "total_rates", "host_rates"])


@EACH
def test_starts_that_have_to_wait_are_spread_and_a_late_timer_slows_nothing(name: str) -> None:
    """Two bursts that the client keeps apart can meet at the server; starts on a grid cannot."""

    async def main() -> list[float]:
        limiter = make_scheduler(**{name: Rate(100, 1)})
        loop = asyncio.get_running_loop()
        for number in range(1, 40):
            loop.call_at(number * 0.25, stall, 0.004)
        return await starts(limiter, 1000)

    times = virtually(main())
    assert most_in_any_window(times, 1) == 100
    assert most_in_any_window(times[100:], 0.1) <= 11
    assert 1000 / max(times) >= 0.995 * 100


@EACH
@pytest.mark.parametrize("late", [0.0, 0.005, 0.05, 0.09])
def test_80_clients_at_10_a_second_show_the_server_at_most_11_calls_in_any_second(name: str, late: float) -> None:
    """The first call of each client arrives late because it connects; later calls arrive at once."""

    async def main() -> list[float]:
        limiter, arrivals = make_scheduler(**{name: Rate(10, 1)}), list[float]()

        async def client() -> None:
            connects = late
            while now() < 20:
                await limiter.acquire("series.list", "k")
                arrivals.append(now() + connects)
                connects = 0.0
                await asyncio.sleep(0.1)

        await asyncio.gather(*(client() for _ in range(80)))
        return arrivals

    arrivals = virtually(main())
    assert most_in_any_window(arrivals, 1) <= 11
    assert len([at for at in arrivals if at < 20]) >= 0.995 * 20 * 10


@EACH
def test_after_a_pause_a_full_window_of_calls_starts_at_once(name: str) -> None:
    async def main() -> list[float]:
        limiter = make_scheduler(**{name: Rate(5, 1)})
        await starts(limiter, 8)
        await asyncio.sleep(10)
        started_at = now()
        return [start - started_at for start in await starts(limiter, 5)]

    assert virtually(main()) == [0.0] * 5


@EACH
def test_calls_that_need_not_wait_are_not_spread(name: str) -> None:
    async def main() -> list[float]:
        limiter, times = make_scheduler(**{name: Rate(2, 1)}), list[float]()
        for pause in (0.0, 0.3, 0.71, 0.3, 0.71, 0.3):
            await asyncio.sleep(pause)
            times += await starts(limiter, 1)
        return times

    assert virtually(main()) == pytest.approx([0.0, 0.3, 1.01, 1.31, 2.02, 2.32])


@EACH
def test_a_new_call_takes_the_next_grid_time(name: str) -> None:
    async def main() -> list[float]:
        limiter = make_scheduler(**{name: Rate(4, 1)})
        times = await starts(limiter, 6)
        await asyncio.sleep(0.1)
        return [*times[4:], *await starts(limiter, 2)]

    assert virtually(main()) == pytest.approx([1.0, 1.25, 1.5, 1.75])


@EACH
def test_a_cancelled_waiter_gives_its_grid_time_to_the_next(name: str) -> None:
    async def main() -> list[float]:
        limiter = make_scheduler(**{name: Rate(10, 1)})
        await starts(limiter, 10)
        tasks = [asyncio.create_task(starts(limiter, 1)) for _ in range(6)]
        await settle()
        asyncio.get_running_loop().call_at(1.1 + 5e-10, tasks[1].cancel)  # in the moment of its grant
        tasks[3].cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        return [time for each in done if isinstance(each, list) for time in each]

    assert virtually(main()) == pytest.approx([1.0, 1.1, 1.2, 1.3])


def test_a_cancelled_grant_costs_the_next_waiter_no_time() -> None:
    """A cancelled reservation frees the window at once."""

    async def main() -> float:
        limiter = make_scheduler(rates=Rate(3, 10))
        limiter.hold("k", 1)
        tasks = [asyncio.create_task(starts(limiter, 1)) for _ in range(4)]
        await settle()
        asyncio.get_running_loop().call_at(1 + 5e-10, tasks[2].cancel)
        return (await asyncio.gather(*tasks, return_exceptions=True))[3][0]  # type: ignore[index]

    assert virtually(main()) == pytest.approx(1.0)


def test_calls_that_wait_only_for_a_slot_are_not_spread() -> None:
    async def main() -> float:
        limiter = make_scheduler(host_rates=Rate(100, 60), concurrency=1)

        async def one() -> None:
            await limiter.acquire("series.list", "k")
            await asyncio.sleep(0.01)
            limiter.release("k")

        await asyncio.gather(*(one() for _ in range(20)))
        return now()

    assert virtually(main()) == pytest.approx(0.2)


def test_a_held_key_waits_and_others_do_not() -> None:
    async def main() -> tuple[list[float], list[float]]:
        limiter = make_scheduler(rates=[Rate(10, 1)])
        limiter.hold("k", 30)
        limiter.hold("k", 5)  # the longest counts
        other = await starts(limiter, 1, key="other")
        return await starts(limiter, 1), other

    assert virtually(main()) == ([30.0], [0.0])


def test_a_hold_delays_calls_that_already_wait() -> None:
    async def main() -> list[float]:
        limiter = make_scheduler(rates=[Rate(2, 1)])
        waiting = asyncio.create_task(starts(limiter, 4))
        await asyncio.sleep(0.5)
        limiter.hold("k", 10)
        return await waiting

    assert virtually(main()) == [0.0, 0.0, 10.5, 10.5]


def test_a_key_is_held_until_its_longest_hold_ends() -> None:
    async def main() -> list[tuple[bool, dict[str, float]]]:
        limiter, seen = make_scheduler(), list[tuple[bool, dict[str, float]]]()

        def see() -> None:
            seen.append((limiter.is_held("k"), dict(limiter.stats(now(), is_closed=False).held_keys)))

        see()
        limiter.hold("other", 100)
        limiter.hold("k", 0)
        see()
        limiter.hold("k", 5)
        limiter.hold("k", 2)
        see()
        await asyncio.sleep(5)
        see()
        return seen

    assert virtually(main()) == [
        (False, {}),
        (False, {"other": 100.0}),
        (True, {"other": 100.0, "k": 5.0}),
        (False, {"other": 95.0}),
    ]


@pytest.mark.parametrize("is_closed", [False, True])
def test_the_statistics_say_whether_the_session_is_closed(*, is_closed: bool) -> None:
    async def main() -> bool:
        return make_scheduler().stats(now(), is_closed=is_closed).is_closed

    assert virtually(main()) is is_closed


def test_a_window_is_spent_when_it_would_delay_nothing() -> None:
    fresh, started, reserved, over = (SlidingWindow(Rate(2, 1)) for _ in range(4))
    started.start(99.5)
    reserved.add_waiter(99.5)
    reserved.reserve(99.5)
    over.start(98.0)

    assert [_is_spent([fresh, window], 100.0) for window in (fresh, started, reserved, over)] == [
        True,
        False,
        False,
        True,
    ]


def test_the_rate_is_kept_when_a_hold_ends() -> None:
    async def main() -> list[float]:
        limiter = make_scheduler(rates=[Rate(2, 1)])
        limiter.hold("k", 10)
        return await starts(limiter, 6)

    assert virtually(main()) == [10.0, 10.0, 11.0, 11.5, 12.0, 12.5]


def test_a_wait_that_is_too_long_is_refused_at_once() -> None:
    async def main() -> tuple[float, str]:
        limiter = make_scheduler(rates=[Rate(1, 1)])
        tasks = [asyncio.create_task(limiter.acquire("series.list", "k")) for _ in range(5)]
        await settle()
        with pytest.raises(LimiterWaitError) as refused:
            await limiter.acquire("series.list", "k", max_wait=4.5)
        when = now()
        await limiter.acquire("series.list", "k", max_wait=5)
        await asyncio.gather(*tasks)
        return when, str(refused.value)

    assert virtually(main()) == (0.0, "the call would wait 5.0 s for a slot, longer than max_wait=4.5 s allows")


@pytest.mark.parametrize("name", ["rates", "total_rates"])
def test_a_wait_that_is_too_long_on_the_grid_is_refused_at_once(name: str) -> None:
    async def main() -> tuple[list[str], float]:
        limiter = make_scheduler(**{name: Rate(2, 1)})
        tasks = [asyncio.create_task(limiter.acquire("series.list", "k")) for _ in range(5)]
        refused = []
        await settle()
        for max_wait in (2.49, 2.39):
            with pytest.raises(LimiterWaitError) as error:
                await limiter.acquire("series.list", "k", max_wait=max_wait)
            refused.append(str(error.value).partition(",")[0])
            await asyncio.sleep(0.1)
        await limiter.acquire("series.list", "k", max_wait=2.31)
        await asyncio.gather(*tasks)
        return refused, now()

    texts = ["the call would wait 2.5 s for a slot", "the call would wait 2.4 s for a slot"]
    refused, ended = virtually(main())
    assert (refused, ended) == (texts, 2.5)


def test_the_predicted_wait_is_exact_after_a_recent_start() -> None:
    async def main() -> tuple[str, float]:
        limiter = make_scheduler(rates=Rate(2, 1))
        await starts(limiter, 1)
        await asyncio.sleep(0.75)
        await starts(limiter, 1)
        waiting = asyncio.create_task(starts(limiter, 1))
        await settle()
        with pytest.raises(LimiterWaitError) as refused:
            await limiter.acquire("series.list", "k", max_wait=0.99)
        await limiter.acquire("series.list", "k", max_wait=1.0)
        await waiting
        return str(refused.value).partition(" for")[0], now()

    assert virtually(main()) == ("the call would wait 1.0 s", 1.75)


def test_a_wait_that_grows_too_long_ends_after_max_wait() -> None:
    async def main() -> tuple[float, list[float]]:
        limiter = make_scheduler(rates=[Rate(1, 1)])
        await starts(limiter, 1)
        patient = asyncio.create_task(starts(limiter, 1))
        await settle()
        impatient = asyncio.create_task(limiter.acquire("series.list", "k", max_wait=3))
        await asyncio.sleep(0.5)
        limiter.hold("k", 10)
        with pytest.raises(LimiterWaitError):
            await impatient
        return now(), await patient

    assert virtually(main()) == (3.0, [10.5])


def test_retry_after_is_the_time_until_the_call_could_start() -> None:
    async def main() -> list[float]:
        limiter = make_scheduler(rates=Rate(2, 1), host_rates=Rate(4, 10), concurrency=5)

        async def refused(key: str, max_wait: float) -> float:
            with pytest.raises(LimiterWaitError) as error:
                await limiter.acquire("series.list", key, max_wait=max_wait)
            return round(error.value.retry_after, 3)

        await starts(limiter, 2)
        at_once = await refused("k", 0.4)
        limiter.hold("held", 30)
        held = await refused("held", 0.4)
        await starts(limiter, 2, key="other")
        waited_for_the_host = await refused("new", 0.5)
        await asyncio.sleep(9.5)
        await starts(limiter, 1, key="new")
        waited_for_a_slot = await refused("last", 5)
        return [at_once, held, waited_for_the_host, waited_for_a_slot]

    assert [1.0, 30.0, 9.5, 1.0] == virtually(main())


def test_with_max_wait_0_a_call_starts_at_once_or_is_refused() -> None:
    async def main() -> float:
        limiter = make_scheduler(rates=[Rate(1, 1)])
        await limiter.acquire("series.list", "k", max_wait=0)
        with pytest.raises(LimiterWaitError):
            await limiter.acquire("series.list", "k", max_wait=0)
        await asyncio.sleep(1)
        await limiter.acquire("series.list", "k", max_wait=0)
        return now()

    assert virtually(main()) == 1.0


def test_a_stalled_loop_makes_no_burst_beyond_the_rate() -> None:
    async def main() -> list[float]:
        limiter = make_scheduler(rates=[Rate(5, 1)])
        times: list[float] = []

        async def one() -> None:
            await limiter.acquire("series.list", "k")
            times.append(now())

        tasks = [asyncio.create_task(one()) for _ in range(60)]
        await asyncio.sleep(0.95)
        stall(5.0)
        await asyncio.gather(*tasks)
        return times

    assert most_in_any_window(virtually(main()), 1) == 5


def test_a_stall_between_grant_and_start_does_not_bunch_two_windows() -> None:
    """Calls granted before the stall start after it, and the next starts keep their distance to them."""

    async def main() -> list[float]:
        limiter = make_scheduler(rates=[Rate(2, 1)])
        times: list[float] = []

        async def one() -> None:
            await limiter.acquire("series.list", "k")
            times.append(now())

        await starts(limiter, 2)
        tasks = [asyncio.create_task(one()) for _ in range(2)]
        loop = asyncio.get_running_loop()
        # Runs right after the scheduler's timer, in the same iteration: before granted calls can start.
        await settle()
        loop.call_at(1.0 + 1e-10, stall, 3.0)
        loop.call_at(1.0 + 2e-10, lambda: tasks.extend(asyncio.create_task(one()) for _ in range(2)))
        await asyncio.sleep(1.0 + 3e-10)
        await asyncio.gather(*tasks)
        return times

    times = virtually(main())
    assert (len(times), most_in_any_window(times, 1)) == (4, 2)


def test_slots_bound_the_calls_in_flight() -> None:
    async def main() -> tuple[int, int, str]:
        limiter = make_scheduler(concurrency=5, concurrency_per_key=3)
        in_flight: dict[str, int] = {"a": 0, "b": 0}
        most = {"a": 0, "all": 0}

        async def one(key: str) -> None:
            await limiter.acquire("series.list", key)
            in_flight[key] += 1
            most["a"], most["all"] = max(most["a"], in_flight["a"]), max(most["all"], sum(in_flight.values()))
            await asyncio.sleep(1)
            in_flight[key] -= 1
            limiter.release(key)

        await asyncio.gather(*(one(key) for key in "ab" * 20))
        return most["a"], most["all"], repr(limiter)

    assert virtually(main())[:2] == (3, 5)


def test_a_blocked_key_occupies_no_slots() -> None:
    """Waiting calls occupy no slot, so that one throttled company does not stop the others."""

    async def main() -> list[float]:
        limiter = make_scheduler(rates=[Rate(10, 1)], concurrency=2, concurrency_per_key=2)
        for key in ("a", "b", "c"):
            limiter.hold(key, 100)
        tasks = [asyncio.create_task(limiter.acquire("series.list", key)) for key in "abcabcabc"]
        await settle()
        times = await starts(limiter, 1, key="d")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return times

    assert virtually(main()) == [0.0]


def test_idle_keys_are_dropped() -> None:
    async def main() -> tuple[int, int]:
        limiter = make_scheduler(rates=[Rate(10, 1)], total_rates=[Rate(100, 1)], concurrency=8)
        for number in range(10_000):
            await limiter.acquire("series.list", f"k{number}")
            limiter.release(f"k{number}")
            await asyncio.sleep(0.1)
        return len(limiter._queues), len(limiter._key_pairs)

    queues, keys = virtually(main())
    assert (queues <= 64, keys <= 64) == (True, True)


def test_a_key_stays_as_long_as_one_of_its_endpoints_limits_something() -> None:
    async def main() -> tuple[list[str], list[str], float]:
        limiter = make_scheduler(rates=Rate(10, 1), endpoint_rates={"series.get": Rate(1, 1000)})
        for endpoint in ("series.list", "series.get"):
            await limiter.acquire(endpoint, "k")
            limiter.release("k")
        for number in range(100):
            await limiter.acquire("series.list", f"k{number}")
            limiter.release(f"k{number}")
        await asyncio.sleep(100)
        await limiter.acquire("series.list", "one")
        limiter.release("one")
        await asyncio.sleep(1)
        kept = [endpoint for endpoint, key in limiter._queues if key == "k"], list(limiter._key_pairs)
        await limiter.acquire("series.get", "k")
        limiter.release("k")
        return *kept, now()

    assert virtually(main()) == (["series.get"], ["k", "one"], 1000.0)


def test_many_idle_keys_are_dropped_together() -> None:
    async def main() -> tuple[int, int]:
        limiter = make_scheduler(rates=Rate(10, 1), concurrency=8)
        for number in range(5_000):
            limiter.hold(f"h{number}", 1)
            await limiter.acquire("series.list", f"k{number}")
            limiter.release(f"k{number}")
        await asyncio.sleep(100)
        await limiter.acquire("series.list", "one")
        limiter.release("one")
        await asyncio.sleep(1)  # in steps, between which other tasks run
        return len(limiter._queues), len(limiter._key_pairs)

    assert virtually(main()) == (1, 1)


def test_a_sweep_of_many_idle_keys_does_not_stall_the_call_that_begins_it() -> None:
    async def main() -> tuple[int, int]:
        limiter = make_scheduler(rates=Rate(10, 1), concurrency=8)
        for number in range(5_000):
            await limiter.acquire("series.list", f"k{number}")
            limiter.release(f"k{number}")
        await asyncio.sleep(100)
        before = len(limiter._queues) + len(limiter._key_pairs)
        await limiter.acquire("series.list", "one")
        dropped = before + 2 - len(limiter._queues) - len(limiter._key_pairs)
        limiter.release("one")
        await asyncio.sleep(1)
        return dropped, len(limiter._queues)

    assert virtually(main()) == (499, 1)  # 500 were examined, one of them the queue of this call


def test_a_key_in_use_is_never_dropped() -> None:
    async def main() -> list[str]:
        limiter = make_scheduler(rates=[Rate(1, 1e6)], concurrency=1000)
        await limiter.acquire("series.list", "limited")
        limiter.hold("held", 1e6)
        for number in range(500):
            await limiter.acquire("series.list", f"k{number}")
        refused = []
        for key in ("limited", "held", "new"):
            try:
                await limiter.acquire("series.list", key, max_wait=10)
            except LimiterWaitError:
                refused.append(key)
        limiter.release("limited")
        return refused

    assert virtually(main()) == ["limited", "held"]


def test_closing_fails_every_waiting_call() -> None:
    async def main() -> tuple[list[str], float, str]:
        limiter = make_scheduler(rates=Rate(1, 1000), concurrency=1)
        waiting = [asyncio.create_task(limiter.acquire(name, "k")) for name in ("a", "a", "b", "b")]
        await settle()
        limiter.close()
        ended = await asyncio.gather(*waiting, return_exceptions=True)
        limiter.release("k")
        return [type(each).__name__ for each in ended], now(), repr(limiter)

    names, when, state = virtually(main())
    assert (names, when) == (["float", "NotSentError", "NotSentError", "NotSentError"], 0.0)
    assert "0 waiting, 0 in flight" in state


def test_rounding_never_brings_a_start_into_an_earlier_window() -> None:
    async def main() -> list[float]:
        return await starts(make_scheduler(rates=Rate(1, 0.1)), 60)

    assert [later - earlier >= 0.1 for earlier, later in pairwise(virtually(main()))] == [True] * 59


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
def test_a_hold_refuses_a_bad_number_of_seconds(seconds: float) -> None:
    with pytest.raises(InvalidInputError, match=f"seconds must be.*{seconds!r}") as refused:
        make_scheduler().hold("k", seconds)
    assert refused.value.field == "seconds"


def test_starts_are_in_order_of_arrival_under_steady_load() -> None:
    async def main() -> list[float]:
        return await starts(make_scheduler(rates=[Rate(4, 1)], host_rates=[Rate(6, 2)]), 60)

    times = virtually(main())
    assert all(earlier <= later for earlier, later in pairwise(times))
    assert (most_in_any_window(times, 1), most_in_any_window(times, 2)) == (4, 6)


def test_a_loop_whose_due_timers_are_plain_handles_serves_waiters() -> None:
    """With uvloop, ``call_at`` returns such a handle, without ``when``, for a time that has come."""

    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        call_at = loop.call_at

        def plain(when: float, callback: Any, *args: Any) -> Any:
            return _Handle(call_at(when, callback, *args))

        loop.call_at = plain  # type: ignore[assignment]
        return await starts(make_scheduler(rates=Rate(2, 1)), 6)

    times = virtually(main())
    assert (len(times), most_in_any_window(times, 1)) == (6, 2)


class _Handle:
    """Handle without ``when``."""

    def __init__(self, handle: asyncio.TimerHandle) -> None:
        self._handle = handle

    def cancel(self) -> None:
        self._handle.cancel()
