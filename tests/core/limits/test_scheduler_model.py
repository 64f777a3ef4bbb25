"""The scheduler against a slow, simple model of it, on random schedules."""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Hashable
from typing import TypeAlias

from attrs import define, evolve, field, frozen
from hypothesis import example, given, strategies as st

from facturaonline_async import Config, LimiterWaitError, Rate
from facturaonline_async._core.limits.scheduler import Scheduler
from tests.effort import examples
from tests.virtual import virtually


@frozen
class Ask:
    endpoint: str
    key: str
    duration: float
    cancel_after: float | None
    max_wait: float | None


@frozen
class Hold:
    key: str
    seconds: float


@frozen
class Limits:
    rates: tuple[Rate, ...]
    total_rates: tuple[Rate, ...]
    host_rates: tuple[Rate, ...]
    concurrency: int | None
    concurrency_per_key: int | None


#: Key of the calls that one window counts, and its rate.
Window: TypeAlias = tuple[Hashable, Rate]

#: Seconds between two steps; an odd number keeps them off the times at which windows open.
STEP = 0.0137


@define
class Model:
    """Computes all starts by checking every limit again after every event."""

    limits: Limits
    schedule: list[Ask | Hold]
    refused: set[int] = field(factory=set)
    waiting: list[int] = field(factory=list)
    started: dict[int, float] = field(factory=dict)
    failed: dict[int, float] = field(factory=dict)
    held: dict[str, float] = field(factory=lambda: defaultdict(float))
    due: dict[Hashable, float] = field(factory=dict)

    def run(self) -> dict[int, float]:
        events: list[tuple[float, int, str]] = []
        for number, step in enumerate(self.schedule):
            events.append((number * STEP, number, "come"))
            if isinstance(step, Ask) and step.cancel_after is not None:
                events.append((number * STEP + step.cancel_after, number, "cancel"))
        now = 0.0
        while True:
            due = [event for event in events if event[0] <= now]
            events = [event for event in events if event[0] > now]
            for _, number, what in sorted(due):
                self.happen(number, what, now)
            self.grant(now)
            for number in [each for each in self.waiting if self.deadline(each) <= now]:
                self.waiting.remove(number)
            later = [event[0] for event in events] + self.moments(now)
            if not later:
                return self.started
            now = min(later)

    def happen(self, number: int, what: str, now: float) -> None:
        step = self.schedule[number]
        if isinstance(step, Hold):
            self.held[step.key] = max(self.held[step.key], now + step.seconds)
        elif what == "cancel":
            if number in self.waiting:
                self.waiting.remove(number)
        elif number not in self.refused:
            self.waiting.append(number)

    def ask(self, number: int) -> Ask:
        step = self.schedule[number]
        assert isinstance(step, Ask)
        return step

    def deadline(self, number: int) -> float:
        max_wait = self.ask(number).max_wait
        return math.inf if max_wait is None else number * STEP + max_wait

    def grant(self, now: float) -> None:
        while True:
            self.spread(now)
            heads: dict[tuple[str, str], int] = {}
            for number in self.waiting:
                ask = self.ask(number)
                heads.setdefault((ask.endpoint, ask.key), number)
            free = [number for number in heads.values() if self.may_start(number, now)]
            if not free:
                return
            number = min(free)
            self.waiting.remove(number)
            self.started[number] = now
            for window, rate in self.windows(number):
                if (due := self.due.pop(window, None)) is not None and now - due <= 0.05:
                    self.due[window] = due + rate.per / rate.calls

    def windows(self, number: int) -> list[Window]:
        """Return all windows that count a call."""
        ask = self.ask(number)
        windows: list[Window] = [
            *(((ask.endpoint, ask.key, rate), rate) for rate in self.limits.rates),
            *(((ask.key, rate), rate) for rate in self.limits.total_rates),
            *((rate, rate) for rate in self.limits.host_rates),
        ]
        return list(dict.fromkeys(windows))

    def running(self, window: Hashable, now: float) -> list[float]:
        """Return the times of the starts that a window counts."""
        return sorted(
            start
            for other, start in self.started.items()
            for name, rate in self.windows(other)
            if name == window and start + rate.per > now
        )

    def spread(self, now: float) -> None:
        """Begin a grid for each full window that calls wait behind."""
        for window, rate in {each for number in self.waiting for each in self.windows(number)}:
            running = self.running(window, now)
            if len(running) >= rate.calls:
                self.due[window] = max(self.due.get(window, 0.0), running[0] + rate.per)

    def may_start(self, number: int, now: float) -> bool:
        mine = self.ask(number)
        in_flight = [
            self.ask(other).key for other, start in self.started.items() if start + self.ask(other).duration > now
        ]
        return (
            all(len(self.running(window, now)) < rate.calls for window, rate in self.windows(number))
            and all(self.due.get(window, 0.0) <= now for window, _ in self.windows(number))
            and self.held[mine.key] <= now
            and len(in_flight) < (self.limits.concurrency or math.inf)
            and in_flight.count(mine.key) < (self.limits.concurrency_per_key or math.inf)
        )

    def moments(self, now: float) -> list[float]:
        """Return all future times at which something may change."""
        pers = {rate.per for rate in (*self.limits.rates, *self.limits.total_rates, *self.limits.host_rates)}
        moments = [start + per for start in self.started.values() for per in pers]
        moments += [start + self.ask(number).duration for number, start in self.started.items()]
        moments += [*self.held.values(), *self.due.values()]
        moments += [self.deadline(number) for number in self.waiting]
        return [moment for moment in moments if now < moment < math.inf]


def real(limits: Limits, schedule: list[Ask | Hold]) -> tuple[dict[int, float], set[int]]:
    """Run the scheduler; return the start of each call, and the calls refused at once."""
    started: dict[int, float] = {}
    refused: set[int] = set()

    async def ask(limiter: Scheduler, number: int, step: Ask) -> None:
        loop = asyncio.get_running_loop()
        arrived_at = loop.time()
        try:
            await limiter.acquire(step.endpoint, step.key, max_wait=step.max_wait)
        except LimiterWaitError:
            if loop.time() == arrived_at:
                refused.add(number)
            return
        started[number] = loop.time()
        loop.call_at(loop.time() + step.duration, limiter.release, step.key)

    async def main() -> str:
        loop = asyncio.get_running_loop()
        limiter = Scheduler(
            Config(
                rates=limits.rates,
                total_rates=limits.total_rates,
                host_rates=limits.host_rates,
                concurrency=limits.concurrency or 10**6,
                concurrency_per_key=limits.concurrency_per_key or 10**6,
            )
        )
        tasks: list[asyncio.Task[None]] = []
        for number, step in enumerate(schedule):
            if (left := number * STEP - loop.time()) > 0:
                await asyncio.sleep(left)
            if isinstance(step, Hold):
                limiter.hold(step.key, step.seconds)
                continue
            task = asyncio.create_task(ask(limiter, number, step))
            tasks.append(task)
            if step.cancel_after is not None:
                loop.call_at(number * STEP + step.cancel_after, task.cancel)
            await asyncio.sleep(0)
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(100)
        return repr(limiter)

    state = virtually(main())
    assert "0 waiting, 0 in flight" in state
    return started, refused


def may_err(schedule: list[Ask | Hold], number: int) -> bool:
    """Return whether a refusal at once may be too early, because a waiter ahead in the queue may leave."""
    mine = schedule[number]
    return any(
        isinstance(ask, Ask)
        and isinstance(mine, Ask)
        and (ask.endpoint, ask.key) == (mine.endpoint, mine.key)
        and (ask.cancel_after is not None or ask.max_wait is not None)
        for ask in schedule[:number]
    )


def rates(most: int) -> st.SearchStrategy[tuple[Rate, ...]]:
    rate = st.builds(Rate, st.integers(1, most), st.sampled_from([0.05, 0.11, 0.23, 1.0]))
    return st.lists(rate, max_size=2).map(tuple)


def seldom(*values: float) -> st.SearchStrategy[float | None]:
    return st.none() | st.sampled_from(values)


asks = st.builds(
    Ask,
    st.sampled_from(["series.list", "series.create"]),
    st.sampled_from(["a", "a", "b", "c"]),
    st.sampled_from([0.0031, 0.0731, 0.3331]),
    seldom(0.0017, 0.0417, 0.4117),
    seldom(0.0, 0.0519, 0.1319, 0.2219, 0.5219),
)
holds = st.builds(Hold, st.sampled_from(["a", "b"]), st.sampled_from([0.0213, 0.2113, 1.0113]))
#: Steps without an event.
pauses = st.just(Hold("of no call", 0.0))


def behind_others(step: Ask | Hold, others: int) -> list[Ask | Hold]:
    """Put `others` calls without a time limit before a step in its queue, so that queues form."""
    return [evolve(step, cancel_after=None, max_wait=None) if isinstance(step, Ask) else step] * others + [step]


steps = st.one_of(asks, asks, asks, asks, pauses, pauses, holds)
schedules = st.lists(st.builds(behind_others, steps, st.integers(0, 5)), min_size=3, max_size=12).map(
    lambda runs: [step for run in runs for step in run]
)
limits = st.builds(Limits, rates(3), rates(4), rates(5), st.none() | st.integers(1, 4), st.none() | st.integers(1, 3))


@examples(300)
@given(limits, schedules)
@example(Limits((Rate(1, 1.0),), (), (), 1, None), [Ask("series.list", "a", 0.3331, None, None)] * 4)
@example(
    Limits((), (Rate(2, 0.23),), (Rate(4, 0.23),), None, None),
    [Ask("series.list", key, 0.0031, None, None) for key in "aaaaaabb"],
)
def test_the_scheduler_agrees_with_the_model(limits: Limits, schedule: list[Ask | Hold]) -> None:
    actual, refused = real(limits, schedule)
    expected = Model(limits, schedule, refused).run()
    assert {number: round(start, 6) for number, start in expected.items()} == {
        number: round(start, 6) for number, start in actual.items()
    }
    for number in refused:
        if not may_err(schedule, number):  # it could not have started in time
            assert number not in Model(limits, schedule, refused - {number}).run()
