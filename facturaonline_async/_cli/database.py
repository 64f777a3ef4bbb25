"""The database that a command shares with other processes, as its options name it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer

from facturaonline_async._cli.settings import current_settings
from facturaonline_async._messages import message
from facturaonline_async._secrets import Secret
from facturaonline_async.postgres._environment import VARIABLE

if TYPE_CHECKING:
    from facturaonline_async.postgres import Postgres

__all__ = ["DatabaseUrl", "is_shared", "open_shared"]

_REFERENCE: Final = "env:"


def _url(text: str) -> Secret:
    """Return the URL of an option; ``env:NAME`` names the variable that holds it."""
    if not text.startswith(_REFERENCE):
        return Secret(text)
    url = os.environ.get(name := text.removeprefix(_REFERENCE))
    if not url:
        raise typer.BadParameter(message("cli.database_variable_missing", variable=name))
    return Secret(url)


DatabaseUrl = Annotated[
    Secret | None,
    typer.Option(
        "--database",
        parser=_url,
        metavar="URL",
        help=(
            "PostgreSQL that processes share: postgresql://user:password@host:port/database, or env:NAME for the URL "
            "in a variable, such as env:DATABASE_URL; else that of --profile, "
            "else FACTURAONLINE_DATABASE_URL, else that of the profile. Other "
            "users of this machine can see a password in an option."
        ),
        show_default=False,
    ),
]


def is_shared(url: Secret | None) -> bool:
    """Return whether a command shares quota and creates with other processes.

    The variables ``PG*`` alone do not make it so: they may belong to another program.

    Args:
        url: URL of the option or of the profile, or None.

    """
    return url is not None or bool(os.environ.get(VARIABLE))


@asynccontextmanager
async def open_shared(database: Secret | None, *, is_needed: bool = False) -> AsyncIterator[Postgres | None]:
    """Open the database that a command shares, or give None if it shares none.

    Args:
        database: value of --database.
        is_needed: open one in any case, if need be that of the variables ``PG*``.

    Raises:
        InvalidInputError: the URL cannot be read, or the database has no schema.
        NotSentError: the database does not answer.

    """
    url = current_settings().find_database(database)
    if not is_needed and not is_shared(url):
        yield None
        return
    from facturaonline_async.postgres import Postgres  # noqa: PLC0415  # most commands use no database

    async with Postgres(url) as pg:
        yield pg
