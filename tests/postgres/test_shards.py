"""A plan that is divided into shards is carried out once, whichever process has a shard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from attrs import evolve

from facturaonline_async import FacturaOnline, InvalidInputError, connect
from facturaonline_async._core.http import deadlines
from facturaonline_async._core.once.store import Grant, Seen
from facturaonline_async._core.shared import shared_clock
from facturaonline_async.postgres import (
    Postgres,
    RunCancelledError,
    ShardReport,
    audit_run,
    run_shard,
)
from facturaonline_async.postgres._postgres import database_of
from facturaonline_async.postgres._shards import cancel_run
from facturaonline_async.provision import (
    FencedError,
    InvalidJournalError,
    JournalError,
    JournalInUseError,
    Plan,
    RowOutcome,
    provision,
)
from facturaonline_async.provision._engine.step_store import StepStore
from facturaonline_async.testing import Emulator, Fault
from tests.conftest import QUICK
from tests.postgres.sql import Sql
from tests.provision.verdict import Verdict, judge
from tests.provision.victim import make_plan

pytestmark = pytest.mark.postgres

EMPRESAS = 20
COUNT = 4
PLAN = make_plan(EMPRESAS)
LETRAS = {row.rfc: [serie.letra for serie in row.series] for row in PLAN}
RUN = "alta-2026-11"
SETTLE = 16.0
"""At least upload_timeout + grace + 10."""
CONFIG = evolve(
    QUICK, connect_timeout=1, upload_timeout=3, total_timeout=3, read_timeout=3, settle=SETTLE, grace=1
)


@asynccontextmanager
async def connected(emulator: Emulator, pg: Postgres) -> AsyncIterator[FacturaOnline]:
    async with connect(emulator.credentials, base_url=emulator.base_url, config=CONFIG, shared=pg) as client:
        yield client


@pytest.fixture
async def client(emulator: Emulator, pg: Postgres) -> AsyncIterator[FacturaOnline]:
    async with connected(emulator, pg) as client:
        yield client


async def shard(client: FacturaOnline, pg: Postgres, number: int, *, plan: Plan = PLAN, **more: Any) -> ShardReport:
    arguments: dict[str, Any] = {"run": RUN, "count": COUNT, "lease": 3, "concurrency": 8} | more
    return await run_shard(client, plan, pg, shard=number, **arguments)


def creates(emulator: Emulator) -> int:
    return emulator.count("empresas.create") + emulator.count("series.create")


async def test_all_shards_together_create_each_row_once(
    emulator: Emulator, client: FacturaOnline, pg: Postgres, sql: Sql
) -> None:
    reports = await asyncio.gather(*(shard(client, pg, number) for number in range(COUNT)))
    assert [report.is_finished for report in reports] == [True] * COUNT
    assert sorted(report.left for report in reports) == [0, 1, 2, 3]
    assert sum(report.report.planned_empresas for report in reports) == EMPRESAS
    assert all(report.report.is_complete for report in reports)
    assert creates(emulator) == 4 * EMPRESAS
    assert judge(emulator.state, LETRAS) == Verdict(0, 0, 0)
    assert sql.states() == {"done": 4 * EMPRESAS}
