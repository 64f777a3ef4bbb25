"""What a journal costs after its run: ``python -m benchmarks.bench_resume [--quick] [--uvloop]``.

Resuming a finished run is measured as CPU and as instructions for each row of its plan. Reading a large journal is
measured with the commands `report` and `status`.

The journals are written by the library's own writer, without a run. Each row is a company, whose certificate and key
are two files of its own, and three series.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from itertools import islice
from pathlib import Path
from typing import Final

import anyio

from benchmarks.command import Scale, run
from benchmarks.counting import VALGRIND, counted, in_children
from benchmarks.figures import Figure
from benchmarks.plans import SERIES, company_uid, write_plan
from benchmarks.server import Account, emulated
from facturaonline_async import Config, Credentials, connect
from facturaonline_async._cli import report, status
from facturaonline_async._cli.example import example_rfcs
from facturaonline_async._core.once.states import Origin, StepState
from facturaonline_async.provision import Plan, provision
from facturaonline_async.provision._engine import series
from facturaonline_async.provision._engine.row_progress import RowProgress
from facturaonline_async.provision._journal.digests import empresa_digest
from facturaonline_async.provision._journal.writer import SqliteJournal
from facturaonline_async.provision._steps import Step

__all__ = ["measure"]

_COUNTED: Final = (100, 500)
"""Rows of the two runs whose instructions are counted."""


async def measure(scale: Scale) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        figures = [await _resumed(folder / "resume", scale)]
        if VALGRIND is not None and scale.rounds > 1:
            figures.append(await _instructions(folder))
        return figures + await _read(folder / "report.sqlite", scale)


# ── Resume ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _resumed(folder: Path, scale: Scale) -> Figure:
    with emulated(companies=scale.companies) as account:
        plan = await finish(folder, scale.companies, account)
        costs = []
        for _ in range(scale.rounds):
            began = time.process_time()
            await resume(plan, folder, account)
            costs.append((time.process_time() - began) / scale.companies * 1e3)
    return Figure.median(costs, f"resume a finished run, {scale.companies:,} rows", "CPU for a row", "ms")


async def resume(plan: Plan, folder: Path, account: Account) -> None:
    """Resume the finished run."""
    async with (
        connect(account.keys, base_url=account.url, config=Config(rates=(), check_sello=False)) as client,
        provision(client, plan, journal=folder / "run.sqlite") as run,
    ):
        async for _ in run:
            raise RuntimeError("a finished row was processed again")
    if not run.report.is_complete:
        raise RuntimeError(f"the run is not complete: {run.report}")


async def finish(folder: Path, rows: int, account: Account) -> Plan:
    """Write a plan, and the journal of a run that finished it."""
    await anyio.Path(folder).mkdir()
    plan = write_plan(folder, rows, is_certified=False)
    keys = account.keys.fingerprint
    async with await SqliteJournal.open(folder / "run.sqlite", account=keys, host=account.url) as journal:
        steps = []
        for number, row in enumerate(plan):
            progress = RowProgress.of(row, row.rfc)
            progress.empresa.digest = empresa_digest(journal, await row.load())
            for wanted, step in zip(row.series, progress.series, strict=True):
                step.digest = journal.digest(series.digest(wanted))
            steps += [done(step, company_uid(number)) for step in progress.steps]
        await journal.adjust(add=steps)
        await journal.adjust(save=steps)
    return plan


def done(step: Step, uid: str) -> Step:
    """Return the step as a run leaves it: created, and audited."""
    step.state, step.origin, step.sends = StepState.DONE, Origin.CREATED, 1
    step.uid = uid if step.is_empresa else str(int(uid, 16))
    return step


async def _instructions(folder: Path) -> Figure:
    """Count what resuming takes for a row: reading the plan and resuming, without reading the plan."""
    jobs = dict.fromkeys(("read", "resume"), _COUNTED)
    with ExitStack() as stack:
        accounts = {}
        for rows in _COUNTED:
            account = stack.enter_context(emulated(companies=rows))
            await finish(folder / str(rows), rows, account)
            keys = account.keys.api_key.reveal(), account.keys.secret_key.reveal()  # those of an emulator
            accounts[str(rows)] = [account.url, *keys]
        counts = await counted("benchmarks.bench_resume", [str(folder), json.dumps(accounts)], jobs)
    millions = (counts["resume"] - counts["read"]) / 1e6
    return Figure("resume a finished run", "instructions for a row", millions, "million")


def _count(folder: str, accounts: str, *jobs: str) -> None:
    by_rows = json.loads(accounts)

    async def do(job: str, rows: int) -> None:
        path = Path(folder, str(rows))
        plan = Plan.from_csv(path / "plan.csv")
        if job == "resume":
            url, api_key, secret_key = by_rows[str(rows)]
            await resume(plan, path, Account(url, Credentials(api_key=api_key, secret_key=secret_key)))

    in_children(jobs, do)


# ── Reading a journal ─────────────────────────────────────────────────────────────────────────────────────────────────


async def _read(path: Path, scale: Scale) -> list[Figure]:
    async with await SqliteJournal.open(path, account="keys", host="https://api.example.mx") as journal:
        steps = list(_ended(scale.items))
        await journal.adjust(add=steps)
        await journal.adjust(save=steps)
    outputs: dict[str, Callable[[], None]] = {
        "report --html": lambda: report.command(path, html=path.with_suffix(".html"), force=True),
        "report --json": lambda: report.command(path, in_json=True),
        "report": lambda: report.command(path),
        "status": lambda: status.command(path),
    }
    figures = []
    for name, command in outputs.items():
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
        steps = [Step(number=number + 2, owner=rfc), *(Step.of_serie(number + 2, rfc, *each[:2]) for each in SERIES)]
        if number % 100 == 1:
            steps[0].state = StepState.FAILED
            steps[0].reason = f"The password does not open the key of {rfc}."
        elif number % 100 != 2:
            steps = [done(step, company_uid(number)) for step in steps]
        yield from steps


if __name__ == "__main__":
    if sys.argv[1:2] == ["count"]:
        _count(*sys.argv[2:])
    else:
        run("resume", measure)
