"""The schema is installed once, by whichever process comes first, and a client refuses what it cannot use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from facturaonline_async import InvalidInputError, Secret
from facturaonline_async.postgres import Postgres, _schema
from facturaonline_async.postgres._connection import Database, StatementError, read_url
from tests.postgres.servers import Server, database_of

pytestmark = pytest.mark.postgres


@pytest.fixture
async def database(empty_url: str) -> AsyncIterator[Database]:
    async with Database(read_url(Secret(empty_url), 5.0), connections=4, timeout=5.0) as database:
        yield database


async def test_processes_that_install_at_once_install_one_schema(database: Database) -> None:
    found = await asyncio.gather(*(_schema.migrate(database) for _ in range(4)))

    assert {each.version for each in found} == {_schema.LATEST}
    assert await database.query("SELECT count(*) FROM facturaonline.meta") == [(1,)]


async def test_installing_again_changes_nothing(database: Database) -> None:
    await _schema.migrate(database)
    before = await database.query("SELECT m.xmin, m::text FROM facturaonline.meta AS m")

    await _schema.migrate(database)

    assert await database.query("SELECT m.xmin, m::text FROM facturaonline.meta AS m") == before


async def test_a_migration_that_fails_leaves_nothing(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_schema, "_END", "SELECT 1 / 0;")
    with pytest.raises(StatementError, match="division by zero"):
        await _schema.migrate(database)

    assert await database.query("SELECT to_regnamespace('facturaonline')") == [(None,)]


async def test_a_database_without_the_schema_is_refused_with_the_command(empty_url: str) -> None:
    with pytest.raises(InvalidInputError, match="run facturaonline postgres install") as caught:
        await Postgres(empty_url).__aenter__()

    assert database_of(empty_url) in str(caught.value)
    assert caught.value.code == "postgres.schema_missing"


async def test_an_older_schema_is_refused_and_a_newer_one_is_not(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_schema, "NEEDED", 99)
    with pytest.raises(InvalidInputError, match="run facturaonline postgres upgrade"):
        await Postgres(url).__aenter__()
    monkeypatch.setattr(_schema, "NEEDED", 0)
    async with Postgres(url):
        pass


async def test_a_role_needs_the_grant_and_no_right_on_a_table(url: str, shared_server: Server) -> None:
    worker = f"worker_{database_of(url)}"
    shared_server.execute(f'CREATE ROLE "{worker}" LOGIN')
    try:
        workers = shared_server.url(dbname=database_of(url), user=worker)
        with pytest.raises(InvalidInputError, match=f"postgres install --grant {worker}"):
            await Postgres(workers).__aenter__()
        async with Database(read_url(Secret(url), 5.0), connections=1, timeout=5.0) as owner:
            await _schema.grant(owner, worker)
        async with Postgres(workers) as pg:
            with pytest.raises(StatementError, match="permission denied for table meta"):
                await pg._database.query("SELECT * FROM facturaonline.meta")
    finally:
        shared_server.execute(f'DROP OWNED BY "{worker}"', dbname=database_of(url))
        shared_server.execute(f'DROP ROLE "{worker}"')


async def test_the_timeline_is_known_from_the_installation_on(url: str, shared_server: Server) -> None:
    async with Postgres(url) as pg:
        [(name, is_old)] = await pg._database.query("SELECT name, since = 'epoch' FROM facturaonline.timeline_v1()")
    [(identifier,)] = shared_server.execute("SELECT system_identifier FROM pg_control_system()")

    assert (name, is_old) == (f"{identifier}/00000001", True)


async def test_a_changed_timeline_is_recorded_with_its_moment(url: str) -> None:
    async with Postgres(url) as pg:
        await pg._database.query("UPDATE facturaonline.meta SET timeline = 'another/00000001'")
        found = [
            await pg._database.query(
                "SELECT name, clock_timestamp() - since BETWEEN '0 s' AND '5 s' FROM facturaonline.timeline_v1()"
            )
            for _ in range(2)
        ]

    assert found[0] == found[1]
    assert found[0][0][1] is True
    assert found[0][0][0] != "another/00000001"
