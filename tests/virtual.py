"""An event loop whose time passes only when everybody waits: hours of waiting take milliseconds, and are exact.

Sockets are real. While bytes are on their way between sockets of this process, or another thread works for the loop,
no time passes, however slow the machine is.
"""

from __future__ import annotations

import array
import asyncio
import selectors
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any, TypeVar, TypeVarTuple, Unpack

import anyio.to_thread
import pytest

from facturaonline_async.provision._engine import audit, creator, resume, series as run_series, step_store, waiting_rows
from facturaonline_async.provision._engine.worker import Worker
from facturaonline_async.provision._journal import opening, writer
from facturaonline_async.provision._journal.writer import SqliteJournal
from facturaonline_async.testing._emulator import empresas, series, server, state

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

EPOCH = 1_700_000_000.0
"""What the wall clock shows when the loop's clock shows 0."""

_READERS = (
    audit,
    empresas,
    run_series,
    writer,
    opening,
    waiting_rows,
    resume,
    creator,
    step_store,
    series,
    server,
    state,
)
"""The modules that read the system's clocks."""

_clock: list[VirtualLoop] = []
"""The loops of this test: the last one is that of the threads."""

_PATIENCE = 0.02
"""Real seconds of one look at the sockets while something is on its way."""

_LOOKS = 10
"""Bytes that nobody fetches in so many looks are taken for bytes that nobody wants."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """Where nothing else is to be done, the clock jumps to the next timer."""

    def __init__(self, begins: float = 0.0) -> None:
        super().__init__()
        self._virtual_now = begins
        self._threads = 0
        _clock.append(self)
        self._real_select = self._selector.select  # type: ignore[attr-defined]
        self._selector.select = self._select  # type: ignore[attr-defined]

    def time(self) -> float:
        return self._virtual_now

    def stall(self, seconds: float) -> None:
        """Let time pass while the loop does nothing, as a blocking call would."""
        self._virtual_now += seconds

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let no time pass inside the ``with``: another thread works for this loop."""
        self._threads += 1
        try:
            yield
        finally:
            self._threads -= 1

    def hold(self, future: asyncio.Future[T]) -> asyncio.Future[T]:
        """Let no time pass until a future is done."""
        self._threads += 1
        future.add_done_callback(self._release)
        return future

    def _release(self, _: object) -> None:
        self._threads -= 1

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        return self.hold(super().run_in_executor(executor, func, *args))

    async def shutdown_default_executor(self, *args: Any) -> None:
        with self.held():
            await super().shutdown_default_executor(*args)

    def _select(self, timeout: float | None) -> Any:
        events = self._real_select(0)
        if events or timeout == 0:
            return events
        if events := self._on_their_way():
            return events
        if timeout is None:
            raise RuntimeError("everybody waits, and nothing will ever happen")
        self._virtual_now += timeout
        return events

    def _on_their_way(self) -> Any:
        """Return what comes of the bytes that are on their way, and of the work of other threads; at last, nothing."""
        looks = 0
        while self._threads or looks < _LOOKS:
            if not self._threads and not self._is_anything_sent():
                return self._real_select(0)
            if events := self._real_select(_PATIENCE):
                return events
            looks += 1
        return []

    def _is_anything_sent(self) -> bool:
        """Whether a socket has sent what its peer has not got, or waits to be connected."""
        keys = self._selector.get_map().values()  # type: ignore[attr-defined]
        return any(key.events & selectors.EVENT_WRITE or _unacknowledged(key.fd) for key in keys)


def _unacknowledged(fd: int) -> int:
    """Return how many bytes a socket has sent that its peer's kernel has not got; of what is no such socket, none."""
    import fcntl  # noqa: PLC0415  # Windows has neither of the two, and imports this module
    import termios  # noqa: PLC0415

    number = array.array("i", [0])
    try:
        fcntl.ioctl(fd, termios.TIOCOUTQ, number)
    except OSError:
        return 0
    return number[0]


def _monotonic() -> float:
    """Return the running loop's time, also to the threads that work for it: of a real loop, this is the real one."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return _clock[-1].time() if _clock else time.monotonic()


def _wall() -> float:
    return EPOCH + _monotonic()


def _running() -> VirtualLoop | None:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return None
    return loop if isinstance(loop, VirtualLoop) else None


async def run_sync(*args: Any, **how: Any) -> Any:
    """Call a function in a thread, as `anyio.to_thread.run_sync` does; on a virtual clock, no time passes meanwhile."""
    loop = _running()
    with loop.held() if loop is not None else nullcontext():
        return await _real_run_sync(*args, **how)


def _holding(submit: Callable[[Any, Callable[..., Any]], asyncio.Future[Any]]) -> Any:
    """Return this method of a thread's owner; on a virtual clock, no time passes until its future is done."""

    def hold(owner: Any, work: Callable[..., Any]) -> asyncio.Future[Any]:
        future, loop = submit(owner, work), _running()
        return future if loop is None else loop.hold(future)

    return hold


_real_run_sync = anyio.to_thread.run_sync


@contextmanager
def clocks() -> Iterator[None]:
    """Let what reads the system's clocks read the running loop's, and let its threads hold the time."""
    clock = SimpleNamespace(time=_wall, monotonic=_monotonic)
    before = list(_clock)
    with pytest.MonkeyPatch.context() as patch:
        for module in _READERS:
            patch.setattr(module, "time", clock)
        patch.setattr(anyio.to_thread, "run_sync", run_sync)
        for owner in (SqliteJournal, Worker):
            patch.setattr(owner, "_submit", _holding(owner._submit))
        yield
    _clock[:] = before


def virtually(main: Coroutine[Any, Any, T]) -> T:
    """Run the coroutine on a virtual clock that starts at 0."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


def stall(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    loop.stall(seconds)
