"""Journals for tests: written by the real step, by this process or by one that can be killed."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

from facturaonline_async._core.once.states import Origin, StepState
from facturaonline_async.provision._journal.protocol import Journal
from facturaonline_async.provision._journal.reader import open_to_read
from facturaonline_async.provision._journal.writer import COLUMNS, SqliteJournal, read_step
from facturaonline_async.provision._steps import Step

HOST = "https://api.example.mx"
KINDS = (("F", "factura"), ("P", "pago"), ("N", "nomina"))
WORKER = """
import asyncio, sys
from facturaonline_async.provision._journal.writer import SqliteJournal
from facturaonline_async._core.once.states import Origin, StepState
from facturaonline_async.provision._steps import Step

async def main(path):
    async with await SqliteJournal.open(path, account="keys", host="https://api.example.mx") as journal:
        step = Step(number=900, owner="WRK900101AAA")
        await journal.adjust(add=[step] if not await journal.steps_of_row(step.rfc) else [])
        for sends, _ in enumerate(iter(sys.stdin.readline, "end\\n"), 1):
            step.sends, step.state = sends, StepState.INTENT
            await journal.save(step)
            print("saved", flush=True)

asyncio.run(main(sys.argv[1]))
"""


def rfc(number: int) -> str:
    return f"AAA0101{number // 1000 + 10:02}{number % 1000:03}"


def row(
    number: int, phase: StepState = StepState.PLANNED, how: Origin | None = None, *, series: int = 0, reason: str = ""
) -> list[Step]:
    """Make a company with planned series."""
    empresa = Step(number=number, owner=rfc(number), state=phase, origin=how, reason=reason)
    return [empresa, *(Step.of_serie(number, rfc(number), a, b) for a, b in KINDS[:series])]


def mixed(rows: int, seed: int = 1) -> list[Step]:
    """Make rows with three series each, of all phases."""
    dice = random.Random(seed)
    steps = [step for number in range(2, rows + 2) for step in row(number, series=3)]
    for step in steps:
        step.state = dice.choice(list(StepState))
        if step.state is StepState.DONE:
            step.origin = dice.choice(list(Origin))
            step.uid = str(dice.randrange(10**6))
        elif step.state is not StepState.PLANNED:
            step.reason = dice.choice(["HTTP 503, nothing came back", "la contraseña no es de la llave", "ya existe"])
    return steps


async def write(path: Path, steps: Sequence[Step]) -> None:
    """Write a journal as a run does, and end it."""
    async with await SqliteJournal.open(path, account="keys", host=HOST) as journal:
        await fill(journal, steps)


async def fill(journal: SqliteJournal, steps: Sequence[Step]) -> None:
    await journal.adjust(add=steps)
    await journal.adjust(save=[step for step in steps if step.state is not StepState.PLANNED])


async def all_steps(journal: Journal) -> list[Step]:
    """Return all steps of an open journal, as the comparison with a plan reads them."""
    rfcs, _ = await journal.owners(limit=10_000)
    found = await journal.steps_of_rows(rfcs)
    return [step for steps in found.values() for step in steps]


def recorded(path: Path) -> list[Step]:
    """Return the steps of a journal's file in the plan's order."""
    with open_to_read(path) as connection:
        return read_steps(connection)


def read_steps(connection: sqlite3.Connection) -> list[Step]:
    """Return the steps of an open journal in the plan's order."""
    order = "number, kind <> 'empresas', rowid"
    return list(map(read_step, connection.execute(f"SELECT {', '.join(COLUMNS)} FROM steps ORDER BY {order}")))  # noqa: S608


def alter(path: Path, *statements: str, **values: float) -> None:
    """Change what a journal says behind its back: moments, mostly."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement, values)


def state(step: Step) -> str:
    unfinished = "not_tried" if step.state is StepState.PLANNED else step.state.value
    return step.origin.value if step.origin else unfinished


def counted(steps: Iterable[Step], *, empresas: bool) -> dict[str, int]:
    found: dict[str, int] = {}
    for step in steps:
        if step.is_empresa is empresas:
            found[state(step)] = found.get(state(step), 0) + 1
    return found


@asynccontextmanager
async def worker(path: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Work with a journal in a process of its own; it has written down one intent when this begins."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WORKER, str(path), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        await save(process)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def save(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"save\n")
    assert await process.stdout.readline() == b"saved\n"


async def end(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    process.stdin.write(b"end\n")
    assert await process.wait() == 0
