"""The pytest plugin, used by a project of its own: its fixtures serve tests of every kind."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ASYNCIO = ("-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function")

SHARED = """
    import pytest

    async def use(client):
        await client.series.ensure(letra="F", tipo_documento="factura")
        return [serie.letra for serie in await client.series.list()]
"""

SYNC = """
    import asyncio
    from shared import use

    def test_the_emulator_answers_a_synchronous_test(facturaonline_emulator):
        import http.client
        url = facturaonline_emulator.base_url.removeprefix("http://").removesuffix("/api")
        connection = http.client.HTTPConnection(url)
        connection.request("GET", "/api/v4/series")
        assert connection.getresponse().status == 200
        connection.close()

    def test_the_client_works_in_a_loop_of_the_test(facturaonline_client):
        assert asyncio.run(use(facturaonline_client)) == ["F"]

    def test_each_test_has_a_fresh_emulator(facturaonline_emulator):
        assert (facturaonline_emulator.state["series"], facturaonline_emulator.requests) == ({}, ())
"""

ASYNC = """
    import pytest
    from shared import use

    async def test_in_a_loop_of_its_own(facturaonline_client):
        assert await use(facturaonline_client) == ["F"]

    @pytest.mark.asyncio(loop_scope="session")
    async def test_in_the_loop_of_the_session(facturaonline_client):
        assert await use(facturaonline_client) == ["F"]

    @pytest.mark.asyncio(loop_scope="session")
    async def test_in_the_loop_of_the_session_again(facturaonline_client, facturaonline_emulator):
        assert await use(facturaonline_client) == ["F"]
        assert facturaonline_emulator.count("series.create") == 1
"""

ANYIO = """
    import pytest
    from shared import use

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def anyio_backend():
        return "asyncio"

    async def test_with_the_plugin_of_anyio(facturaonline_client):
        assert await use(facturaonline_client) == ["F"]

    async def test_with_the_plugin_of_anyio_again(facturaonline_client):
        assert await use(facturaonline_client) == ["F"]
"""

TEST_CLIENT = """
    from typing import Annotated

    import pytest
    from fastapi import Depends, FastAPI
    from fastapi.testclient import TestClient

    from facturaonline_async import Config, FacturaOnline, SessionManager
    from facturaonline_async.fastapi import install_errors, lifespan, session

    def make_app(emulator):
        app = FastAPI(lifespan=lifespan(Config(base_url=emulator.base_url)))
        install_errors(app)

        @app.post("/series/{letra}")
        async def create(letra: str, session: Annotated[SessionManager, Depends(session)]) -> int:
            client = FacturaOnline(session, emulator.credentials)
            return (await client.series.ensure(letra=letra, tipo_documento="factura")).uid

        return app

    @pytest.mark.parametrize("number", range(2))
    def test_a_synchronous_test_client(facturaonline_emulator, number):
        with TestClient(make_app(facturaonline_emulator)) as http:
            assert http.post("/series/F").status_code == 200
            assert http.post("/series/%09").status_code == 422
        assert facturaonline_emulator.count("series.create") == 1
"""


def run(folder: Path, tests: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the tests of a project outside this tree, in a process of its own; every warning is an error."""
    (folder / "shared.py").write_text(textwrap.dedent(SHARED), encoding="utf-8")
    (folder / "test_project.py").write_text(textwrap.dedent(tests), encoding="utf-8")
    command = [
        sys.executable,
        "-X",
        "dev",
        "-W",
        "error",
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-W",
        "error",
    ]
    return subprocess.run(
        [*command, *arguments, "test_project.py"], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("tests", "arguments", "passed"),
    [
        pytest.param(SYNC, ("-p", "no:asyncio"), 3, id="sync"),
        pytest.param(ASYNC, ASYNCIO, 3, id="pytest-asyncio"),
        pytest.param(ANYIO, ("-p", "no:asyncio"), 2, id="anyio"),
        pytest.param(TEST_CLIENT, ("-p", "no:asyncio"), 2, id="TestClient"),
    ],
)
def test_a_project_uses_the_fixtures_without_any_setting(
    tmp_path: Path, tests: str, arguments: tuple[str, ...], passed: int
) -> None:
    if "TestClient" in tests and (find_spec("fastapi") is None or find_spec("httpx2") is None):
        pytest.skip("FastAPI or httpx2 is not installed")
    done = run(tmp_path, tests, *arguments)
    assert f"\n{passed} passed" in f"\n{done.stdout.splitlines()[-1]}", done.stdout + done.stderr


def test_a_test_that_blocks_the_loop_of_its_emulator_is_told_so(tmp_path: Path) -> None:
    tests = """
        import pytest
        import pytest_asyncio
        from facturaonline_async import connect
        from facturaonline_async.testing import Emulator

        @pytest_asyncio.fixture(scope="session", loop_scope="session")
        async def emulator():
            async with Emulator() as emulator:
                yield emulator

        async def test_in_another_loop(emulator):
            async with connect(emulator.credentials, base_url=emulator.base_url) as client:
                await client.series.list()
    """
    done = run(tmp_path, tests, *ASYNCIO)
    assert "NotSentError: the emulator on port" in done.stdout
    assert "1 failed" in done.stdout


def test_an_unused_plugin_imports_neither_the_client_nor_aiohttp(tmp_path: Path) -> None:
    tests = """
        import sys

        def test_what_is_imported(pytestconfig):
            assert pytestconfig.pluginmanager.has_plugin("facturaonline_async")
            ours = sorted(name for name in sys.modules if name.startswith("facturaonline_async"))
            assert ours == [
                "facturaonline_async",
                "facturaonline_async._lazy",
                "facturaonline_async.testing",
                "facturaonline_async.testing._pytest_plugin",
            ]
            assert [name for name in ("aiohttp", "attrs", "anyio", "cattrs") if name in sys.modules] == []
    """
    done = run(tmp_path, tests, "-p", "no:asyncio", "-p", "no:anyio")
    assert done.returncode == 0, done.stdout + done.stderr
