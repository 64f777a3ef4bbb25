"""bulk: one outcome for each item, bounded memory, and no task left running."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial

import anyio
import pytest

from facturaonline_async import ApiError, AuthenticationError, InvalidInputError, NotFoundError, bulk
from facturaonline_async.bulk import Outcome
from tests.virtual import virtually


async def double(number: int) -> int:
    await asyncio.sleep(number % 7)
    return 2 * number


async def counted(limit: int) -> AsyncIterator[int]:
    for number in range(limit):
        await asyncio.sleep(0.1)
        yield number


SOURCES: list[Callable[[], object]] = [
    lambda: range(100),
    lambda: list(range(100)),
    lambda: iter(range(100)),
    lambda: counted(100),
]


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("concurrency", [1, 3, 200])
def test_run_gives_every_outcome_in_input_order(source: Callable[[], object], concurrency: int) -> None:
    async def main() -> list[Outcome[int, int]]:
        return await bulk.run(source(), double, concurrency=concurrency)  # type: ignore[arg-type]

    outcomes = virtually(main())
    assert [(outcome.index, outcome.item, outcome.result()) for outcome in outcomes] == [
        (number, number, 2 * number) for number in range(100)
    ]


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("ordered", [True, False])
def test_stream_gives_every_outcome_once(source: Callable[[], object], ordered: bool) -> None:  # noqa: FBT001
    async def main() -> list[int]:
        async with bulk.stream(source(), double, concurrency=8, ordered=ordered) as outcomes:  # type: ignore[arg-type]
            return [outcome.index async for outcome in outcomes]

    indexes = virtually(main())
    assert sorted(indexes) == list(range(100))
    assert (indexes == list(range(100))) is ordered


def test_outcomes_are_yielded_as_they_complete() -> None:
    async def main() -> list[int]:
        async with bulk.stream([3, 1, 2], lambda seconds: asyncio.sleep(seconds, seconds), concurrency=3) as outcomes:
            return [outcome.result() async for outcome in outcomes]

    assert virtually(main()) == [1, 2, 3]


@pytest.mark.parametrize("source", [lambda: range(3), lambda: iter(range(3)), lambda: counted(3)])
@pytest.mark.parametrize("ordered", [True, False])
def test_workers_start_only_as_items_arrive(source: Callable[[], object], ordered: bool) -> None:  # noqa: FBT001
    async def main() -> int:
        most = 0

        async def work(_: int) -> None:
            nonlocal most
            most = max(most, len(asyncio.all_tasks()))
            await asyncio.sleep(1)

        async with bulk.stream(source(), work, concurrency=1000, ordered=ordered) as outcomes:  # type: ignore[arg-type]
            assert {outcome.index async for outcome in outcomes} == {0, 1, 2}
        return most

    assert virtually(main()) <= 1 + 3 + 1  # this one, a worker for each item, and one that finds no item


def test_concurrency_bounds_the_items_in_progress() -> None:
    async def main() -> int:
        working = most = 0

        async def work(_: int) -> None:
            nonlocal working, most
            working += 1
            most = max(most, working)
            await asyncio.sleep(1)
            working -= 1

        await bulk.run(range(50), work, concurrency=7)
        return most

    assert virtually(main()) == 7


def test_an_item_is_taken_only_when_a_worker_is_free() -> None:
    async def main() -> int:
        taken = 0

        def items() -> Iterator[int]:
            nonlocal taken
            while True:
                taken += 1
                yield taken

        async with bulk.stream(items(), double, concurrency=4) as outcomes:
            await anext(outcomes)
        return taken

    assert virtually(main()) <= 16


def test_workers_pause_while_outcomes_are_not_fetched() -> None:
    async def main() -> int:
        taken = 0

        async def at_once(number: int) -> None:
            nonlocal taken
            taken += 1

        async with bulk.stream(range(10**6), at_once, concurrency=4) as outcomes:
            await anext(outcomes)
            await asyncio.sleep(1)
        return taken

    assert virtually(main()) <= 16


def test_in_input_order_a_slow_item_delays_a_bounded_number() -> None:
    async def main() -> int:
        done = 0

        async def work(number: int) -> int:
            nonlocal done
            await asyncio.sleep(1000 if number == 0 else 0.001)
            done += 1
            return number

        async with bulk.stream(range(10**9), work, concurrency=4, ordered=True) as outcomes:
            waiting = asyncio.ensure_future(anext(outcomes))
            await asyncio.sleep(500)
            before = done
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        return before

    assert virtually(main()) <= 16


@pytest.mark.parametrize("error", [ApiError("no"), OSError("disk"), TimeoutError("late"), InvalidInputError("bad")])
def test_a_failed_item_does_not_stop_the_others(error: Exception) -> None:
    async def work(number: int) -> int:
        await asyncio.sleep(1)
        if number % 3 == 0:
            raise error
        return number

    async def main() -> list[Outcome[int, int]]:
        return await bulk.run(range(9), work, concurrency=4)

    outcomes = virtually(main())
    assert [outcome.ok for outcome in outcomes] == [False, True, True] * 3
    assert {outcome.error for outcome in outcomes} == {error, None}
    with pytest.raises(type(error)):
        outcomes[0].result()


def test_a_bug_stops_everything_and_is_raised_unchanged() -> None:
    async def main() -> tuple[int, int]:
        started = 0

        async def work(number: int) -> None:
            nonlocal started
            started += 1
            await asyncio.sleep(1)
            if number == 5:
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError) as bug:
            await bulk.run(range(1000), work, concurrency=4)
        assert bug.value.__notes__ == ["while working on item 5"]
        return started, len(asyncio.all_tasks())

    started, tasks = virtually(main())
    assert (started < 20, tasks) == (True, 1)


def test_stop_on_stops_everything() -> None:
    tried: list[int] = []

    async def work(item: int) -> None:
        tried.append(item)
        await asyncio.sleep(0.1)
        if item == 3:
            raise AuthenticationError("unknown keys")
        if item == 1:
            raise NotFoundError("none")

    async def streamed() -> list[bool]:
        async with bulk.stream(range(1000), work, concurrency=2, stop_on=(AuthenticationError,)) as outcomes:
            return [outcome.ok async for outcome in outcomes]

    with pytest.raises(AuthenticationError):
        virtually(streamed())
    with pytest.raises(AuthenticationError):
        virtually(bulk.run(range(1000), work, concurrency=2, stop_on=(AuthenticationError,)))
    assert max(tried) <= 4


def test_a_bug_in_the_items_stops_everything() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise KeyError("row 2")

    with pytest.raises(KeyError, match="row 2"):
        virtually(bulk.run(items(), double))


@pytest.mark.parametrize("ordered", [True, False])
def test_a_cancellation_by_other_code_is_raised_as_a_bug(ordered: bool) -> None:  # noqa: FBT001
    async def main() -> None:
        elsewhere = asyncio.create_task(asyncio.sleep(1000))

        async def work(number: int) -> None:
            if number == 3:
                elsewhere.cancel()
                await elsewhere

        async with bulk.stream(range(20), work, concurrency=4, ordered=ordered) as outcomes:
            async for _ in outcomes:
                pass

    with pytest.raises(RuntimeError, match="item 3 awaited a task or future that other code cancelled"):
        virtually(main())


def test_catch_chooses_the_exceptions_that_count_as_failures() -> None:
    async def work(number: int) -> float:
        await asyncio.sleep(0)
        return 1 / number

    outcomes = virtually(bulk.run([0, 1], work, catch=(ZeroDivisionError,)))
    assert [outcome.ok for outcome in outcomes] == [False, True]


def test_an_exception_in_the_body_stops_everything_and_is_raised_unchanged() -> None:
    async def main() -> int:
        async def body() -> None:
            async with bulk.stream(range(1000), double, concurrency=4) as outcomes:
                async for _ in outcomes:
                    raise LookupError("mine")

        with pytest.raises(LookupError, match="mine"):
            await body()
        return len(asyncio.all_tasks())

    assert virtually(main()) == 1


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("concurrency", [1, 2, 3, 8])
def test_a_slow_consumer_keeps_the_workers_busy(concurrency: int, ordered: bool) -> None:  # noqa: FBT001
    """The consumer takes a second for each outcome; meanwhile the workers go on with the next."""

    async def main() -> float:
        work = partial(asyncio.sleep, concurrency / 2)
        async with bulk.stream(range(100), lambda _: work(), concurrency=concurrency, ordered=ordered) as outcomes:
            async for _ in outcomes:
                await asyncio.sleep(1)
        return asyncio.get_running_loop().time()

    assert virtually(main()) <= 100 + concurrency


@pytest.mark.parametrize("waits", [True, False])
def test_all_paused_workers_resume(waits: bool) -> None:  # noqa: FBT001
    async def main() -> tuple[int, int]:
        working = most = 0

        async def work(number: int) -> None:
            nonlocal working, most
            working += 1
            if number > 100:
                most = max(most, working)
                await asyncio.sleep(1)
            elif waits:
                await asyncio.sleep(0)
            working -= 1

        seen = 0
        async with bulk.stream(range(1000), work, concurrency=7) as outcomes:
            async for _ in outcomes:
                seen += 1
                if seen == 50:
                    await asyncio.sleep(100)  # all workers are paused by now
        return most, seen

    assert virtually(main()) == (7, 1000)


def test_no_outcomes_are_yielded_after_the_end() -> None:
    async def main() -> None:
        async with bulk.stream(range(9), double, concurrency=4) as outcomes:
            await anext(outcomes)
        with pytest.raises(anyio.ClosedResourceError):
            await anext(outcomes)

    virtually(main())


def test_a_task_that_waits_for_an_outcome_at_the_end_gets_an_error() -> None:
    async def main() -> None:
        async with bulk.stream([1000], asyncio.sleep, concurrency=4) as outcomes:
            waiting = asyncio.ensure_future(anext(outcomes))
            await asyncio.sleep(1)
        with pytest.raises(anyio.ClosedResourceError):
            await waiting

    virtually(main())


@pytest.mark.parametrize("ordered", [True, False])
def test_a_timeout_of_anext_loses_no_outcome_and_stops_no_item(ordered: bool) -> None:  # noqa: FBT001
    async def main() -> tuple[list[int], int]:
        indexes: list[int] = []
        timeouts = 0
        async with bulk.stream(range(50), double, concurrency=3, ordered=ordered) as outcomes:
            while len(indexes) < 50:
                try:
                    async with asyncio.timeout(1):
                        indexes.append((await anext(outcomes)).index)
                except TimeoutError:
                    timeouts += 1
            with pytest.raises(StopAsyncIteration):
                await anext(outcomes)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return indexes, timeouts

    indexes, timeouts = virtually(main())
    assert sorted(indexes) == list(range(50))
    assert timeouts > 10


@pytest.mark.parametrize("ordered", [True, False])
def test_anext_cancelled_in_the_moment_of_an_outcome_does_not_lose_it(ordered: bool) -> None:  # noqa: FBT001
    async def main() -> list[int]:
        waiting: asyncio.Task[Outcome[int, int]] | None = None

        async def work(number: int) -> int:
            await asyncio.sleep(1)
            # The outcome of this item is sent in the same iteration of the event loop, before the task wakes up.
            asyncio.get_running_loop().call_soon(waiting.cancel) if waiting is not None else None
            return number

        indexes: list[int] = []
        async with bulk.stream(range(9), work, concurrency=1, ordered=ordered) as outcomes:
            while len(indexes) < 9:
                waiting = asyncio.ensure_future(anext(outcomes))
                done = (await asyncio.gather(waiting, return_exceptions=True))[0]
                waiting = None
                assert isinstance(done, asyncio.CancelledError)
                indexes.append((await anext(outcomes)).index)
        return indexes

    assert virtually(main()) == list(range(9))


def test_leaving_early_cancels_the_items_in_progress() -> None:
    async def main() -> tuple[float, int]:
        async with bulk.stream([0, 1000, 1000], asyncio.sleep, concurrency=3) as outcomes:
            await anext(outcomes)
        return asyncio.get_running_loop().time(), len(asyncio.all_tasks())

    assert virtually(main()) == (0.0, 1)


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("source", SOURCES)
def test_cancellation_stops_all_items(source: Callable[[], object], ordered: bool) -> None:  # noqa: FBT001
    async def main() -> int:
        async def all_of_it() -> None:
            async with bulk.stream(source(), double, concurrency=4, ordered=ordered) as outcomes:  # type: ignore[arg-type]
                async for _ in outcomes:
                    await asyncio.sleep(0.5)

        for moment in range(30):
            task = asyncio.create_task(all_of_it())
            await asyncio.sleep(0.3 * moment)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        return len(asyncio.all_tasks())

    assert virtually(main()) == 1


def test_an_asynchronous_source_is_always_closed_at_the_end() -> None:
    async def main() -> list[str]:
        closed: list[str] = []

        async def source(name: str) -> AsyncIterator[int]:
            try:
                for number in range(100):
                    yield number
            finally:
                closed.append(name)

        async def bug(number: int) -> None:
            raise ZeroDivisionError(number)

        await bulk.run(source("whole"), double)
        async with bulk.stream(source("left early"), double) as outcomes:
            await anext(outcomes)
        with pytest.raises(ZeroDivisionError):
            await bulk.run(source("bug"), bug)
        return closed

    assert virtually(main()) == ["whole", "left early", "bug"]


def test_items_that_never_wait_do_not_block_other_tasks() -> None:
    async def at_once(number: int) -> int:
        return number

    async def main() -> bool:
        other = asyncio.create_task(asyncio.sleep(0))
        await bulk.run(range(10_000), at_once, concurrency=2)
        return other.done()

    assert virtually(main())


@pytest.mark.parametrize("concurrency", [0, -1, 1.5, True, "2"])
def test_the_concurrency_is_a_whole_number_above_0(concurrency: int) -> None:
    with pytest.raises(InvalidInputError, match="concurrency"):
        virtually(bulk.run([1], double, concurrency=concurrency))


def test_no_items_give_no_outcomes() -> None:
    assert virtually(bulk.run([], double)) == []


@pytest.mark.parametrize("ordered", [True, False])
def test_memory_does_not_grow_with_the_number_of_items(ordered: bool) -> None:  # noqa: FBT001
    async def at_once(number: int) -> bytes:
        await asyncio.sleep(0)
        return b"x" * 1000

    async def consume(number: int) -> int:
        total = 0
        async with bulk.stream(iter(range(number)), at_once, concurrency=32, ordered=ordered) as outcomes:
            async for outcome in outcomes:
                total += len(outcome.result())
        return total

    def peak(number: int) -> int:
        tracemalloc.start()
        assert asyncio.run(consume(number)) == 1000 * number
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(100)
    assert peak(50_000) <= 1.1 * peak(5_000)


class _EndsOnce:
    """An iterator that waits for ever if it is asked for an item after its end, as one over a queue may."""

    def __init__(self, number: int) -> None:
        self._left = number

    def __aiter__(self) -> _EndsOnce:
        return self

    async def __anext__(self) -> int:
        await asyncio.sleep(0)
        self._left -= 1
        if self._left == -1:
            raise StopAsyncIteration
        if self._left < -1:
            await asyncio.Event().wait()
        return self._left


def test_an_iterator_is_asked_for_nothing_after_its_end() -> None:
    async def double(item: int) -> int:
        await asyncio.sleep(0)
        return 2 * item

    outcomes = asyncio.run(bulk.run(_EndsOnce(5), double, concurrency=3))
    assert sorted(outcome.result() for outcome in outcomes) == [0, 2, 4, 6, 8]
