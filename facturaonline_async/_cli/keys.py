"""The command ``facturaonline keys``: API keys of the companies of a run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from facturaonline_async._cli import interruption
from facturaonline_async._cli.client_command import BaseUrl, show_warnings
from facturaonline_async._cli.command_groups import single_command
from facturaonline_async._cli.database import DatabaseUrl
from facturaonline_async._cli.journals import read_companies
from facturaonline_async._cli.keys_out import KeysFile
from facturaonline_async._cli.settings import Account, current_settings
from facturaonline_async._messages import message
from facturaonline_async._secrets import Secret
from facturaonline_async._text import printable, printable_path
from facturaonline_async.errors import InvalidInputError

__all__ = ["app", "command"]


def command(
    run: Annotated[str, typer.Option("--run", metavar="NAME", help="Name of the run.", show_default=False)],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="FILE",
            help="CSV file for the keys, mode 0600. It may have some already.",
            show_default=False,
        ),
    ],
    database: DatabaseUrl = None,
    base_url: BaseUrl = None,
) -> None:
    """Write the API keys of the companies that a run created to a file.

    The keys are in no database: they are read from the API again, one call for each company that the file lacks. The
    keys of the account come from FACTURAONLINE_API_KEY and FACTURAONLINE_SECRET_KEY, or from the profile.

    The exit code is 1 if the keys of a company could not be read; run the command again for these.

    Examples:
      facturaonline keys --run alta-2026-11 --out keys.csv
    """
    settings = current_settings()
    account, url = settings.find_account(base_url), settings.find_database(database)
    from facturaonline_async.postgres._runs import RunReader  # noqa: PLC0415  # the driver is an extra

    host, created = read_companies(RunReader(url, run))
    with KeysFile.open(out, option="--out") as keys, show_warnings():
        left = [(rfc, uid) for rfc, uid in created if rfc not in keys.rfcs]
        work = _read(keys, left, url=url, account=account, host=host, run=run)
        problems = interruption.run(work, interrupted=message("cli.interrupted"))
        count = sum(rfc in keys.rfcs for rfc, _ in created)
    for problem in problems:
        sys.stderr.write(f"{printable(problem)}\n")
    sys.stdout.write(f"{printable(message('cli.run_keys_written', path=printable_path(out), count=count, run=run))}\n")
    raise typer.Exit(1 if problems else 0)


app: typer.Typer = single_command("keys", command)


async def _read(
    keys: KeysFile,
    companies: list[tuple[str, str]],
    *,
    url: Secret | None,
    account: Account,
    host: str,
    run: str,
) -> list[str]:
    """Read the keys of companies, and write them; return why some were not read."""
    from facturaonline_async import bulk  # noqa: PLC0415  # it imports aiohttp
    from facturaonline_async.client import connect  # noqa: PLC0415
    from facturaonline_async.errors import FacturaOnlineError, text_of  # noqa: PLC0415
    from facturaonline_async.postgres import Postgres  # noqa: PLC0415

    problems: list[str] = []
    keys_of_account, base_url = account.credentials, account.base_url
    async with Postgres(url) as pg, connect(keys_of_account, base_url=base_url, shared=pg) as client:
        used = client.session.config.base_url or ""
        if used != host:
            raise InvalidInputError(message("cli.keys_of_another_host", run=run, host=host, used=used), field="run")
        async with bulk.stream(companies, lambda one: client.empresas.get_verified(one[1], rfc=one[0])) as outcomes:
            async for each in outcomes:
                rfc, uid = each.item
                if isinstance(each.error, FacturaOnlineError):
                    problems.append(message("cli.keys_missing", rfc=rfc, uid=uid, error=text_of(each.error)))
                else:
                    keys.add(rfc, uid, each.result().credentials)
    return problems
