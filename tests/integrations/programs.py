"""Example programs in processes of their own, with an emulator in this one."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from facturaonline_async.testing import Emulator

__all__ = ["EXAMPLES", "SETTLE", "Program", "created", "environment", "make_plan", "started"]

EXAMPLES = Path(__file__).parents[2] / "examples"

SETTLE = 1.0
"""Settle time of the programs, in seconds: the emulator's lists show a row at once."""


def environment(emulator: Emulator, **more: str) -> dict[str, str]:
    """Return the environment of a program that talks to an emulator."""
    keys = emulator.credentials
    return os.environ | {
        "FACTURAONLINE_BASE_URL": emulator.base_url,
        "FACTURAONLINE_API_KEY": keys.api_key.reveal(),
        "FACTURAONLINE_SECRET_KEY": keys.secret_key.reveal(),
        "SETTLE": str(SETTLE),
        "PYTHONUNBUFFERED": "1",
        **more,
    }


def make_plan(folder: Path, empresas: int) -> None:
    """Make a plan with certificates, with three series for each company."""
    command = [sys.executable, "-m", "facturaonline_async", "plan", "example", str(folder), "--empresas", str(empresas)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def created(emulator: Emulator) -> tuple[int, int, int]:
    """Return the number of companies and series that were made, and how many of them are duplicates."""
    empresas = Counter(row["rfc"] for row in emulator.state["empresas"].values() if not row.get("main"))
    series = Counter((row["empresa"], row["letra"], row["tipo_documento"]) for row in emulator.state["series"].values())
    return len(empresas), len(series), empresas.total() - len(empresas) + series.total() - len(series)


class Program:
    """A program that runs; its output is read meanwhile."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self._changed = asyncio.Condition()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            async with self._changed:
                self.lines.append(line.decode())
                self._changed.notify_all()
        async with self._changed:
            self._changed.notify_all()

    async def said(self, pattern: str) -> str:
        """Wait for a line, and return the first group of the pattern."""
        async with self._changed:
            while not (found := re.search(pattern, "".join(self.lines))):
                assert not self._reading.done(), "".join(self.lines)
                await self._changed.wait()
        return found[1]

    async def ended(self) -> int:
        """Return the exit code; negative: the number of the signal."""
        await self._reading
        return await self.process.wait()


@asynccontextmanager
async def started(*command: str, env: dict[str, str]) -> AsyncIterator[Program]:
    """Start a Python program; it is gone afterwards."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    program = Program(process)
    try:
        yield program
    finally:
        if process.returncode is None:
            process.kill()
        await program.ended()
