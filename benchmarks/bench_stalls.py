"""Stalls of the event loop and memory of large plans: ``python -m benchmarks.bench_stalls``.

A plan is read in a thread and run twice with one journal. The first run adopts companies that exist, creates a serie of
each and audits them; the second one finds everything done. Each plan has a process of its own, and so has the emulator.

A stall is one iteration of the event loop: no other task can run in it. It is measured in CPU time of the loop's
thread, which other processes do not change. A garbage collection stalls the loop in any thread, because it holds the
GIL; its length depends on all objects of the process. So it is a measure of its own.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, create_subprocess_exec
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from threading import get_ident
from typing import Any, Final

import anyio.lowlevel
from attrs import define, field

from benchmarks.command import Scale, run, run_in_loop
from benchmarks.figures import Figure
from benchmarks.server import emulated
from facturaonline_async import Config, Credentials, connect
from facturaonline_async._cli.example import example_rfcs
from facturaonline_async.provision import Plan, provision
from facturaonline_async.provision._engine import resume
from facturaonline_async.provision._engine.inventory import Inventory
from facturaonline_async.provision._journal.writer import SqliteJournalStore
from tests.plans import ROW, written

__all__ = ["measure"]

_ROWS: Final = 16
"""Rows in progress. Without rate limits they come in bursts: 128 at once take 50 ms, however long the plan is."""

_LONGEST_SETTLE: Final = 20.0
#: Coroutine functions that are measured apart, by phase.
_PHASES: Final[dict[str, tuple[Any, str]]] = {
    "list the companies": (Inventory, "read"),
    "open the journal": (SqliteJournalStore, "open"),
    "compare plan and journal": (resume, "begin"),
    "audit the companies": (Inventory, "audit"),
}


async def measure(scale: Scale) -> list[Figure]:
    figures = []
    for rows in scale.plans:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder, emulated(companies=rows) as account:
            path = written(Path(folder), [_row(rfc) for rfc in islice(example_rfcs(), rows)])
            keys = [account.keys.api_key.reveal(), account.keys.secret_key.reveal()]
            module = [sys.executable, "-m", "benchmarks.bench_stalls"]
            process = await create_subprocess_exec(*module, "measure", path, account.url, *keys, stdout=PIPE)
            found = json.loads((await process.communicate())[0])
        for phase, longest in found["phases"].items():
            case = f"{rows:,} rows: {phase}"
            figures += [Figure(case, measure, seconds * 1e3, "ms") for measure, seconds in longest.items()]
        figures.append(Figure(f"{rows:,} rows", "peak memory", found["peak"], "MiB"))
    return figures


def _row(rfc: str) -> dict[str, str]:
    return {**ROW, "rfc": rfc, "password": f"password of {rfc}", "series": "F:factura:1"}


# ── The measured process ──────────────────────────────────────────────────────────────────────────────────────────────


@define
class Meter:
    """Longest stalls by phase, in seconds of CPU time.

    Phases may run side by side. A stall counts for each phase that was active in its iteration.
    """

    phases: dict[str, dict[str, float]] = field(factory=dict)
    _active: list[str] = field(factory=list)
    _touched: set[str] = field(factory=set)  # by this iteration of the loop
    _loop_thread: int = field(factory=get_ident)
    _collection_began: float = 0.0
    _collected: float = 0.0  # in this iteration of the loop

    def _note(self, measure: str, seconds: float) -> None:
        for phase in self._touched or {"anything else"}:
            longest = self.phases.setdefault(phase, {})
            longest[measure] = max(longest.get(measure, 0.0), seconds)

    def on_collection(self, moment: str, _: object) -> None:
        """Measure a garbage collection, in any thread."""
        if moment == "start":
            self._collection_began = time.thread_time()
            return
        seconds = time.thread_time() - self._collection_began
        self._note("longest garbage collection", seconds)
        if get_ident() == self._loop_thread:
            self._collected += seconds

    def on_iteration(self, run_once: Callable[[], None]) -> None:
        """Measure an iteration of the event loop."""
        self._touched, self._collected, began = set(self._active), 0.0, time.thread_time()
        run_once()
        self._note("longest stall", time.thread_time() - began - self._collected)

    @contextmanager
    def during(self, phase: str) -> Iterator[None]:
        self._active.append(phase)
        self._touched.add(phase)
        try:
            yield
        finally:
            self._active.remove(phase)

    def watch(self, phase: str, owner: Any, name: str) -> None:
        """Measure a coroutine function as a phase."""
        function = getattr(owner, name)

        async def measured(*arguments: Any, **named: Any) -> Any:
            with self.during(phase):
                return await function(*arguments, **named)

        setattr(owner, name, measured)


class MeteredLoop(asyncio.SelectorEventLoop):
    """Event loop that measures its iterations."""

    meter: Meter

    def _run_once(self) -> None:
        self.meter.on_iteration(super()._run_once)  # type: ignore[misc]  # private


async def _run_twice(path: Path, url: str, keys: Credentials, meter: Meter) -> None:
    with meter.during("read the plan"):
        plan = await asyncio.to_thread(Plan.from_csv, path)
    config, settle = Config(rates=(), check_sello=False), min(_LONGEST_SETTLE, len(plan) / 500)
    for phase in ("rows", "finished rows"):
        with meter.during(phase):
            async with (
                connect(keys, base_url=url, config=config) as client,
                provision(client, plan, journal=path.with_name("run.sqlite"), settle=settle, concurrency=_ROWS) as run,
            ):
                async for _ in run:
                    pass
            if not run.report.is_complete:
                raise RuntimeError(f"the run failed: {run.report}")
        with meter.during("forget the run"):
            await asyncio.sleep(0)  # an iteration of its own
            del run, client
            await asyncio.sleep(0)


def _measure_here(path: str, url: str, api_key: str, secret_key: str) -> None:
    """Measure in this process, and print what was found."""
    asyncio.run(anyio.lowlevel.checkpoint())  # its first use imports a module, which takes 40 ms
    meter = MeteredLoop.meter = Meter()
    gc.callbacks.append(meter.on_collection)
    for phase, place in _PHASES.items():
        meter.watch(phase, *place)
    keys = Credentials(api_key=api_key, secret_key=secret_key)
    work = _run_twice(Path(path), url, keys, meter)
    if "BENCH_LOOP" in os.environ:  # iterations of another loop cannot be measured: only collections and memory
        run_in_loop(work)
    else:
        with asyncio.Runner(loop_factory=MeteredLoop) as runner:
            runner.run(work)
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    peak = next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM:"))
    print(json.dumps({"phases": meter.phases, "peak": peak}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        _measure_here(*sys.argv[2:])
    else:
        run("stalls", measure)
