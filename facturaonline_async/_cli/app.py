"""The typer application: all commands, and the exit code of each error."""

from __future__ import annotations

import importlib.metadata
import io
import sys
from typing import Annotated

import typer

from facturaonline_async._cli import empresas, emulator, example, provision, report, sello, series, status
from facturaonline_async._cli.typer_groups import add_command as _add
from facturaonline_async._endpoints import ENDPOINTS
from facturaonline_async._messages import Message, message
from facturaonline_async._text import printable
from facturaonline_async.errors import (
    AuthenticationError,
    FacturaOnlineError,
    InvalidInputError,
    OutcomeUnknownError,
    UnreadableAnswerError,
)

__all__ = ["app", "run"]

app: typer.Typer = typer.Typer(
    help="Provision the companies and series of a FacturaOnline account.",
    epilog=(
        "Begin with an example: facturaonline plan example demo, then facturaonline provision demo/plan.csv --emulator"
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # a traceback that shows locals would show keys
)
plan: typer.Typer = typer.Typer(help="Make and read plans.", no_args_is_help=True)
sellos: typer.Typer = typer.Typer(help="Check certificates, keys and passwords (CSD, FIEL).", no_args_is_help=True)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"facturaonline {importlib.metadata.version('facturaonline-async')}")
        raise typer.Exit


@app.callback()
def _facturaonline(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version, and leave.")
    ] = False,
) -> None:
    """Accept the options before the command."""
    del version  # its callback has exited


_add(app, "provision", provision.command)
_add(app, "status", status.command)
_add(app, "report", report.command)
_add(app, "emulator", emulator.command)
_add(plan, "example", example.command)
_add(sellos, "check", sello.command)
app.add_typer(plan, name="plan")
app.add_typer(sellos, name="sello")
app.add_typer(empresas.app, name="empresas")
app.add_typer(series.app, name="series")


def run() -> None:
    """Run the command.

    Exit codes: 0 done; 1 refused, or not found; 2 bad input; 3 a write with an unknown outcome or an unreadable answer,
    to be verified before it is repeated; 130 interrupted.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a company's name must not end the command after its call
    try:
        app(prog_name="facturaonline")
    except FacturaOnlineError as error:
        code, advice = _ending(error)
        for line in (*str(error).splitlines(), *getattr(error, "__notes__", ()), *advice):
            sys.stderr.write(f"{printable(line)}\n")
        sys.exit(code)
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        sys.stderr.write(f"{printable(f'{error.strerror or type(error).__name__}{where}')}\n")
        sys.exit(1)


def _ending(error: FacturaOnlineError) -> tuple[int, tuple[Message, ...]]:
    """Return the exit code of an error, and lines that say what to do next."""
    if isinstance(error, InvalidInputError):
        return 2, ()
    if isinstance(error, AuthenticationError):
        return 1, (message("cli.keys_refused"),)
    endpoint = ENDPOINTS.get(error.endpoint)
    if endpoint is None or endpoint.method == "GET":
        return 1, ()
    if isinstance(error, OutcomeUnknownError):
        return 3, (message("cli.result_unknown"),)
    if isinstance(error, UnreadableAnswerError):
        return 3, (message("cli.result_unreadable"),)
    return 1, ()
