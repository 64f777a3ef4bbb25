"""What this library must reach, what it reaches for, and whether it does: upper bounds of its figures."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Final

from attrs import frozen

from benchmarks.figures import LIBRARY, Figure, aligned, short

__all__ = ["TARGETS", "Target", "judged"]


@frozen
class Target:
    """A figure of this library that has upper bounds.

    Attributes:
        bench, case, measure: which figure it is; `case` and `measure` are patterns with asterisks.
        must: bound that the figure must keep.
        reach: bound that it reaches for.

    """

    bench: str
    case: str
    measure: str
    must: float
    reach: float

    def matches(self, figure: Figure) -> bool:
        """Whether the figure is the one that this target bounds."""
        return (
            (figure.bench, figure.contender) == (self.bench, LIBRARY)
            and fnmatchcase(figure.case, self.case)
            and fnmatchcase(figure.measure, self.measure)
        )

    def verdict(self, figure: Figure) -> str:
        """Return in a word which bounds the figure keeps."""
        value = round(figure.value, 3)
        return "reached" if value <= self.reach else "met" if value <= self.must else "MISSED"


TARGETS: Final = (
    Target("row", "one row", "instructions, *", 1.5, 1.3),
    Target("row", "one row, with a journal", "instructions, *", 1.8, 1.5),
    Target("row", "one row, with a journal and checked certificates", "CPU, *", 2.5, 2.0),
    Target("job", "*, 0.0 s for each call", "time, *", 1.05, 1.02),
    Target("job", "*, 0.3 s for each call", "time, *", 1.1, 1.05),
    Target("job", "*, 1.0 s for each call", "time, *", 1.1, 1.05),
    Target("job", "*", "calls for each company", 7, 6),
    Target("job", "*", "calls of the audit for each company", 1, 0),
    Target("resume", "resume *", "CPU for a row", 0.6, 0.2),
    Target("stalls", "100,000 rows", "peak memory", 350, 250),
    Target("stalls", "100,000 rows: *", "longest stall", 20, 5),
    Target("resume", "report --html, 100,000 rows", "CPU", 5, 3),
    Target("start", "facturaonline --version", "billion instructions", 0.5, 0.4),
    Target("start", "facturaonline --help", "billion instructions", 1.2, 0.8),
    Target("start", "from facturaonline_async import connect", "instructions, *", 1.2, 1.1),
    Target("instructions", "read one serie", "instructions, *", 1.00, 0.90),
    Target("instructions", "create a company", "instructions, *", 0.4, 0.3),
    Target("peers", "read one serie", "instructions, *", 1, 0.93),
    Target("calls", "create a company, *", "CPU, *", 0.25, 0.15),
    Target("calls", "create a company", "sends", 1, 1),
    Target("calls", "list *", "CPU, *", 1.35, 0.9),
    Target("calls", "list *", "longest stall", 10, 2),
)
"""In the order of the issue that set them; docs/performance.md names the command of each."""


def judged(figures: Iterable[Figure]) -> str:
    """Return all targets as a table in Markdown, with each figure that they bound."""
    figures = list(figures)
    lines = [["benchmark", "case", "measure", "measured", "must", "reach for", ""]]
    for target in TARGETS:
        bounds = [f"≤ {short(target.must)}", f"≤ {short(target.reach)}"]
        found = [figure for figure in figures if target.matches(figure)]
        lines += [
            [target.bench, each.case, each.measure, each.text, *bounds, target.verdict(each)] for each in found
        ] or [[target.bench, target.case, target.measure, "not measured", *bounds, ""]]
    return aligned(lines)
