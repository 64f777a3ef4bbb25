"""Printing what the API gave: tables for people, JSON for programs. No text of it steers a terminal."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any, Final

import attrs
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from facturaonline_async._core.redaction import redact
from facturaonline_async._text import printable
from facturaonline_async.config import Secret
from facturaonline_async.empresas._models import Empresa
from facturaonline_async.series._models import Serie

__all__ = ["print_json", "print_many", "print_one"]

_GAP: Final = 2
_KEYS: Final = frozenset({"api_key", "secret_key"})


def attributes(thing: Serie | Empresa) -> dict[str, Any]:
    """Return the attributes by name, without keys, and with whatever looks like a secret masked."""
    found = {
        name: redact(value) if value and isinstance(value, str) else value
        for name, value in attrs.asdict(thing, recurse=False).items()
        if name not in _KEYS and not isinstance(value, Secret)
    }
    return found | {"is_active": thing.is_active} if isinstance(thing, Serie) else found


def print_json(value: object, *, indent: int | None = 2) -> None:
    """Print JSON in printable ASCII. Everything else is escaped: controls, marks of direction, accents.

    All JSON that the command prints is printed here.
    """
    text = json.dumps(value, indent=indent)
    sys.stdout.write(text.replace("\x7f", "\\u007f") + "\n")


def print_one(thing: Serie | Empresa, *, json: bool) -> None:
    """Print one thing: each attribute that it has in a line."""
    if json:
        print_json(attributes(thing))
        return
    told = {name: str(value) for name, value in attributes(thing).items() if value not in {"", None}}
    told.pop("is_active", None)  # the estatus says so
    _lines(Console(highlight=False, markup=False), told)


def print_many(things: Sequence[Serie | Empresa], columns: Sequence[str], *, nothing: str, json: bool) -> None:
    """Print a table of some attributes; where it is too wide for the terminal, a block of lines for each thing.

    What is not read on a terminal is as wide as it must be: whoever searches in it wants whole lines.
    """
    if json:
        print_json([attributes(thing) for thing in things])
        return
    console = Console(highlight=False, markup=False)
    if not things:
        console.print(nothing)
        return
    rows = [list(columns), *([printable(str(told[name])) for name in columns] for told in map(attributes, things))]
    widths = [max(map(cell_len, cells)) for cells in zip(*rows, strict=True)]
    needed = sum(widths) + _GAP * (len(widths) - 1)
    if needed > console.width and (console.is_terminal or "COLUMNS" in os.environ):
        for number, row in enumerate(rows[1:]):
            if number:
                console.print()
            _lines(console, dict(zip(columns, row, strict=True)))
        return
    # Not rich's own table: it takes seconds for thousands of rows.
    header, *lines = ((" " * _GAP).join(map(set_cell_size, row, widths)).rstrip() for row in rows)
    console.print(Text("\n").join([Text(header, style="bold"), *map(Text, lines)]), soft_wrap=True)


def _lines(console: Console, told: dict[str, str]) -> None:
    """Print names and values. Long values are the terminal's to break, so that they can be copied whole."""
    width = max(map(len, told), default=0) + _GAP
    for name, value in told.items():
        console.print(Text.assemble((name.ljust(width), "dim"), printable(value)), soft_wrap=True)
