"""Commands and groups of commands; the help of a command is its docstring."""

from __future__ import annotations

import functools
import inspect
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand

from facturaonline_async._cli.app import CommandGroup, CommandHelp
from facturaonline_async._cli.settings import current_settings

__all__ = ["command_group", "single_command"]

_EXAMPLES = "Examples:\n"


class _Command(CommandHelp, TyperCommand):
    """A command."""


def _add_command(to: typer.Typer, name: str, command: Callable[..., None]) -> None:
    """Add a command, with its docstring as help.

    A paragraph is wrapped to the terminal. One that begins with "Examples:" keeps its lines.
    """
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    to.command(name, cls=_Command, help="\n\n".join(map(_paragraph, paragraphs)))(_interruptible(command))


def _interruptible(command: Callable[..., None]) -> Callable[..., None]:
    """Make Ctrl-C exit with code 130, also at a prompt, where typer exits with 1."""

    @functools.wraps(command)
    def run_command(*arguments: Any, **options: Any) -> None:
        """Call the command; end it with exit code 130 after Ctrl-C."""
        current_settings()  # a faulty file is reported before the command does anything
        try:
            command(*arguments, **options)
        except (KeyboardInterrupt, typer.Abort):
            sys.stderr.write("\n")
            raise typer.Exit(130) from None

    return run_command


def command_group(about: str, **commands: Callable[..., None]) -> typer.Typer:
    """Return a group of commands with the help text `about`."""
    made = typer.Typer(cls=CommandGroup, help=about, no_args_is_help=True, add_completion=False)
    made.callback()(lambda: None)  # a group, even of one command
    for name, command in commands.items():
        _add_command(made, name, command)
    return made


def single_command(name: str, command: Callable[..., None]) -> typer.Typer:
    """Return an application that is one command."""
    made = typer.Typer(add_completion=False)
    _add_command(made, name, command)
    return made


def _paragraph(text: str) -> str:
    if not text.startswith(_EXAMPLES):
        return text.replace("\n", " ")
    return _EXAMPLES + textwrap.dedent(text.removeprefix(_EXAMPLES))
