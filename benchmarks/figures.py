"""Figures: what a benchmark found, as a median with its quartiles, and how it is written down."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from attrs import asdict, frozen

__all__ = ["Figure", "read", "summary", "table", "write"]

LIBRARY: Final = "this library"


@frozen
class Figure:
    """A median of several rounds, between its quartiles.

    Attributes:
        bench: module that measured it, such as ``"bench_calls"``.
        case: what was done, such as ``"one GET, http, 64 at once"``.
        contender: who did it.
        measure: what was measured, such as ``"CPU"``.
        unit: ``"×"`` for a ratio, else the unit itself.
        against: what a ratio compares with, else "".
        rounds: how many measurements the median is of.

    """

    bench: str
    case: str
    contender: str
    measure: str
    unit: str
    low: float
    median: float
    high: float
    rounds: int
    against: str = ""

    @property
    def text(self) -> str:
        """The figure as tables show it: the median, and its quartiles where there are any."""
        mark = self.unit if self.unit in {"×", "%"} else f" {self.unit}" if self.unit else ""
        shown = f"{short(self.median)}{mark}"
        return shown if self.low == self.high else f"{shown} ({short(self.low)}–{short(self.high)})"


def short(value: float) -> str:
    """Return the number with three digits that count."""
    if value == 0:
        return "0"
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def summary(
    values: Sequence[float], *, bench: str, case: str, contender: str, measure: str, unit: str, against: str = ""
) -> Figure:
    """Return the figure of all rounds' values."""
    low, median, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3
    return Figure(bench, case, contender, measure, unit, low, median, high, len(values), against)


def table(figures: Iterable[Figure]) -> str:
    """Return the figures as a table in Markdown: a row per case and contender, a column per measure."""
    figures = list(figures)
    measures = list(dict.fromkeys(heading(figure) for figure in figures))
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for figure in figures:
        rows.setdefault((figure.case, figure.contender), {})[heading(figure)] = figure.text
    lines = [["case", "contender", *measures]]
    before = ""
    for (case, contender), found in rows.items():
        name = f"**{contender}**" if contender == LIBRARY else contender
        lines.append([case if case != before else "", name, *(found.get(measure, "") for measure in measures)])
        before = case
    return aligned(lines)


def heading(figure: Figure) -> str:
    """Return what stands above the figure."""
    return f"{figure.measure}, {figure.against} = 1" if figure.against else figure.measure


def aligned(lines: list[list[str]]) -> str:
    """Return rows of cells, the first of which is the header, as a table that can be read as text, too."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    pad: Callable[[list[str]], str] = lambda line: (  # noqa: E731
        "| " + " | ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)) + " |"
    )
    return "\n".join([pad(lines[0]), pad(["-" * width for width in widths]), *map(pad, lines[1:])])


def write(path: Path, figures: Iterable[Figure]) -> None:
    path.write_text(json.dumps([asdict(figure) for figure in figures], ensure_ascii=False, indent=1) + "\n")


def read(path: Path) -> list[Figure]:
    return [Figure(**row) for row in json.loads(path.read_text())]
