"""The typer application: the list of all commands.

The module of a command is imported when the command is called. ``--version``, ``--help`` and the completion of a
command's name import none of them.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Final, Literal

import typer
from typer.core import TyperGroup
from typer.main import get_command

__all__ = ["CommandGroup", "CommandHelp", "app", "run"]

_MODULES: Final[dict[str, str]] = {}
"""The module of each command or group of commands."""


class CommandHelp:
    """Mixin of commands with a help that suits people.

    It is in the language of the command, shows no type beside a flag, which takes no value, and fits a narrow terminal.
    """

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, also ``--help``."""
        params: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for param in params:
            if getattr(param, "is_flag", False):
                param.metavar = ""
        return params

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help; a narrow terminal gets no boxes."""
        from facturaonline_async._cli.narrow_help import format_help, is_narrow  # noqa: PLC0415  # only help needs it

        spanish = _spanish_help()
        if spanish is not None:
            spanish.translate_command(self, ctx)
        if is_narrow():
            word = str if spanish is None else spanish.word
            typer.echo(format_help(self, ctx, word), nl=False)  # as rich does, also for a command without arguments
            return
        if spanish is not None:
            spanish.translate_rich()
        super().format_help(ctx, formatter)  # type: ignore[misc]

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        """Write the line with the arguments, before the help and before a usage error."""
        if (spanish := _spanish_help()) is not None:
            spanish.write_usage(self, ctx, formatter)
        else:
            super().format_usage(ctx, formatter)  # type: ignore[misc]


def _spanish_help() -> ModuleType | None:
    """Return the module that translates, or None for English."""
    from facturaonline_async._cli.language import find_language  # noqa: PLC0415  # most commands show no help

    if find_language(sys.argv) == "en":
        return None
    from facturaonline_async._cli import spanish_help  # noqa: PLC0415  # English needs none

    return spanish_help


class CommandGroup(CommandHelp, TyperGroup):
    """A group of commands."""


class _LazyGroup(CommandGroup):
    """The commands, whose modules are imported when they are called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the command that the arguments name, and the rest of them."""
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None:
            command = get_command(import_module(f"facturaonline_async._cli.{_MODULES[name]}").app)
        return name, command, rest

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Parse the options before the command."""
        with _translated_errors():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: Any) -> Any:
        """Call the command that the arguments name."""
        with _translated_errors():
            return super().invoke(ctx)


@contextmanager
def _translated_errors() -> Iterator[None]:
    """Translate the usage errors of typer."""
    try:
        yield
    except Exception as error:
        # typer has no public name for its errors. Those of the library are translated where they are raised.
        if hasattr(error, "format_message") and (spanish := _spanish_help()) is not None:
            spanish.translate_error(error)
        raise


app: typer.Typer = typer.Typer(
    cls=_LazyGroup,
    help="Provision the companies and series of a FacturaOnline account.",
    epilog=(
        "Begin with an example: facturaonline plan example demo, then facturaonline provision demo/plan.csv --emulator"
    ),
    no_args_is_help=True,
    context_settings={"help_option_names": ["--help", "-h"]},  # the commands inherit them
    add_completion=True,
    pretty_exceptions_enable=False,  # a traceback that shows locals would show keys
)


def _version(wanted: bool) -> None:
    if wanted:
        import importlib.metadata  # noqa: PLC0415  # a fifth of the time that --version takes

        typer.echo(f"facturaonline {importlib.metadata.version('facturaonline-async')}")
        raise typer.Exit


@app.callback()
def _facturaonline(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version, and leave.")
    ] = False,
    lang: Annotated[
        Literal["en", "es"] | None,
        typer.Option(
            help="Language of what is printed, except JSON. Default: FACTURAONLINE_LANG, then that of the "
            "profile, then that of a terminal's locale.",
            show_default=False,
        ),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Profile in facturaonline.toml, in this folder and in the user's folder for settings. It may have "
            "host, keys, database, language and limits. Other options come before it, and its host, keys and database "
            "before the environment; this folder's file before the user's. Default, after the environment: "
            "FACTURAONLINE_PROFILE, or else the profile default, if there is one.",
            show_default=False,
        ),
    ] = None,
    env_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Read environment variables from this file first, in the syntax of dotenv. Those that are set stay. "
            "A key, host or database other than the one that is set is refused.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Accept the options before the command."""
    del version  # its callback has exited
    from facturaonline_async._cli.begin import begin  # noqa: PLC0415  # --version needs no texts

    begin(lang=lang, profile=profile, env_file=env_file, arguments=sys.argv)


def _placeholder() -> None:
    """Stand in the list of commands."""


def _add(name: str, module: str, *, help: str) -> None:  # noqa: A002  # as typer names it
    _MODULES[name] = module
    app.command(name, help=help)(_placeholder)


_add("provision", "provision", help="Create the companies and series of PLAN; adopt those that exist.")
_add("status", "status", help="Show the progress of a run that is at work, has ended, or was killed.")
_add("report", "report", help="Report on a run: rows in each state, speed, and the reasons of failures.")
_add("runs", "runs", help="The runs whose journals are in a PostgreSQL database: list and delete them.")
_add("enqueue", "enqueue", help="Let workers on any number of machines carry out PLAN.")
_add("worker", "worker", help="Carry out enqueued runs in this process, until SIGTERM or Ctrl-C.")
_add("cancel", "cancel", help="End a run that workers carry out.")
_add("keys", "keys", help="Write the API keys of the companies that a run created to a file.")
_add("doctor", "doctor", help="Check the connection, the keys and the account. It only reads.")
_add("probe", "probe", help="Compare a sandbox with the emulator, by means of one serie.")
_add("emulator", "emulator", help="Run an emulator of the API on loopback until Ctrl-C, or with a command.")
_add("plan", "example", help="Make and read plans.")
_add("sello", "sello", help="Check certificates, keys and passwords (CSD, FIEL).")
_add("empresas", "empresas", help="The companies of the account: list, create, change and delete them.")
_add(
    "postgres", "postgres", help="The schema in PostgreSQL, through which processes share quota, creates and journals."
)
_add("series", "series", help="The series of companies: list, create, pause and delete them.")


def run() -> None:
    """Run the command.

    Exit codes: 0 done; 1 refused, or not found; 2 bad input; 3 a write with an unknown outcome or an unreadable answer,
    to be verified before it is repeated; 130 interrupted.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a company's name must not end the command after its call
    try:
        app(prog_name="facturaonline")
    except Exception as error:
        from facturaonline_async._cli.exit_codes import describe  # noqa: PLC0415  # most commands end without an error

        ending = describe(error)
        if ending is None:
            raise
        sys.stderr.writelines(f"{line}\n" for line in ending.lines)
        sys.exit(ending.code)
