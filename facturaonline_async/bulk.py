"""Run one coroutine function over many items, with bounded concurrency and memory.

A few workers share one iterator, so that memory does not grow with the number of items::

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
from contextlib import asynccontextmanager
from itertools import count
from typing import Final, Generic, TypeVar, cast

import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from attrs import frozen

from facturaonline_async._messages import message
from facturaonline_async.errors import FacturaOnlineError, InvalidInputError

__all__ = ["Outcome", "run", "stream"]

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")
T = TypeVar("T")

_CATCH: Final = (FacturaOnlineError, OSError)
_LOOKAHEAD: Final = 4
"""With ``ordered``, at most this many times `concurrency` outcomes wait for an earlier one."""
_BUFFER: Final = 2
"""Size of the outcome buffer, as a multiple of `concurrency`. With 1, items that never wait cost 3.9 µs, not 2.7."""
_CHECKPOINT: Final = 256
"""Items between two checkpoints of the event loop, if no item waits."""


@frozen(slots=False)  # twice as fast to make, and there is one for each item
class Outcome(Generic[ItemT, ResultT]):
    """The result of one item, or its error.

    Attributes:
        index: position of the item in the input, from 0.
        item: the item itself.
        error: the item's error; None if it succeeded.

    """

    index: int
    item: ItemT
    _value: ResultT | None = None
    error: Exception | None = None

    @property
    def ok(self) -> bool:
        """Whether the item succeeded, so that `result` returns."""
        return self.error is None

    def result(self) -> ResultT:
        """Return the coroutine function's result, or raise `error`."""
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
    """Run a coroutine function over items concurrently; yield outcomes as they come.

    Leaving the ``async with`` early, or being cancelled, cancels the items in progress. Workers pause while outcomes
    are not fetched. A time-out around ``anext(outcomes)`` ends only the wait: the items go on, and the next ``anext``
    continues without a lost outcome::

        with suppress(TimeoutError):
            async with asyncio.timeout(10):
                outcome = await anext(outcomes)

    Args:
        items: any iterable, also an asynchronous or an endless one. An item is taken when a worker is free. An
            asynchronous generator is closed at the end.
        coroutine_function: called with one item.
        concurrency: maximum number of items in progress. Default: 32.
        ordered: whether outcomes come in input order; a slow item then delays those behind it. Default: False.
        catch: exceptions that count as the item's failure and go into its outcome. Any other exception is taken for a
            bug: it cancels all items and is raised from the ``async with``. Default: the errors of this library and
            `OSError`.
        stop_on: exceptions that cancel all items although `catch` names them, such as ``(AuthenticationError,)``, after
            which every item would fail. Default: none.

    Raises:
        InvalidInputError: `concurrency` is not a whole number above 0.

    """
    _check(concurrency)
    permits = asyncio.Semaphore(_LOOKAHEAD * concurrency) if ordered else None
    source = _Source(items, permits)
    send, receive = anyio.create_memory_object_stream[Outcome[ItemT, ResultT]](_BUFFER * concurrency)
    changed = asyncio.Event()
    workers = _Workers(source, coroutine_function, send, changed, limit=concurrency, catch=catch, stop_on=stop_on)
    is_cancelled = _cancellation_probe()
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(workers.work, group)
            completed = _Completed(receive, changed)
            yield completed if permits is None else _InOrder(completed, permits)
            group.cancel_scope.cancel()
    except BaseExceptionGroup as problems:
        problem = problems.exceptions[0]
    else:
        if is_cancelled():
            raise asyncio.CancelledError  # anyio before 4.16 swallows it while the task group is ending
        return
    finally:
        receive.close()  # before send: a task that still waits for an outcome gets an error, not the end of the stream
        send.close()
        changed.set()
        if isinstance(items, AsyncGenerator):
            await items.aclose()  # the garbage collector would end it at any time
    raise problem


def _check(concurrency: object) -> None:
    if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
        raise InvalidInputError(
            message("values.not_positive_int", name="concurrency", value=f"{concurrency!r:.40}"), field="concurrency"
        )


def _cancellation_probe() -> Callable[[], bool]:
    """Return a function that reports whether this task has been cancelled since."""
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
    """Run a coroutine function over items concurrently; return outcomes in order.

    The order is that of the input. All outcomes are held in memory; `stream` yields them one by one.

    Args:
        items: see `stream`.
        coroutine_function: called with one item.
        concurrency: maximum number of items in progress. Default: 32.
        catch: exceptions that count as the item's failure; see `stream`.
        stop_on: exceptions that cancel all items; see `stream`.

    Raises:
        InvalidInputError: `concurrency` is not a whole number above 0.

    """
    async with stream(items, coroutine_function, concurrency=concurrency, catch=catch, stop_on=stop_on) as outcomes:
        done = [outcome async for outcome in outcomes]
    return sorted(done, key=lambda outcome: outcome.index)


class _Source(Generic[ItemT]):
    """The iterator that all workers share; returns items with their indexes."""

    def __init__(self, items: Iterable[ItemT] | AsyncIterable[ItemT], permits: asyncio.Semaphore | None) -> None:
        self._later = aiter(items) if isinstance(items, AsyncIterable) else None
        self._lock = asyncio.Lock()  # an asynchronous generator refuses concurrent callers
        self._permits = permits
        self._index = count()
        self._is_exhausted = False  # an iterator need not say its end twice
        #: Returns items without a coroutine, where taking one never waits.
        self.now: Iterator[tuple[int, ItemT]] = enumerate(() if isinstance(items, AsyncIterable) else items)
        self.is_quick: bool = self._later is None and permits is None

    async def take(self) -> tuple[int, ItemT] | None:
        """Return the next item, or None at the end."""
        if self._permits is not None:
            await self._permits.acquire()
        if self._later is None:
            return next(self.now, None)
        async with self._lock:
            if not self._is_exhausted:
                async for item in self._later:
                    return next(self._index), item
                self._is_exhausted = True
            return None


class _Workers(Generic[ItemT, ResultT]):
    """The tasks that await the coroutine function for each item, and send outcomes.

    Workers start one by one: each worker that finds an item starts the next worker. The last worker to end closes the
    stream.
    """

    def __init__(
        self,
        source: _Source[ItemT],
        coroutine_function: Callable[[ItemT], Awaitable[ResultT]],
        send: MemoryObjectSendStream[Outcome[ItemT, ResultT]],
        changed: asyncio.Event,
        *,
        limit: int,
        catch: tuple[type[Exception], ...],
        stop_on: tuple[type[Exception], ...],
    ) -> None:
        self._source = source
        self._coroutine_function = coroutine_function
        self._send = send
        self._changed = changed
        self._limit = limit
        self._catch = catch
        self._stop_on = stop_on
        self._running = 1

    async def work(self, group: TaskGroup) -> None:
        """Run one worker until the source is exhausted."""
        source, coroutine_function, send_nowait = self._source, self._coroutine_function, self._send.send_nowait
        now, set_changed = source.now, self._changed.set
        while (taken := next(now, None) if source.is_quick else await source.take()) is not None:
            if self._running < self._limit:
                self._running += 1
                group.start_soon(self.work, group)
            index, item = taken
            if not index % _CHECKPOINT:
                await asyncio.sleep(0)  # items that never wait must not block other tasks
            try:
                outcome: Outcome[ItemT, ResultT] = Outcome(index, item, await coroutine_function(item))
            except self._stop_on as last:
                last.add_note(message("calls.while_working_on_item", index=index))
                raise
            except self._catch as error:
                outcome = Outcome(index, item, None, error)
            except asyncio.CancelledError as stray:
                if (task := asyncio.current_task()) is None or task.cancelling():
                    raise
                raise RuntimeError(message("calls.item_awaited_cancelled", index=index)) from stray
            except Exception as bug:
                bug.add_note(message("calls.while_working_on_item", index=index))
                raise
            try:
                send_nowait(outcome)  # `send` always yields to the event loop
            except anyio.WouldBlock:
                await self._send.send(outcome)
            set_changed()
        self._running -= 1
        if not self._running:
            self._send.close()
            set_changed()


class _Completed(AsyncIterator[T]):
    """Outcomes in the order in which they complete.

    `MemoryObjectReceiveStream.receive` drops the outcome that it was given if its task is cancelled at that moment.
    This class waits for an event instead, and takes outcomes without waiting, so that none is lost.
    """

    def __init__(self, outcomes: MemoryObjectReceiveStream[T], changed: asyncio.Event) -> None:
        self._outcomes = outcomes
        self._changed = changed

    async def __anext__(self) -> T:
        while True:
            try:
                return self._outcomes.receive_nowait()
            except anyio.EndOfStream:
                raise StopAsyncIteration from None
            except anyio.WouldBlock:
                self._changed.clear()
            await self._changed.wait()


class _InOrder(AsyncIterator[Outcome[ItemT, ResultT]]):
    """Outcomes in input order; `permits` bounds how many wait for an earlier one."""

    def __init__(self, completed: _Completed[Outcome[ItemT, ResultT]], permits: asyncio.Semaphore) -> None:
        self._completed = completed
        self._permits = permits
        self._waiting: dict[int, Outcome[ItemT, ResultT]] = {}
        self._index = 0

    async def __anext__(self) -> Outcome[ItemT, ResultT]:
        while self._index not in self._waiting:
            outcome = await anext(self._completed)
            self._waiting[outcome.index] = outcome
        outcome = self._waiting.pop(self._index)
        self._index += 1
        self._permits.release()
        return outcome
