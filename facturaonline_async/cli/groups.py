"""Groups of commands, whose docstrings are their help."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable

import typer

__all__ = ["add", "group"]

_EXAMPLES = "Examples:\n"


def add(to: typer.Typer, name: str, command: Callable[..., None]) -> None:
    """Add a command, with its docstring as help.

    The terminal breaks a paragraph's lines. One that begins with "Examples:" keeps them, to be copied.
    """
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    to.command(name, help="\n\n".join(map(_paragraph, paragraphs)))(command)


def group(about: str, **commands: Callable[..., None]) -> typer.Typer:
    """Return a group of commands; `about` is its help."""
    made = typer.Typer(help=about, no_args_is_help=True)
    for name, command in commands.items():
        add(made, name, command)
    return made


def _paragraph(text: str) -> str:
    if not text.startswith(_EXAMPLES):
        return text.replace("\n", " ")
    return _EXAMPLES + textwrap.dedent(text.removeprefix(_EXAMPLES))
