"""Examples of the guides under load and over time, which running them once does not show."""

from __future__ import annotations

import ast
import asyncio
from collections import Counter
from typing import Any

import aiohttp
import pytest

from facturaonline_async import errors
from facturaonline_async.testing import Emulator, Fault
from tests.docs.pages import blocks
from tests.fastapi.serving import served

pytestmark = pytest.mark.virtual_clock


def python(page: str) -> list[str]:
    """Return the Python of a guide."""
    return [block.source for block in blocks(f"docs/guides/{page}") if block.language == "python"]


def fastapi_example(emulator: Emulator) -> dict[str, Any]:
    """Run the example with the emulator's URL and keys in place of those that it leaves out."""
    source, *_ = python("fastapi.md")
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
    exec(compile(source, "guides", "exec"), names)  # noqa: S102  # the page is ours
    return names


@pytest.mark.one_python
async def test_the_fastapi_example_answers_every_request_under_load_and_none_with_500() -> None:
    """60 clients send 1,000 requests; at 10 calls a second and max_wait=5, most are told when to come back."""
    async with Emulator() as emulator, served(fastapi_example(emulator)["app"]) as url, aiohttp.ClientSession() as http:
        numbers, made = iter(range(1000)), set[int]()

        async def client() -> list[tuple[int, bool]]:
            answers = []
            for number in numbers:
                async with http.post(f"{url}/series/S{number}") as response:
                    answers.append((response.status, "Retry-After" in response.headers))
                    if response.status == 200:
                        made.add((await response.json())["uid"])
            return answers

        answers = [each for found in await asyncio.gather(*(client() for _ in range(60))) for each in found]
        counted = Counter(answers)
        assert (len(answers), set(counted)) == (1000, {(200, False), (503, True)})
        assert (counted[200, False], counted[200, False]) == (len(made), len(emulator.state["series"]))


async def test_the_fastapi_example_answers_errors_as_problem_documents() -> None:
    async with Emulator() as emulator, served(fastapi_example(emulator)["app"]) as url, aiohttp.ClientSession() as http:
        async with http.post(f"{url}/series/%09") as response:
            assert (response.status, response.content_type) == (422, "application/problem+json")
        emulator.inject(Fault.throttle(7200), endpoint="series.list")
        async with http.post(f"{url}/series/F") as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "7200")


async def test_the_client_of_the_notebook_example_works_across_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Emulator() as emulator:
        monkeypatch.setenv("FACTURAONLINE_API_KEY", emulator.credentials.api_key.reveal())
        monkeypatch.setenv("FACTURAONLINE_SECRET_KEY", emulator.credentials.secret_key.reveal())
        names: dict[str, Any] = {}
        for cell in python("notebooks.md"):
            source = cell.replace("base_url=SANDBOX", f"base_url={emulator.base_url!r}")
            await eval(compile(source, "guides", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)  # noqa: S307  # as a notebook does
            await asyncio.sleep(10)
        assert 1 == emulator.count("series.list")
        with pytest.raises(errors.NotSentError, match="closed"):
            await names["client"].series.list()
