"""Instructions, counted by valgrind: the same work takes the same count, however busy the machine is.

A job is counted twice, with few and with many repetitions: ``(Ir(many) - Ir(few)) / (many - few)``, so that imports and
start-up cancel out. Under valgrind, a start takes as long as thousands of calls. Therefore one process imports
everything, and forks a child for each count.
"""

from __future__ import annotations

import asyncio
import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.command import run_in_loop

__all__ = ["VALGRIND", "count_processes", "counted", "in_children"]

VALGRIND: Final = shutil.which("valgrind")
_ROOT: Final = Path(__file__).parents[1]


async def counted(
    module: str, arguments: Sequence[str], jobs: Mapping[str, tuple[int, int]], *, times: int = 1
) -> dict[str, float]:
    """Return how many instructions each job takes to be done once.

    Args:
        module: runs with ``count``, the arguments, and the jobs that it passes to `in_children`.
        arguments: for the module itself.
        jobs: few and many repetitions, by the name of the job.
        times: how often each is counted; the least one is taken. How much work two threads do together depends on when
            each of them runs.

    """
    command = ["-m", module, "count", *arguments]
    wanted = [f"{job} {number}" for job, both in jobs.items() for number in both]
    await asyncio.to_thread(_run, [*command, *(f"{job} 1" for job in jobs)])  # compiles all modules
    output = await asyncio.to_thread(_run, [*command, *times * wanted], is_counted=True)
    refs = dict(re.findall(r"==(\d+)== I +refs: +([\d,]+)", output))
    done: dict[str, int] = {}
    ended = re.findall(r"^done (\d+) (.+)$", output, re.MULTILINE)
    for pid, job in ended:
        count = int(refs[pid].replace(",", ""))
        done[job] = min(done.get(job, count), count)
    if len(ended) < times * len(wanted):
        raise RuntimeError(f"valgrind did not count everything:\n{output}")
    return {job: (done[f"{job} {many}"] - done[f"{job} {few}"]) / (many - few) for job, (few, many) in jobs.items()}


def in_children(jobs: Iterable[str], do: Callable[[str, int], Coroutine[Any, Any, None]]) -> None:
    """Do each job in a child, as many times as its last word says."""
    for job in jobs:
        name, _, times = job.rpartition(" ")
        if (pid := os.fork()) == 0:
            try:
                run_in_loop(do(name, int(times)))
            except BaseException:  # noqa: BLE001  # a child must not go on as its parent
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        if os.waitpid(pid, 0)[1] == 0:
            print(f"\ndone {pid} {job}", flush=True)


def count_processes(commands: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Return how many instructions Python takes from start to end with these arguments, by name."""
    counts = {}
    for name, arguments in commands.items():
        _run(arguments)  # compiles all modules
        refs = re.findall(r"== I +refs: +([\d,]+)", _run(arguments, is_counted=True))
        counts[name] = float(refs[-1].replace(",", ""))
    return counts


def _run(arguments: Sequence[str], *, is_counted: bool = False) -> str:
    """Run Python with these arguments, under valgrind if it is counted, and return all its output."""
    tool: list[str] = []
    if is_counted:
        assert VALGRIND, "valgrind is not installed"
        tool = [VALGRIND, "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    done = subprocess.run(
        [*tool, sys.executable, *arguments], cwd=_ROOT, env=_environment(), check=False, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{arguments} failed:\n{done.stdout}")
    return done.stdout


@functools.cache
def _bytecode() -> tempfile.TemporaryDirectory[str]:
    """Return a folder for compiled modules, which this process keeps."""
    return tempfile.TemporaryDirectory(prefix="bench-")


def _environment() -> dict[str, str]:
    """Return this environment, where the same work takes the same count.

    Sets have a fixed order, modules are compiled, coverage is off, and no certificates of the system are loaded, which
    would be a quarter of all that is counted.
    """
    dropped = ("COVERAGE_", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in os.environ.items() if not name.startswith(dropped)} | {
        "PYTHONHASHSEED": "0",
        "PYTHONPYCACHEPREFIX": _bytecode().name,
        "SSL_CERT_FILE": os.devnull,
        "SSL_CERT_DIR": os.devnull,
    }
