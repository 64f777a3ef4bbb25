"""What this library must reach, what it goes for, and whether it does."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Final

from attrs import frozen

from benchmarks.bench_limiter import IN_A_SESSION
from benchmarks.bench_structure import STALL, STALL_WITH_THE_END
from benchmarks.contenders.library import Library
from benchmarks.contenders.others import Requests
from benchmarks.contenders.raw import Identical, IdenticalTimed, Idiomatic
from benchmarks.figures import Figure, aligned, short

__all__ = ["TARGETS", "Target", "judged"]


@frozen
class Target:
    """A figure of this library that has bounds.

    Attributes:
        metric: what it is, for people.
        bench, case, measure, against: where the figure stands; `case` is a pattern with asterisks.
        must, reach: bounds; what is reached is met, too.
        least: whether they are lower bounds.
        contender: whose figure it is.

    """

    metric: str
    bench: str
    case: str
    measure: str
    must: float
    reach: float
    against: str = ""
    least: bool = False
    contender: str = Library.name

    def verdict(self, figure: Figure) -> str:
        """Return in a word where the median lies."""
        value = round(figure.median, 3)
        if value >= self.reach if self.least else value <= self.reach:
            return "reached"
        if value >= self.must if self.least else value <= self.must:
            return "met"
        return "MISSED"

    def bound(self, value: float) -> str:
        return f"{'≥' if self.least else '≤'} {short(value)}"

    def find(self, figures: Iterable[Figure]) -> Figure | None:
        """Return the figure, if it was measured."""
        for each in figures:
            if (
                each.bench == self.bench
                and each.contender == self.contender
                and each.against == self.against
                and fnmatchcase(each.case, self.case)
                and each.measure == self.measure
            ):
                return each
        return None


_GET: Final = ("bench_instructions", "read one serie", "instructions")
_LIST: Final = ("bench_structure", "list 10,000 companies")

_COMPANY: Final = "create a company"
_PER_CORE: Final = "companies on one core"

TARGETS: Final = (
    Target("one GET, instructions", *_GET, 1.00, 0.93, Idiomatic.name),
    Target("one GET, instructions", *_GET, 1.06, 1.03, IdenticalTimed.name),
    Target("one GET, instructions", *_GET, 1.06, 1.03, Identical.name),
    *(
        Target(f"{_COMPANY}, {how}", "bench_calls", f"{_COMPANY}, {how} at once", "CPU", 0.15, 0.09, Idiomatic.name)
        for how in ("http, 1", "http, 64", "https, 1", "https, 64")
    ),
    Target("create a company, sends", "bench_calls", "create a company, http", "sends for each request", 1, 1),
    Target("list of 10,000 companies", *_LIST, "CPU", 1.35, 0.85, Idiomatic.name),
    Target("list of 10,000, longest stall", *_LIST, STALL, 10, 2),
    Target("the same, values thrown away", *_LIST, STALL_WITH_THE_END, 10, 2),
    Target("structure 1,000 companies", "bench_structure", "structure *", "CPU", 0.45, 0.33, "plain cattrs"),
    Target("limiter: let in at once", "bench_limiter", "let in at once", "CPU", 1, 0.25),
    Target("the same in a session", "bench_limiter", "let in at once", "CPU", 1, 0.25, contender=IN_A_SESSION),
    Target("limiter: rate kept in a flood", "bench_limiter", "*0 at once", "rate kept", 99.5, 99.5, least=True),
    Target("limiter: starts in a window", "bench_limiter", "*0 at once", "most starts in a window", 1, 1, "allowed"),
    Target(
        "the same after a stall", "bench_limiter", "the loop stands still*", "most starts in a window", 1, 1, "allowed"
    ),
    Target("limiter: overtakes in a flood", "bench_limiter", "*0 at once", "overtakes", 0, 0),
    Target("limiter: overtakes by late arrivals", "bench_limiter", "late arrivals*", "overtakes", 0, 0),
    Target("limiter: half give up", "bench_limiter", "every second one gives up", "time", 1.03, 1.03, "ideal"),
    Target("bulk: each of 100,000 items", "bench_bulk", "one pass of the loop, *0,000 items", "CPU per item", 3, 1.5),
    Target("the same, nothing to wait for", "bench_bulk", "nothing to wait for, *0,000 items", "CPU per item", 3, 1.5),
    Target("bulk: memory, 100,000 items", "bench_bulk", "memory at its peak", "many", 1.1, 1.1, "few"),
    *(
        Target(
            f"{_PER_CORE}, {how}",
            "bench_calls",
            f"{_COMPANY}, {how} at once",
            _PER_CORE,
            must,
            reach,
            Requests.name,
            least=True,
        )
        for how, must, reach in (("http, 1", 8, 15), ("http, 64", 8, 15), ("https, 1", 15, 25), ("https, 64", 15, 25))
    ),
)


def judged(figures: Iterable[Figure]) -> str:
    """Return all targets as a table in Markdown, with what was measured."""
    figures = list(figures)
    lines = [["", "against", "measured", "must", "reach for", "", "command"]]
    for target in TARGETS:
        figure = target.find(figures)
        lines.append(
            [
                target.metric,
                target.against,
                figure.text if figure else "not measured",
                target.bound(target.must),
                target.bound(target.reach),
                target.verdict(figure) if figure else "",
                f"`python -m benchmarks.{target.bench}`",
            ]
        )
    return aligned(lines)
