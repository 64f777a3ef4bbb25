"""The command ``facturaonline plan export``: what an account holds, as a plan."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import starmap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from facturaonline_async._cli import client_command, output, progress
from facturaonline_async._cli.client_command import BaseUrl
from facturaonline_async._cli.consoles import new_console
from facturaonline_async._cli.database import DatabaseUrl
from facturaonline_async._cli.output_path_checks import check_file, unwritable
from facturaonline_async._core.redaction import redact
from facturaonline_async._messages import message
from facturaonline_async._private_files import publish_private
from facturaonline_async._text import printable, printable_path
from facturaonline_async.errors import InvalidInputError

if TYPE_CHECKING:
    from facturaonline_async._cli.export_table import ExportTable
    from facturaonline_async.client import FacturaOnline
    from facturaonline_async.empresas._models import Empresa
    from facturaonline_async.provision._account import ListedEmpresa

__all__ = ["command"]

_SUFFIXES: Final = frozenset({".csv", ".xlsx"})
_CONCURRENCY: Final = 32


def command(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="File to write, with a name in .xlsx or .csv.", show_default=False)
    ],
    no_series: Annotated[
        bool, typer.Option("--no-series", help="Leave out the series, which take a call for each company.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    base_url: BaseUrl = None,
    database: DatabaseUrl = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON, and no progress.")] = False,
) -> None:
    """Write the companies of the account and their series into a new plan.

    The file holds no key, no password and no certificate, and only its owner may read it. Its column UID says that the
    companies exist: "provision" adopts them, creates series that you add, and with --existing update changes what you
    change. To renew certificates, fill in the columns Certificado, Llave and Contraseña. A run never creates a company
    of such a row.

    The columns whose names begin with # are notes: the régimen in words, paused series, and what a plan cannot hold.
    The cell of a text that a run would mend or refuse is empty, which a run leaves alone, and the text is a note. If a
    plan cannot hold a serie, all series of its company are left out, so that "series apply --deactivate-others" pauses
    none.

    Examples:
      facturaonline plan export plan.xlsx
      facturaonline plan preview plan.xlsx --existing update

    The exit code is 1 if the series of a company could not be read or are left out, or a company has no place in a
    plan; the message names it.
    """
    _check_file(file, replaces=force)
    from facturaonline_async._cli.export_table import ExportTable  # noqa: PLC0415  # imports the parsers

    found = client_command.run(
        partial(_read, with_series=not no_series, quiet=as_json), base_url=base_url, database=database
    )
    table = ExportTable()
    for each in found:
        table.add(each)
    _write(file, table.to_bytes(file.suffix.lower()), replaces=force)
    unreadable = [(each.empresa, each.reason) for each in found if each.reason]
    if as_json:
        output.print_json(
            {
                "file": str(file),
                "empresas": len(table.rows),
                "series": table.series_count,
                "without_series": [_problem(*each) for each in (*unreadable, *table.without_series)],
                "left_out": [_problem(*each) for each in table.left_out],
            }
        )
    else:
        _report(file, table, unreadable)
    if unreadable or table.without_series or table.left_out:
        raise typer.Exit(1)


async def _read(client: FacturaOnline, *, with_series: bool, quiet: bool) -> list[ListedEmpresa]:
    from facturaonline_async import bulk  # noqa: PLC0415  # imports anyio
    from facturaonline_async.provision._account import (  # noqa: PLC0415  # imports aiohttp
        ListedEmpresa,
        list_account,
        list_series,
    )

    companies = await list_account(client)
    if not with_series:
        return [ListedEmpresa(empresa) for empresa in companies]
    found: list[ListedEmpresa] = []
    with progress.bar(message("cli.label_series"), len(companies), quiet=quiet) as advance:
        async with bulk.stream(
            companies, partial(list_series, client), concurrency=_CONCURRENCY, ordered=True
        ) as outcomes:
            async for outcome in outcomes:
                found.append(outcome.result())
                advance()
    return found


def _problem(empresa: Empresa, reason: str) -> dict[str, str]:
    return {name: redact(str(text)) for name, text in (("rfc", empresa.rfc), ("uid", empresa.uid), ("reason", reason))}


def _report(file: Path, table: ExportTable, unreadable: Sequence[tuple[Empresa, str]]) -> None:
    errors = new_console(stderr=True, soft_wrap=True)
    texts = [
        message("cli.export_without_series", rfc=each["rfc"], uid=each["uid"], reason=each["reason"])
        for each in starmap(_problem, unreadable)
    ]
    texts += [
        message("cli.export_series_left_out", rfc=each["rfc"], uid=each["uid"], reason=each["reason"])
        for each in starmap(_problem, table.without_series)
    ]
    texts += [
        message("cli.export_left_out", rfc=each["rfc"], uid=each["uid"], reason=each["reason"])
        for each in starmap(_problem, table.left_out)
    ]
    for text in texts:
        errors.print(printable(message("cli.warning", text=text)))
    console = new_console(soft_wrap=True)
    of_empresas = message("cli.count_empresas", count=len(table.rows))
    of_series = message("cli.count_series", count=table.series_count)
    shown = printable_path(file)
    console.print(message("cli.export_written", path=shown, empresas=of_empresas, series=of_series))


# ── The file ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _check_file(file: Path, *, replaces: bool) -> None:
    """Refuse a file that cannot be written, before the account is read."""
    if (suffix := file.suffix.lower()) not in _SUFFIXES:
        raise InvalidInputError(message("cli.export_suffix", path=printable_path(file)), field="FILE")
    if suffix == ".xlsx":
        import facturaonline_async._cli.workbooks  # noqa: F401, PLC0415  # raises without the extra excel
    check_file(file, option="FILE", replaces=replaces)


def _write(file: Path, content: bytes, *, replaces: bool) -> None:
    try:
        publish_private(file, content, replaces=replaces)
    except FileExistsError:
        raise _exists(file) from None
    except OSError as error:
        raise unwritable(file, error, option="FILE") from None


def _exists(file: Path) -> InvalidInputError:
    return InvalidInputError(message("cli.export_exists", path=printable_path(file)), field="FILE")
