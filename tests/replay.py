"""A server on loopback that gives one prepared answer to whatever it is asked, and remembers what that was."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from attrs import define, field, frozen

from facturaonline_async import Config, Credentials, FacturaOnline, connect

RECORDED = Path(__file__).parent / "wire"

#: Made up, in the shape of the API's own: base64 of a bcrypt string.
CREDENTIALS = Credentials(
    api_key="JDJ5JDEwJE1hZGVVcEZvclRlc3RzT25seS5OL0EuLi4uLi4uLi4uLi4uLi4uLi4uLi4u",
    secret_key="JDJ5JDEwJEFsc29NYWRlVXBGb3JUZXN0cy5OL0EuLi4uLi4uLi4uLi4uLi4uLi4uLi4u",
)


@frozen
class Asked:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@define
class Replay:
    base_url: str = ""
    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(factory=dict)
    asked: list[Asked] = field(factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(
            Asked(request.method, request.path, dict(request.query), dict(request.headers), await request.read())
        )
        return web.Response(status=self.status, body=self.body, headers=self.headers)


@asynccontextmanager
async def replay(
    body: str | bytes, *, status: int = 200, headers: dict[str, str] | None = None
) -> AsyncIterator[Replay]:
    """Serve the answer on a free port of loopback."""
    server = Replay(body=body if isinstance(body, bytes) else body.encode(), status=status, headers=headers or {})
    app = web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/api"
    try:
        yield server
    finally:
        await runner.cleanup()


@asynccontextmanager
async def replaying(
    body: str | bytes, *, status: int = 200, headers: dict[str, str] | None = None, config: Config | None = None
) -> AsyncIterator[tuple[FacturaOnline, Replay]]:
    """Serve the answer, and connect to it."""
    async with (
        replay(body, status=status, headers=headers) as server,
        connect(CREDENTIALS, base_url=server.base_url, config=config or Config(check_sello=False)) as client,
    ):
        yield client, server


def recorded(resource: str, case: str) -> str:
    return (RECORDED / resource / f"{case}.json").read_text(encoding="utf-8")
