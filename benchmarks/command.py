"""What all benchmarks share on the command line: how much they measure, and on which event loop."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar

from attrs import evolve, frozen

from benchmarks.figures import Figure, dump, table

__all__ = ["FULL", "QUICK", "TINY", "Scale", "add_options", "run", "run_in_loop"]

T = TypeVar("T")


@frozen(kw_only=True)
class Scale:
    """How much is measured.

    Attributes:
        rounds: measurements of each figure.
        calls: in a batch.
        companies: in a long list, and in a finished run.
        items: rows of a journal that is reported, and keys of a limiter.
        rows: of a plan that is run many times.
        plans: rows of plans that are run once.

    """

    rounds: int
    calls: int
    companies: int
    items: int
    rows: int
    plans: tuple[int, ...]


FULL: Final = Scale(rounds=11, calls=256, companies=10_000, items=100_000, rows=200, plans=(1_000, 10_000, 100_000))
QUICK: Final = Scale(rounds=3, calls=128, companies=10_000, items=20_000, rows=200, plans=(1_000,))
TINY: Final = Scale(rounds=1, calls=2, companies=20, items=200, rows=12, plans=(20,))
"""For the tests of the benchmarks: the figures mean nothing."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that every benchmark has."""
    parser.add_argument("--quick", action="store_true", help="measure less: a first look")
    parser.add_argument("--uvloop", action="store_true", help="measure on uvloop's event loop")


def run(bench: str, measure: Callable[[Scale], Coroutine[Any, Any, list[Figure]]]) -> None:
    """Read the options, measure, print the figures as a table, and write them to the file that an option names."""
    parser = argparse.ArgumentParser()
    add_options(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args()
    if options.uvloop:
        os.environ["BENCH_LOOP"] = "uvloop"  # also for the processes that this one starts
    figures = run_in_loop(measure(QUICK if options.quick else FULL))
    figures = [evolve(figure, bench=bench) for figure in figures]
    print(table(figures))
    if options.json:
        options.json.write_text(json.dumps(dump(figures)))


def run_in_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine as `asyncio.run` does, on the event loop that ``--uvloop`` chose."""
    factory = None
    if os.environ.get("BENCH_LOOP") == "uvloop":
        import uvloop  # noqa: PLC0415  # only with the option

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(work)
