"""Processes that check many Sellos while the event loop goes on sending."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from threading import Lock, Semaphore
from typing import Final

import anyio
import anyio.to_thread
from attrs import define, field

from facturaonline_async._core.logging import LOGGER
from facturaonline_async.sat._findings import Finding
from facturaonline_async.sello import Kind, Report, Sello, check
from facturaonline_async.sello.process import GoneError, LateError, Process
from facturaonline_async.sello.terms import Terms

__all__ = ["Checkers", "checkers"]

_MOST: Final = 8


@asynccontextmanager
async def checkers(processes: int | None = None) -> AsyncIterator[Checkers]:
    """Give what checks Sellos in worker processes: one less than there are cores, 8 at most, started when needed.

    They import this library alone, never the user's ``__main__``, and see no key of the account. Where none can be
    started (a frozen application, an embedded interpreter), checks are made in threads.
    """
    found = Checkers(processes or _processes())
    try:
        yield found
    finally:
        with anyio.CancelScope(shield=True):
            await found.aclose()


def _processes() -> int:
    """Leave a core to the event loop: with all of them busy it waits its turn for 5 to 10 ms, else for 1 or 2."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(_MOST, cores - 1))


@define(eq=False)
class Checkers:
    """See `checkers`."""

    _processes: int = field(alias="processes")
    #: What bounds the calls that wait, and the threads in which they do.
    _slots: anyio.CapacityLimiter = field(init=False)
    #: What bounds the checks under way: a call that was cancelled has left its slot, and its check goes on.
    _seats: Semaphore = field(init=False)
    #: Held for whatever is said of the processes below; they are taken and put back by threads.
    _lock: Lock = field(factory=Lock, init=False)
    _idle: list[Process] = field(factory=list, init=False)
    _all: set[Process] = field(factory=set, init=False)
    _is_closed: bool = field(default=False, init=False)
    _is_hopeless: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._slots = anyio.CapacityLimiter(self._processes)
        self._seats = Semaphore(self._processes)
        # A frozen application would start itself once more.
        self._is_hopeless = not sys.executable or bool(getattr(sys, "frozen", False))

    async def __call__(
        self,
        sello: Sello,
        *,
        rfc: str | None,
        kind: Kind | None,
        production: bool = False,
        now: datetime | None = None,
    ) -> Report:
        """Check a Sello, first come, first served.

        Cancelled, it ends at once, or (in a cancelled scope of anyio) when the check under way does; a check that goes
        on without its call keeps its process until it ends, or until the block does.

        Raises:
            InvalidInputError: an argument is not what it should be.
            anyio.ClosedResourceError: the block has ended.

        """
        terms = Terms.of(sello, rfc=rfc, kind=kind, now=now, production=production)
        return await anyio.to_thread.run_sync(self._check, sello, terms, limiter=self._slots)

    def _check(self, sello: Sello, terms: Terms) -> Report:
        with self._seats:
            try:
                if (process := self._take()) is not None:
                    return self._asked(process, sello, terms)
            except LateError:  # in this process it would stop everything
                seen = "Checking it took far longer than any check does, and was given up."
                return Report(None, (Finding("not_checked", "key", seen),))
            except GoneError:
                self._despair()
            return check(sello, rfc=terms.rfc, kind=terms.kind, now=terms.now, production=terms.production)

    def _asked(self, process: Process, sello: Sello, terms: Terms) -> Report:
        is_well = False
        try:
            answer = process.ask(sello, terms)
            is_well = True
        finally:
            self._put_back(process, is_well=is_well)
        if isinstance(answer, str):  # what was raised there is raised here, and can be seen
            return check(sello, rfc=terms.rfc, kind=terms.kind, now=terms.now, production=terms.production)
        return answer

    def _take(self) -> Process | None:
        """Return a process that nobody is asking, a new one if need be, or None where there can be none."""
        with self._lock:
            if self._is_closed:
                raise anyio.ClosedResourceError
            if self._is_hopeless:
                return None
            if self._idle:
                return self._idle.pop()
            process = Process()  # with the lock held: none is started that `aclose` knows nothing of
            self._all.add(process)
            return process

    def _put_back(self, process: Process, *, is_well: bool) -> None:
        with self._lock:
            if is_well and not self._is_closed:
                self._idle.append(process)
                return
            self._all.discard(process)
        if not is_well:
            process.kill()  # whatever it is by now, it is not asked to end
        process.close()

    def _despair(self) -> None:
        with self._lock:
            if self._is_closed:
                raise anyio.ClosedResourceError
            self._is_hopeless = True
        LOGGER.warning("certificates are checked in threads: no worker process could be started, or one died")

    async def aclose(self) -> None:
        """End the processes, those too that are checking something. Cancelled, they end all the same."""
        with self._lock:
            self._is_closed = True
            idle, busy = list(self._idle), self._all.difference(self._idle)
            for process in idle:
                process.let_go()
            for process in busy:
                process.kill()
            self._idle.clear()
            self._all.clear()
        if idle or busy:
            await anyio.to_thread.run_sync(_end, idle, busy, limiter=anyio.CapacityLimiter(1))


def _end(idle: Iterable[Process], busy: Iterable[Process]) -> None:
    """Wait for all; who asks a busy one closes it."""
    for process in idle:
        process.close()
    for process in busy:
        process.wait()
