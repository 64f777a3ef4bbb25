"""The parent's side of a process that checks Sellos."""

from __future__ import annotations

import os
import pickle
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Timer
from typing import IO, Final

from facturaonline_async.sello.report import Report
from facturaonline_async.sello.terms import Terms
from facturaonline_async.sello.values import Sello
from facturaonline_async.sello.worker import packed, proof, read, write

__all__ = ["GoneError", "LateError", "Process"]

_PATIENCE: Final = 5.0
"""Seconds that a process gets for ending by itself."""
_HELLO: Final = 30.0
"""Seconds until it says what it is. It takes half of one, and several where the machine is busy."""
_ANSWER: Final = 60.0
"""Seconds for a check. The slowest that is tried takes two."""
_MOST_NOISE: Final = 1 << 16
"""Bytes that may come before it says what it is."""


class GoneError(Exception):
    """The process could not be started, is none of ours, or is gone."""


class LateError(Exception):
    """There was no answer in time, and the process was killed."""


class Process:
    """One process, and the pipes to and from it.

    Asked by one thread at a time, which also closes it: two that closed a pipe at once would free its buffer twice.
    Any thread may kill it, and wait for it.
    """

    def __init__(self) -> None:
        """Start it, and do not wait for it.

        Raises:
            GoneError: it cannot be started.

        """
        path = os.pathsep.join(os.path.abspath(each) for each in sys.path)  # noqa: PTH100  # "" is the current folder
        # It finds what this process finds, in the same order; keys of an account are not its business.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("FACTURAONLINE_")}
        self._token = secrets.token_hex(16)
        self._is_known = False
        self._is_late = False
        try:
            self._process = subprocess.Popen(  # noqa: S603  # a module of ours
                [sys.executable, "-P", "-m", "facturaonline_async.sello.worker", self._token],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=inherited | {"PYTHONPATH": path},
                start_new_session=True,  # Ctrl-C is the parent's business from the first moment
            )
        except (OSError, ValueError, subprocess.SubprocessError):
            raise GoneError from None

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def ask(self, sello: Sello, terms: Terms) -> Report | str:
        """Return the answer: a report, or the name of the error that ended the check.

        Raises:
            LateError: there was none in time.
            GoneError: the process is gone, or none of ours.

        """
        problem: Exception = GoneError()
        try:
            self._meet()
            with self._within(_ANSWER):
                write(self._stdin, packed(sello, terms))
                answer = pickle.loads(read(self._stdout))  # noqa: S301  # it has proven to be a module of ours
            if isinstance(answer, (Report, str)):
                return answer
        except Exception:  # noqa: BLE001  # a closed pipe, a pickle that is none: whatever it is, nobody answers there
            problem = LateError() if self._is_late and self._is_known else problem
        raise problem  # out of the handler: the frames below held a question

    def kill(self) -> None:
        """End it at once, and all that it may have started. Does not wait."""
        if self._process.poll() is not None:
            return
        if hasattr(os, "killpg"):
            with suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL)  # it leads a session of its own
        self._process.kill()

    def let_go(self) -> None:
        """Tell it to end, which it does where nobody is asking it. Does not wait."""
        with suppress(OSError):
            self._stdin.close()

    def wait(self) -> None:
        """Wait until it has ended, where it was killed."""
        self._process.wait()

    def close(self) -> None:
        """End it, and wait for that. May be called twice, and by one thread at a time."""
        self.let_go()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()
        self._stdout.close()

    @property
    def _stdin(self) -> IO[bytes]:
        assert self._process.stdin is not None  # noqa: S101  # it is a pipe
        return self._process.stdin

    @property
    def _stdout(self) -> IO[bytes]:
        assert self._process.stdout is not None  # noqa: S101  # it is a pipe
        return self._process.stdout

    def _meet(self) -> None:
        """Wait for its proof, once; nothing that comes before it is looked at."""
        if self._is_known:
            return
        expected, seen = proof(self._token), b""
        with self._within(_HELLO):
            while not seen.endswith(expected):
                byte = self._stdout.read(1)
                if not byte or len(seen) > _MOST_NOISE:
                    raise EOFError
                seen += byte
        self._is_known = True

    @contextmanager
    def _within(self, seconds: float) -> Iterator[None]:
        """Kill it after so many seconds: then reading ends, and writing fails."""
        timer = Timer(seconds, self._be_late)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _be_late(self) -> None:
        self._is_late = True
        self.kill()
