"""Instructions, counted by valgrind: the same work takes the same, whatever else the machine is doing.

``(Ir(N2) - Ir(N1)) / (N2 - N1)``, so that imports and start-up cancel out. Figures repeat to a percent or better, where
times differ by a quarter.

Under valgrind, a start takes as long as thousands of calls. So there is one process that imports everything, and each
count is a child that it forks, which goes on counting from there.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
import traceback
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

__all__ = ["VALGRIND", "counted", "in_children", "is_counting_possible"]

VALGRIND: Final = shutil.which("valgrind")


def is_counting_possible() -> bool:
    """Whether valgrind is there; say so if it is not."""
    if VALGRIND is None:
        print("SKIPPED: instructions cannot be counted, for valgrind is not installed", file=sys.stderr)
    return VALGRIND is not None


async def counted(module: str, arguments: Sequence[str], jobs: Mapping[str, tuple[int, int]]) -> dict[str, float]:
    """Return how many instructions each job takes to be done once.

    Args:
        module: is run with ``count``, the arguments, and what `in_children` takes.
        arguments: for the module itself.
        jobs: names of what is done, and how many times at least and at most.

    """
    wanted = [f"{job} {times}" for job, both in jobs.items() for times in both]
    totals = await _totals([module, "count", *arguments, *wanted], len(wanted))
    return {job: (totals[f"{job} {many}"] - totals[f"{job} {few}"]) / (many - few) for job, (few, many) in jobs.items()}


def in_children(jobs: Iterable[str], do: Callable[[str, int], Coroutine[Any, Any, None]]) -> None:
    """Do each job so many times in a child, under valgrind, which says at the child's end what it has counted."""
    for job in jobs:
        name, _, times = job.rpartition(" ")
        if (pid := os.fork()) == 0:
            try:
                asyncio.run(do(name, int(times)))
            except BaseException:  # noqa: BLE001  # whatever it is, a child must not go on as its parent
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        if os.waitpid(pid, 0)[1] == 0:
            print(f"\ndone {pid} {job}", flush=True)


async def _totals(command: Sequence[str], jobs: int) -> dict[str, int]:
    """Return the instructions from the start of Python to the end of each job."""
    assert VALGRIND
    tool = [VALGRIND, "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null", sys.executable, "-m"]
    process = await asyncio.create_subprocess_exec(
        *tool,
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=Path(__file__).parents[1],
        env=_environment(),
    )
    output = (await process.communicate())[0].decode()
    refs = dict(re.findall(r"==(\d+)== I +refs: +([\d,]+)", output))
    done = dict(re.findall(r"^done (\d+) (.+)$", output, re.MULTILINE))
    if len(done) < jobs:
        raise RuntimeError(f"valgrind did not count everything:\n{output}")
    return {job: int(refs[pid].replace(",", "")) for pid, job in done.items()}


def _environment() -> dict[str, str]:
    """Return this one, with sets in the same order each time, and nobody who looks over the shoulder.

    The system's certificates, which nobody needs here, would be a quarter of all that is counted.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    return kept | {"PYTHONHASHSEED": "0", "SSL_CERT_FILE": os.devnull, "SSL_CERT_DIR": os.devnull}
