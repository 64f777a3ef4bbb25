"""Schedulers of several processes over one quota, on a virtual clock."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from attrs import define, field
from hypothesis import given, strategies as st

from facturaonline_async import Config, LimiterWaitError, NotSentError, Rate, SharedUnavailableError
from facturaonline_async._core.limits.quota import Window, make_window
from facturaonline_async._core.limits.scheduler import Scheduler
from facturaonline_async._core.limits.shared_scheduler import SharedScheduler
from facturaonline_async._core.limits.window import Waiter
from tests.core.limits.quotas import QuotaDouble
from tests.core.limits.test_scheduler import most_in_any_window, now, settle, starts
from tests.effort import examples
from tests.virtual import stall, virtually


@define
class Answers:
    """What a scheduler says after its leases."""

    problems: list[str | None] = field(factory=list)

    def __call__(self, problem: str | None) -> None:
        """Record the end of a lease."""
        self.problems.append(problem)


def make_scheduler(quota: QuotaDouble, *, answers: Answers | None = None, **limits: Any) -> SharedScheduler:
    """Return a scheduler with these limits and no others."""
    many: dict[str, Any] = {"concurrency": 10**6, "concurrency_per_key": 10**6, "base_url": "https://example.com/api"}
    return SharedScheduler(Config(**({"rates": ()} | many | limits)), quota, answers or Answers())


async def load(
    schedulers: Iterable[SharedScheduler], waiters: int, seconds: float, work: float = 0.05, key: str = "k"
) -> list[list[float]]:
    """Let so many callers of each scheduler call again and again; return the starts by scheduler."""
    schedulers = list(schedulers)
    found: list[list[float]] = [[] for _ in schedulers]

    async def call(scheduler: SharedScheduler, mine: list[float]) -> None:
        while True:
            await scheduler.acquire("series.list", key)
            mine.append(now())
            await asyncio.sleep(work)
            scheduler.release(key)

    tasks = [
        asyncio.create_task(call(scheduler, mine))
        for scheduler, mine in zip(schedulers, found, strict=True)
        for _ in range(waiters)
    ]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.gather(*(scheduler.aclose() for scheduler in schedulers))
    return found


def rated(scope: str, rate: Rate) -> dict[str, Any]:
    """Return the setting with this rate."""
    return {scope: rate}


def at_first_grant(scheduler: SharedScheduler, do: Callable[[], object]) -> None:
    """Do something between the first grant and the moment in which its caller resumes."""
    real = scheduler._grant

    def grant(waiter: Waiter, at: float) -> None:
        real(waiter, at)
        vars(scheduler).pop("_grant")
        do()

    vars(scheduler)["_grant"] = grant


def distance(rate: Rate) -> float:
    """Return the seconds between two starts of a shared rate under load."""
    window = make_window("w", rate)
    return window.rate.per / (window.rate.calls - window.burst)


RATES = [Rate(200, 1), Rate(40, 1), Rate(10, 1), Rate(7, 1), Rate(1, 0.5), Rate(600, 60)]
SCOPES = ["rates", "total_rates", "host_rates"]


# ── All processes together ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("scope", "rate"), [*(("rates", rate) for rate in RATES), *((scope, RATES[1]) for scope in SCOPES[1:])], ids=str
)
@pytest.mark.parametrize("latency", [0.001, 0.02])
def test_four_processes_keep_every_window_and_use_99_percent_of_the_rate(
    scope: str, rate: Rate, latency: float
) -> None:
    seconds = 10 * rate.per if rate.per < 10 else 2 * rate.per

    async def main() -> list[list[float]]:
        quota = QuotaDouble(latency=latency)
        return await load([make_scheduler(quota, **rated(scope, rate)) for _ in range(4)], 50, seconds)

    times = [time for each in virtually(main()) for time in each]
    assert most_in_any_window(times, rate.per) <= rate.calls
    assert len(times) >= 0.99 * seconds / distance(rate) - 1


@pytest.mark.parametrize("rate", RATES, ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_answers_that_take_different_times_exceed_no_window(rate: Rate, seed: int) -> None:
    seconds = 10 * rate.per if rate.per < 10 else 2 * rate.per
    jitter = 0.01 if rate == Rate(200, 1) else 0.049

    async def main() -> list[list[float]]:
        quota = QuotaDouble(latency=0.002, jitter=jitter, dice=random.Random(seed))
        return await load([make_scheduler(quota, rates=rate) for _ in range(4)], 50, seconds)

    times = [time for each in virtually(main()) for time in each]
    assert most_in_any_window(times, rate.per) <= rate.calls


@pytest.mark.parametrize("rate", [Rate(200, 1), Rate(100, 0.5)], ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_answers_that_differ_by_more_add_a_start_for_each_distance(rate: Rate, seed: int) -> None:
    jitter = 5 * distance(rate)  # the reserve covers two of these

    async def main() -> list[list[float]]:
        quota = QuotaDouble(latency=0.002, jitter=jitter, dice=random.Random(seed))
        return await load([make_scheduler(quota, rates=rate) for _ in range(4)], 50, 10 * rate.per)

    times = [time for each in virtually(main()) for time in each]
    assert most_in_any_window(times, rate.per) <= rate.calls + 3


def test_the_window_of_a_rate() -> None:
    rates = (Rate(200, 1), Rate(39, 1), Rate(10, 1), Rate(7, 1), Rate(1300, 60), Rate(1000, 3600))
    assert [make_window("w", rate) for rate in rates] == [
        Window("w", Rate(198, 1), 2),
        Window("w", Rate(37, 1), 1),
        Window("w", Rate(9, 1), 0),
        Window("w", Rate(7, 1.05), 0),
        Window("w", Rate(1299, 60), 129),
        Window("w", Rate(999, 3600), 99),
    ]


def test_several_windows_of_several_queues_are_kept_and_used() -> None:
    """Two endpoints of 150 a second under a total of 180 and a host rate of 200."""

    async def main() -> tuple[list[float], list[float]]:
        quota = QuotaDouble(latency=0.002)
        schedulers = [
            make_scheduler(quota, rates=Rate(150, 1), total_rates=Rate(180, 1), host_rates=Rate(200, 1))
            for _ in range(4)
        ]
        found: dict[str, list[float]] = {"series.list": [], "series.get": []}

        async def call(scheduler: SharedScheduler, endpoint: str) -> None:
            while True:
                await scheduler.acquire(endpoint, "k")
                found[endpoint].append(now())
                await asyncio.sleep(0.05)
                scheduler.release("k")

        tasks = [
            asyncio.create_task(call(scheduler, endpoint))
            for scheduler in schedulers
            for endpoint in found
            for _ in range(25)
        ]
        await asyncio.sleep(20)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return found["series.list"], found["series.get"]

    lists, gets = virtually(main())
    assert (most_in_any_window(lists, 1) <= 150, most_in_any_window(gets, 1) <= 150) == (True, True)
    assert most_in_any_window(lists + gets, 1) <= 180
    assert len(lists + gets) / 20 >= 0.97 * 176


def test_every_process_gets_its_part() -> None:
    async def main() -> list[list[float]]:
        quota = QuotaDouble(latency=0.001, jitter=0.002)
        return await load([make_scheduler(quota, host_rates=Rate(40, 1)) for _ in range(4)], 10, 50)

    assert all(len(each) > 0.5 * 50 * 36 / 4 for each in virtually(main()))


def test_a_process_that_ends_leaves_its_part_to_the_others() -> None:
    async def main() -> list[float]:
        quota = QuotaDouble(latency=0.001)
        staying = asyncio.create_task(load([make_scheduler(quota, rates=Rate(100, 1))], 50, 10))
        await load([make_scheduler(quota, rates=Rate(100, 1))], 50, 5)
        ((times,), ended_at) = await staying, 5.0
        return [time for time in times if time > ended_at]

    assert len(virtually(main())) >= 0.99 * 5 * 96 - 4


def test_processes_with_the_same_settings_share_windows_and_others_do_not() -> None:
    async def main() -> list[set[str]]:
        seen: list[set[str]] = []
        for base_url, key, rate in [("a", "k", 10), ("a", "k", 10), ("b", "k", 10), ("a", "other", 10), ("a", "k", 11)]:
            scheduler = make_scheduler(
                QuotaDouble(),
                base_url=f"https://{base_url}.example/api",
                rates=Rate(rate, 1),
                total_rates=Rate(20, 1),
                host_rates=Rate(30, 1),
            )
            await scheduler.acquire("series.list", key)
            queue: Any = scheduler._queues["series.list", key]
            names = [window.name for window in queue.shared_windows]
            assert names == sorted(names)
            seen.append(set(names))
            assert all(len(name) <= 200 and key not in name for name in names if len(key) > 1)
        return seen

    mine, same, other_host, other_key, other_rate = virtually(main())
    assert mine == same
    assert [len(mine & other) for other in (other_host, other_key, other_rate)] == [0, 1, 2]


def test_a_window_has_the_same_name_in_every_version_of_the_library() -> None:
    """Processes of two versions share their quota while a new one is rolled out."""

    async def main() -> list[str]:
        scheduler = make_scheduler(
            QuotaDouble(), rates=[Rate(10, 1), Rate(10, 60)], total_rates=Rate(20, 1), host_rates=Rate(30, 0.5)
        )
        await scheduler.acquire("series.list", "k")
        queue: Any = scheduler._queues["series.list", "k"]
        return [window.shared.name for window in queue._windows]

    assert virtually(main()) == [
        "d0db857032ccc9002f007aed62679ca6",
        "bc2cde8cebe657bde9add9bd7463bb34",
        "f555cf313acad0352fe44af22b032ff2",
        "27dc5fd6b201e6906aa16b8e80604bc1",
    ]


# ── One process ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_call_that_no_rate_limits_starts_without_a_lease() -> None:
    async def main() -> tuple[bool, list[Any]]:
        quota = QuotaDouble(latency=1)
        scheduler = make_scheduler(quota)
        return scheduler.try_acquire("series.list", "k", asyncio.get_running_loop()), quota.leases

    assert virtually(main()) == (True, [])


def test_a_call_that_no_rate_limits_is_renewed_without_a_lease() -> None:
    async def main() -> tuple[list[float], int, str]:
        quota = QuotaDouble(latency=0.01)
        scheduler = make_scheduler(quota)
        started_at = await scheduler.acquire("series.list", "k")
        await asyncio.sleep(1)
        again = await scheduler.reacquire("series.list", "k", started_at)
        scheduler.hold("k", 3)
        held = await scheduler.reacquire("series.list", "k", again)
        scheduler.release("k")
        return [started_at, again, held], len(quota.leases), repr(scheduler)

    times, questions, state = virtually(main())
    assert (times, questions) == ([0.0, 1.0, 4.0], 0)
    assert "0 waiting, 0 in flight" in state


def test_the_calls_of_an_endpoint_that_no_rate_limits_share_one_queue() -> None:
    async def main() -> list[tuple[str, str]]:
        scheduler = make_scheduler(QuotaDouble())
        for _ in range(2):
            await scheduler.acquire("series.list", "k")
        return list(scheduler._queues)

    assert virtually(main()) == [("series.list", "k")]


def test_keys_that_are_used_no_more_are_dropped() -> None:
    async def main() -> tuple[int, int]:
        scheduler = make_scheduler(QuotaDouble(), rates=Rate(10, 1))
        for number in range(1_000):
            await scheduler.acquire("series.list", f"k{number}")
            scheduler.release(f"k{number}")
        await asyncio.sleep(100)
        await scheduler.acquire("series.list", "one")
        scheduler.release("one")
        await asyncio.sleep(1)
        return len(scheduler._queues), len(scheduler._key_pairs)

    assert virtually(main()) == (1, 1)


def test_an_answered_question_leaves_no_task() -> None:
    async def main() -> tuple[set[object], set[object]]:
        scheduler = make_scheduler(QuotaDouble(), rates=Rate(10, 1))
        scheduler.hold("k", 1)
        await scheduler.acquire("series.list", "k")
        await settle()
        return set(scheduler._leases), set(scheduler._holds)

    assert virtually(main()) == (set(), set())


def test_the_first_call_starts_after_one_question() -> None:
    async def main() -> tuple[list[float], list[tuple[str, int, int]]]:
        quota = QuotaDouble(latency=0.1)
        return await starts(make_scheduler(quota, rates=Rate(100, 1)), 1), quota.leases

    assert virtually(main()) == ([0.2], [("k", 1, 1)])


def test_waiters_of_a_queue_are_granted_in_order_of_arrival() -> None:
    async def main() -> list[int]:
        scheduler = make_scheduler(QuotaDouble(latency=0.003, jitter=0.02), rates=Rate(50, 1), concurrency=5)
        served: list[int] = []

        async def one(number: int) -> None:
            await asyncio.sleep(number * 0.01)
            await scheduler.acquire("series.list", "k")
            served.append(number)
            await asyncio.sleep(0.1)
            scheduler.release("k")

        await asyncio.gather(*(one(number) for number in reversed(range(100))))
        return served

    assert virtually(main()) == list(range(100))


def test_the_oldest_waiter_of_all_queues_asks_first() -> None:
    async def main() -> list[str]:
        quota = QuotaDouble(latency=0.001)
        scheduler = make_scheduler(quota, host_rates=Rate(5, 1))
        await asyncio.gather(*(scheduler.acquire("series.list", f"k{number}") for number in range(20)))
        return [key for key, _, given in quota.leases if given]

    assert virtually(main()) == [f"k{number}" for number in range(20)]


def test_queues_behind_one_full_window_ask_one_after_another() -> None:
    """The refusal of one of them holds for all: a start costs three questions, not a hundred."""

    async def main() -> list[tuple[str, int, int]]:
        quota = QuotaDouble(latency=0.001)
        scheduler = make_scheduler(quota, host_rates=Rate(20, 1))
        await asyncio.gather(*(scheduler.acquire("series.list", f"k{number}") for number in range(100)))
        return quota.leases

    assert len(virtually(main())) <= 3 * 100


def test_a_full_window_of_one_key_delays_no_other_key() -> None:
    async def main() -> tuple[list[float], list[float]]:
        scheduler = make_scheduler(QuotaDouble(latency=0.001), rates=Rate(1, 10), host_rates=Rate(1000, 1))
        mine = asyncio.create_task(starts(scheduler, 2))
        await asyncio.sleep(1)
        others = await starts(scheduler, 1, key="other")
        return await mine, others

    mine, others = virtually(main())
    assert mine == pytest.approx([0.002, 10.05], abs=0.03)
    assert others == pytest.approx([1.002])


def test_a_quota_that_says_no_reason_delays_the_queue_alone() -> None:
    async def main() -> tuple[list[float], list[float]]:
        quota = QuotaDouble(latency=0.001, says_why=False)
        scheduler = make_scheduler(quota, rates=Rate(1, 10), host_rates=Rate(1000, 1))
        mine = asyncio.create_task(starts(scheduler, 2))
        await asyncio.sleep(1)
        others = await starts(scheduler, 1, key="other")
        return await mine, others

    mine, others = virtually(main())
    assert [mine[1], *others] == [pytest.approx(10.05, abs=0.03), pytest.approx(1.002)]


@pytest.mark.parametrize("limit", ["concurrency", "concurrency_per_key"])
def test_no_start_is_leased_without_a_slot(limit: str) -> None:
    """A start that no slot takes is lost, and with it a part of the rate."""

    async def main() -> tuple[list[tuple[str, int, int]], int, str]:
        quota = QuotaDouble(latency=0.002)
        slots: dict[str, Any] = {limit: 2}
        scheduler = make_scheduler(quota, rates=Rate(1000, 1), **slots)
        most = in_flight = 0

        async def one() -> None:
            nonlocal most, in_flight
            await scheduler.acquire("series.list", "k")
            in_flight += 1
            most = max(most, in_flight)
            await asyncio.sleep(1)
            in_flight -= 1
            scheduler.release("k")

        await asyncio.gather(*(one() for _ in range(10)))
        return quota.leases, most, repr(scheduler)

    leases, most, state = virtually(main())
    assert (sum(given for _, _, given in leases), most) == (10, 2)
    assert "0 waiting, 0 in flight" in state


def test_slots_that_are_reserved_for_starts_are_no_calls_in_flight() -> None:
    async def main() -> tuple[int, int]:
        scheduler = make_scheduler(QuotaDouble(latency=1), rates=Rate(100, 1))
        task = asyncio.create_task(scheduler.acquire("series.list", "k"))
        await settle()
        asking = scheduler.stats(now(), is_closed=False).in_flight
        await task
        return asking, scheduler.stats(now(), is_closed=False).in_flight

    assert virtually(main()) == (0, 1)


# ── Cancellation ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_start_of_a_cancelled_waiter_goes_to_the_next_one() -> None:
    async def main() -> tuple[list[float], list[tuple[str, int, int]]]:
        quota = QuotaDouble(latency=0.1)
        scheduler = make_scheduler(quota, rates=Rate(10, 1))
        tasks = [asyncio.create_task(scheduler.acquire("series.list", "k")) for _ in range(2)]
        await asyncio.sleep(0.05)
        tasks[0].cancel()
        await asyncio.sleep(0.2)
        return [await tasks[1]], quota.leases[:1]

    assert virtually(main()) == ([0.2], [("k", 1, 1)])


def test_a_start_of_a_waiter_cancelled_at_its_grant_goes_to_the_next_one_at_once() -> None:
    async def main() -> tuple[float, list[tuple[str, int, int]], str]:
        quota = QuotaDouble(latency=0.1)
        scheduler = make_scheduler(quota, rates=Rate(10, 1), concurrency=2)
        tasks = [asyncio.create_task(scheduler.acquire("series.list", "k")) for _ in range(3)]
        at_first_grant(scheduler, tasks[0].cancel)
        started_at = await tasks[1]
        leases = list(quota.leases)
        tasks[2].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        scheduler.release("k")
        await asyncio.sleep(1)
        return started_at, leases, repr(scheduler)

    started_at, leases, state = virtually(main())
    assert started_at == pytest.approx(0.2)
    assert leases == [("k", 1, 1)]
    assert "0 waiting, 0 in flight" in state


def test_a_start_may_be_handed_on_from_one_cancelled_waiter_to_the_next() -> None:
    async def main() -> tuple[list[bool], float, list[tuple[str, int, int]], list[int], str]:
        quota, waiting = QuotaDouble(latency=0.1), list[int]()
        scheduler = make_scheduler(quota, rates=Rate(10, 1), concurrency=1)

        async def leave(heir: int) -> None:
            try:
                await scheduler.acquire("series.list", "k")
            except asyncio.CancelledError:
                waiting.append(scheduler.stats(now(), is_closed=False).waiting)
                tasks[heir].cancel()
                raise

        tasks: list[asyncio.Task[Any]] = [asyncio.create_task(leave(1)), asyncio.create_task(leave(5))]
        tasks += [asyncio.create_task(scheduler.acquire("series.list", "k")) for _ in range(4)]
        at_first_grant(scheduler, tasks[0].cancel)
        started_at, leases = await tasks[2], list(quota.leases)
        scheduler.release("k")
        for task in tasks[3:5]:
            await task
            scheduler.release("k")
        await asyncio.wait(tasks)
        return [task.cancelled() for task in tasks], started_at, leases, waiting, repr(scheduler)

    cancelled, started_at, leases, waiting, state = virtually(main())
    assert cancelled == [True, True, False, False, False, True]
    assert started_at == pytest.approx(0.2)
    assert leases == [("k", 1, 1)]
    assert waiting == [4, 3]  # the heirs wait no longer
    assert "0 waiting, 0 in flight" in state


@pytest.mark.parametrize("limit", ["concurrency", "concurrency_per_key"])
def test_a_slot_that_no_start_needs_any_more_goes_to_another_endpoint_at_once(limit: str) -> None:
    """A lease gives three starts, two now and one soon; the first waiter leaves, and the third one takes its start."""

    async def main() -> tuple[bool, list[float]]:
        slots: dict[str, Any] = {limit: 3}
        scheduler = make_scheduler(QuotaDouble(latency=0.1), rates=Rate(30, 1), **slots)
        scheduler.hold("k", 1)
        tasks = [asyncio.create_task(scheduler.acquire("series.list", "k")) for _ in range(3)]
        await settle()
        other = asyncio.create_task(scheduler.acquire("series.get", "k"))
        at_first_grant(scheduler, tasks[0].cancel)
        times = [await tasks[1], await tasks[2], await other]
        return tasks[0].cancelled(), [round(each, 3) for each in times]

    assert virtually(main()) == (True, [1.2, 1.2, 1.4])


def test_a_slot_that_no_start_needs_any_more_goes_to_a_start_in_hand_at_once() -> None:
    """As above; the other endpoint's waiter left during its question, an unlimited call took the slot, another came."""

    async def main() -> tuple[bool, list[float], int]:
        quota = QuotaDouble(latency=0.1)
        scheduler = make_scheduler(
            quota, rates=Rate(30, 1), endpoint_rates={"series.activate": ()}, concurrency_per_key=4
        )
        scheduler.hold("k", 1)
        leaving = asyncio.create_task(scheduler.acquire("series.get", "k"))
        await settle()
        tasks = [asyncio.create_task(scheduler.acquire("series.list", "k")) for _ in range(3)]
        at_first_grant(scheduler, tasks[0].cancel)
        await asyncio.sleep(1.1)
        leaving.cancel()
        await settle()
        assert scheduler.try_acquire("series.activate", "k", asyncio.get_running_loop())
        other = asyncio.create_task(scheduler.acquire("series.get", "k"))
        times = [await tasks[1], await tasks[2], await other]
        return tasks[0].cancelled(), [round(each, 3) for each in times], len(quota.leases)

    assert virtually(main()) == (True, [1.2, 1.2, 1.2], 2)


def test_a_start_that_was_late_when_its_waiter_left_is_lost() -> None:
    async def main() -> tuple[bool, float, int, str]:
        quota = QuotaDouble(latency=0.1)
        scheduler = make_scheduler(quota, rates=Rate(10, 1), concurrency=1)
        tasks = [asyncio.create_task(scheduler.acquire("series.list", "k")) for _ in range(2)]

        def leave_late() -> None:
            stall(0.06)
            tasks[0].cancel()

        at_first_grant(scheduler, leave_late)
        started_at = await tasks[1]
        scheduler.release("k")
        return tasks[0].cancelled(), started_at, sum(given for _, _, given in quota.leases), repr(scheduler)

    is_cancelled, started_at, given, state = virtually(main())
    assert (is_cancelled, given) == (True, 2)
    assert started_at == pytest.approx(0.46)
    assert "0 waiting, 0 in flight" in state


def test_a_waiter_that_no_rate_limits_hands_its_slot_on() -> None:
    async def main() -> tuple[bool, float, str]:
        scheduler = make_scheduler(QuotaDouble(), concurrency=1)
        await scheduler.acquire("series.list", "k")
        tasks = [asyncio.create_task(scheduler.acquire("series.list", "k")) for _ in range(2)]
        await asyncio.sleep(1)
        at_first_grant(scheduler, tasks[0].cancel)
        scheduler.release("k")
        started_at = await tasks[1]
        scheduler.release("k")
        return tasks[0].cancelled(), started_at, repr(scheduler)

    is_cancelled, started_at, state = virtually(main())
    assert (is_cancelled, started_at) == (True, 1.0)
    assert "0 waiting, 0 in flight" in state


def test_a_start_of_the_only_waiter_cancelled_at_its_grant_is_used_by_the_next_call() -> None:
    async def main() -> tuple[float, int, str]:
        quota = QuotaDouble(latency=0.1)
        scheduler = make_scheduler(quota, rates=Rate(10, 1), concurrency=2)
        task = asyncio.create_task(scheduler.acquire("series.list", "k"))
        at_first_grant(scheduler, task.cancel)
        await asyncio.wait([task])
        started_at = await scheduler.acquire("series.list", "k")
        scheduler.release("k")
        return started_at, len(quota.leases), repr(scheduler)

    started_at, questions, state = virtually(main())
    assert (round(started_at, 3), questions) == (0.2, 1)
    assert "0 waiting, 0 in flight" in state


def test_the_slot_of_the_only_waiter_cancelled_at_its_grant_goes_to_another_endpoint_at_once() -> None:
    async def main() -> tuple[bool, float]:
        scheduler = make_scheduler(QuotaDouble(latency=0.1), rates=Rate(10, 1), concurrency=1)
        leaving = asyncio.create_task(scheduler.acquire("series.list", "k"))
        await settle()
        other = asyncio.create_task(scheduler.acquire("series.get", "k"))
        at_first_grant(scheduler, leaving.cancel)
        started_at = await other
        return leaving.cancelled(), round(started_at, 3)

    assert virtually(main()) == (True, 0.4)


def test_the_slot_of_a_waiter_that_leaves_during_its_question_goes_to_another_endpoint_at_once() -> None:
    async def main() -> float:
        scheduler = make_scheduler(QuotaDouble(latency=0.1), rates=Rate(10, 1), concurrency=1)
        leaving = asyncio.create_task(scheduler.acquire("series.list", "k"))
        await settle()
        other = asyncio.create_task(scheduler.acquire("series.get", "k"))
        await asyncio.sleep(0.05)
        leaving.cancel()
        return await other

    assert virtually(main()) == pytest.approx(0.25)


@pytest.mark.parametrize("limit", ["concurrency", "concurrency_per_key"])
def test_a_start_in_hand_waits_for_a_slot(limit: str) -> None:
    """Its waiter has left, a call that no rate limits took the slot, and another waiter came."""

    async def main() -> tuple[float, int]:
        quota, slots = QuotaDouble(latency=0.1), dict[str, Any]({limit: 1})
        scheduler = make_scheduler(quota, rates=Rate(10, 1), endpoint_rates={"series.get": ()}, **slots)
        leaving = asyncio.create_task(scheduler.acquire("series.list", "k"))
        await asyncio.sleep(0.15)
        leaving.cancel()
        await scheduler.acquire("series.get", "k")
        await asyncio.sleep(0.06)
        waiting = asyncio.create_task(scheduler.acquire("series.list", "k"))
        await asyncio.sleep(0.02)
        assert not waiting.done()
        scheduler.release("k")
        return round(await waiting, 3), len(quota.leases)

    assert virtually(main()) == (0.23, 1)


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize(("after", "questions"), [(0.04, 1), (0.06, 2)])
def test_a_start_without_a_waiter_is_used_by_the_next_call_within_50_ms(
    scope: str, after: float, questions: int
) -> None:
    async def main() -> tuple[int, str]:
        quota = QuotaDouble(latency=0.1)
        scheduler = make_scheduler(quota, **rated(scope, Rate(10, 1)))
        gone = asyncio.create_task(scheduler.acquire("series.list", "k"))
        await asyncio.sleep(0.15)
        gone.cancel()
        await asyncio.sleep(0.05 + after)
        await scheduler.acquire("series.list", "k")
        scheduler.release("k")
        return len(quota.leases), repr(scheduler)

    asked, state = virtually(main())
    assert asked == questions
    assert "0 waiting, 0 in flight" in state


def test_cancelling_half_of_many_waiters_halves_the_time() -> None:
    async def main() -> float:
        scheduler = make_scheduler(QuotaDouble(latency=0.002), rates=Rate(50, 1))
        tasks = [asyncio.create_task(scheduler.acquire("series.list", "k")) for _ in range(1000)]
        await asyncio.sleep(0.1)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return now()

    assert virtually(main()) <= 0.2 + 500 / 46


def test_waiters_that_all_leave_free_all_slots() -> None:
    async def main() -> list[str]:
        quota = QuotaDouble(latency=0.1)
        scheduler = make_scheduler(quota, rates=Rate(100, 1), concurrency=3)
        states = []
        for patience in (0.05, 0.15, 0.201):  # before the question arrives, before the answer, and after it
            tasks = [asyncio.create_task(scheduler.acquire("series.list", "k")) for _ in range(10)]
            await asyncio.sleep(patience)
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            for each in ended:
                if isinstance(each, float):
                    scheduler.release("k")
            states.append(repr(scheduler).partition(",")[0] + repr(scheduler.stats(now(), is_closed=False).in_flight))
            assert scheduler._in_flight == 0
            await asyncio.sleep(5)
        return states

    assert virtually(main()) == ["<Scheduler: 0 waiting0"] * 3


# ── Late starts ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_late_start_is_dropped_and_the_waiter_keeps_its_place() -> None:
    """The loop stands still between the answer and the caller: it leases again, before the callers behind it."""

    async def main() -> tuple[list[str], list[tuple[str, int, int]]]:
        quota = QuotaDouble(latency=0.01)
        scheduler = make_scheduler(quota, rates=Rate(10, 1))
        served: list[str] = []

        async def one(name: str) -> None:
            await scheduler.acquire("series.list", "k")
            served.append(name)

        tasks = [asyncio.create_task(one(name)) for name in ("first", "second", "third")]
        at_first_grant(scheduler, partial(stall, 0.06))
        await asyncio.gather(*tasks)
        return served, quota.leases

    served, leases = virtually(main())
    assert served == ["first", "second", "third"]
    assert sum(given for _, _, given in leases) == 4


def test_a_slow_answer_gives_no_starts_once() -> None:
    """The loop stood still, so that others may have used the time of these starts; a slow service alone is bearable."""

    async def main() -> tuple[list[float], list[float]]:
        quota = QuotaDouble(latency=0.01)
        scheduler = make_scheduler(quota, rates=Rate(10, 1))
        asyncio.get_running_loop().call_at(0.015, stall, 0.5)
        after_a_stall = await starts(scheduler, 1)
        quota.latency = 0.2
        await asyncio.sleep(10)
        began = now()
        return after_a_stall, [each - began for each in await starts(scheduler, 1)]

    after_a_stall, slow = virtually(main())
    assert after_a_stall == pytest.approx([0.535], abs=0.001)
    assert slow == pytest.approx([0.8])


def test_a_start_in_the_future_is_waited_for() -> None:
    async def main() -> list[float]:
        return await starts(make_scheduler(QuotaDouble(), rates=Rate(200, 1)), 12)

    times = virtually(main())
    assert all(later - earlier >= 1 / 196 - 1e-9 for earlier, later in pairwise(times[5:]))


def test_a_start_that_becomes_due_while_others_are_served_is_granted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process stands still between two looks at the clock: only the second one finds the start due."""
    real, passes = Scheduler._dispatch, 0

    def dispatch(self: Scheduler, loop: asyncio.AbstractEventLoop) -> None:
        nonlocal passes
        passes += 1
        assert passes < 1000, "it serves the same queue for ever"
        stall(0.03)
        real(self, loop)

    async def main() -> list[float]:
        scheduler = make_scheduler(QuotaDouble(), rates=Rate(40, 1))
        monkeypatch.setattr(Scheduler, "_dispatch", dispatch)
        try:
            await asyncio.gather(*(scheduler.acquire("series.list", "k") for _ in range(8)))
        finally:
            monkeypatch.undo()
        return [now()]

    assert virtually(main())


# ── max_wait, restarts ────────────────────────────────────────────────────────────────────────────────────────────────


def test_max_wait_bounds_the_wait_for_the_service() -> None:
    async def main() -> tuple[float, str, str]:
        scheduler = make_scheduler(QuotaDouble(latency=10), rates=Rate(10, 1), concurrency=1)
        with pytest.raises(LimiterWaitError) as caught:
            await scheduler.acquire("series.list", "k", max_wait=2)
        ended_at = now()
        state = repr(scheduler)
        await asyncio.sleep(30)
        return ended_at, caught.value.code, state

    ended_at, code, state = virtually(main())
    assert (ended_at, code) == (2.0, "calls.waited_too_long")
    assert "0 waiting, 0 in flight" in state


@pytest.mark.parametrize(("max_wait", "started_at"), [(0.3, None), (0.5, 0.46)])
def test_max_wait_counts_from_the_first_question_also_after_a_late_start(
    max_wait: float, started_at: float | None
) -> None:
    async def main() -> tuple[float | None, float]:
        scheduler = make_scheduler(QuotaDouble(latency=0.1), rates=Rate(10, 1))
        at_first_grant(scheduler, lambda: stall(0.06))
        try:
            return round(await scheduler.acquire("series.list", "k", max_wait=max_wait), 3), round(now(), 3)
        except LimiterWaitError:
            return None, round(now(), 3)

    assert virtually(main()) == (started_at, started_at or max_wait)


def test_a_restart_leases_a_start_before_waiting_calls() -> None:
    """Other processes know when the old start was: it cannot be moved."""

    async def main() -> tuple[list[str], int, str]:
        quota = QuotaDouble(latency=0.001)
        scheduler = make_scheduler(quota, rates=Rate(2, 1), concurrency=2)
        served: list[str] = []

        async def late() -> None:
            started_at = await scheduler.acquire("series.list", "k")
            await asyncio.sleep(0.2)
            await scheduler.reacquire("series.list", "k", started_at)
            served.append("late")
            scheduler.release("k")

        async def one(name: str) -> None:
            await scheduler.acquire("series.list", "k")
            served.append(name)
            scheduler.release("k")

        await asyncio.gather(late(), one("b"), one("c"))
        return served, sum(given for _, _, given in quota.leases), repr(scheduler)

    served, given, state = virtually(main())
    assert (served, given) == (["late", "b", "c"], 4)
    assert "0 waiting, 0 in flight" in state


# ── Holds ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_hold_is_told_to_the_quota() -> None:
    async def main() -> list[tuple[str, float]]:
        quota = QuotaDouble(latency=0.01)
        scheduler = make_scheduler(quota, rates=Rate(10, 1))
        scheduler.hold("k", 3)
        await scheduler.aclose()
        return quota.holds

    assert virtually(main()) == [("k", 3)]


def test_a_hold_delays_the_calls_of_its_own_process_at_once() -> None:
    async def main() -> float:
        scheduler = make_scheduler(QuotaDouble(latency=1000))
        scheduler.hold("k", 5)
        started_at = await scheduler.acquire("series.list", "k")
        await scheduler.aclose()
        return started_at

    assert virtually(main()) == 5.0


def test_closing_waits_for_a_hold_for_a_second() -> None:
    async def main() -> tuple[float, int, list[tuple[str, float]]]:
        quota = QuotaDouble(latency=1000)
        scheduler = make_scheduler(quota)
        scheduler.hold("k", 5)
        await scheduler.aclose()
        return now(), len(asyncio.all_tasks()) - 1, quota.holds

    assert virtually(main()) == (1.0, 0, [])


def test_a_hold_of_another_process_delays_calls() -> None:
    async def main() -> tuple[list[float], list[float], dict[str, float]]:
        quota = QuotaDouble(latency=0.01)
        holding, scheduler = (make_scheduler(quota, rates=Rate(100, 1)) for _ in range(2))
        holding.hold("k", 5)
        await asyncio.sleep(1)
        waiting = asyncio.create_task(starts(scheduler, 2))
        await asyncio.sleep(0.1)
        held = dict(scheduler.stats(now(), is_closed=False).held_keys)
        other = await starts(scheduler, 1, key="other")
        return await waiting, other, held

    waiting, other, held = virtually(main())
    assert waiting == pytest.approx([5.03, 5.05], abs=0.03)
    assert other == pytest.approx([1.12])
    assert held == {"k": pytest.approx(3.92)}  # its end is taken for later by the way of the answer


# ── The service is away ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_failed_lease_fails_each_waiter_with_its_own_error() -> None:
    async def main() -> tuple[list[Any], list[str | None], str, list[float]]:
        quota, answers = QuotaDouble(latency=0.01, is_away=True), Answers()
        scheduler = make_scheduler(quota, answers=answers, rates=Rate(10, 1), concurrency=2)
        found = await asyncio.gather(*(scheduler.acquire("series.list", "k") for _ in range(5)), return_exceptions=True)
        state = repr(scheduler)
        quota.is_away = False
        began = now()
        return found, answers.problems, state, [each - began for each in await starts(scheduler, 1)]

    found, problems, state, after = virtually(main())
    assert {type(each) for each in found} == {SharedUnavailableError}
    assert len({id(each) for each in found}) == 5
    assert {(each.code, each.is_transient, str(each)) for each in found} == {
        ("calls.shared_unavailable", True, "the service that the processes share does not answer: the service is away")
    }
    assert (problems[0], problems[-1]) == (str(found[0]), None)
    assert "0 waiting, 0 in flight" in state
    assert after == pytest.approx([0.02])


def test_an_error_of_another_library_shows_its_class_alone() -> None:
    class Broken(QuotaDouble):
        """A quota with a fault."""

        async def lease(self, *_: Any) -> Any:
            """Fail."""
            raise ValueError("postgres://user:secret@host")

    async def main() -> str:
        with pytest.raises(NotSentError) as caught:
            await make_scheduler(Broken(), rates=Rate(10, 1)).acquire("series.list", "k")
        return str(caught.value)

    assert virtually(main()) == "the question to the service that the processes share failed: ValueError"


def test_closing_ends_leases_under_way() -> None:
    async def main() -> tuple[list[str], int, float]:
        quota = QuotaDouble(stuck=asyncio.Event())
        scheduler = make_scheduler(quota, rates=Rate(10, 1))
        tasks = [asyncio.create_task(scheduler.acquire("series.list", key)) for key in "aab"]
        await asyncio.sleep(1)
        await scheduler.aclose()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        late = await asyncio.gather(scheduler.acquire("series.list", "a"), return_exceptions=True)
        return [getattr(each, "code", "") for each in [*found, *late]], len(asyncio.all_tasks()) - 1, now()

    assert virtually(main()) == (["calls.closed_while_waiting"] * 4, 0, 1.0)


def test_a_quota_whose_question_is_cancelled_fails_the_waiters() -> None:
    class Cancelling(QuotaDouble):
        """A quota whose connection pool is closed."""

        async def lease(self, *_: Any) -> Any:
            """End as a cancelled question does."""
            raise asyncio.CancelledError

    async def main() -> str:
        with pytest.raises(NotSentError) as caught:
            await make_scheduler(Cancelling(), rates=Rate(10, 1)).acquire("series.list", "k")
        return caught.value.code

    assert virtually(main()) == "calls.shared_interrupted"


# ── Anything at any time ──────────────────────────────────────────────────────────────────────────────────────────────

calls = st.lists(
    st.tuples(
        st.integers(0, 2),  # process
        st.sampled_from(["series.list", "series.create"]),
        st.sampled_from(["a", "b"]),
        st.floats(0, 1),  # arrival
        st.sampled_from([0.001, 0.07, 0.4]),  # duration
        st.none() | st.sampled_from([0.0005, 0.003, 0.02, 0.3]),  # patience of the caller
        st.none() | st.sampled_from([0.01, 0.1, 0.5]),  # max_wait
    ),
    max_size=40,
)


limits = st.tuples(
    st.sampled_from([Rate(3, 0.2), Rate(20, 0.5), Rate(50, 1)]),
    st.sampled_from([(), (Rate(30, 0.5),)]),
    st.sampled_from([(), (Rate(60, 1), Rate(9, 0.1))]),
    st.integers(1, 5),
)


@examples(300)
@given(calls, limits, st.sampled_from([0.0, 0.002, 0.03]), st.lists(st.floats(0, 2), max_size=3))
def test_no_schedule_exceeds_a_window_or_loses_a_waiter_or_a_slot(
    drawn: list[Any], limits: tuple[Rate, tuple[Rate, ...], tuple[Rate, ...], int], latency: float, stalls: list[float]
) -> None:
    """Callers come, give up, and wait too long; the loop stands still."""
    rate, total_rates, host_rates, slots = limits
    started: list[tuple[str, str, float]] = []

    async def main() -> list[str]:
        quota = QuotaDouble(latency=latency)
        schedulers = [
            make_scheduler(
                quota,
                rates=rate,
                total_rates=total_rates,
                host_rates=host_rates,
                concurrency=slots + 1,
                concurrency_per_key=slots,
            )
            for _ in range(3)
        ]
        loop = asyncio.get_running_loop()

        async def call(drawn: tuple[int, str, str, float, float, float | None, float | None]) -> None:
            process, endpoint, key, at, duration, patience, max_wait = drawn
            await asyncio.sleep(at)
            try:
                async with asyncio.timeout(patience):
                    await schedulers[process].acquire(endpoint, key, max_wait=max_wait)
            except (LimiterWaitError, TimeoutError):
                return
            started.append((endpoint, key, now()))
            loop.call_later(duration, schedulers[process].release, key)

        for at in stalls:
            loop.call_at(at, stall, 0.08)
        async with asyncio.timeout(200), asyncio.TaskGroup() as group:
            for each in drawn:
                group.create_task(call(each))
        await asyncio.sleep(10)
        assert [scheduler._in_flight for scheduler in schedulers] == [0, 0, 0]
        assert [scheduler._leases for scheduler in schedulers] == [set(), set(), set()]
        return [repr(scheduler) for scheduler in schedulers]

    states = virtually(main())
    assert all("0 waiting, 0 in flight" in state for state in states)
    late = 4 * 3 * len(stalls)  # a stall delays the starts in hand of three processes, by up to 50 ms
    by_scope: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for endpoint, key, at in started:
        for number in range(3):
            by_scope[(key, endpoint)[:number]].append(at)
    for scope, times in by_scope.items():
        for window in (host_rates, total_rates, (rate,))[len(scope)]:
            assert most_in_any_window(times, window.per) <= window.calls + late
