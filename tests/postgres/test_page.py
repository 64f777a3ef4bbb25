"""The Python on the page about several processes is run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from facturaonline_async import FacturaOnline
from facturaonline_async.testing import Emulator
from tests.postgres.sql import Sql

pytestmark = pytest.mark.postgres

PAGE = (Path(__file__).parents[2] / "docs" / "processes.md").read_text(encoding="utf-8")
FIRST, WEB, BATCH = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, emulator: Emulator, url: str) -> None:
    keys = emulator.credentials
    for name, value in {
        "DATABASE_URL": url,
        "BASE_URL": emulator.base_url,
        "API_KEY": keys.api_key.reveal(),
        "SECRET_KEY": keys.secret_key.reveal(),
    }.items():
        monkeypatch.setenv(f"FACTURAONLINE_{name}", value)


@pytest.fixture(autouse=True)
def empty(sql: Sql) -> None:
    """Empty the tables, of which the template may hold rows of other tests."""
    sql("TRUNCATE facturaonline.windows, facturaonline.creates")


def names_of(source: str) -> dict[str, Any]:
    """Run a block, and return its names."""
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(source, "processes.md", "exec"), names)  # noqa: S102  # the page is ours
    return names


def shared(sql: Sql) -> tuple[int, int]:
    """Return how many windows and how many creates the database has."""
    [(windows, creates)] = sql(
        "SELECT (SELECT count(*) FROM facturaonline.windows), (SELECT count(*) FROM facturaonline.creates)"
    )
    return windows, creates


async def test_the_first_example_shares_its_rates_and_creates(sql: Sql, emulator: Emulator) -> None:
    await names_of(FIRST)["main"]()
    assert emulator.count("series.create") == 1
    windows, creates = shared(sql)
    assert (windows > 0, creates) == (True, 1)


async def test_a_web_worker_shares_its_rates_and_creates(sql: Sql, emulator: Emulator) -> None:
    app = names_of(WEB)["app"]
    async with app.router.lifespan_context(app):
        client = FacturaOnline(app.state.facturaonline, emulator.credentials)
        await client.series.ensure(letra="F", tipo_documento="factura")
    windows, creates = shared(sql)
    assert (windows > 0, creates) == (True, 1)


async def test_the_module_of_a_batch_has_a_worker(monkeypatch: pytest.MonkeyPatch, emulator: Emulator) -> None:
    pytest.importorskip("procrastinate", reason="the extra procrastinate is not installed")
    monkeypatch.setenv("FACTURAONLINE_BASE_URL", emulator.base_url)
    assert repr(names_of(BATCH)["worker"]) == "<Worker: not at work>"
