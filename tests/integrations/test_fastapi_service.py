"""The example service: tenants, errors, jobs with live progress, and every way in which a process may end."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

import aiohttp
import pytest

from facturaonline_async.provision._journal.progress import read_progress
from facturaonline_async.testing import Emulator, emulator_in_thread
from tests.browser import browser
from tests.integrations.programs import EXAMPLES, Program, created, environment, make_plan, started
from tests.postgres.servers import free_port

pytestmark = pytest.mark.integrations

EMPRESAS = 30
TENANTS = 60
Serve: TypeAlias = Callable[..., AbstractAsyncContextManager[tuple[Program, str]]]


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with emulator_in_thread(Emulator(latency=0.01)) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a plan, which takes seconds, for all tests."""
    folder = tmp_path_factory.mktemp("plan") / "demo"
    make_plan(folder, EMPRESAS)
    return folder


@pytest.fixture
def serve(tmp_path: Path, plan: Path, emulator: Emulator) -> Serve:
    """Start the service with one job, ``demo``; each start is a new process, or several workers."""
    shutil.copytree(plan, tmp_path / "demo")
    keys = emulator.credentials
    pair = f"{keys.api_key.reveal()}:{keys.secret_key.reveal()}"
    env = environment(emulator, JOBS=str(tmp_path), TENANT_ACME=pair)
    command = ("-m", "uvicorn", "--app-dir", str(EXAMPLES / "fastapi_service"), "--factory", "app:make_app")

    @asynccontextmanager
    async def served(workers: int = 1, **more: str) -> AsyncIterator[tuple[Program, str]]:
        port = "0" if workers == 1 else str(free_port())
        options = ("--port", port, "--workers", str(workers), "--timeout-graceful-shutdown", "2")
        async with started(*command, *options, env=env | more) as program:
            url = await program.said(r"running on (http://\S+)")
            await program.said(r"(?s)" + r"startup complete.*?" * workers + "()")
            try:
                yield program, url
            finally:
                if workers > 1:  # they would outlive a process that is killed
                    program.process.terminate()
                    await program.ended()

    return served


async def read_events(http: aiohttp.ClientSession, url: str) -> list[dict[str, Any]]:
    """Return the data of all events of the job, until its end."""
    async with http.get(f"{url}/jobs/demo/events", timeout=aiohttp.ClientTimeout(total=None)) as response:
        lines = [line async for line in response.content]
    return [json.loads(line.removeprefix(b"data: ")) for line in lines if line.startswith(b"data: ")]


async def read_socket(http: aiohttp.ClientSession, url: str) -> list[dict[str, Any]]:
    """Return the messages of the job's WebSocket, until its end."""
    async with http.ws_connect(f"{url}/jobs/demo/socket") as socket:
        return [message.json() async for message in socket]


def has_job(pid: str) -> bool:
    """Return whether a process has the journal of a job open."""
    names = set()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # it was closed meanwhile
            names.add(path.readlink().name)
    return "run.sqlite" in names


async def call(http: aiohttp.ClientSession, method: str, url: str) -> tuple[int, Any]:
    """Return the status and the JSON of an answer, whose connection is free then."""
    async with http.request(method, url) as response:
        return response.status, await response.json(content_type=None)


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


@pytest.mark.parametrize("workers", [1, 4])
async def test_readers_of_events_and_of_a_socket_and_a_late_one_see_a_job_to_its_end(
    serve: Serve, emulator: Emulator, workers: int
) -> None:
    """Each connection may be with another worker than the one that has the job."""
    async with serve(workers) as (_, url), aiohttp.ClientSession() as http:
        assert (await call(http, "GET", f"{url}/jobs/demo"))[0] == 404
        await call(http, "POST", f"{url}/jobs/demo")
        early = [asyncio.create_task(read_events(http, url)) for _ in range(2)]
        sockets = [asyncio.create_task(read_socket(http, url)) for _ in range(2)]
        await wait_for(http, url, EMPRESAS // 2)
        late = await read_events(http, url)
        read = [late, *await asyncio.gather(*early), *await asyncio.gather(*sockets)]
        afterwards = await read_socket(http, url)
    last = late[-1]
    assert (last["complete"], last["empresas"]["there"], last["series"]["there"]) == (True, EMPRESAS, 3 * EMPRESAS)
    assert [events[-1] for events in [*read, afterwards]] == [last] * 6
    assert (late[0]["empresas"]["there"] >= EMPRESAS // 2, len(afterwards)) == (True, 1)
    assert created(emulator) == (EMPRESAS, 3 * EMPRESAS, 0)
    print(f"{workers} workers: late, 2 readers of events, 2 of a socket: {[len(events) for events in read]}")


async def test_any_worker_stops_a_job_and_continues_that_of_a_worker_that_is_killed(
    serve: Serve, emulator: Emulator
) -> None:
    connector = aiohttp.TCPConnector(force_close=True)  # each request may be with another worker
    async with serve(4) as (program, url), aiohttp.ClientSession(connector=connector) as http:
        for existing in (2, 4):
            await asyncio.gather(*(call(http, "POST", f"{url}/jobs/demo") for _ in range(8)))
            await wait_for(http, url, existing)
            stopped = [(await call(http, "DELETE", f"{url}/jobs/demo"))[1] for _ in range(4)]
            assert {(each["phase"], each["complete"], each["empresas"]["unknown"]) for each in stopped} == {
                ("ended", False, 0)
            }
        await call(http, "POST", f"{url}/jobs/demo")
        await wait_for(http, url, 6)
        (pid,) = [int(pid) for pid in re.findall(r"server process \[(\d+)\]", "".join(program.lines)) if has_job(pid)]
        os.kill(pid, signal.SIGKILL)
        while not (figures := (await call(http, "GET", f"{url}/jobs/demo"))[1])["complete"]:
            assert figures["phase"] != "ended", figures
            await asyncio.sleep(0.1)
    assert created(emulator) == (EMPRESAS, 3 * EMPRESAS, 0)


async def test_a_thousand_requests_of_sixty_clients_have_no_answer_500(serve: Serve, emulator: Emulator) -> None:
    assert await ask_a_thousand_times(serve, emulator, workers=1) == {200: 1000}
    assert created(emulator) == (TENANTS, 4 * TENANTS, 0)


async def test_four_workers_with_a_database_answer_a_thousand_requests_and_create_nothing_twice(
    serve: Serve, emulator: Emulator, url: str
) -> None:
    assert await ask_a_thousand_times(serve, emulator, workers=4, FACTURAONLINE_DATABASE_URL=url) == {200: 1000}
    assert created(emulator) == (TENANTS, 4 * TENANTS, 0)


async def ask_a_thousand_times(serve: Serve, emulator: Emulator, workers: int, **more: str) -> Counter[int]:
    """Let 60 clients ask for four series of each of 60 tenants, several times; return the number of each status."""
    for number in range(TENANTS):
        keys = emulator.credentials_of(emulator.add_empresa(rfc=f"AAA010101A{number:02}"))
        more[f"TENANT_T{number}"] = f"{keys.api_key.reveal()}:{keys.secret_key.reveal()}"
    async with serve(workers, **more) as (_, url), aiohttp.ClientSession() as http:
        numbers = iter(range(1000))

        async def client() -> list[int]:
            answers = []
            for number in numbers:
                tenant = {"X-Tenant": f"t{number % TENANTS}"}
                async with http.post(f"{url}/series/S{number // TENANTS % 4}", headers=tenant) as response:
                    answers.append(response.status)
            return answers

        counted = Counter(each for found in await asyncio.gather(*(client() for _ in range(60))) for each in found)
    print(f"{workers} workers: {dict(counted)}")
    return counted


async def test_a_service_that_is_stopped_leaves_nothing_unknown_and_resumes_its_jobs(
    serve: Serve, emulator: Emulator, tmp_path: Path
) -> None:
    async with serve() as (program, url), aiohttp.ClientSession() as http:
        await call(http, "POST", f"{url}/jobs/demo")
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
            await call(http, "POST", f"{url}/jobs/demo")
            await wait_for(http, url, existing)
            program.process.kill()
            await program.ended()
    async with serve() as (_, url), aiohttp.ClientSession() as http:
        assert (await read_events(http, url))[-1]["complete"]
    assert created(emulator) == (EMPRESAS, 3 * EMPRESAS, 0)


async def test_a_cancelled_job_stops_and_can_be_started_again(serve: Serve, emulator: Emulator) -> None:
    async with serve() as (_, url), aiohttp.ClientSession() as http:
        await call(http, "POST", f"{url}/jobs/demo")
        await wait_for(http, url, 2)
        async with http.delete(f"{url}/jobs/demo") as response:
            stopped = await response.json()
        assert (stopped["phase"], stopped["complete"], stopped["empresas"]["unknown"]) == ("ended", False, 0)
        await call(http, "POST", f"{url}/jobs/demo")
        assert (await read_events(http, url))[-1]["complete"]
    assert created(emulator) == (EMPRESAS, 3 * EMPRESAS, 0)


async def test_a_job_that_is_stopped_while_its_plan_is_read_does_not_begin(serve: Serve, tmp_path: Path) -> None:
    """Neither is the run before it shown or stopped in its place."""
    async with serve() as (_, url), aiohttp.ClientSession() as http:
        await call(http, "POST", f"{url}/jobs/demo")
        await wait_for(http, url, 2)
        await call(http, "DELETE", f"{url}/jobs/demo")
        plan = tmp_path / "demo" / "plan.csv"
        plan.unlink()
        os.mkfifo(plan)  # whoever reads it waits for a writer
        starting = [asyncio.create_task(call(http, "POST", f"{url}/jobs/demo")) for _ in range(2)]
        while (await call(http, "GET", f"{url}/jobs/demo"))[0] == 200:
            await asyncio.sleep(0.02)
        stopped, _ = await call(http, "DELETE", f"{url}/jobs/demo")
        answers = [await each for each in starting]
        assert (stopped, [status for status, _ in answers]) == (404, [409, 409])
        os.close(os.open(plan, os.O_WRONLY))  # the thread that reads it ends


async def test_a_job_that_cannot_be_resumed_says_why_and_leaves_the_others(
    serve: Serve, emulator: Emulator, tmp_path: Path
) -> None:
    for name in ("demo", "faulty"):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "unfinished").touch()
    (tmp_path / "faulty" / "plan.csv").write_text("faulty", encoding="utf-8")
    async with serve() as (program, url), aiohttp.ClientSession() as http:
        for name in ("demo", "faulty"):
            while (await call(http, "GET", f"{url}/jobs/{name}"))[0] == 404:
                await asyncio.sleep(0.05)
        assert (await read_events(http, url))[-1]["complete"]
        faulty = (await call(http, "GET", f"{url}/jobs/faulty"))[1]
        assert (faulty["phase"], faulty["complete"], "rfc" in faulty["problem"]) == ("ended", False, True)
        async with http.post(f"{url}/jobs/faulty") as response:  # it says the same to those who start it
            assert (response.status, (await response.json())["detail"]) == (422, faulty["problem"])
        assert len([line for line in program.lines if "job faulty: " in line]) == 2  # it is not tried again by itself
    assert created(emulator) == (EMPRESAS, 3 * EMPRESAS, 0)


async def test_the_page_shows_a_job_live(serve: Serve, tmp_path: Path) -> None:
    async with serve() as (_, url), browser(tmp_path / "profile") as tab:
        await tab.open(url)
        await until(tab, "document.querySelector('button.start') !== null")
        await tab.click("button.start")
        await until(tab, "document.querySelector('progress.empresas').value >= 3")
        assert await tab.ask("document.querySelector('.state').textContent") != "sin iniciar"
        await until(tab, "document.querySelector('.state').textContent === 'completo'")
        numbers = await tab.ask("[...document.querySelectorAll('.numbers')].map(each => each.textContent)")
        assert numbers == [f"{EMPRESAS} de {EMPRESAS}", f"{3 * EMPRESAS} de {3 * EMPRESAS}"]
        assert [each for each in tab.complaints if "favicon" not in each and "404" not in each] == []


async def until(tab: Any, expression: str) -> None:
    """Wait until an expression in the page is true."""
    while not await tab.ask(expression):
        await asyncio.sleep(0.1)
