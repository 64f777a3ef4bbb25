"""Progress of a run as server-sent events: early readers, late ones, and those that go away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from facturaonline_async.fastapi import progress_events
from facturaonline_async.provision import Progress, RowOutcome, RunReport, State
from tests.fastapi.serving import served

pytestmark = pytest.mark.virtual_clock


def following(progress: Progress, keep_alive: float = 15.0) -> FastAPI:
    app = FastAPI()

    @app.get("/events")
    async def events() -> StreamingResponse:
        return progress_events(progress, every=1.0, keep_alive=keep_alive)

    return app


def progress_of(planned: int) -> Progress:
    clock = asyncio.get_running_loop().time
    return Progress(RunReport(planned_empresas=planned, planned_series=0), clock, lambda: 0.0)


async def read(url: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the events until the end, as a browser reads them."""
    async with aiohttp.ClientSession() as http, http.get(f"{url}/events") as response:
        assert (response.status, response.content_type) == (200, "text/event-stream")
        text = await response.text()
    events = []
    for block in text.split("\n\n"):
        if block and not block.startswith(":"):
            name, data = block.split("\n")
            events.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return events


async def finish(progress: Progress, rows: int) -> None:
    for number in range(rows):
        await asyncio.sleep(0.5)
        progress.add(RowOutcome(number=number, rfc="AAA010101AA1", state=State.CREATED))


async def test_two_readers_and_a_late_one_all_get_the_last_figures() -> None:
    progress = progress_of(20)
    async with served(following(progress)) as url:
        early = [asyncio.create_task(read(url)) for _ in range(2)]
        await finish(progress, 11)
        late = asyncio.create_task(read(url))
        await finish(progress, 9)
        progress.enter("ended")
        read_by_early, read_by_late = await asyncio.gather(*early), await late
        read_afterwards = await read(url)
    last = ("end", progress.snapshot.to_dict())
    assert [events[-1] for events in (*read_by_early, read_by_late, read_afterwards)] == [last] * 4
    assert [events[0][1]["empresas"]["there"] for events in (*read_by_early, read_by_late)] == [0, 0, 11]
    assert [len(events) for events in (*read_by_early, read_by_late) if len(events) > 12] == []  # one in a second
    assert len(read_afterwards) == 1


async def test_a_reader_that_goes_away_leaves_the_others() -> None:
    progress = progress_of(2)
    async with served(following(progress)) as url:
        gone, stays = asyncio.create_task(read(url)), asyncio.create_task(read(url))
        await asyncio.sleep(1)
        gone.cancel()
        await asyncio.sleep(1)
        progress.add(RowOutcome(number=1, rfc="AAA010101AA1", state=State.CREATED))
        progress.enter("ended")
        assert (await stays)[-1][0] == "end"


async def test_a_silent_run_sends_comments_so_that_the_connection_stays_open() -> None:
    progress = progress_of(2)
    async with served(following(progress, keep_alive=10.0)) as url, aiohttp.ClientSession() as http:
        reading = asyncio.create_task(text_of(http, url))
        await asyncio.sleep(35)
        progress.enter("ended")
        assert [block[:7] for block in (await reading).split("\n\n")] == ["event: ", *[": the c"] * 3, "event: ", ""]


async def text_of(http: aiohttp.ClientSession, url: str) -> str:
    async with http.get(f"{url}/events") as response:
        return await response.text()


async def test_figures_of_another_process_are_sent_to_their_end() -> None:
    """Those after the end are not read, and an iterator without an end ends the response."""
    ended: dict[str, Any] = {"phase": "ended", "complete": True}
    broken_off: dict[str, Any] = {"phase": "running"}

    async def figures(*found: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        for each in found:
            await asyncio.sleep(20)
            yield each

    app = FastAPI()

    @app.get("/events")
    async def events() -> StreamingResponse:
        return progress_events(figures(*given))

    async with served(app) as url, aiohttp.ClientSession() as http:
        given = [broken_off, ended, broken_off]
        assert await read(url) == [("progress", broken_off), ("end", ended)]
        given = [broken_off]
        comment = ": the connection is open\n\n"
        assert await text_of(http, url) == f'{comment}event: progress\ndata: {{"phase": "running"}}\n\n'
