"""The command ``facturaonline series apply``: series for companies that exist."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from facturaonline_async._cli.client_command import BaseUrl, Sure
from facturaonline_async._cli.database import DatabaseUrl
from facturaonline_async._cli.plan_options import AnyTipo, SheetName
from facturaonline_async._cli.settings import current_settings
from facturaonline_async._messages import message
from facturaonline_async._text import printable_path
from facturaonline_async.errors import InvalidInputError

__all__ = ["command"]


def command(
    plan: Annotated[
        Path,
        typer.Argument(
            metavar="PLAN",
            help="A plan, or a CSV file or workbook with nothing but RFC and series.",
            show_default=False,
        ),
    ],
    others: Annotated[
        bool,
        typer.Option(
            "--deactivate-others", help="Then pause the active series of these companies that PLAN does not name."
        ),
    ] = False,
    sheet: SheetName = None,
    any_tipo: AnyTipo = False,
    journal: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|pg:RUN", help="Record everything before it is sent, and resume from it.", show_default=False
        ),
    ] = None,
    settle: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="How long to wait before a create without an answer counts as not done. Default: 150.",
        ),
    ] = None,
    no_audit: Annotated[
        bool, typer.Option("--no-audit", help="Skip the final list of the created series that finds duplicates.")
    ] = False,
    yes: Sure = False,
    base_url: BaseUrl = None,
    database: DatabaseUrl = None,
) -> None:
    """Create the series of PLAN that are missing, in companies that exist.

    It needs no certificates: of each row only the RFC and the series are used. No company is created or changed; a row
    whose company does not exist fails. Series that exist stay as they are, also paused ones. As with "provision", you
    see what would be done, and are asked; --journal resumes an interrupted run, and nothing is created twice.

    --deactivate-others is a second step. It begins when all series of the plan exist, shows what it would pause, and
    asks again. Companies without series in the plan are left alone.

    Examples:
      facturaonline series apply series.csv --journal run.sqlite
      facturaonline plan export plan.xlsx && facturaonline series apply plan.xlsx --deactivate-others

    The exit code is 0 only if everything that was asked for is done.
    """
    # The other commands of series need none of these.
    from facturaonline_async._cli.confirmation import Confirmation  # noqa: PLC0415
    from facturaonline_async._cli.output_path_checks import same_file  # noqa: PLC0415
    from facturaonline_async._cli.plans import read_plan  # noqa: PLC0415
    from facturaonline_async._cli.provision import RunJob  # noqa: PLC0415
    from facturaonline_async._cli.run_target import RunTarget  # noqa: PLC0415
    from facturaonline_async._cli.series_in_bulk import deactivate_others, series_rows  # noqa: PLC0415
    from facturaonline_async.config import Config  # noqa: PLC0415

    target = RunTarget.of(Config(base_url=base_url), journal=journal, database=database)
    if target.journal is not None and same_file(target.journal, [plan]):
        path = printable_path(target.journal)
        raise InvalidInputError(message("cli.journal_is_the_plan", path=path), field="journal")
    read = series_rows(read_plan(plan, any_tipo=any_tipo, sheet=sheet, as_json=False))
    if not len(read):
        raise InvalidInputError(message("cli.bulk_no_series"), field="PLAN")
    current_settings().find_account(base_url)
    job = RunJob(
        plan=read,
        target=target,
        keys_out=None,
        confirmation=Confirmation(target, read, "adopt", yes),
        options={
            "concurrency": 128,
            "settle": settle,
            "existing": "adopt",
            "audit": "none" if no_audit else "run",
        },
    )
    report = job.carry_out()
    if not report.is_complete:
        if others:
            typer.echo(message("cli.bulk_others_left"), err=True)
        raise typer.Exit(1)
    if others:
        deactivate_others(read, yes=yes, base_url=base_url, database=database)
