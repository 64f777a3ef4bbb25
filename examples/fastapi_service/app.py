"""A service: series for tenants, and provisioning jobs with live progress.

Settings come from the environment: FACTURAONLINE_BASE_URL; the main keys in FACTURAONLINE_API_KEY and
FACTURAONLINE_SECRET_KEY; JOBS, a folder with one folder for each job, which has the job's ``plan.csv``.

Run it with one worker, because jobs live in the process that started them. Behind several workers, put the jobs into a
program of their own.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException, Request
from fastapi.responses import FileResponse, StreamingResponse

from facturaonline_async import Config, Credentials, FacturaOnline, SessionManager
from facturaonline_async.fastapi import (
    cancel_on_disconnect,
    health,
    install_errors,
    lifespan,
    progress_events,
    session,
)
from facturaonline_async.provision import Plan, Run, provision

PATIENCE = 10.0
"""Seconds for requests in flight at a shutdown; what is not answered then is recorded as unknown."""


# ── Jobs ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Jobs:
    """The provisioning jobs of this process, by name."""

    def __init__(self, client: FacturaOnline, folder: Path) -> None:
        self._client = client
        self._folder = folder
        self._runs: dict[str, Run] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._begun: dict[str, asyncio.Future[None]] = {}

    def names(self) -> list[str]:
        """Return the names of all jobs that can be started."""
        return sorted(path.parent.name for path in self._folder.glob("*/plan.csv"))

    def run(self, name: str) -> Run:
        """Return the run of a job that was started in this process."""
        if name not in self._runs:
            raise HTTPException(404, f"the job {name} has not been started")
        return self._runs[name]

    async def start(self, name: str) -> None:
        """Start a job, or resume it, and return when its plan and journal were read."""
        if name not in self.names():
            raise HTTPException(404, f"there is no job {name}")
        if name not in self._tasks or self._tasks[name].done():
            self._runs.pop(name, None)
            self._begun[name] = asyncio.get_running_loop().create_future()
            self._tasks[name] = asyncio.create_task(self._work(name))
        task = self._tasks[name]
        await asyncio.wait({task, self._begun[name]}, return_when=asyncio.FIRST_COMPLETED)
        if name not in self._runs:
            if task.cancelled():
                raise HTTPException(409, f"the job {name} was stopped before it began")
            task.result()  # raises the error of the plan or of the journal

    async def _work(self, name: str) -> None:
        folder = self._folder / name
        unfinished = folder / "unfinished"
        plan = await asyncio.to_thread(Plan.from_file, folder / "plan.csv")
        async with provision(self._client, plan, journal=folder / "run.sqlite", settle=settle()) as run:
            self._runs[name] = run
            unfinished.touch()
            self._begun[name].set_result(None)
            async for _ in run:
                pass
        if run.progress.snapshot.is_complete:
            unfinished.unlink()

    async def stop(self, name: str) -> None:
        """Stop a job: no further company or serie is created, and requests in flight are recorded."""
        if name not in self._tasks:
            raise HTTPException(404, f"the job {name} has not been started")
        await self._end(name)

    async def _end(self, name: str) -> None:
        """Stop the run of a job, or cancel the task that has no run yet, and wait for its end."""
        task = self._tasks[name]
        if name in self._runs:
            await self._runs[name].stop()
        else:
            task.cancel()
        await asyncio.wait({task})

    async def resume(self) -> None:
        """Resume the jobs that an earlier process left, in the order of their names."""
        for path in sorted(self._folder.glob("*/unfinished")):
            await self.start(path.parent.name)

    async def aclose(self) -> None:
        """Stop all jobs, and wait for their requests in flight; the next process resumes them."""
        running = [name for name, task in self._tasks.items() if not task.done()]
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(*(self._end(name) for name in running))
        for task in self._tasks.values():
            task.cancel()  # those that were not in time: their requests are recorded as unknown
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)


def settle() -> float | None:
    """Return the settle time for tests with an emulator, or None for the library's own."""
    return float(os.environ["SETTLE"]) if "SETTLE" in os.environ else None


# ── The application ───────────────────────────────────────────────────────────────────────────────────────────────────


def keys_of(tenant: Annotated[str, Header(alias="X-Tenant")]) -> Credentials:
    """Return a tenant's key pair; a real service reads it from its own store."""
    variable = f"TENANT_{tenant.upper()}"
    if variable not in os.environ:
        raise HTTPException(403, "unknown tenant")
    api_key, secret_key = os.environ[variable].split(":")
    return Credentials(api_key=api_key, secret_key=secret_key)


def tenant(
    session: Annotated[SessionManager, Depends(session)], keys: Annotated[Credentials, Depends(keys_of)]
) -> FacturaOnline:
    """Return the tenant's client: the application's connections and limits, the tenant's keys."""
    return FacturaOnline(session, keys)


def jobs(request: Request) -> Jobs:
    """Return the jobs of this process."""
    found: Jobs = request.app.state.jobs
    return found


Tenant = Annotated[FacturaOnline, Depends(tenant)]
AllJobs = Annotated[Jobs, Depends(jobs)]


@asynccontextmanager
async def with_jobs(app: FastAPI) -> AsyncIterator[Mapping[str, Any]]:
    """Resume unfinished jobs at the start, and stop them before the session is closed."""
    keys = Credentials(api_key=os.environ["FACTURAONLINE_API_KEY"], secret_key=os.environ["FACTURAONLINE_SECRET_KEY"])
    found = app.state.jobs = Jobs(FacturaOnline(app.state.facturaonline, keys), Path(os.environ["JOBS"]))
    try:
        await found.resume()
        yield {}
    finally:
        await found.aclose()


def make_app() -> FastAPI:
    """Return the application; its settings come from the environment."""
    config = Config(base_url=os.environ["FACTURAONLINE_BASE_URL"], max_wait=300)
    app = FastAPI(title="Series", lifespan=lifespan(config, inner=with_jobs))
    install_errors(app)
    app.get("/health")(health)

    @app.post("/series/{letra}")
    async def ensure_serie(request: Request, client: Tenant, letra: str) -> dict[str, int]:
        async with cancel_on_disconnect(request):
            serie = await client.series.ensure(letra=letra, tipo_documento="factura")
        return {"uid": serie.uid}

    @app.get("/jobs")
    async def names(jobs: AllJobs) -> list[str]:
        return jobs.names()

    @app.post("/jobs/{name}", status_code=202)
    async def start(jobs: AllJobs, name: str) -> dict[str, Any]:
        await jobs.start(name)
        return jobs.run(name).progress.snapshot.to_dict()

    @app.get("/jobs/{name}")
    async def snapshot(jobs: AllJobs, name: str) -> dict[str, Any]:
        return jobs.run(name).progress.snapshot.to_dict()

    @app.get("/jobs/{name}/events")
    async def events(jobs: AllJobs, name: str) -> StreamingResponse:
        return progress_events(jobs.run(name).progress)

    @app.delete("/jobs/{name}")
    async def stop(jobs: AllJobs, name: str) -> dict[str, Any]:
        await jobs.stop(name)
        return jobs.run(name).progress.snapshot.to_dict()

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(Path(__file__).parent / "page.html")

    return app
