"""The command ``facturaonline cancel``: end a run that workers carry out."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from facturaonline_async._cli import interruption
from facturaonline_async._cli.command_groups import single_command
from facturaonline_async._cli.database import DatabaseUrl
from facturaonline_async._cli.settings import current_settings
from facturaonline_async._messages import message
from facturaonline_async._text import printable

__all__ = ["app", "command"]


def command(
    run: Annotated[str, typer.Option("--run", metavar="NAME", help="Name of the run.", show_default=False)],
    database: DatabaseUrl = None,
) -> None:
    """End a run that workers carry out.

    Its jobs leave the queue, and workers stop what is under way within seconds. What exists stays. Enqueue the run
    again to continue it.

    Examples:
      facturaonline cancel --run alta-2026-11
    """
    from facturaonline_async.procrastinate import cancel  # noqa: PLC0415  # an extra

    url = current_settings().find_database(database)
    interruption.run(cancel(run, database=url), interrupted=message("cli.interrupted"))
    sys.stdout.write(f"{printable(message('cli.cancelled', run=run))}\n")


app: typer.Typer = single_command("cancel", command)
