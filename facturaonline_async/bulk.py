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
    are not fetched.

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
    workers = _Workers(source, coroutine_function, send, limit=concurrency, catch=catch, stop_on=stop_on)
    is_cancelled = _cancellation_probe()
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(workers.work, group)
            yield _as_completed(receive) if permits is None else _in_order(receive, permits)
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
        if isinstance(items, AsyncGenerator):
            await items.aclose()  # the garbage collector would end it at any time
    raise problem


def _check(concurrency: object) -> None:
    if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
        raise InvalidInputError(
            f"concurrency must be a whole number above 0, and was {concurrency!r}.", field="concurrency"
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
        *,
        limit: int,
        catch: tuple[type[Exception], ...],
        stop_on: tuple[type[Exception], ...],
    ) -> None:
        self._source = source
        self._coroutine_function = coroutine_function
        self._send = send
        self._limit = limit
        self._catch = catch
        self._stop_on = stop_on
        self._running = 1

    async def work(self, group: TaskGroup) -> None:
        """Run one worker until the source is exhausted."""
        source, coroutine_function, send_nowait = self._source, self._coroutine_function, self._send.send_nowait
        now = source.now
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
                last.add_note(f"while working on item {index}")
                raise
            except self._catch as error:
                outcome = Outcome(index, item, None, error)
            except asyncio.CancelledError as stray:
                if (task := asyncio.current_task()) is None or task.cancelling():
                    raise
                raise RuntimeError(f"item {index} awaited a task or future that other code cancelled") from stray
            except Exception as bug:
                bug.add_note(f"while working on item {index}")
                raise
            try:
                send_nowait(outcome)  # `send` always yields to the event loop
            except anyio.WouldBlock:
                await self._send.send(outcome)
        self._running -= 1
        if not self._running:
            self._send.close()


async def _as_completed(outcomes: MemoryObjectReceiveStream[T]) -> AsyncIterator[T]:
    while True:
        try:
            try:
                outcome = outcomes.receive_nowait()  # `receive` always yields to the event loop
            except anyio.WouldBlock:
                outcome = await outcomes.receive()
        except anyio.EndOfStream:
            with suppress(anyio.EndOfStream):
                # Raises if the ``async with`` block has ended; anyio before 4.16 reports that as the end of the stream.
                outcomes.receive_nowait()
            return
        yield outcome


async def _in_order(
    outcomes: MemoryObjectReceiveStream[Outcome[ItemT, ResultT]], permits: asyncio.Semaphore
) -> AsyncIterator[Outcome[ItemT, ResultT]]:
    pending: dict[int, Outcome[ItemT, ResultT]] = {}
    next_index = 0
    async for outcome in _as_completed(outcomes):
        pending[outcome.index] = outcome
        while next_index in pending:
            yield pending.pop(next_index)
            next_index += 1
            permits.release()
