"""A database for each test, with the schema or without it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from facturaonline_async import Secret
from facturaonline_async.postgres import Postgres, _schema
from facturaonline_async.postgres._connection import Database, read_url
from tests.postgres.servers import Cluster, Server, server
from tests.postgres.sql import Sql


@pytest.fixture(scope="session")
def shared_server() -> Server:
    """Return a server that no test stops."""
    return server()


@pytest.fixture
def cluster(shared_server: Server) -> Cluster:
    """Return the private cluster, which a test may stop if it starts it again."""
    if not isinstance(shared_server, Cluster):
        pytest.skip("the server of the environment is not stopped: unset DATABASE_URL and PG*")
    return shared_server


@pytest.fixture
def empty_url(shared_server: Server) -> Iterator[str]:
    """Make a database without the schema, and give its URL."""
    with shared_server.database() as name:
        yield shared_server.url(dbname=name)


@pytest.fixture(scope="session")
def template(shared_server: Server) -> Iterator[str]:
    """Make a database with the schema, and give its name."""

    async def install(url: str) -> None:
        async with Database(read_url(Secret(url), 5.0), connections=1, timeout=5.0) as database:
            await _schema.migrate(database)

    with shared_server.database() as name:
        asyncio.run(install(shared_server.url(dbname=name)))
        yield name


@pytest.fixture
def url(shared_server: Server, template: str) -> Iterator[str]:
    """Make a database with the schema, and give its URL."""
    with shared_server.database(template) as name:
        yield shared_server.url(dbname=name)


@pytest.fixture
async def pg(url: str) -> AsyncIterator[Postgres]:
    """Open the database."""
    async with Postgres(url) as pg:
        yield pg


@pytest.fixture
def sql(shared_server: Server, url: str) -> Sql:
    """Give statements at the test's database."""
    return Sql(shared_server, url)
