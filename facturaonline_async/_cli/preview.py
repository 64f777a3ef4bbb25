"""The command ``facturaonline plan preview``: what a run would do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from facturaonline_async._cli import interruption, output, progress
from facturaonline_async._cli.client_command import BaseUrl
from facturaonline_async._cli.consoles import new_console
from facturaonline_async._cli.database import DatabaseUrl
from facturaonline_async._cli.plan_options import AnyTipo, PlanFile, SheetName
from facturaonline_async._cli.plans import ExistingCompanies, problem_values, read_plan
from facturaonline_async._cli.preview_output import print_preview, redacted
from facturaonline_async._cli.run_target import RunTarget
from facturaonline_async._cli.settings import current_settings
from facturaonline_async._messages import message
from facturaonline_async.config import Config
from facturaonline_async.provision import Existing, Plan

if TYPE_CHECKING:
    from facturaonline_async.provision import Preview

__all__ = ["command"]

_ROWS: Final = 5
"""Rows that are shown of each kind, if the user gives no number."""

_DIFFERS: Final = 4
"""Exit code of --exit-code if something is to be done."""


def command(
    plan: PlanFile,
    sheet: SheetName = None,
    base_url: BaseUrl = None,
    journal: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|pg:RUN",
            help="Journal of the run, which is only read: rows that are in it count as done.",
            show_default=False,
        ),
    ] = None,
    database: DatabaseUrl = None,
    existing: ExistingCompanies = "adopt",
    use_emulator: Annotated[
        bool, typer.Option("--emulator", help="Use an emulator in this process, as provision --emulator does.")
    ] = False,
    any_tipo: AnyTipo = False,
    rows: Annotated[int, typer.Option(min=0, help="How many rows of each kind are shown; --json shows all.")] = _ROWS,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 4 if there is something to do, and with 0 if not.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the preview as JSON.")] = False,
) -> None:
    """Show what "provision PLAN" would do, and send nothing but reads.

    It reads the companies of the account, and of those that are in the plan the series; with --existing update, it
    shows each attribute that would change. Attributes that reads do not show (certificates, passwords, códigos de
    régimen, delegación, teléfono) cannot be compared; an update sends them.

    Examples:
      facturaonline plan preview plan.xlsx
      facturaonline plan preview plan.xlsx --existing update --json
      facturaonline plan preview plan.xlsx --exit-code || echo "something to do"
    """
    target = RunTarget.of(
        Config(base_url=base_url),
        journal=journal,
        database=database,
        use_emulator=use_emulator,
        as_json=as_json,
        is_read_only=True,
    )
    read = read_plan(plan, any_tipo=any_tipo, sheet=sheet, as_json=as_json)
    if not use_emulator:
        current_settings().find_account(base_url, or_emulator=True)
    interrupted = message("cli.interrupted").then(message("cli.nothing_changed"))
    found = interruption.run(_preview(target, read, existing, None if as_json else rows), interrupted=interrupted)
    if as_json:
        values = found.to_dict() | {"notices": problem_values(read.notices)}
        output.print_json_rows(values, "rows", map(redacted, values.pop("rows")))
    else:
        print_preview(found, new_console(soft_wrap=True), use_emulator=use_emulator)
    if exit_code and not found.is_settled:
        raise typer.Exit(_DIFFERS)


async def _preview(target: RunTarget, plan: Plan, existing: Existing, limit: int | None) -> Preview:
    """Return the preview of ``plan preview``.

    Args:
        target: where the run would take place.
        plan: the plan.
        existing: what the run would do with companies that exist.
        limit: maximum number of rows that are kept of each action; None: all.

    """
    from facturaonline_async.provision._preview import Previewer  # noqa: PLC0415  # imports aiohttp

    async with target.open_shared() as pg, target.open_client(pg) as client:
        previewer = Previewer(client, plan, existing)
        async with target.open_view(pg, client) as view:
            await previewer.compare_journal(view)
        with progress.preview_bar() as on_progress:
            return await previewer.run(limit=limit, concurrency=target.config.concurrency, on_progress=on_progress)
