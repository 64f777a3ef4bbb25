"""The library in every place where its users run it: event loops, frameworks and plugins for tests.

Each place runs the same scenario in a process of its own, in Python's development mode, where every warning is an
error: an unclosed connection, a coroutine that was never awaited, a blocked loop's debug message.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.testing.test_pytest_plugin import ANYIO, ASYNC, ASYNCIO, run

pytestmark = pytest.mark.integrations

SCENARIO = """
    import asyncio
    from contextlib import suppress

    from facturaonline_async import Config, NotFoundError, Rate, bulk, connect
    from facturaonline_async.testing import Emulator, Fault, emulator_in_thread


    async def use(emulator: Emulator) -> int:
        config = Config(base_url=emulator.base_url, rates=Rate(4, 0.02))  # calls wait for the limiter
        async with connect(emulator.credentials, config=config) as client:
            emulator.inject(Fault.status(503), endpoint="series.list")
            emulator.inject(Fault.drop_after_commit(), endpoint="series.create")

            async def ensure(number: int) -> int:
                return (await client.series.ensure(letra=f"S{number}", tipo_documento="factura")).uid

            outcomes = await bulk.run(range(20), ensure)
            assert [outcome.error for outcome in outcomes if not outcome.ok] == []
            reading = [asyncio.ensure_future(client.series.list()) for _ in range(3)]
            await asyncio.sleep(0)
            reading[1].cancel()
            assert len(await reading[0]) == len(await reading[2]) == 20
            with suppress(asyncio.CancelledError):
                await reading[1]
            emulator.inject(Fault.delay(3600), endpoint="series.get")
            with suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    await client.series.get(outcomes[0].result())
            with suppress(NotFoundError):
                await client.series.get(999_999)
        return len(emulator.state["series"])
"""

APPLICATION = """
    from typing import Annotated

    from fastapi import Depends, FastAPI

    from facturaonline_async import Config, FacturaOnline, SessionManager
    from facturaonline_async.fastapi import install_errors, lifespan, session
    from facturaonline_async.testing import Emulator, emulator_in_thread


    def make_app(emulator: Emulator) -> FastAPI:
        app = FastAPI(lifespan=lifespan(Config(base_url=emulator.base_url, rates=())))
        install_errors(app)

        @app.post("/series/{letra}")
        async def create(letra: str, session: Annotated[SessionManager, Depends(session)]) -> int:
            client = FacturaOnline(session, emulator.credentials)
            return (await client.series.ensure(letra=letra, tipo_documento="factura")).uid

        return app
"""

PLACES = {
    "asyncio": (SCENARIO, "with emulator_in_thread() as emulator:\n    print(asyncio.run(use(emulator)))"),
    "one loop": (
        SCENARIO,
        (
            "async def main():\n    async with Emulator() as emulator:\n        return await use(emulator)\n"
            "print(asyncio.run(main()))"
        ),
    ),
    "uvloop": (
        SCENARIO,
        "import uvloop\nwith emulator_in_thread() as emulator:\n    print(uvloop.run(use(emulator)))",
    ),
    "anyio": (
        SCENARIO,
        "import anyio\nwith emulator_in_thread() as emulator:\n    print(anyio.run(use, emulator))",
    ),
    "anyio with uvloop": (
        SCENARIO,
        (
            "import anyio\nwith emulator_in_thread() as emulator:\n"
            "    print(anyio.run(use, emulator, backend_options={'use_uvloop': True}))"
        ),
    ),
    "eager tasks": (
        SCENARIO,
        (
            "async def main(emulator):\n    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)\n"
            "    return await use(emulator)\n"
            "with emulator_in_thread() as emulator:\n    print(asyncio.run(main(emulator)))"
        ),
    ),
    "two loops, one after the other": (
        SCENARIO,
        "with emulator_in_thread() as emulator:\n    asyncio.run(use(emulator))\n    print(asyncio.run(use(emulator)))",
    ),
    "TestClient": (
        APPLICATION,
        (
            "from fastapi.testclient import TestClient\n"
            "with emulator_in_thread() as emulator, TestClient(make_app(emulator)) as http:\n"
            "    assert [http.post(f'/series/S{each}').status_code for each in range(20)] == [200] * 20\n"
            "print(len(emulator.state['series']))"
        ),
    ),
    "ASGITransport with lifespan": (
        APPLICATION,
        (
            "import asyncio, httpx2\n"
            "async def main(emulator):\n"
            "    app = make_app(emulator)\n"
            "    transport = httpx2.ASGITransport(app)\n"
            "    async with app.router.lifespan_context(app), httpx2.AsyncClient(transport=transport) as http:\n"
            "        for each in range(20):\n"
            "            assert (await http.post(f'http://service/series/S{each}')).status_code == 200\n"
            "    return len(emulator.state['series'])\n"
            "with emulator_in_thread() as emulator:\n    print(asyncio.run(main(emulator)))"
        ),
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_the_library_works_and_leaves_nothing_open(tmp_path: Path, place: str) -> None:
    if place == "eager tasks" and sys.version_info < (3, 12):
        pytest.skip("eager tasks came with Python 3.12")
    scenario, main = PLACES[place]
    done = program(tmp_path, f"{textwrap.dedent(scenario)}\n\n{main}\n")
    assert (done.stdout, done.stderr) == ("20\n", "")


@pytest.mark.parametrize(
    ("tests", "arguments"),
    [
        pytest.param(ASYNC, ASYNCIO, id="pytest-asyncio: loops of tests and of the session"),
        pytest.param(ANYIO, ("-p", "no:asyncio"), id="the plugin of anyio"),
    ],
)
def test_the_fixtures_work_with_a_plugin(tmp_path: Path, tests: str, arguments: tuple[str, ...]) -> None:
    done = run(tmp_path, tests, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr


USES = {
    "connect": "async with connect(KEYS, base_url=URL) as client:\n        await client.series.list()",
    "SessionManager": "async with SessionManager(Config(base_url=URL)):\n        pass",
    "a read": "await FacturaOnline(SessionManager(Config(base_url=URL)), KEYS).series.get(7)",
    "a shared read": "await FacturaOnline(SessionManager(Config(base_url=URL)), KEYS).series.list()",
    "a create": "await FacturaOnline(SessionManager(Config(base_url=URL)), KEYS).series.ensure(\n"
    "        letra='F', tipo_documento='factura')",
    "a change": "await FacturaOnline(SessionManager(Config(base_url=URL)), KEYS).series.deactivate(7)",
    "a run": "client = FacturaOnline(SessionManager(Config(base_url=URL)), KEYS)\n"
    "    async with provision(client, Plan.from_values([])):\n        pass",
}


@pytest.mark.parametrize("use", USES)
def test_trio_is_refused_in_plain_words(tmp_path: Path, use: str) -> None:
    code = f"""\
import trio
from facturaonline_async import Config, Credentials, FacturaOnline, NotSentError, SessionManager, connect
from facturaonline_async.provision import Plan, provision

KEYS, URL = Credentials(api_key="a", secret_key="b"), "http://127.0.0.1:9/api"


async def main():
    {USES[use]}


try:
    trio.run(main)
except NotSentError as error:
    print(error.code)
"""
    done = program(tmp_path, code)
    assert (done.stdout, done.stderr) == ("calls.no_event_loop\n", "")


def program(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run a program in development mode, with every warning as an error."""
    (folder / "program.py").write_text(code, encoding="utf-8")
    command = [sys.executable, "-X", "dev", "-W", "error", "program.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    # On a busy machine, every step of a loop may be slow.
    done.stderr = "".join(line for line in done.stderr.splitlines(keepends=True) if not line.startswith("Executing <"))
    return done
