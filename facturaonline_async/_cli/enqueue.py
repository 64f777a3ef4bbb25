"""The command ``facturaonline enqueue``: let workers carry out a plan."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from facturaonline_async._cli import interruption
from facturaonline_async._cli.client_command import BaseUrl
from facturaonline_async._cli.command_groups import single_command
from facturaonline_async._cli.database import DatabaseUrl
from facturaonline_async._cli.plan_options import AnyTipo, PlanFile
from facturaonline_async._cli.plans import read_plan
from facturaonline_async._cli.settings import current_settings
from facturaonline_async._messages import message
from facturaonline_async._text import printable

__all__ = ["app", "command"]


def command(
    plan: PlanFile,
    run: Annotated[str, typer.Option("--run", metavar="NAME", help="Name of the run.", show_default=False)],
    shards: Annotated[
        int, typer.Option(min=1, max=10_000, help="Parts of the plan: several for each worker, so that none waits.")
    ],
    database: DatabaseUrl = None,
    base_url: BaseUrl = None,
    any_tipo: AnyTipo = False,
) -> None:
    """Let workers on any number of machines carry out PLAN.

    The run keeps the number of shards, the account, the host, and a hash of the plan's RFCs and series. The plan itself
    does not go into the database: each worker reads it with its own function. The keys of the account come from
    FACTURAONLINE_API_KEY and FACTURAONLINE_SECRET_KEY, or from the profile, and are not stored.

    Enqueue the same run again to continue it: after "facturaonline cancel", or after you corrected failed rows of the
    plan. What is finished is not repeated. See "facturaonline status --run NAME --watch".

    Examples:
      facturaonline enqueue plan.csv --shards 12 --run alta-2026-11
    """
    settings = current_settings()
    account = settings.find_account(base_url)
    read = read_plan(plan, any_tipo=any_tipo, sheet=None, as_json=False)
    from facturaonline_async.procrastinate import enqueue  # noqa: PLC0415  # an extra

    interruption.run(
        enqueue(
            read,
            run=run,
            shards=shards,
            credentials=account.credentials,
            base_url=account.base_url,
            database=settings.find_database(database),
        ),
        interrupted=message("cli.interrupted"),
    )
    empresas = message("cli.count_empresas", count=len(read))
    series = message("cli.count_series", count=read.series_count)
    parts = message("cli.count_shards", count=shards)
    text = message("cli.enqueued", run=run, empresas=empresas, series=series, shards=parts)
    sys.stdout.write(f"{printable(text)}\n")


app: typer.Typer = single_command("enqueue", command)
