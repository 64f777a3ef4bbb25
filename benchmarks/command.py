"""What all benchmarks share on the command line: how much is measured, and where the figures go."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from benchmarks.figures import Figure, table, write

__all__ = ["FULL", "QUICK", "TINY", "Scale", "run"]


@frozen(kw_only=True)
class Scale:
    """How much is measured.

    Attributes:
        rounds: measurements of each figure.
        calls: in a batch of fast contenders; slow ones make a quarter.
        concurrencies: how many calls at once.
        companies: in a long list.
        items: of the long bulk runs; the short ones have 1,000.
        waiters: at the limiter.
        workers: who all call a slow server.
        seconds: that a run against the clock takes.
        rows: of a plan.
        works: what instructions are counted of.

    """

    rounds: int
    calls: int
    concurrencies: tuple[int, ...]
    companies: int
    items: int
    waiters: int
    workers: int
    seconds: float
    rows: int
    works: tuple[str, ...]


FULL: Final = Scale(
    rounds=11,
    calls=256,
    concurrencies=(1, 64, 256),
    companies=10_000,
    items=100_000,
    waiters=2_500,
    workers=256,
    seconds=5,
    rows=200,
    works=("get_serie", "create_serie", "create_empresa", "list_empresas"),
)
QUICK: Final = Scale(
    rounds=3,
    calls=128,
    concurrencies=(1, 64),
    companies=10_000,
    items=20_000,
    waiters=1_000,
    workers=256,
    seconds=1,
    rows=40,
    works=("get_serie", "create_empresa"),
)
TINY: Final = Scale(
    rounds=1,
    calls=2,
    concurrencies=(1, 2),
    companies=20,
    items=200,
    waiters=20,
    workers=4,
    seconds=0.2,
    rows=2,
    works=("get_serie",),
)
"""For the tests that keep benchmarks from rotting: the figures mean nothing."""


def run(description: str | None, measure: Callable[[Scale], Coroutine[Any, Any, list[Figure]]]) -> None:
    """Read the options, measure, print the figures as a table, and write them where they are wanted."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="less of everything: a first look")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args()
    figures = asyncio.run(measure(QUICK if options.quick else FULL))
    print(table(figures))
    if options.json:
        write(options.json, figures)
