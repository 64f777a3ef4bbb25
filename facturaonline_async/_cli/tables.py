"""Tables for people, and their form on a narrow terminal.

There, each field has a line of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from attrs import frozen
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from facturaonline_async._cli.run_texts import missing_row_headings
from facturaonline_async._messages import Message, message

__all__ = ["MissingRows", "Rows", "States", "facts", "finding_lines"]

_NARROW: Final = 60
"""Columns of a terminal below which a table becomes lines."""
_NARROW_FOR_REASONS: Final = 90
"""The same for a table with long texts."""
_NEXT_FINDING: Final = re.compile(r"(?<=\w\]) (?=\S)")
"""Blank between two findings: each ends with its code in brackets."""


def finding_lines(reason: str) -> str:
    """Return a reason with each of its findings on a line of its own.

    Args:
        reason: text of one finding or more, or any other reason.

    """
    return _NEXT_FINDING.sub("\n", reason)


def facts(pairs: Iterable[tuple[str, str | Text]]) -> Table:
    """Return names and values, a line for each pair.

    Args:
        pairs: the pairs; those without a value are left out.

    """
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column(overflow="fold")
    for name, value in pairs:
        if value:
            grid.add_row(Text(name), value if isinstance(value, Text) else Text(value))
    return grid


@frozen
class Rows:
    """A table; where it would be too narrow to read, a block for each row.

    Attributes:
        headings: headings of the columns; ``""`` for a column that needs none.
        rows: the cells of each row.
        title: text above all rows, or None.
        caption: text below all rows, or None.
        has_box: whether lines are drawn between the cells of the table.

    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str | Text]]
    title: Message | None = None
    caption: Message | None = None
    has_box: bool = True

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the table if no word of it is broken, or else the blocks."""
        table = self._table()
        needed = Measurement.get(console, options.update(width=_WIDE), table).minimum
        if options.max_width >= max(_NARROW, needed):
            yield table
            return
        if self.title is not None:
            yield Text(self.title, style="bold")
        for number, row in enumerate(self.rows):
            if number:
                yield Text("")
            yield facts(zip(self.headings, row, strict=True))
        if self.caption is not None:
            yield Text(self.caption, style="dim")

    def _table(self) -> Table:
        table = Table(title=self.title, title_justify="left", caption=self.caption)
        if not self.has_box:
            table.box, table.padding = None, (0, 1)
        for name in self.headings:
            table.add_column(name, overflow="fold", justify="left" if name or self.has_box else "right")
        for row in self.rows:
            table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
        return table


_WIDE: Final = 10_000
"""Columns with which a table is measured."""


@frozen
class MissingRows:
    """What is missing or uncertain after a run.

    A narrow terminal gets a sentence for each.

    Attributes:
        rows: row, RFC, part of the row, state and reason of each.
        caption: text below all rows, or None.

    """

    rows: Sequence[tuple[int, str, str, str, str]]
    caption: Message | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw a table, or sentences."""
        del console
        title = message("cli.missing_rows")
        if options.max_width >= _NARROW_FOR_REASONS:
            cells = [(str(row), *others, finding_lines(reason)) for row, *others, reason in self.rows]
            yield Rows(missing_row_headings(), cells, title, self.caption)
            return
        yield Text(title, style="bold")
        for row, rfc, what, state, reason in self.rows:
            lines = finding_lines(reason)
            yield Text(message("cli.missing_row", row=row, rfc=rfc, what=what, state=state, reason=lines))
        if self.caption is not None:
            yield Text(self.caption, style="dim")


@frozen
class States:
    """Numbers by state, of companies and of series.

    A narrow terminal gets a line for each number.

    Attributes:
        title: text above.
        parts: name of each row, and its states with their numbers.

    """

    title: Message
    parts: Sequence[tuple[str, Sequence[tuple[str, str]]]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the table if it fits, or else the lines."""
        table = Table(title=self.title)
        table.add_column("")
        for name, _ in self.parts[0][1]:
            table.add_column(name, justify="right")
        for part, states in self.parts:
            table.add_row(part, *(number for _, number in states))
        if options.max_width >= Measurement.get(console, options.update(width=_WIDE), table).maximum:
            yield table
            return
        yield Text(self.title, style="bold")
        for part, states in self.parts:
            yield Text(part)
            for name, number in states:
                yield Text(f"  {name}: {number}")
