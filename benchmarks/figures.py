"""Figures: results of the benchmarks, and how they are written down."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any, Final, Self

from attrs import asdict, frozen

__all__ = ["LIBRARY", "RAW", "Figure", "aligned", "dump", "load", "short", "table"]

LIBRARY: Final = "this library"
RAW: Final = "raw aiohttp"


@frozen
class Figure:
    """One result of a benchmark.

    Attributes:
        case: what was done, such as ``"one row"``.
        measure: what was measured, and the base of a ratio, such as ``"CPU, raw aiohttp = 1"``.
        value: the only measurement, or the median of several.
        unit: ``"×"`` for a ratio, ``"ms"``, ``"MiB"``, or "" for a plain number.
        contender: who did it.
        quartiles: of several measurements.
        bench: the benchmark that measured it; the command fills it in.

    """

    case: str
    measure: str
    value: float
    unit: str = "×"
    contender: str = LIBRARY
    quartiles: tuple[float, float] | None = None
    bench: str = ""

    @classmethod
    def median(cls, values: Sequence[float], case: str, measure: str, unit: str = "×") -> Self:
        """Return the figure of several measurements."""
        if len(values) == 1:
            return cls(case, measure, values[0], unit)
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(case, measure, median, unit, quartiles=(low, high))

    @property
    def text(self) -> str:
        """The figure as tables show it."""
        mark = "×" if self.unit == "×" else f" {self.unit}" if self.unit else ""
        quartiles = f" ({'–'.join(map(short, self.quartiles))})" if self.quartiles else ""
        return f"{short(self.value)}{mark}{quartiles}"


def short(value: float) -> str:
    """Return the number with three significant digits."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def table(figures: Iterable[Figure]) -> str:
    """Return the figures as a table in Markdown: a row per case and contender, a column per measure."""
    figures = list(figures)
    measures = list(dict.fromkeys(figure.measure for figure in figures))
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for figure in figures:
        rows.setdefault((figure.case, figure.contender), {})[figure.measure] = figure.text
    lines = [[case, contender, *(row.get(each, "") for each in measures)] for (case, contender), row in rows.items()]
    return aligned([["case", "contender", *measures], *lines])


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Return rows of cells, the header first, as a table in Markdown that is readable as text."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines]
    padded.insert(1, ["-" * width for width in widths])
    return "\n".join(f"| {' | '.join(line)} |" for line in padded)


def dump(figures: Iterable[Figure]) -> list[dict[str, Any]]:
    """Return the figures as values of JSON."""
    return [asdict(figure) for figure in figures]


def load(values: Iterable[dict[str, Any]]) -> list[Figure]:
    """Return the figures that `dump` made."""
    return [Figure(**{**row, "quartiles": row["quartiles"] and tuple(row["quartiles"])}) for row in values]
