"""A handler whose client goes away: its call is cancelled, and its place is free."""

from __future__ import annotations

import asyncio
from typing import Annotated

import aiohttp
import pytest
from fastapi import Depends, FastAPI, Request

from facturaonline_async import Config, FacturaOnline, SessionManager
from facturaonline_async.errors import NotFoundError
from facturaonline_async.fastapi import cancel_on_disconnect, install_errors, lifespan, session
from facturaonline_async.testing import Emulator, Fault
from tests.fastapi.serving import served


def listing(emulator: Emulator, ended: asyncio.Queue[str]) -> FastAPI:
    """Return an application that lists series, and says how that ended."""
    app = FastAPI(lifespan=lifespan(Config(base_url=emulator.base_url, concurrency=1)))
    install_errors(app)

    @app.post("/series")
    async def series(
        request: Request, session: Annotated[SessionManager, Depends(session)], body: dict[str, str]
    ) -> list[str]:
        async with cancel_on_disconnect(request):
            try:
                found = await FacturaOnline(session, emulator.credentials).series.list()
            except asyncio.CancelledError:
                ended.put_nowait("cancelled")
                raise
        return [*body, *(serie.letra for serie in found)]

    @app.get("/missing")
    async def missing(request: Request) -> None:
        async with cancel_on_disconnect(request):
            raise NotFoundError("no")

    return app


async def test_a_client_that_goes_away_cancels_its_call_and_frees_its_slot(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ended: asyncio.Queue[str] = asyncio.Queue()
    async with (
        Emulator() as emulator,
        served(listing(emulator, ended)) as url,
        aiohttp.ClientSession() as http,
    ):
        emulator.inject(Fault.delay(3600), endpoint="series.list")
        gone = asyncio.create_task(http.post(f"{url}/series", json={"a": "b"}))
        while not emulator.count("series.list"):  # noqa: ASYNC110  # nothing rings a bell
            await asyncio.sleep(0.01)
        gone.cancel()
        assert await ended.get() == "cancelled"
        async with http.post(f"{url}/series", json={"a": "b"}) as response:  # the only slot is free
            assert (response.status, await response.json()) == (200, ["a"])
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_client_that_stays_gets_its_answer_or_its_error() -> None:
    async with (
        Emulator() as emulator,
        served(listing(emulator, asyncio.Queue())) as url,
        aiohttp.ClientSession() as http,
    ):
        async with http.post(f"{url}/series", json={"a": "b"}) as response:
            assert (response.status, await response.json()) == (200, ["a"])
        async with http.get(f"{url}/missing") as response:
            assert response.status == 404
