"""The commands ``facturaonline runs …``: runs whose journals are in PostgreSQL."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from facturaonline_async._cli import client_command, interruption, output
from facturaonline_async._cli.client_command import AsJson, Yes
from facturaonline_async._cli.command_groups import command_group
from facturaonline_async._cli.consoles import new_console
from facturaonline_async._cli.database import DatabaseUrl
from facturaonline_async._cli.run_texts import format_moment, format_timestamp
from facturaonline_async._cli.settings import current_settings
from facturaonline_async._cli.tables import Rows
from facturaonline_async._messages import message
from facturaonline_async._secrets import Secret
from facturaonline_async._text import printable

if TYPE_CHECKING:
    from facturaonline_async.postgres import Postgres, RunSummary

__all__ = ["app"]

T = TypeVar("T")


def list_(database: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """List the runs, the one that was heard last first.

    Examples:
      facturaonline runs list
    """

    async def work(pg: Postgres) -> list[RunSummary]:
        return await pg.list_runs()

    runs = _run(database, work)
    if as_json:
        output.print_json([_as_json(run) for run in runs])
        return
    headings = (
        message("cli.label_run"),
        message("cli.label_state"),
        message("cli.label_done"),
        message("cli.label_heard"),
        message("cli.label_host"),
    )
    rows = [
        (
            printable(run.name),
            message("cli.run_is_at_work" if run.is_running else "cli.run_is_idle"),
            f"{run.done}/{run.planned}",
            format_moment(run.heard_at.timestamp()),
            printable(run.host),
        )
        for run in runs
    ]
    new_console().print(Rows(headings, rows))


def delete(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the run.", show_default=False)],
    database: DatabaseUrl = None,
    yes: Yes = False,
) -> None:
    """Delete the journal of a run: the RFCs in it are personal data.

    Companies and series stay as they are. Wait for the settle time (150 s) after the last create of the run.

    Examples:
      facturaonline runs delete alta-2026-11
    """
    client_command.confirm(yes, message("cli.delete_run_question", run=name), declined=message("cli.nothing_changed"))

    async def work(pg: Postgres) -> None:
        await pg.delete_run(name)

    _run(database, work)
    sys.stdout.write(f"{printable(message('cli.run_deleted', run=name))}\n")


app: typer.Typer = command_group(
    "The runs whose journals are in a PostgreSQL database: list and delete them.", list=list_, delete=delete
)


def _run(url: Secret | None, work: Callable[[Postgres], Awaitable[T]]) -> T:
    from facturaonline_async.postgres import Postgres  # noqa: PLC0415  # help needs no driver

    async def main() -> T:
        async with Postgres(current_settings().find_database(url), connections=1) as pg:
            return await work(pg)

    return interruption.run(main(), interrupted=message("cli.interrupted"))


def _as_json(run: RunSummary) -> dict[str, Any]:
    return {
        "name": run.name,
        "host": run.host,
        "created": format_timestamp(run.created_at.timestamp()),
        "heard": format_timestamp(run.heard_at.timestamp()),
        "running": run.is_running,
        "planned": run.planned,
        "done": run.done,
    }
