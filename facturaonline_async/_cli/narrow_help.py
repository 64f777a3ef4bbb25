"""Help for a narrow terminal: names on lines of their own, so that none is cut."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

__all__ = ["format_help", "is_narrow"]

_NARROW: Final = 110
"""Columns below which the boxes of rich cut names of options."""
_INDENT: Final = "    "
_Word: TypeAlias = Callable[[str], str]


def is_narrow() -> bool:
    """Return whether the boxes of rich would cut a name of an option."""
    return shutil.get_terminal_size().columns < _NARROW


def format_help(command: Any, context: Any, word: _Word) -> str:
    """Return the help of a command.

    Args:
        command: command or group of typer.
        context: its context.
        word: translates the words around the texts.

    """
    return "\n".join(_lines(command, context, word, shutil.get_terminal_size().columns)) + "\n"


def _lines(command: Any, context: Any, word: _Word, width: int) -> Iterator[str]:
    yield from _wrapped(" ".join(command.get_usage(context).split()), width)
    for paragraph in (command.help or "").split("\n\n"):
        yield ""
        if paragraph.startswith(f"{word('Examples:')}\n"):  # a line of an example stays whole, to be copied
            yield from textwrap.indent(paragraph, "  ").strip().splitlines()
        else:
            yield from _wrapped(paragraph, width)
    records = [(param.param_type_name, param.get_help_record(context)) for param in command.get_params(context)]
    for title, kind in (("Arguments", "argument"), ("Options", "option")):
        found = [record for each, record in records if each == kind and record]
        yield from _section(word(title), [(names, _with_marks(text, word)) for names, text in found], width)
    if hasattr(command, "list_commands"):
        commands = {name: command.get_command(context, name) for name in command.list_commands(context)}
        yield from _commands(word("Commands"), commands, width)
    if command.epilog:
        yield ""
        yield from _wrapped(command.epilog, width)


def _commands(title: str, commands: dict[str, Any], width: int) -> Iterator[str]:
    yield from ("", f"{title}:")
    indent = max(map(len, commands)) + 4
    for name, command in commands.items():
        first, *others = _wrapped((command.help or "").split("\n")[0], width, " " * indent)
        yield from (f"  {name}".ljust(indent) + first.strip(), *others)


def _with_marks(text: str, word: _Word) -> str:
    """Return the help of a parameter with translated marks, as ``[default: 5]``."""
    said, begin, marks = text.rpartition("  [")
    if not begin:
        return text
    split = (mark.split(": ", 1) for mark in marks.removesuffix("]").split("; "))
    return f"{said}{begin}{'; '.join(': '.join((word(name), *value)) for name, *value in split)}]"


def _section(title: str, records: list[tuple[str, str]], width: int) -> Iterator[str]:
    if records:
        yield from ("", f"{title}:")
    for names, text in records:
        yield from _wrapped(names, width, "  ")
        yield from _wrapped(text, width, _INDENT)


def _wrapped(text: str, width: int, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
