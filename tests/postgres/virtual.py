"""A database whose clock is that of a virtual event loop."""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from functools import cache
from typing import LiteralString

from facturaonline_async import Secret
from facturaonline_async.postgres import _schema
from facturaonline_async.postgres._connection import Database, Row, read_url
from facturaonline_async.postgres._creates import PostgresCreates
from tests.postgres.servers import server
from tests.virtual import VirtualLoop

__all__ = ["VirtualDatabase", "virtual_creates", "virtual_database"]

_CLOCK = """
    CREATE OR REPLACE FUNCTION facturaonline.clock() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
        SELECT timestamptz '2026-01-01 00:00:00+00' + current_setting('tests.now')::float8 * interval '1 s'
    $$
"""


class VirtualDatabase(Database):
    """Database that tells the server the time of its virtual loop, and lets no time pass meanwhile."""

    async def query(
        self, statement: LiteralString, arguments: Sequence[object] = (), *, seconds: float | None = None
    ) -> list[Row]:
        """Run statements; see `Database.query`."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        with loop.held():
            now = "SET LOCAL tests.now = %s; "
            return await super().query(now + statement, [str(loop.time()), *arguments], seconds=seconds)


@cache
def virtual_url() -> str:
    """Return the URL of a database with the schema and a settable clock; this process uses it for all its tests."""
    stack = ExitStack()
    url = server().url(dbname=stack.enter_context(server().database()))
    atexit.register(stack.close)

    async def install() -> None:
        async with Database(read_url(Secret(url), 5.0), connections=1, timeout=30.0) as database:
            await _schema.migrate(database)
            await database.query(_CLOCK)

    thread = threading.Thread(target=lambda: asyncio.run(install()))  # the caller may run in a virtual loop
    thread.start()
    thread.join()
    return url


def virtual_database() -> VirtualDatabase:
    """Return the database of this process's tests; it is not open yet."""
    return VirtualDatabase(read_url(Secret(virtual_url()), 5.0), connections=3, timeout=5.0)


@asynccontextmanager
async def virtual_creates(host: str, settle: float) -> AsyncIterator[tuple[PostgresCreates, PostgresCreates]]:
    """Open the store of two processes."""
    async with AsyncExitStack() as stack:
        databases = [await stack.enter_async_context(virtual_database()) for _ in range(2)]
        one, other = (PostgresCreates(database, host, settle, grace=0.0) for database in databases)
        yield one, other
