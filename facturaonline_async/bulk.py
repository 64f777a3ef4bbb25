"""Many calls at once, whatever their number: a few workers share one iterator, so that memory stays the same.

::

    async with bulk.stream(rows, create_one, concurrency=32) as outcomes:
        async for outcome in outcomes:
            print(outcome.index, "done" if outcome.ok else outcome.error)
"""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
)
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Final, Generic, TypeVar, cast

import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from attrs import frozen

from facturaonline_async.errors import FacturaOnlineError, InvalidInputError

__all__ = ["Outcome", "run", "stream"]

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")
T = TypeVar("T")

_CATCH: Final = (FacturaOnlineError, OSError)
_AHEAD: Final = 4
"""In input order, so many times `concurrency` outcomes at most wait for the one before them."""
_BUFFER: Final = 2
"""So many times `concurrency` outcomes wait to be fetched. With one, items that never wait cost 3.9 µs, not 2.7."""
_CHECKPOINT: Final = 256


@frozen(slots=False)  # made twice as fast, and there is one for each item
class Outcome(Generic[ItemT, ResultT]):
    """How it went with one item.

    Attributes:
        index: place of the item in the input, from 0.
        item: the item itself.
        error: why it failed, or None.

    """

    index: int
    item: ItemT
    _value: ResultT | None = None
    error: Exception | None = None

    @property
    def ok(self) -> bool:
        """Whether there is a result."""
        return self.error is None

    def result(self) -> ResultT:
        """Return what the coroutine function returned, or raise `error`."""
        if self.error is not None:
            raise self.error
        return cast("ResultT", self._value)


@asynccontextmanager
async def stream(
    items: Iterable[ItemT] | AsyncIterable[ItemT],
    coroutine_function: Callable[[ItemT], Awaitable[ResultT]],
    *,
    concurrency: int = 32,
    ordered: bool = False,
    catch: tuple[type[Exception], ...] = _CATCH,
    stop_on: tuple[type[Exception], ...] = (),
) -> AsyncIterator[AsyncIterator[Outcome[ItemT, ResultT]]]:
    """Await the coroutine function for each item, some at a time, and give the outcomes as they come.

    Args:
        items: any iterable, also an asynchronous or an endless one; an item is taken when a worker is free for it. An
            asynchronous generator is closed at the end.
        coroutine_function: called with one item.
        concurrency: items worked on at once, at most.
        ordered: give the outcomes in input order. A slow item then holds back those behind it.
        catch: what counts as an item's own failure and goes into its outcome. Any other exception is taken for a bug:
            it stops everything, and is raised from the ``async with``.
        stop_on: failures that stop everything all the same, such as ``(AuthenticationError,)``: the rest would fail
            alike.

    Leaving the ``async with`` early, or being cancelled, cancels the items that are under way. Outcomes that are not
    fetched hold the workers back.

    Raises:
        InvalidInputError: `concurrency` is not a whole number above 0.

    """
    _check(concurrency)
    room = asyncio.Semaphore(_AHEAD * concurrency) if ordered else None
    source = _Source(items, room)
    send, receive = anyio.create_memory_object_stream[Outcome[ItemT, ResultT]](_BUFFER * concurrency)
    workers = _Workers(source, coroutine_function, send, most=concurrency, catch=catch, stop_on=stop_on)
    is_wanted_elsewhere = _cancelled_since()
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(workers.work, group)
            yield _as_they_come(receive) if room is None else _in_order(receive, room)
            group.cancel_scope.cancel()
    except BaseExceptionGroup as problems:
        problem = problems.exceptions[0]
    else:
        if is_wanted_elsewhere():
            raise asyncio.CancelledError  # which anyio before 4.16 swallows while its group is ending
        return
    finally:
        receive.close()  # first: a task that still waits for an outcome gets an error, and not an end
        send.close()
        if isinstance(items, AsyncGenerator):
            await items.aclose()  # left to the garbage collector, it would end at any time
    raise problem


def _check(concurrency: object) -> None:
    if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
        raise InvalidInputError(
            f"concurrency must be a whole number above 0, and was {concurrency!r}.", field="concurrency"
        )


def _cancelled_since() -> Callable[[], bool]:
    """Return what tells whether the current task has been cancelled from outside since."""
    task = asyncio.current_task()
    before = task.cancelling() if task is not None else 0
    return lambda: task is not None and task.cancelling() > before


async def run(
    items: Iterable[ItemT] | AsyncIterable[ItemT],
    coroutine_function: Callable[[ItemT], Awaitable[ResultT]],
    *,
    concurrency: int = 32,
    catch: tuple[type[Exception], ...] = _CATCH,
    stop_on: tuple[type[Exception], ...] = (),
) -> list[Outcome[ItemT, ResultT]]:
    """Await the coroutine function for each item, some at a time, and return all outcomes in input order.

    The same as `stream`, for as many outcomes as fit into memory.
    """
    async with stream(items, coroutine_function, concurrency=concurrency, catch=catch, stop_on=stop_on) as outcomes:
        done = [outcome async for outcome in outcomes]
    return sorted(done, key=lambda outcome: outcome.index)


class _Source(Generic[ItemT]):
    """The one iterator that all workers take from. Gives items with their indexes."""

    def __init__(self, items: Iterable[ItemT] | AsyncIterable[ItemT], room: asyncio.Semaphore | None) -> None:
        self._later = aiter(items) if isinstance(items, AsyncIterable) else None
        self._turn = asyncio.Lock()  # an asynchronous generator takes one caller at a time
        self._room = room
        self._index = count()
        #: Takes items where there is nothing to wait for, without a coroutine.
        self.now: Iterator[tuple[int, ItemT]] = enumerate(() if isinstance(items, AsyncIterable) else items)
        self.is_quick: bool = self._later is None and room is None

    async def take(self) -> tuple[int, ItemT] | None:
        """Return the next item, or None at the end."""
        if self._room is not None:
            await self._room.acquire()
        if self._later is None:
            return next(self.now, None)
        async with self._turn:
            async for item in self._later:
                return next(self._index), item
            return None


class _Workers(Generic[ItemT, ResultT]):
    """What takes items from the source, awaits the coroutine function for each, and sends the outcomes.

    Started one by one: each worker that finds an item starts the next one. The last one to find none closes the stream.
    """

    def __init__(
        self,
        source: _Source[ItemT],
        coroutine_function: Callable[[ItemT], Awaitable[ResultT]],
        send: MemoryObjectSendStream[Outcome[ItemT, ResultT]],
        *,
        most: int,
        catch: tuple[type[Exception], ...],
        stop_on: tuple[type[Exception], ...],
    ) -> None:
        self._source = source
        self._coroutine_function = coroutine_function
        self._send = send
        self._most = most
        self._catch = catch
        self._stop_on = stop_on
        self._number = 1

    async def work(self, group: TaskGroup) -> None:
        """Be one worker."""
        source, coroutine_function, send_nowait = self._source, self._coroutine_function, self._send.send_nowait
        now = source.now
        while (taken := next(now, None) if source.is_quick else await source.take()) is not None:
            if self._number < self._most:
                self._number += 1
                group.start_soon(self.work, group)
            index, item = taken
            if not index % _CHECKPOINT:
                await asyncio.sleep(0)  # items that never wait must not keep everybody else waiting
            try:
                outcome: Outcome[ItemT, ResultT] = Outcome(index, item, await coroutine_function(item))
            except self._stop_on as last:
                last.add_note(f"while working on item {index}")
                raise
            except self._catch as error:
                outcome = Outcome(index, item, None, error)
            except asyncio.CancelledError as stray:
                if (task := asyncio.current_task()) is None or task.cancelling():
                    raise
                raise RuntimeError(f"item {index} awaited something that was cancelled elsewhere") from stray
            except Exception as bug:
                bug.add_note(f"while working on item {index}")
                raise
            try:
                send_nowait(outcome)  # without a turn of the loop, which `send` always takes
            except anyio.WouldBlock:
                await self._send.send(outcome)
        self._number -= 1
        if not self._number:
            self._send.close()


async def _as_they_come(done: MemoryObjectReceiveStream[T]) -> AsyncIterator[T]:
    while True:
        try:
            try:
                outcome = done.receive_nowait()  # without a turn of the loop, which `receive` always takes
            except anyio.WouldBlock:
                outcome = await done.receive()
        except anyio.EndOfStream:
            with suppress(anyio.EndOfStream):
                done.receive_nowait()  # raises where the block has ended, which anyio before 4.16 calls an end, too
            return
        yield outcome


async def _in_order(
    done: MemoryObjectReceiveStream[Outcome[ItemT, ResultT]], room: asyncio.Semaphore
) -> AsyncIterator[Outcome[ItemT, ResultT]]:
    early: dict[int, Outcome[ItemT, ResultT]] = {}
    due = 0
    async for outcome in _as_they_come(done):
        early[outcome.index] = outcome
        while due in early:
            yield early.pop(due)
            due += 1
            room.release()
