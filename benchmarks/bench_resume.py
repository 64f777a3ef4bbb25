"""What a journal costs after its run, resumed and reported: ``python -m benchmarks.bench_resume``.

Each row is a company, whose certificate and key are two files of its own, and three series.
"""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from itertools import islice
from pathlib import Path
from typing import Final

from benchmarks.command import Scale, run
from benchmarks.figures import Figure
from benchmarks.plans import SERIES, company_uid, write_plan
from benchmarks.server import emulated
from facturaonline_async import Config, connect
from facturaonline_async._cli import report, status
from facturaonline_async._cli.example import example_rfcs
from facturaonline_async._core.once.states import Origin, StepState
from facturaonline_async.provision import provision
from facturaonline_async.provision._journal.writer import SqliteJournal
from facturaonline_async.provision._steps import Step

__all__ = ["measure"]

_SETTLE: Final = 2.0
"""Seconds that the first run waits before its audit."""


async def measure(scale: Scale) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        return [await _resumed(Path(name), scale), *await _read(Path(name, "report.sqlite"), scale)]


async def _resumed(folder: Path, scale: Scale) -> Figure:
    """Measure a run that finds everything done, after one that did it."""
    plan, costs = write_plan(folder, scale.companies // 5, is_certified=False), []
    with emulated() as account:
        for number in range(-1, scale.rounds):
            began, processed = time.process_time(), 0
            async with (
                connect(account.keys, base_url=account.url, config=Config(rates=(), check_sello=False)) as client,
                provision(client, plan, journal=folder / "run.sqlite", settle=_SETTLE) as run,
            ):
                async for _ in run:
                    processed += 1
            if not run.report.is_complete or processed != (len(plan) if number < 0 else 0):
                raise RuntimeError(f"{processed} rows were processed: {run.report}")
            if number >= 0:
                costs.append((time.process_time() - began) / len(plan) * 1e3)
    return Figure.median(costs, f"resume a finished run, {len(plan):,} rows", "CPU for a row", "ms")


async def _read(path: Path, scale: Scale) -> list[Figure]:
    """Measure the commands that read a large journal, which the library's own writer wrote without a run."""
    async with await SqliteJournal.open(path, account="keys", host="https://api.example.mx") as journal:
        steps = list(_ended(scale.items))
        await journal.adjust(add=steps)
        await journal.adjust(save=steps)
    commands: dict[str, Callable[[], None]] = {
        "report --html": lambda: report.command(path, html=path.with_suffix(".html"), force=True),
        "status": lambda: status.command(path),
    }
    figures = []
    for name, command in commands.items():
        spent = []
        for _ in range(min(scale.rounds, 3)):
            with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                began = time.process_time()
                command()
                spent.append(time.process_time() - began)
        figures.append(Figure.median(spent, f"{name}, {scale.items:,} rows", "CPU", "s"))
    return figures


def _ended(rows: int) -> Iterator[Step]:
    """Yield the steps of a run that ended: one company of a hundred was refused, and one was not tried."""
    for number, rfc in enumerate(islice(example_rfcs(), rows)):
        empresa = Step(number=number + 2, owner=rfc)
        series = [Step.of_serie(number + 2, rfc, letra, tipo) for letra, tipo, _ in SERIES]
        if number % 100 == 1:
            empresa.state = StepState.FAILED
            empresa.reason = f"The password does not open the key of {rfc}."
        elif number % 100 != 2:
            for step, uid in zip((empresa, *series), (company_uid(number), "1", "2", "3"), strict=True):
                step.state, step.origin, step.sends, step.uid = StepState.DONE, Origin.CREATED, 1, uid
        yield from (empresa, *series)


if __name__ == "__main__":
    run("resume", measure)
