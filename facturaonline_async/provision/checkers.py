"""Processes that check many Sellos while the event loop goes on sending."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import IO, Final

import anyio
import anyio.to_thread
from attrs import define, field

from facturaonline_async.logs import LOGGER
from facturaonline_async.sello import Kind, Report, Sello, check
from facturaonline_async.sello.worker import Question, read, write

__all__ = ["Checkers", "checkers"]

_MOST: Final = 8
_PATIENCE: Final = 5.0
"""Seconds that a process gets for ending by itself."""


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


class _GoneError(Exception):
    """The process could not be started, or is gone."""


@define
class Checkers:
    """See `checkers`."""

    _processes: int = field(alias="processes")
    _slots: anyio.CapacityLimiter = field(init=False)
    _idle: list[_Process] = field(factory=list, init=False)
    _is_hopeless: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._slots = anyio.CapacityLimiter(self._processes)
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
        """Check a Sello, first come, first served. Cancelled, it ends when the check under way does."""
        # On the way into the process nothing refuses to be pickled, and nothing shows itself less than it must.
        question = Question(
            cer=sello.cer,
            key=bytes(sello.key),
            password=sello.password.reveal(),
            rfc=rfc,
            kind=kind,
            now=now,
            production=production,
        )
        # The same slots bound the threads that wait for the processes.
        return await anyio.to_thread.run_sync(self._check, sello, question, limiter=self._slots)

    def _check(self, sello: Sello, question: Question) -> Report:
        if not self._is_hopeless:
            try:
                return self._asked(question)
            except _GoneError:
                self._is_hopeless = True
                LOGGER.warning("certificates are checked in threads: no worker process could be started, or one died")
        return check(
            sello,
            rfc=question["rfc"],
            kind=question["kind"],
            now=question["now"],
            production=question["production"],
        )

    def _asked(self, question: Question) -> Report:
        process = self._idle.pop() if self._idle else _Process()
        try:
            report = process.ask(question)
        except (OSError, EOFError):
            process.close()
            raise _GoneError from None
        self._idle.append(process)
        return report

    async def aclose(self) -> None:
        """End the processes."""
        while self._idle:
            await anyio.to_thread.run_sync(self._idle.pop().close)


class _Process:
    """One process, and the pipes to and from it. Used by one thread at a time."""

    def __init__(self) -> None:
        path = os.pathsep.join(os.path.abspath(each) for each in sys.path)  # noqa: PTH100  # "" is the current folder
        # It finds what this process finds, in the same order; keys of an account are not its business.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("FACTURAONLINE_")}
        try:
            self._process = subprocess.Popen(  # a module of ours
                [sys.executable, "-P", "-m", "facturaonline_async.sello.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=inherited | {"PYTHONPATH": path},
                start_new_session=True,  # Ctrl-C is the parent's business from the first moment
            )
        except OSError:
            raise _GoneError from None
        try:
            read(self._stdout)
        except (OSError, EOFError):
            self.close()
            raise _GoneError from None

    @property
    def _stdin(self) -> IO[bytes]:
        assert self._process.stdin is not None  # noqa: S101  # it is a pipe
        return self._process.stdin

    @property
    def _stdout(self) -> IO[bytes]:
        assert self._process.stdout is not None  # noqa: S101  # it is a pipe
        return self._process.stdout

    def ask(self, question: Question) -> Report:
        """Wait for the answer.

        Raises:
            OSError, EOFError: the process is gone.

        """
        write(self._stdin, question)
        answer = read(self._stdout)
        assert isinstance(answer, Report)  # noqa: S101  # nothing else is ever answered
        return answer

    def close(self) -> None:
        """End the process, and wait for it."""
        with suppress(OSError):
            self._stdin.close()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stdout.close()
