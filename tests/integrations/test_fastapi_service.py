"""The example service: tenants, errors, jobs with live progress, and every way in which a process may end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import aiohttp
import pytest

from facturaonline_async.provision._journal.progress import read_progress
from facturaonline_async.testing import Emulator, emulator_in_thread
from tests.browser import browser
from tests.integrations.programs import EXAMPLES, Program, created, environment, make_plan, started

pytestmark = pytest.mark.integrations

EMPRESAS = 30
Serve: TypeAlias = Callable[[], AbstractAsyncContextManager[tuple[Program, str]]]


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with emulator_in_thread(Emulator(latency=0.01)) as emulator:
        yield emulator


@pytest.fixture
def serve(tmp_path: Path, emulator: Emulator) -> Serve:
    """Start the service with one job, ``demo``; each start is a new process."""
    make_plan(tmp_path / "demo", EMPRESAS)
    keys = emulator.credentials
    pair = f"{keys.api_key.reveal()}:{keys.secret_key.reveal()}"
    env = environment(emulator, JOBS=str(tmp_path), TENANT_ACME=pair)
    command = ("-m", "uvicorn", "--app-dir", str(EXAMPLES / "fastapi_service"), "--factory", "app:make_app")

    @asynccontextmanager
    async def served() -> AsyncIterator[tuple[Program, str]]:
        async with started(*command, "--port", "0", "--timeout-graceful-shutdown", "2", env=env) as program:
            yield program, await program.said(r"running on (http://\S+)")

    return served


async def read_events(http: aiohttp.ClientSession, url: str) -> list[dict[str, Any]]:
    """Return the data of all events of the job, until its end."""
    async with http.get(f"{url}/jobs/demo/events", timeout=aiohttp.ClientTimeout(total=None)) as response:
        lines = [line async for line in response.content]
    return [json.loads(line.removeprefix(b"data: ")) for line in lines if line.startswith(b"data: ")]


async def wait_for(http: aiohttp.ClientSession, url: str, existing: int) -> None:
    """Wait until the job has made so many companies."""
    async with http.get(f"{url}/jobs/demo/events", timeout=aiohttp.ClientTimeout(total=None)) as response:
        async for line in response.content:
            if line.startswith(b"data: ") and json.loads(line.removeprefix(b"data: "))["empresas"]["there"] >= existing:
                return


async def test_a_tenant_gets_series_and_errors_as_problem_documents(serve: Serve, emulator: Emulator) -> None:
    async with serve() as (_, url), aiohttp.ClientSession(url, headers={"X-Tenant": "acme"}) as http:
        async with http.post("/series/F") as response:
            assert (response.status, await response.json()) == (200, {"uid": next(iter(emulator.state["series"]))})
        async with http.post("/series/%09") as response:
            assert (response.status, response.content_type) == (422, "application/problem+json")
        async with http.post("/series/F", headers={"X-Tenant": "other"}) as response:
            assert response.status == 403
        async with http.get("/health") as response:
            assert (response.status, (await response.json())["status"]) == (200, "ok")


async def test_two_readers_and_a_late_one_see_a_job_to_its_end(serve: Serve, emulator: Emulator) -> None:
    async with serve() as (_, url), aiohttp.ClientSession() as http:
        await http.post(f"{url}/jobs/demo")
        readers = [asyncio.create_task(read_events(http, url)) for _ in range(2)]
        await wait_for(http, url, EMPRESAS // 2)
        late = await read_events(http, url)
        early = await asyncio.gather(*readers)
    last = late[-1]
    assert (last["complete"], last["empresas"]["there"], last["series"]["there"]) == (True, EMPRESAS, 3 * EMPRESAS)
    assert [events[-1] for events in early] == [last] * 2
    assert late[0]["empresas"]["there"] >= EMPRESAS // 2
    assert created(emulator) == (EMPRESAS, 3 * EMPRESAS, 0)
    print(f"events: {[len(events) for events in early]}, late {len(late)}")


async def test_a_service_that_is_stopped_leaves_nothing_unknown_and_resumes_its_jobs(
    serve: Serve, emulator: Emulator, tmp_path: Path
) -> None:
    async with serve() as (program, url), aiohttp.ClientSession() as http:
        await http.post(f"{url}/jobs/demo")
        await wait_for(http, url, 3)
        began = asyncio.get_running_loop().time()
        program.process.send_signal(signal.SIGTERM)
        assert await program.ended() in {0, -signal.SIGTERM}
        print(f"SIGTERM: {asyncio.get_running_loop().time() - began:.1f} s")
    status = read_progress(tmp_path / "demo" / "run.sqlite")
    uncertain = [status.empresas[state] + status.series[state] for state in ("unknown", "intent", "failed")]
    assert (uncertain, status.is_broken_off, status.is_complete) == (
        [0, 0, 0],
        False,
        False,
    )
    print(f"finished: {status.empresas['created']} empresas, {status.series['created']} series")

    async with serve() as (_, url), aiohttp.ClientSession() as http:  # it resumes by itself
        assert (await read_events(http, url))[-1]["complete"]
    assert created(emulator) == (EMPRESAS, 3 * EMPRESAS, 0)


async def test_a_service_that_is_killed_creates_nothing_twice(serve: Serve, emulator: Emulator) -> None:
    for existing in (2, 6):
        async with serve() as (program, url), aiohttp.ClientSession() as http:
            await http.post(f"{url}/jobs/demo")
            await wait_for(http, url, existing)
            program.process.kill()
            await program.ended()
    async with serve() as (_, url), aiohttp.ClientSession() as http:
        assert (await read_events(http, url))[-1]["complete"]
    assert created(emulator) == (EMPRESAS, 3 * EMPRESAS, 0)


async def test_a_cancelled_job_stops_and_can_be_started_again(serve: Serve, emulator: Emulator) -> None:
    async with serve() as (_, url), aiohttp.ClientSession() as http:
        await http.post(f"{url}/jobs/demo")
        await wait_for(http, url, 2)
        async with http.delete(f"{url}/jobs/demo") as response:
            stopped = await response.json()
        assert (stopped["phase"], stopped["complete"], stopped["empresas"]["unknown"]) == ("ended", False, 0)
        await http.post(f"{url}/jobs/demo")
        assert (await read_events(http, url))[-1]["complete"]
    assert created(emulator) == (EMPRESAS, 3 * EMPRESAS, 0)


async def test_a_job_that_is_stopped_while_its_plan_is_read_does_not_begin(serve: Serve, tmp_path: Path) -> None:
    """Neither is the run before it shown or stopped in its place."""
    async with serve() as (_, url), aiohttp.ClientSession() as http:
        await http.post(f"{url}/jobs/demo")
        await wait_for(http, url, 2)
        await http.delete(f"{url}/jobs/demo")
        plan = tmp_path / "demo" / "plan.csv"
        plan.unlink()
        os.mkfifo(plan)  # whoever reads it waits for a writer
        starting = [asyncio.create_task(http.post(f"{url}/jobs/demo")) for _ in range(2)]
        while (await http.get(f"{url}/jobs/demo")).status == 200:
            await asyncio.sleep(0.02)
        stopped = await http.delete(f"{url}/jobs/demo")
        answers = [await each for each in starting]
        assert (stopped.status, [answer.status for answer in answers]) == (404, [409, 409])
        os.close(os.open(plan, os.O_WRONLY))  # the thread that reads it ends


async def test_a_service_that_cannot_resume_a_job_stops_those_that_it_has_resumed(
    serve: Serve, emulator: Emulator, tmp_path: Path
) -> None:
    for name in ("demo", "faulty"):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "unfinished").touch()
    plan = tmp_path / "faulty" / "plan.csv"
    os.mkfifo(plan)

    async def write_faulty_plan() -> None:
        while emulator.count("empresas.create") < 5:
            await asyncio.sleep(0.02)
        await asyncio.to_thread(plan.write_text, "faulty")

    writing = asyncio.create_task(write_faulty_plan())
    with pytest.raises(AssertionError, match="PlanError"):
        async with serve():
            pass
    await writing
    status = read_progress(tmp_path / "demo" / "run.sqlite")
    uncertain = [status.empresas[state] + status.series[state] for state in ("unknown", "intent", "failed")]
    assert (uncertain, status.is_broken_off, status.is_complete) == ([0, 0, 0], False, False)


async def test_the_page_shows_a_job_live(serve: Serve, tmp_path: Path) -> None:
    async with serve() as (_, url), browser(tmp_path / "profile") as tab:
        await tab.open(url)
        await until(tab, "document.querySelector('button.start') !== null")
        await tab.click("button.start")
        await until(tab, "document.querySelector('progress.empresas').value >= 3")
        assert await tab.ask("document.querySelector('.state').textContent") != ""
        await until(tab, "document.querySelector('.state').textContent === 'completo'")
        numbers = await tab.ask("[...document.querySelectorAll('.numbers')].map(each => each.textContent)")
        assert numbers == [f"{EMPRESAS} de {EMPRESAS}", f"{3 * EMPRESAS} de {3 * EMPRESAS}"]
        assert [each for each in tab.complaints if "favicon" not in each and "404" not in each] == []


async def until(tab: Any, expression: str) -> None:
    """Wait until an expression in the page is true."""
    while not await tab.ask(expression):
        await asyncio.sleep(0.1)
