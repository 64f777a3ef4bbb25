"""Groups of commands, whose docstrings are their help."""

from __future__ import annotations

import functools
import inspect
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import typer

__all__ = ["add_command", "command_group"]

_EXAMPLES = "Examples:\n"


def add_command(to: typer.Typer, name: str, command: Callable[..., None]) -> None:
    """Add a command, with its docstring as help.

    The terminal breaks a paragraph's lines. One that begins with "Examples:" keeps them, to be copied.
    """
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    to.command(name, help="\n\n".join(map(_paragraph, paragraphs)))(_interruptible(command))


def _interruptible(command: Callable[..., None]) -> Callable[..., None]:
    """Leave with exit code 130 on Ctrl-C, wherever it falls: at a prompt, typer would leave with 1."""

    @functools.wraps(command)
    def run_command(*arguments: Any, **options: Any) -> None:
        try:
            command(*arguments, **options)
        except (KeyboardInterrupt, typer.Abort):
            sys.stderr.write("\n")
            raise typer.Exit(130) from None

    return run_command


def command_group(about: str, **commands: Callable[..., None]) -> typer.Typer:
    """Return a group of commands; `about` is its help."""
    made = typer.Typer(help=about, no_args_is_help=True)
    for name, command in commands.items():
        add_command(made, name, command)
    return made


def _paragraph(text: str) -> str:
    if not text.startswith(_EXAMPLES):
        return text.replace("\n", " ")
    return _EXAMPLES + textwrap.dedent(text.removeprefix(_EXAMPLES))
