"""All commands together, and how they end."""

from __future__ import annotations

import importlib.metadata
import inspect
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from facturaonline_async.cli import emulator, example, provision, report, sello, status
from facturaonline_async.errors import FacturaOnlineError, InvalidInputError

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
    """Take the options that come before the command."""
    del version  # its callback has left already


def _add(group: typer.Typer, name: str, command: Callable[..., None]) -> None:
    """Add a command, with its docstring as help: paragraphs as they are, lines as the terminal breaks them."""
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    group.command(name, help="\n\n".join(paragraph.replace("\n", " ") for paragraph in paragraphs))(command)


_add(app, "provision", provision.command)
_add(app, "status", status.command)
_add(app, "report", report.command)
_add(app, "emulator", emulator.command)
_add(plan, "example", example.command)
_add(sellos, "check", sello.command)
app.add_typer(plan, name="plan")
app.add_typer(sellos, name="sello")


def run() -> None:
    """Run the command. Exit codes: 0 done, 1 something is not there, 2 bad input, 130 interrupted."""
    try:
        app(prog_name="facturaonline")
    except FacturaOnlineError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2 if isinstance(error, InvalidInputError) else 1)
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        sys.stderr.write(f"{error.strerror or type(error).__name__}{where}\n")
        sys.exit(1)
