"""Compare instruction counts with the recorded ones: ``nox -s instructions``, or with ``-- --record`` record them.

A count fails where it is more than 5 % above the recorded one; the table also says what `targets` asks. Times play no
part in it. Another minor version of Python, or a build with other optimizations, takes other counts: there the check
is skipped.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from benchmarks.__main__ import measure
from benchmarks.counting import VALGRIND
from benchmarks.figures import LIBRARY, Figure, aligned
from benchmarks.machine import versions
from benchmarks.targets import TARGETS

__all__ = ["compare", "counted", "reason_to_skip"]

BENCHES: Final = ("instructions", "row", "start")
ROOM: Final = 1.05
RECORDED: Final = Path(__file__).with_name("recorded.json")


def main() -> int:
    """Count, print a table, and return 1 if a count is too high."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--record", action="store_true", help="write the counts to the table of recorded ones")
    options = parser.parse_args()
    recorded = json.loads(RECORDED.read_text())
    if (reason := reason_to_skip(recorded["versions"], is_new=options.record)) is not None:
        print(f"NO INSTRUCTIONS COUNTED: {reason}", file=sys.stderr)
        return 0
    measured = {name: measure(name, "--quick") for name in BENCHES}
    failed = [name for name, figures in measured.items() if figures is None]
    figures = counted(figure for figures in measured.values() for figure in figures or ())
    if options.record and not failed:
        counts = {_name(figure): round(figure.value, 3) for figure in figures}
        RECORDED.write_text(json.dumps({"versions": versions(), "counts": counts}, indent=1) + "\n")
    changed = [f"{name} {now}" for name, now in versions().items() if recorded["versions"].get(name) != now]
    print(f"\nOther versions than the recorded ones: {', '.join(changed)}" if changed else "")
    rows, too_high = compare(figures, recorded["counts"])
    print(aligned([["count", "recorded", "now", "bound", "must", ""], *rows]))
    for name in (*failed, *too_high):
        print(f"FAILED: {name}", file=sys.stderr)
    return int(bool(failed or too_high) and not options.record)


def reason_to_skip(recorded: Mapping[str, str], *, is_new: bool) -> str | None:
    """Return why counts cannot be compared with the recorded ones, or None."""
    if VALGRIND is None:
        return "valgrind is not installed"
    before, now = recorded["Python"], versions()["Python"]
    if not is_new and _build(before) != _build(now):
        return f"they were recorded with Python {before}, and this is Python {now}"
    return None


def _build(python: str) -> tuple[str, str]:
    """Return the minor version, and the implementation with its optimizations."""
    version, _, build = python.partition(" ")
    return version.rpartition(".")[0], build


def counted(figures: Iterable[Figure]) -> list[Figure]:
    """Return the figures of this library that are compared: ratios of instructions, and whole processes."""
    return [
        figure
        for figure in figures
        if figure.contender == LIBRARY and figure.measure.startswith(("instructions, ", "billion instructions"))
    ]


def compare(figures: Iterable[Figure], recorded: Mapping[str, float]) -> tuple[list[list[str]], list[str]]:
    """Return a row for each count, and the names of those that are too high."""
    rows, too_high = [], []
    missing = dict(recorded)
    for figure in figures:
        name = _name(figure)
        before = missing.pop(name, None)
        must = min((target.must for target in TARGETS if target.matches(figure)), default=None)
        bound = None if before is None else before * ROOM
        is_too_high = bound is not None and figure.value > bound
        if is_too_high:
            too_high.append(name)
        texts = ["" if each is None else f"{each:.3f}" for each in (before, figure.value, bound, must)]
        rows.append([name, *texts, "TOO HIGH" if is_too_high else ""])
    return rows, [*too_high, *(f"{name} was not counted" for name in missing)]


def _name(figure: Figure) -> str:
    return f"{figure.case}: {figure.measure}"


if __name__ == "__main__":
    sys.exit(main())
