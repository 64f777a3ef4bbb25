"""Do the tests fail now and then? Run them again and again on a busy machine: ``nox -s steady``.

Four loops without end take the processor from the tests, on two cores. Each is stopped by its process, also where this
one is ended, and ends by itself after `_LONGEST`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

_LOOPS = 4
_LONGEST = 4 * 3600
"""Seconds after which a busy loop ends by itself."""

_BUSY = (
    f"import os, time; until, parent = time.monotonic() + {_LONGEST}, os.getppid()\n"
    "while time.monotonic() < until and os.getppid() == parent: sum(range(100000))"
)
_PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "tests.progress", "--numprocesses=2", "--dist=worksteal")
_IN_ORDER = ("-p", "no:randomly")


@contextmanager
def busy(loops: int) -> Iterator[None]:
    """Let so many loops run beside; they end with the block."""
    started = [subprocess.Popen([sys.executable, "-c", _BUSY]) for _ in range(loops)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def main() -> None:
    """Run all rounds, tell how each of them ended, and exit with 1 if any failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", type=int, default=5, help="rounds of the tests that are not slow (default: 5)")
    parser.add_argument("--slow", type=int, default=2, help="rounds of the slow tests (default: 2)")
    parser.add_argument("--loops", type=int, default=_LOOPS, help=f"busy loops beside (default: {_LOOPS})")
    parser.add_argument("tests", nargs="*", help="files or names of tests, instead of all")
    options = parser.parse_args()
    seed = int.from_bytes(os.urandom(4))
    rounds: list[tuple[str, tuple[str, ...]]] = [
        (f"quick {number}", ("-m", "not slow and not integrations", *_IN_ORDER)) for number in range(1, options.quick)
    ]
    if options.quick:
        rounds.append(
            (f"quick in random order (seed {seed})", ("-m", "not slow and not integrations", f"--randomly-seed={seed}"))
        )
    rounds += [(f"slow {number}", ("-m", "slow", *_IN_ORDER)) for number in range(1, options.slow + 1)]
    told = []
    with busy(options.loops):
        for name, arguments in rounds:
            sys.stdout.write(f"── {name}\n")
            sys.stdout.flush()
            began = time.monotonic()
            code = subprocess.run([*_PYTEST, *arguments, *options.tests], check=False).returncode
            told.append((name, code, time.monotonic() - began))
    for name, code, seconds in told:
        sys.stdout.write(f"{'passed' if code == 0 else f'FAILED ({code})':<12} {seconds:6.0f} s  {name}\n")
    sys.exit(any(code for _, code, _ in told))


if __name__ == "__main__":
    main()
