"""The session of an application: one for its life, for requests, WebSockets and mounted applications."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any

import aiohttp
import pytest
from fastapi import Depends, FastAPI, Request, WebSocket

from facturaonline_async import Config, FacturaOnline, InvalidInputError, SessionManager
from facturaonline_async.fastapi import health, lifespan, session
from facturaonline_async.testing import Emulator
from tests.fastapi.serving import served

pytestmark = pytest.mark.virtual_clock

Session = Annotated[SessionManager, Depends(session)]


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator() as emulator:
        yield emulator


async def get(url: str) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as http, http.get(url) as response:
        return response.status, await response.json()


async def test_requests_share_one_session_that_lives_as_long_as_the_application(emulator: Emulator) -> None:
    app = FastAPI(lifespan=lifespan(Config(base_url=emulator.base_url)))
    seen: list[SessionManager] = []

    @app.get("/series")
    async def series(session: Session) -> int:
        seen.append(session)
        return len(await FacturaOnline(session, emulator.credentials).series.list())

    emulator.add_serie(next(iter(emulator.state["empresas"])), letra="F", tipo_documento="factura")
    async with served(app) as url:
        assert [await get(f"{url}/series") for _ in range(2)] == [(200, 1)] * 2
        assert (len(set(map(id, seen))), seen[0].stats.is_closed) == (1, False)
    assert seen[0].stats.is_closed


async def test_the_inner_lifespan_runs_while_the_session_is_open(emulator: Emulator) -> None:
    told: list[str] = []

    @asynccontextmanager
    async def inner(app: FastAPI) -> AsyncIterator[Mapping[str, Any]]:
        manager: SessionManager = app.state.facturaonline
        yield {"colour": "blue"}
        told.append(f"closed: {manager.stats.is_closed}")

    app = FastAPI(lifespan=lifespan(Config(base_url=emulator.base_url), inner=inner))

    @app.get("/")
    async def state(request: Request, session: Session) -> list[Any]:
        return [request.state.colour, session.stats.is_closed]

    async with served(app) as url:
        assert await get(url) == (200, ["blue", False])
    assert told == ["closed: False"]


async def test_the_lifespan_can_be_entered_inside_the_applications_own(emulator: Emulator) -> None:
    told: list[str] = []

    @asynccontextmanager
    async def own(app: FastAPI) -> AsyncIterator[Mapping[str, Any]]:
        async with lifespan(Config(base_url=emulator.base_url))(app) as state:
            yield {**state, "colour": "blue"}
        told.append(f"closed: {state['facturaonline'].stats.is_closed}")

    app = FastAPI(lifespan=own)

    @app.get("/")
    async def state(request: Request, session: Session) -> list[Any]:
        return [request.state.colour, session.stats.is_closed]

    async with served(app) as url:
        assert await get(url) == (200, ["blue", False])
    assert told == ["closed: True"]


async def test_a_mounted_application_and_a_websocket_get_the_session(emulator: Emulator) -> None:
    app, mounted = FastAPI(lifespan=lifespan(Config(base_url=emulator.base_url))), FastAPI()
    app.mount("/mounted", mounted)

    @mounted.get("/")
    async def closed(session: Session) -> bool:
        return session.stats.is_closed

    @app.websocket("/live")
    async def live(websocket: WebSocket, session: Session) -> None:
        await websocket.accept()
        await websocket.send_json(session.stats.is_closed)
        await websocket.close()

    async with served(app, ws="websockets-sansio") as url:
        assert await get(f"{url}/mounted/") == (200, False)
        async with aiohttp.ClientSession() as http, http.ws_connect(f"{url}/live") as socket:
            assert await socket.receive_json() is False


async def test_an_application_without_the_lifespan_says_what_is_missing() -> None:
    with pytest.raises(RuntimeError, match="FastAPI\\(lifespan=lifespan\\(config\\)\\)"):
        await session(Request({"type": "http", "app": FastAPI()}))


async def test_settings_without_a_base_url_stop_the_start() -> None:
    app = FastAPI()
    with pytest.raises(InvalidInputError):
        async with lifespan(Config())(app):
            pass


async def test_the_health_route_shows_the_figures_of_the_session(emulator: Emulator) -> None:
    app = FastAPI(lifespan=lifespan(Config(base_url=emulator.base_url)))
    app.get("/health")(health)

    @app.post("/hold")
    async def hold(session: Session) -> None:
        session._engine._scheduler.hold("key", 30)

    @app.post("/close")
    async def close(session: Session) -> None:
        await session.aclose()

    async with served(app) as url, aiohttp.ClientSession() as http:
        figures = {"status": "ok", "waiting": 0, "in_flight": 0, "held_keys": 0, "held_for": 0.0}
        assert await get(f"{url}/health") == (200, figures)
        await http.post(f"{url}/hold")
        assert await get(f"{url}/health") == (200, figures | {"held_keys": 1, "held_for": 30.0})
        await http.post(f"{url}/close")
        status, body = await get(f"{url}/health")
        assert (status, body["status"]) == (503, "closed")
