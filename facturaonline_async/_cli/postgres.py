"""The commands ``facturaonline postgres …``: the schema in a PostgreSQL database."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from facturaonline_async._cli import client_command, interruption, output
from facturaonline_async._cli.client_command import AsJson
from facturaonline_async._cli.command_groups import command_group
from facturaonline_async._cli.database import DatabaseUrl
from facturaonline_async._cli.settings import current_settings
from facturaonline_async._messages import Message, message
from facturaonline_async._secrets import Secret
from facturaonline_async._text import printable

if TYPE_CHECKING:
    from facturaonline_async.postgres._connection import Database
    from facturaonline_async.postgres._schema import Installed

__all__ = ["app"]

T = TypeVar("T")

Grant = Annotated[
    list[str],
    typer.Option(metavar="ROLE", help="Let this role use the schema. Give it several times for several roles."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask, for scripts.")]

_SECONDS: Final = 10.0
_WIDTH: Final = 10


def install(database: DatabaseUrl = None, grant: Grant = [], yes: Yes = False) -> None:  # noqa: B006  # typer copies it
    """Install the schema facturaonline in a database.

    Whoever runs it needs the right to create a schema there. It installs nothing twice: on a database that has the
    schema it only grants roles the right to use it. A role needs no other right, and none on a table.

    With the extra procrastinate it also makes procrastinate's own tables, in the first schema of the search path, and
    grants roles the right to use them.

    Examples:
      facturaonline postgres install --database postgresql://owner@db.example.com/app --grant worker
    """
    _change(database, grant, yes=yes, is_new=True)


def upgrade(database: DatabaseUrl = None, yes: Yes = False) -> None:
    """Bring the schema facturaonline up to date.

    Processes of an older version of the library go on working meanwhile, and afterwards.

    Examples:
      facturaonline postgres upgrade --database postgresql://owner@db.example.com/app
    """
    _change(database, [], yes=yes, is_new=False)


def status(database: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """Show what a database has, and whether this version of the library can use it.

    The exit code is 1 if it cannot.

    Examples:
      facturaonline postgres status
    """

    async def work(database: Database) -> tuple[Installed, dict[str, Any]]:
        from facturaonline_async.postgres import _schema  # noqa: PLC0415  # help needs no driver

        found = await _schema.read_installed(database)
        return found, await _schema.read_status(database) if found.version else {}

    from facturaonline_async.postgres._schema import LATEST, NEEDED  # noqa: PLC0415

    (found, facts), address = _run(database, work)
    is_usable = found.version >= NEEDED
    if as_json:
        output.print_json(
            {"host": address, "database": found.database, "role": found.role, "server": found.server}
            | {"version": found.version, "needed": NEEDED, "latest": LATEST, "is_usable": is_usable}
            | facts
        )
    else:
        for label, text in _lines(found, facts, address, needed=NEEDED, latest=LATEST):
            sys.stdout.write(f"{label:{_WIDTH}}{printable(text)}\n")
    raise typer.Exit(0 if is_usable else 1)


def restored(database: DatabaseUrl = None, yes: Yes = False) -> None:
    """Say that the record of creates is older than the companies and series.

    Type it after a dump was restored into the database, or rows were deleted. Every create then waits for the settle
    time, so that lists show what the record lacks. After a promoted standby or a recovery to a point in time this
    happens by itself, unless status says that the timeline is hidden.

    Examples:
      facturaonline postgres restored --database postgresql://owner@db.example.com/app
    """
    found, address = _run(database, _installed)
    question = message("postgres.restored_question", database=found.database, address=address, role=found.role)
    client_command.confirm(yes, question, declined=_UNCHANGED)

    async def work(database: Database) -> None:
        from facturaonline_async.postgres import _schema  # noqa: PLC0415  # help needs no driver

        await _schema.record_restored(database)

    _run(database, work)
    sys.stdout.write(f"{message('postgres.restored')}\n")


app: typer.Typer = command_group(
    "The schema in PostgreSQL, through which processes share quota, creates and journals.",
    install=install,
    status=status,
    upgrade=upgrade,
    restored=restored,
)

_UNCHANGED: Final = message("cli.nothing_changed")


def _run(url: Secret | None, work: Callable[[Database], Awaitable[T]]) -> tuple[T, str]:
    """Run some work with the database; return its result, and the server's address."""
    from facturaonline_async.postgres._postgres import open_database  # noqa: PLC0415  # help needs no driver

    async def main() -> tuple[T, str]:
        async with open_database(current_settings().find_database(url), connections=1, timeout=_SECONDS) as database:
            result = await work(database)
            return result, database.address

    return interruption.run(main(), interrupted=message("cli.interrupted"))


async def _installed(database: Database) -> Installed:
    from facturaonline_async.postgres import _schema  # noqa: PLC0415  # help needs no driver

    return await _schema.read_installed(database)


def _change(url: Secret | None, roles: list[str], *, yes: bool, is_new: bool) -> None:
    """Install or upgrade the schema, after a question."""
    from facturaonline_async.postgres import _schema  # noqa: PLC0415  # help needs no driver

    found, address = _run(url, _installed)
    if not is_new and not found.version:
        raise _schema.missing(found)
    question = message(
        "postgres.install_question" if is_new else "postgres.upgrade_question",
        database=found.database,
        role=found.role,
        address=address,
        version=_schema.LATEST,
    )
    client_command.confirm(yes, question, declined=_UNCHANGED)

    async def work(database: Database) -> tuple[Installed, bool]:
        installed = found
        if is_new and found.version:
            _schema.check_version(found)
        else:
            installed = await _schema.migrate(database)
        for role in roles:
            await _schema.grant(database, role)
        return installed, is_new and await _install_queue(database, roles)

    (installed, has_queue), _ = _run(url, work)
    sys.stdout.write(f"{message('postgres.installed', database=found.database, version=installed.version)}\n")
    if has_queue:
        sys.stdout.write(f"{message('postgres.queue_installed', database=found.database)}\n")
    for role in roles:
        sys.stdout.write(f"{printable(message('postgres.granted', role=role))}\n")


async def _install_queue(database: Database, roles: list[str]) -> bool:
    """Make procrastinate's tables, if the extra is installed; return whether it is."""
    if find_spec("procrastinate") is None:
        return False
    from facturaonline_async.procrastinate._schema import grant_queue, install_queue  # noqa: PLC0415  # an extra

    await install_queue(database)
    for role in roles:
        await grant_queue(database, role)
    return True


def _lines(
    found: Installed, facts: dict[str, Any], address: str, *, needed: int, latest: int
) -> list[tuple[Message, Message]]:
    """Return labels and texts of what a database has."""
    lines = [
        (
            message("postgres.label_database"),
            message("postgres.place", database=found.database, address=address, role=found.role, server=found.server),
        )
    ]
    if not found.version:
        schema = message("postgres.status_missing")
    elif found.version < needed:
        schema = message("postgres.status_old", found=found.version, needed=needed)
    elif found.version < latest:
        schema = message("postgres.status_not_latest", found=found.version, latest=latest)
    else:
        schema = message("postgres.status_version", found=found.version)
    lines.append((message("postgres.label_schema"), schema))
    if not facts:
        return lines
    is_hidden = facts["is_timeline_hidden"]
    timeline = message("postgres.timeline_hidden" if is_hidden else "postgres.timeline_known")
    lines.append((message("postgres.label_timeline"), timeline))
    if facts["changed"] is not None:
        lines.append((message("postgres.label_lost"), message("postgres.lost", seconds=facts["changed"])))
    lines.append(
        (
            message("postgres.label_creates"),
            message("postgres.creates", open=facts["open"], unknown=facts["unknown"], known=facts["known"]),
        )
    )
    return lines
