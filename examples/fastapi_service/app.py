"""A service: series for tenants, and provisioning jobs with live progress.

Settings come from the environment: FACTURAONLINE_BASE_URL; the main keys in FACTURAONLINE_API_KEY and
FACTURAONLINE_SECRET_KEY; JOBS, a folder with one folder for each job, which has the job's ``plan.csv``.

With several workers (``uvicorn --workers 4``) also FACTURAONLINE_DATABASE_URL, a database with the schema of
``facturaonline postgres install``: through it the workers share one set of rates and create nothing twice. Jobs work
with any number of workers of one machine, see ``jobs.py``.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException, Request, WebSocket, WebSocketDisconnect
from fastapi.requests import HTTPConnection
from fastapi.responses import FileResponse, StreamingResponse
from jobs import Jobs

from facturaonline_async import Config, Credentials, FacturaOnline, SessionManager
from facturaonline_async.fastapi import (
    cancel_on_disconnect,
    health,
    install_errors,
    lifespan,
    progress_events,
    session,
)


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


def jobs(connection: HTTPConnection) -> Jobs:
    """Return the jobs of the service."""
    found: Jobs = connection.app.state.jobs
    return found


Tenant = Annotated[FacturaOnline, Depends(tenant)]
AllJobs = Annotated[Jobs, Depends(jobs)]


@asynccontextmanager
async def with_session(app: FastAPI) -> AsyncIterator[Mapping[str, Any]]:
    """Open the session of this worker, and the database that the workers share if there is one."""
    config = Config(base_url=os.environ["FACTURAONLINE_BASE_URL"], max_wait=300)
    async with AsyncExitStack() as stack:
        shared = None
        if "FACTURAONLINE_DATABASE_URL" in os.environ:
            from facturaonline_async.postgres import Postgres  # noqa: PLC0415  # it needs the extra postgres

            shared = await stack.enter_async_context(Postgres())
        yield await stack.enter_async_context(lifespan(config, shared=shared, inner=with_jobs)(app))


@asynccontextmanager
async def with_jobs(app: FastAPI) -> AsyncIterator[Mapping[str, Any]]:
    """Resume unfinished jobs at the start, and stop them before the session is closed."""
    keys = Credentials(api_key=os.environ["FACTURAONLINE_API_KEY"], secret_key=os.environ["FACTURAONLINE_SECRET_KEY"])
    async with Jobs(FacturaOnline(app.state.facturaonline, keys), Path(os.environ["JOBS"])) as app.state.jobs:
        yield {}


def make_app() -> FastAPI:
    """Return the application; its settings come from the environment."""
    app = FastAPI(title="Series", lifespan=with_session)
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
        return await jobs.start(name)

    @app.get("/jobs/{name}")
    async def figures(jobs: AllJobs, name: str) -> dict[str, Any]:
        return jobs.figures(name)

    @app.get("/jobs/{name}/events")
    async def events(jobs: AllJobs, name: str) -> StreamingResponse:
        jobs.figures(name)  # 404 if it was not started
        return progress_events(jobs.follow(name))

    @app.websocket("/jobs/{name}/socket")
    async def socket(websocket: WebSocket, jobs: AllJobs, name: str) -> None:
        jobs.figures(name)  # 404 instead of a connection
        await websocket.accept()
        with suppress(WebSocketDisconnect):  # the job goes on
            async for each in jobs.follow(name):
                await websocket.send_json(each)
            await websocket.close()

    @app.delete("/jobs/{name}")
    async def stop(jobs: AllJobs, name: str) -> dict[str, Any]:
        return await jobs.stop(name)

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(Path(__file__).parent / "page.html")

    return app
