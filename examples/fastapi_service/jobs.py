"""Provisioning jobs that every worker process of a service can start, show and stop.

A job is a folder, and its files are what the workers have in common:

=================  =================================================================================================
``plan.csv``       the plan
``run.sqlite``     the journal of its run
``unfinished``     the job shall run: a worker that finds the mark takes the job
``lock``           held by the worker that has the job; the system frees it when that worker dies
``progress.json``  the latest figures, as of `ProgressSnapshot.to_dict`; ``problem`` is why the job could not go on
=================  =================================================================================================
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

from fastapi import HTTPException
from filelock import FileLock, Timeout

from facturaonline_async import FacturaOnline, FacturaOnlineError
from facturaonline_async.provision import Plan, Run, provision

LOOK = 0.25
"""Seconds between two looks at the files of other workers, and between two writes of the figures."""
PATIENCE = 10.0
"""Seconds for requests in flight at a shutdown; what is not answered then is recorded as unknown."""

log = logging.getLogger(__name__)


class Jobs:
    """The jobs of a service; used as ``async with`` while the session is open."""

    def __init__(self, client: FacturaOnline, folder: Path) -> None:
        self._client = client
        self._folder = folder
        self._runs: dict[str, Run] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._is_closing = False
        self._watching: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop all jobs of this worker, and wait for their requests in flight; the next process resumes them."""
        self._is_closing = True
        tasks = [*self._tasks.values()]
        for name in self._tasks:
            self._stop_here(name)
        if tasks:
            await asyncio.wait(tasks, timeout=PATIENCE)
        if self._watching is not None:
            tasks.append(self._watching)
        for task in tasks:
            task.cancel()  # a job that was not in time: its requests are recorded as unknown
        await asyncio.gather(*tasks, return_exceptions=True)

    # ── For routes ────────────────────────────────────────────────────────────────────────────────────────────────────

    def names(self) -> list[str]:
        """Return the names of all jobs that can be started."""
        return sorted(path.parent.name for path in self._folder.glob("*/plan.csv"))

    def figures(self, name: str) -> dict[str, Any]:
        """Return the latest figures of a job that was started, in whichever worker."""
        self._check(name)
        if (found := self._read(name)) is None:
            raise HTTPException(404, f"the job {name} has not been started: POST /jobs/{name}")
        return found

    async def follow(self, name: str) -> AsyncIterator[dict[str, Any]]:
        """Yield the figures of a job, and newer ones until it has ended, in whichever worker."""
        before = None
        while True:
            found = self._read(name)
            if found is not None and found != before:
                yield found
            if found is not None and found["phase"] == "ended":
                return
            before = found
            await asyncio.sleep(LOOK)

    async def start(self, name: str) -> dict[str, Any]:
        """Start a job, or resume it, unless a worker has it; return its figures once its plan was read."""
        self._check(name)
        task = self._take(name)
        mark = self._path(name, "unfinished")
        mark.touch()  # a worker that dies leaves it to the others
        while (found := self._read(name)) is None and mark.exists():
            await asyncio.sleep(LOOK)
        if task is not None and task.done() and not task.cancelled():
            task.result()  # raises the error of the plan or of the journal
        if found is None:
            raise HTTPException(409, f"the job {name} was stopped before it began")
        return found

    async def stop(self, name: str) -> dict[str, Any]:
        """Stop a job: no further company or serie is created, and requests in flight are recorded."""
        self._check(name)
        self._path(name, "unfinished").unlink(missing_ok=True)  # the worker that has the job sees that
        self._stop_here(name)
        while self._is_taken(name):
            await asyncio.sleep(LOOK)
        found = self.figures(name)
        if found["phase"] != "ended":  # the worker that had it was killed
            found |= {"phase": "ended"}
            self._write(name, found)
        return found

    def _check(self, name: str) -> None:
        if name not in self.names():
            raise HTTPException(404, f"there is no job {name}")

    # ── This worker's jobs ────────────────────────────────────────────────────────────────────────────────────────────

    async def _watch(self) -> None:
        """Take the jobs that no worker has, and stop those that another worker was asked to stop."""
        while not self._is_closing:
            for name in self.names():
                if self._path(name, "unfinished").exists():
                    self._take(name)
                else:
                    self._stop_here(name)
            await asyncio.sleep(LOOK)

    def _take(self, name: str) -> asyncio.Task[None] | None:
        """Start a job in this worker; return its task, or None if another worker has it."""
        if self._is_here(name):
            return self._tasks[name]
        lock = self._lock(name)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return None
        if (found := self._read(name)) is not None and found["phase"] == "ended":
            self._path(name, "progress.json").unlink()  # those of the run before; a job that goes on keeps them
        self._runs.pop(name, None)
        task = self._tasks[name] = asyncio.create_task(self._work(name))

        def leave(task: asyncio.Task[None]) -> None:
            lock.release()
            if not task.cancelled() and task.exception() is not None:
                log.error("job %s: %s", name, task.exception())

        task.add_done_callback(leave)
        return task

    async def _work(self, name: str) -> None:
        try:
            plan = await asyncio.to_thread(Plan.from_file, self._path(name, "plan.csv"))
            journal = self._path(name, "run.sqlite")
            async with provision(self._client, plan, journal=journal, settle=settle()) as run:
                self._runs[name] = run
                writing = asyncio.create_task(self._write_progress(name, run))
                async for _ in run:
                    pass
            await writing  # it ends with the run
        except Exception as error:
            seen = self._runs[name].progress.snapshot.to_dict() if name in self._runs else {}
            problem = str(error) if isinstance(error, FacturaOnlineError) else type(error).__name__
            self._write(name, seen | {"phase": "ended", "complete": False, "problem": problem})
            self._path(name, "unfinished").unlink(missing_ok=True)
            raise
        if not self._is_closing:  # else another process goes on with it
            self._write(name, run.progress.snapshot.to_dict())
            self._path(name, "unfinished").unlink(missing_ok=True)

    async def _write_progress(self, name: str, run: Run) -> None:
        async for snapshot in run.progress.follow(every=LOOK):
            if not snapshot.is_last:
                self._write(name, snapshot.to_dict())

    def _is_here(self, name: str) -> bool:
        return name in self._tasks and not self._tasks[name].done()

    def _stop_here(self, name: str) -> None:
        """Stop the run of a job in this worker, or cancel the task that has no run yet."""
        if name in self._runs:
            self._runs[name].stop()
        elif name in self._tasks:
            self._tasks[name].cancel()

    # ── Files ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _path(self, name: str, file: str) -> Path:
        return self._folder / name / file

    def _lock(self, name: str) -> FileLock:
        return FileLock(self._path(name, "lock"), thread_local=False)

    def _is_taken(self, name: str) -> bool:
        """Return whether a worker has the job."""
        if self._is_here(name):
            return True
        try:
            with self._lock(name).acquire(blocking=False):
                return False
        except Timeout:
            return True

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = json.loads(self._path(name, "progress.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return found

    def _write(self, name: str, figures: dict[str, Any]) -> None:
        """Write the figures so that readers see the old file or the new one."""
        part = self._path(name, f"progress.{os.getpid()}.part")
        part.write_text(json.dumps(figures), encoding="utf-8")
        part.replace(self._path(name, "progress.json"))


def settle() -> float | None:
    """Return the settle time for tests with an emulator, or None for the library's own."""
    return float(os.environ["SETTLE"]) if "SETTLE" in os.environ else None
