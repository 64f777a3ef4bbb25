"""The README's examples, run as they stand."""

from __future__ import annotations

import ast
import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvicorn

from facturaonline_async import errors
from facturaonline_async.testing import Emulator, Fault

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")

pytestmark = pytest.mark.virtual_clock


def blocks(heading: str) -> list[str]:
    """Return the Python below a heading."""
    (section,) = re.findall(rf"^## {heading}$(.*?)^## ", README, re.DOTALL | re.MULTILINE)
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)


def fastapi_example(emulator: Emulator) -> dict[str, Any]:
    """Run the example with the emulator's URL and keys in place of those that it leaves out."""
    (source,) = blocks("In a FastAPI service")
    keys = emulator.credentials
    for left_out, given in (
        ("base_url=SANDBOX", f"base_url={emulator.base_url!r}"),
        ('api_key="…"', f"api_key={keys.api_key.reveal()!r}"),
        ('secret_key="…"', f"secret_key={keys.secret_key.reveal()!r}"),
    ):
        assert left_out in source
        source = source.replace(left_out, given)
    # FastAPI looks up the annotations of functions in the globals of their module.
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(source, "README.md", "exec"), names)  # noqa: S102  # the README is ours
    return names


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[str]:
    """Serve an application on loopback, and give its URL."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", lifespan="on"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        assert not serving.done()
        await asyncio.sleep(0.01)
    host, port = server.servers[0].sockets[0].getsockname()
    yield f"http://{host}:{port}"
    server.should_exit = True
    await serving


async def test_the_fastapi_example_answers_every_request_under_load() -> None:
    """At 10 calls a second and max_wait=5, 200 companies at once are too many: they are told when to come back."""
    async with Emulator() as emulator, served(fastapi_example(emulator)["app"]) as url, aiohttp.ClientSession() as http:

        async def post(number: int) -> tuple[int, str, str | None, int | None]:
            async with http.post(f"{url}/series/S{number}") as response:
                body = await response.json()
                after = response.headers.get("Retry-After")
                return response.status, body.get("happened", ""), after, body.get("uid")

        answers = await asyncio.gather(*(post(number) for number in range(200)))
        counted = Counter((status, happened) for status, happened, _, _ in answers)
        assert {(200, ""), (503, "no")} == set(counted)
        assert counted[200, ""] >= 50
        assert all(int(after or 0) >= 1 for status, _, after, _ in answers if status == 503)
        made = {uid for _, _, _, uid in answers if uid is not None}
        assert (counted[200, ""], counted[200, ""]) == (len(made), len(emulator.state["series"]))


async def test_the_fastapi_example_maps_errors_to_statuses() -> None:
    async with Emulator() as emulator, served(fastapi_example(emulator)["app"]) as url, aiohttp.ClientSession() as http:

        async def post(letra: str) -> tuple[int, str, str | None]:
            async with http.post(f"{url}/series/{letra}") as response:
                return response.status, (await response.json())["happened"], response.headers.get("Retry-After")

        assert (422, "no", None) == await post("%09")
        emulator.inject(Fault.throttle(7200), endpoint="series.list")
        assert (503, "no", "7200") == await post("F")
        assert (503, "no", "3600") == await post("G")  # held, at the limiter, for an hour at most


STATUSES = {
    "FacturaOnlineError": 502,
    "NotSentError": 503,
    "LimiterWaitError": 503,
    "SharedUnavailableError": 503,
    "InvalidInputError": 422,
    "ApiError": 502,
    "AuthenticationError": 502,
    "PermissionDeniedError": 502,
    "NotFoundError": 404,
    "ValidationError": 422,
    "RateLimitError": 503,
    "OutcomeUnknownError": 502,
    "ServerError": 502,
    "RequestTimeoutError": 504,
    "UnreadableAnswerError": 502,
}


@pytest.mark.parametrize("name", errors.__all__)
async def test_the_fastapi_example_maps_every_error_class(name: str) -> None:
    async with Emulator() as emulator:
        response = await fastapi_example(emulator)["answer"](None, getattr(errors, name)("text"))
    assert STATUSES[name] == response.status_code


async def test_the_client_of_the_notebook_example_works_across_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Emulator() as emulator:
        monkeypatch.setenv("FACTURAONLINE_API_KEY", emulator.credentials.api_key.reveal())
        monkeypatch.setenv("FACTURAONLINE_SECRET_KEY", emulator.credentials.secret_key.reveal())
        names: dict[str, Any] = {}
        for cell in blocks("In a notebook"):
            source = cell.replace("base_url=SANDBOX", f"base_url={emulator.base_url!r}")
            await eval(compile(source, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)  # noqa: S307  # as a notebook does
            await asyncio.sleep(10)
        assert 1 == emulator.count("series.list")
        with pytest.raises(errors.NotSentError, match="closed"):
            await names["client"].series.list()
