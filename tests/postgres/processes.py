"""Processes with sessions, which are started together, and are killed and stopped."""

from __future__ import annotations

import asyncio
import json
import random
import signal
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from attrs import define, evolve, field

from tests.postgres.session_worker import Job, arguments

__all__ = ["Processes", "copies"]


def copies(job: Job, count: int = 4) -> list[Job]:
    """Return the same job for so many processes, each with its number."""
    return [evolve(job, number=number) for number in range(1, count + 1)]


@define(eq=False)
class Processes:
    """One process for each job.

    Attributes:
        jobs: What each does.
        restarts: Whether a killed one is started again.
        results: What those printed that came to their end.
        running: Those at work, by the number of their job.
        are_ready: Set when all are ready; then they begin.
        kills: Number of those that were killed.
        stops: Number of those that were stopped.

    """

    jobs: Sequence[Job]
    restarts: bool = True
    results: list[dict[str, Any]] = field(factory=list)
    running: dict[int, Process] = field(factory=dict)
    are_ready: asyncio.Event = field(factory=asyncio.Event)
    kills: int = 0
    stops: int = 0
    _ready: int = 0

    async def run(self) -> None:
        """Run them, until each has come to its end."""
        try:
            async with asyncio.TaskGroup() as group:
                for job in self.jobs:
                    group.create_task(self._keep(job))
        finally:
            self.are_ready.set()  # also if a process has failed before

    @property
    def errors(self) -> Counter[str]:
        """How many errors of each class those had that came to their end."""
        return sum((Counter(result["errors"]) for result in self.results), Counter())

    async def _keep(self, job: Job) -> None:
        while True:
            command = ["setpriv", "--pdeathsig", "KILL", *arguments(job)]  # none outlives the tests
            process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, limit=1 << 24)
            assert process.stdout is not None
            self.running[job.number] = process
            try:
                if await process.stdout.readline():
                    self._ready += 1
                if self._ready >= len(self.jobs):
                    self.are_ready.set()
                await self.are_ready.wait()
                out, _ = await process.communicate(b"begin\n")
            finally:
                del self.running[job.number]
                with suppress(ProcessLookupError):
                    process.kill()
            if process.returncode != -signal.SIGKILL:
                assert process.returncode == 0
                self.results.append(json.loads(out.splitlines()[-1]))
                return
            if not self.restarts:
                return

    async def disturb(self, dice: random.Random, kills: int, stops: int) -> None:
        """Kill and stop processes at random moments."""
        await self.are_ready.wait()
        for what in dice.sample(["kill"] * kills + ["stop"] * stops, kills + stops):
            await asyncio.sleep(dice.uniform(0.1, 1.5))
            if not self.running:
                return
            process = dice.choice([*self.running.values()])
            with suppress(ProcessLookupError):
                if what == "kill":
                    process.kill()
                    self.kills += 1
                else:
                    process.send_signal(signal.SIGSTOP)
                    self.stops += 1
                    await asyncio.sleep(dice.choice([0.5, 2, 7]))
                    process.send_signal(signal.SIGCONT)
