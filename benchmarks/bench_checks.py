"""What a check of a Sello costs, and what it does to the loop: ``python -m benchmarks.bench_checks [--quick]``."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Final

import anyio.to_thread
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key

from benchmarks.answers import RFC
from benchmarks.command import Scale, run
from benchmarks.contenders.library import Library
from benchmarks.figures import Figure, summary
from facturaonline_async.provision.checkers import checkers
from facturaonline_async.sello import Sello, check
from facturaonline_async.sello.checking import find_all
from facturaonline_async.testing import make_sello

__all__ = ["measure"]

_figure: Final[Callable[..., Figure]] = partial(summary, bench="bench_checks")


async def measure(scale: Scale) -> list[Figure]:
    figures = cost(made(3 * scale.rounds))
    for processes in (None, 2, 0):
        figures += await lag(made(scale.rows), processes=processes)
    return figures


def made(number: int) -> list[Sello]:
    keys = [rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(min(number, 16))]
    return [make_sello(RFC, private_key=keys[each % len(keys)]) for each in range(number)]


def cost(sellos: list[Sello]) -> list[Figure]:
    """Return one check against loading its key, in the same run, one after the other."""
    find_all(sellos[0], rfc=RFC, kind="csd", now=None, production=False)  # imports
    checks, again, loads = [], [], []
    for sello in sellos[1:]:
        began = time.perf_counter()
        load_der_private_key(sello.key, sello.password.reveal().encode())
        loaded = time.perf_counter()
        check(sello, rfc=RFC)
        checked = time.perf_counter()
        check(sello, rfc=RFC)
        loads.append((loaded - began) * 1e3)
        checks.append((checked - loaded) / (loaded - began))
        again.append((time.perf_counter() - checked) / (loaded - began))
    one = partial(_figure, contender=Library.name, measure="time", unit="×", against="loading its key")
    return [
        _figure(loads, case="load a private key", contender="cryptography", measure="time, alone", unit="ms"),
        one(checks, case="check a Sello"),
        one(again, case="check the same one again"),
    ]


async def lag(sellos: list[Sello], *, processes: int | None) -> list[Figure]:
    """Return how late a ticker of 1 ms is while all are checked: in processes, or in threads (processes=0)."""
    late: list[float] = []

    async def ticker() -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            late.append((time.perf_counter() - began - 0.001) * 1e3)

    async with checkers(processes or None) as checked:
        ticking = asyncio.create_task(ticker())
        began = time.perf_counter()
        if processes == 0:
            await asyncio.gather(*(anyio.to_thread.run_sync(partial(check, sello)) for sello in sellos))
        else:
            await asyncio.gather(*(checked(sello, rfc=RFC, kind="csd") for sello in sellos))
        took = time.perf_counter() - began
        used = len(checked._idle) or 1  # noqa: SLF001
        ticking.cancel()
    late.sort()
    names = {0: "threads", None: f"{used} processes (default)"}
    how = names.get(processes, f"{processes} processes")
    one = partial(_figure, case=f"{len(sellos)} checks at once", contender=how)
    return [
        one([len(sellos) / took], measure="checks", unit="/s"),
        one([statistics.median(late)], measure="the loop is late, median", unit="ms"),
        one([late[len(late) * 99 // 100]], measure="p99", unit="ms"),
        one([late[-1]], measure="longest", unit="ms"),
    ]


if __name__ == "__main__":
    run(__doc__, measure)
