"""Procrastinate's tables, in the first schema of the role's search path."""

from __future__ import annotations

from typing import Final, LiteralString

from procrastinate.schema import SchemaManager

from facturaonline_async._messages import message
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.postgres._connection import Database

__all__ = ["check_queue", "grant_queue", "install_queue"]

_SECONDS: Final = 60.0
_LOCK: Final = "SELECT pg_advisory_xact_lock(4613732108);"
_FOUND: Final = """
    SELECT to_regclass('procrastinate_jobs') IS NOT NULL,
           to_regprocedure('procrastinate_fetch_job_v2(character varying[], bigint)') IS NOT NULL,
           current_database()
"""
_GRANT: Final[LiteralString] = """
    SELECT set_config('facturaonline.role', %s, true);
    DO $do$
    DECLARE
        role text := current_setting('facturaonline.role');
        found record;
    BEGIN
        FOR found IN
            SELECT c.oid::regclass AS name, c.relkind FROM pg_class AS c
            WHERE c.relname LIKE 'procrastinate\\_%%' AND c.relkind IN ('r', 'S') AND pg_table_is_visible(c.oid)
        LOOP
            EXECUTE format('GRANT %%s %%s TO %%I', CASE found.relkind
                WHEN 'r' THEN 'SELECT, INSERT, UPDATE, DELETE ON' ELSE 'USAGE ON SEQUENCE' END, found.name, role);
        END LOOP;
    END
    $do$;
"""


async def install_queue(database: Database) -> bool:
    """Make procrastinate's tables, unless they are there; return whether it made them.

    An older version of them is not changed: procrastinate's own migrations do that.

    Args:
        database: The database; its role may create tables.

    Raises:
        NotSentError: The database refuses it, or does not answer.

    """
    if await _is_there(database):
        return False
    script = f"{_LOCK} {SchemaManager.get_schema()}".replace("%", "%%")
    await database.query(script, seconds=_SECONDS)  # type: ignore[arg-type, unused-ignore]
    return True


async def check_queue(database: Database) -> None:
    """Refuse a database whose tables of procrastinate are missing or too old.

    Args:
        database: The database.

    Raises:
        InvalidInputError: The error says which command to type.
        NotSentError: The database does not answer.

    """
    [(is_there, is_current, name)] = await database.query(_FOUND)
    if not is_there:
        raise InvalidInputError(message("queue.schema_missing", database=name), field="database")
    if not is_current:
        raise InvalidInputError(message("queue.schema_old", database=name), field="database")


async def grant_queue(database: Database, role: str) -> None:
    """Let a role enqueue and carry out jobs.

    Args:
        database: The database; its role owns the tables.
        role: Name of the role.

    Raises:
        NotSentError: The database refuses it, or does not answer.

    """
    await database.query(_GRANT, [role])


async def _is_there(database: Database) -> bool:
    return bool((await database.query(_FOUND))[0][0])
