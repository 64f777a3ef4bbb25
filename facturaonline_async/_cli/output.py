"""Output of values from the API: tables for people, JSON for programs.

No text from the API can control the terminal.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Final

import attrs
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from facturaonline_async._cli.consoles import new_console
from facturaonline_async._core.redaction import redact
from facturaonline_async._messages import message
from facturaonline_async._secrets import Secret
from facturaonline_async._text import printable
from facturaonline_async.empresas._models import Empresa
from facturaonline_async.series._models import Serie

__all__ = ["print_json", "print_json_rows", "print_many", "print_one"]

_GAP: Final = 2
_KEYS: Final = frozenset({"api_key", "secret_key"})


def attributes(value: Serie | Empresa) -> dict[str, Any]:
    """Return the attributes by name as JSON values, without keys.

    Texts that look secret are masked.
    """
    found = {
        name: _json_value(fact)
        for name, fact in attrs.asdict(value, recurse=False).items()
        if name not in _KEYS and not isinstance(fact, Secret)
    }
    return found | {"is_active": value.is_active} if isinstance(value, Serie) else found


def _json_value(fact: object) -> object:
    if isinstance(fact, str):
        return redact(fact) if fact else fact
    if isinstance(fact, Mapping):
        return {name: _json_value(each) for name, each in fact.items()}
    return fact.isoformat() if isinstance(fact, date) else fact


def print_json(value: object, *, indent: int | None = 2) -> None:
    """Print a value as JSON in printable ASCII; other characters are escaped.

    Every command prints its JSON with this function.
    """
    sys.stdout.write(_ascii(json.dumps(value, indent=indent)) + "\n")


def _ascii(text: str) -> str:
    """Escape DEL, the only unprintable character that `json` leaves."""
    return text.replace("\x7f", "\\u007f")


def print_json_rows(value: Mapping[str, object], name: str, rows: Iterable[object]) -> None:
    """Print an object with one more member, a list with a line for each row.

    `print_json` prints the other members in the same way. A long list is printed row by row, in a fifth of the time
    that an indented one takes.

    Args:
        value: the other members, at least one.
        name: name of the member with the rows; it is the last one.
        rows: its JSON values.

    """
    head = json.dumps(value, indent=2).removesuffix("\n}")
    write = sys.stdout.write
    write(f"{_ascii(head)},\n  {json.dumps(name)}: [")
    separator = "\n    "
    for row in rows:
        write(f"{separator}{_ascii(json.dumps(row))}")
        separator = ",\n    "
    write("\n  ]\n}\n")


def print_one(value: Serie | Empresa, *, json: bool) -> None:
    """Print one serie or empresa: one line for each attribute that is not empty.

    Each fact of `Empresa.extra` is a line, too.
    """
    found = attributes(value)
    if json:
        print_json(found)
        return
    found.pop("is_active", None)  # estatus has the same meaning
    found |= found.pop("extra", {})
    words = {True: message("cli.yes"), False: message("cli.no")}
    shown = {
        name: words[fact] if isinstance(fact, bool) else str(fact)
        for name, fact in found.items()
        if fact not in {"", None}
    }
    _lines(new_console(), shown)


def print_many(values: Sequence[Serie | Empresa], columns: Sequence[str], *, nothing: str, json: bool) -> None:
    """Print a table of some attributes, or a block for each value if it is too wide.

    Output that goes to a file or a pipe is never broken: tools such as grep want whole lines.
    """
    if json:
        print_json([attributes(value) for value in values])
    else:
        print_rows([{name: found[name] for name in columns} for found in map(attributes, values)], nothing=nothing)


def print_rows(values: Sequence[Mapping[str, object]], *, nothing: str) -> None:
    """Print a table of values by column, or a block for each row if it is too wide.

    Args:
        values: the rows, all with the same columns.
        nothing: printed if there are none.

    """
    console = new_console()
    if not values:
        console.print(nothing)
        return
    columns = [*values[0]]
    rows = [columns, *([printable(str(each)) for each in row.values()] for row in values)]
    widths = [max(map(cell_len, cells)) for cells in zip(*rows, strict=True)]
    needed = sum(widths) + _GAP * (len(widths) - 1)
    if needed > console.width and (console.is_terminal or "COLUMNS" in os.environ):
        for number, row in enumerate(rows[1:]):
            if number:
                console.print()
            _lines(console, dict(zip(columns, row, strict=True)))
        return
    # A table of rich takes seconds for thousands of rows.
    header, *lines = ((" " * _GAP).join(map(set_cell_size, row, widths)).rstrip() for row in rows)
    console.print(Text("\n").join([Text(header, style="bold"), *map(Text, lines)]), soft_wrap=True)


def _lines(console: Console, values: dict[str, str]) -> None:
    """Print names and values; the terminal wraps long ones, so that copies are whole."""
    width = max(map(len, values), default=0) + _GAP
    for name, value in values.items():
        console.print(Text.assemble((name.ljust(width), "dim"), printable(value)), soft_wrap=True)
