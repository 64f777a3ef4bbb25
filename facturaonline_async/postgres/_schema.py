"""The schema ``facturaonline``: numbered migrations, and the version for a client."""

from __future__ import annotations

from importlib.resources import files
from typing import Any, Final, LiteralString, cast

from attrs import frozen

from facturaonline_async._messages import message
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.postgres._connection import Database, StatementError

__all__ = [
    "LATEST",
    "NEEDED",
    "Installed",
    "check",
    "check_version",
    "grant",
    "migrate",
    "missing",
    "read_installed",
    "read_status",
    "record_restored",
    "script",
]

NEEDED: Final = 2
"""Version of the schema that this client needs; it works with every later one."""
LATEST: Final = 4
"""Version of the schema that `migrate` makes."""
_OLDEST_SERVER: Final = 13
_INSTALL_SECONDS: Final = 60.0

_NO_SCHEMA: Final = "3F000"
_NO_FUNCTION: Final = "42883"
_NO_PRIVILEGE: Final = "42501"
_RACE: Final = "FO001"
"""Code of the error of a migration that another process carried out at the same time."""

_READ: Final = """
    SELECT current_setting('server_version_num')::integer / 10000, current_database(), current_user::text,
           facturaonline.version_v1()
"""
_BEGIN: Final = """
    SELECT pg_advisory_xact_lock(4613732107);
    DO $do$
    BEGIN
        IF to_regnamespace('facturaonline') IS NULL THEN
            CREATE SCHEMA facturaonline;
        END IF;
        IF to_regclass('facturaonline.meta') IS NULL THEN
            IF {found} <> 0 THEN RAISE SQLSTATE 'FO001'; END IF;
        ELSIF {found} <> (SELECT version FROM facturaonline.meta) THEN
            RAISE SQLSTATE 'FO001';
        END IF;
    END
    $do$;
"""
_END: Final = """
    INSERT INTO facturaonline.meta AS m (version, timeline) VALUES ({latest}, facturaonline.server_timeline())
        ON CONFLICT (is_only) DO UPDATE SET version = excluded.version;
"""
_GRANT: Final[LiteralString] = """
    SELECT set_config('facturaonline.role', %s, true);
    DO $do$
    DECLARE
        role text := current_setting('facturaonline.role');
    BEGIN
        EXECUTE format('GRANT USAGE ON SCHEMA facturaonline TO %%I', role);
        EXECUTE format('GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA facturaonline TO %%I', role);
    END
    $do$;
"""


@frozen
class Installed:
    """What a database has.

    Attributes:
        server: Major version of PostgreSQL.
        database: Name of the database.
        role: Role of the connection.
        version: Version of the schema; 0 if it is not installed.

    """

    server: int
    database: str
    role: str
    version: int


async def read_installed(database: Database) -> Installed:
    """Return the version of the schema, and where it is.

    Args:
        database: The database.

    Raises:
        InvalidInputError: The role may not use the schema.
        SharedUnavailableError: The database does not answer.

    """
    code = ""
    try:
        [row] = await database.query(_READ)
        return Installed(*row)
    except StatementError as error:
        code = error.sqlstate
        if code not in {_NO_SCHEMA, _NO_FUNCTION, _NO_PRIVILEGE}:
            raise
    [row] = await database.query(_READ.replace("facturaonline.version_v1()", "0"))
    if code == _NO_PRIVILEGE:
        raise InvalidInputError(message("postgres.schema_hidden", role=row[2]), field="url")
    return Installed(*row)


async def check(database: Database, *, needed: int | None = None) -> None:
    """Refuse a database whose schema is missing or older than this client needs.

    Args:
        database: The database.
        needed: Version that the caller needs; None: `NEEDED`.

    Raises:
        InvalidInputError: The error says which command to type.
        SharedUnavailableError: The database does not answer.

    """
    check_version(await read_installed(database), needed=needed)


def check_version(found: Installed, *, needed: int | None = None) -> None:
    """Refuse a schema that is missing or older than this client needs.

    Args:
        found: What the database has.
        needed: See `check`.

    Raises:
        InvalidInputError: The error says which command to type.

    """
    _check_server(found)
    if found.version == 0:
        raise missing(found)
    needed = NEEDED if needed is None else needed
    if found.version < needed:
        text = message("postgres.schema_old", database=found.database, found=found.version, needed=needed)
        raise InvalidInputError(text, field="url")


def missing(found: Installed) -> InvalidInputError:
    """Return the error of a database without the schema.

    Args:
        found: What the database has.

    """
    return InvalidInputError(message("postgres.schema_missing", database=found.database), field="url")


async def read_status(database: Database) -> dict[str, Any]:
    """Return facts about creates and the timeline, by name.

    Args:
        database: The database; its role may use the schema.

    Raises:
        SharedUnavailableError: The database does not answer.

    """
    [(is_hidden, changed, in_flight, unknown, known)] = await database.query("SELECT * FROM facturaonline.status_v1()")
    return {
        "is_timeline_hidden": is_hidden,
        "changed": changed,
        "open": in_flight,
        "unknown": unknown,
        "known": known,
    }


async def record_restored(database: Database) -> None:
    """Let all creates wait for the settle time from now on.

    Args:
        database: The database; its role may use the schema.

    Raises:
        SharedUnavailableError: The database does not answer.

    """
    await database.query("SELECT facturaonline.restored_v1()")


async def migrate(database: Database) -> Installed:
    """Install the schema, or bring an older one up to date, in one transaction.

    Processes that do it at the same time wait for each other.

    Args:
        database: The database; its role may create the schema, or owns it.

    Raises:
        InvalidInputError: The server is too old.
        NotSentError: The database refuses it, or does not answer.

    """
    while True:
        found = await read_installed(database)
        _check_server(found)
        if found.version >= LATEST:
            return found
        try:
            await database.query(script(found.version).replace("%", "%%"), seconds=_INSTALL_SECONDS)
        except StatementError as error:
            if error.sqlstate != _RACE:
                raise


def script(version: int) -> LiteralString:
    """Return the statements that bring a schema up to date.

    They fail if the schema has another version meanwhile.

    Args:
        version: Version of the schema that is there; 0 if there is none.

    """
    texts = (_BEGIN, *map(_migration, range(version + 1, LATEST + 1)), _END)
    text = "".join(texts).replace("{found}", str(version)).replace("{latest}", str(LATEST))
    # It is made of files of this package. For mypy LiteralString is str, so that the cast is redundant there.
    return cast("LiteralString", text)  # type: ignore[redundant-cast]


async def grant(database: Database, role: str) -> None:
    """Let a role use the schema: USAGE of it, and EXECUTE of its functions.

    Args:
        database: The database; its role owns the schema.
        role: Name of the role.

    Raises:
        NotSentError: The database refuses it, or does not answer.

    """
    await database.query(_GRANT, [role])


def _migration(number: int) -> str:
    return (files("facturaonline_async.postgres") / "schema" / f"{number:03}.sql").read_text(encoding="utf-8")


def _check_server(found: Installed) -> None:
    if found.server < _OLDEST_SERVER:
        text = message("postgres.server_old", found=found.server, needed=_OLDEST_SERVER)
        raise InvalidInputError(text, field="url")
