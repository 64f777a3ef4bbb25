"""A web service for ``uvicorn --workers 4``: every worker process has a session, and all of them share a database.

The environment has the API's URL and keys, and the database's URL; without it the workers share nothing.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from fastapi import FastAPI

from facturaonline_async import Config, Credentials, FacturaOnline, FacturaOnlineError, Rate, SessionManager
from facturaonline_async.postgres import Postgres

CONFIG = Config(base_url=os.environ.get("TESTS_API", "http://127.0.0.1:1/api"), rates=(), host_rates=Rate(10, 1))


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    keys = Credentials(api_key=os.environ["TESTS_API_KEY"], secret_key=os.environ["TESTS_SECRET_KEY"])
    url = os.environ.get("TESTS_DATABASE")
    async with AsyncExitStack() as stack:
        pg = None if url is None else await stack.enter_async_context(Postgres(url))
        session = await stack.enter_async_context(SessionManager(CONFIG, shared=pg))
        app.state.client = FacturaOnline(session, keys)
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/series/{uid}")
async def get(uid: int) -> dict[str, Any]:
    try:
        await app.state.client.series.get(uid)
    except FacturaOnlineError as error:
        return {"pid": os.getpid(), "error": type(error).__name__}
    return {"pid": os.getpid()}


@app.post("/series/{letra}")
async def ensure(letra: str) -> dict[str, Any]:
    serie = await app.state.client.series.ensure(letra=letra, tipo_documento="factura")
    return {"pid": os.getpid(), "uid": serie.uid}
