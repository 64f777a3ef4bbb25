"""The thread of a run: one call at a time, and nothing left of it."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable
from functools import partial

import pytest

from facturaonline_async.provision._engine.worker import Worker


class Blocking:
    """Function that begins, and returns when it is released.

    Attributes:
        began: numbers of the calls that began, in their order.
        most: the most calls at a time.
        release: set to let the calls return.

    """

    def __init__(self) -> None:
        self.began: list[int] = []
        self.most = self._under_way = 0
        self.release = threading.Event()

    def __call__(self, number: int) -> int:
        assert threading.current_thread() is not threading.main_thread()
        self.began.append(number)
        self._under_way += 1
        self.most = max(self.most, self._under_way)
        assert self.release.wait(10)
        self._under_way -= 1
        return number


async def until(is_so: Callable[[], object]) -> None:
    while not is_so():  # noqa: ASYNC110  # a thread tells nothing
        await asyncio.sleep(0.001)


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "facturaonline-worker"]


async def test_calls_run_one_at_a_time_in_the_order_of_their_callers() -> None:
    blocking = Blocking()
    async with Worker() as worker:
        calls = [asyncio.create_task(worker.call(partial(blocking, number))) for number in range(5)]
        await until(lambda: blocking.began)
        blocking.release.set()
        assert await asyncio.gather(*calls) == [0, 1, 2, 3, 4]
    assert (blocking.began, blocking.most, threads()) == ([0, 1, 2, 3, 4], 1, [])


async def test_an_error_reaches_its_caller_only() -> None:
    async with Worker() as worker:
        with pytest.raises(ZeroDivisionError):
            await worker.call(lambda: 1 // 0)
        assert await worker.call(lambda: 1) == 1


async def test_a_cancelled_caller_ends_at_once_and_its_function_is_not_called() -> None:
    blocking = Blocking()
    async with Worker() as worker:
        calls = [asyncio.create_task(worker.call(partial(blocking, number))) for number in range(3)]
        await until(lambda: blocking.began)
        for call in calls[:2]:
            call.cancel()
        ended = await asyncio.gather(*calls[:2], return_exceptions=True)
        assert {type(each) for each in ended} == {asyncio.CancelledError}
        blocking.release.set()
        assert await calls[2] == 2
    assert blocking.began == [0, 2]


async def test_a_cancelled_owner_waits_for_the_end_of_the_thread() -> None:
    blocking = Blocking()

    async def own() -> None:
        async with Worker() as worker:
            await worker.call(partial(blocking, 0))

    owner = asyncio.create_task(own())
    await until(lambda: blocking.began)
    owner.cancel()
    await asyncio.sleep(0.01)
    assert (owner.done(), threads()) == (False, ["facturaonline-worker"])
    blocking.release.set()
    with pytest.raises(asyncio.CancelledError):
        await owner
    assert threads() == []


async def test_a_worker_without_calls_has_no_thread() -> None:
    async with Worker():
        assert threads() == []


async def test_the_thread_keeps_no_result_and_no_error() -> None:
    class Result:
        pass

    def fail() -> None:
        raise ValueError(Result())

    def are_gone() -> bool:
        gc.collect()
        return result() is None and error() is None

    async with Worker() as worker:
        result = weakref.ref(await worker.call(Result))
        try:
            await worker.call(fail)
        except ValueError as caught:
            error = weakref.ref(caught.args[0])
        await until(are_gone)
