"""What a check of a Sello costs, and what it does to the loop: ``python -m benchmarks.bench_checks [--quick]``."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import anyio
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key

from benchmarks.answers import RFC
from benchmarks.bench_provision import emulated
from benchmarks.command import Scale, run
from benchmarks.contenders.library import Library
from benchmarks.figures import Figure, summary
from facturaonline_async import Config, NuevaEmpresa, connect
from facturaonline_async.sello import Sello, check
from facturaonline_async.sello._check_in_thread import check_in_thread
from facturaonline_async.testing import make_sello

__all__ = ["measure"]

CREATES: Final = 50
"""A second: what an account of the provider allows is far less."""

_figure: Final[Callable[..., Figure]] = partial(summary, bench="bench_checks")


async def measure(scale: Scale) -> list[Figure]:
    figures = cost(made(3 * scale.rounds))
    for threads in (1, 2):
        figures += await at_once(made(scale.rows), threads)
    for is_checked in (True, False):
        figures += await beside_creates(made(int(scale.seconds * CREATES)), is_checked=is_checked)
    return figures


def made(number: int) -> list[Sello]:
    keys = [rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(min(number, 16))]
    return [make_sello(RFC, private_key=keys[each % len(keys)]) for each in range(number)]


def cost(sellos: list[Sello]) -> list[Figure]:
    """Return one check against loading its key, in the same run, one after the other."""
    check(sellos[0], rfc=RFC)  # imports
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


async def at_once(sellos: list[Sello], threads: int) -> list[Figure]:
    """Return how fast all are checked, and how late the loop is meanwhile."""
    limiter = anyio.CapacityLimiter(threads)
    async with lateness() as late:
        began = time.perf_counter()
        await asyncio.gather(*(check_in_thread(sello, rfc=RFC, kind="csd", limiter=limiter) for sello in sellos))
        took = time.perf_counter() - began
    one = partial(
        _figure, case=f"{len(sellos)} checks at once", contender="one thread" if threads == 1 else f"{threads} threads"
    )
    return [one([len(sellos) / took], measure="checks", unit="/s"), *_lateness(late, one)]


async def beside_creates(sellos: list[Sello], *, is_checked: bool) -> list[Figure]:
    """Return how late the loop is while companies are created at a steady rate, with or without checks."""
    with emulated() as (url, keys):
        config = Config(rates=(), check_sello=is_checked)
        async with connect(keys, base_url=url, config=config) as client, anyio.create_task_group() as group:
            await client.empresas.create(nueva(sellos[0]))  # what is done once in a process
            async with lateness() as late:
                began = time.perf_counter()
                for number, sello in enumerate(sellos, 1):
                    group.start_soon(client.empresas.create, nueva(sello))
                    await asyncio.sleep(began + number / CREATES - time.perf_counter())
                took = time.perf_counter() - began
    how = "with" if is_checked else "without"
    one = partial(_figure, case=f"{CREATES} creates a second", contender=f"{Library.name}, {how} checks")
    return [one([len(sellos) / took], measure="creates", unit="/s"), *_lateness(late, one)]


def nueva(sello: Sello) -> NuevaEmpresa:
    """Return a company, for all of which the emulator has room."""
    return NuevaEmpresa(
        razon_social="Empresa de Ejemplo",
        rfc=RFC,
        codpos="06500",
        email="a@example.com",
        regimen="601",
        regimen_nomina="601",
        csd=sello,
    )


@asynccontextmanager
async def lateness() -> AsyncIterator[list[float]]:
    """Collect how many milliseconds late the loop wakes a ticker of one millisecond."""
    late: list[float] = []

    async def ticker() -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            late.append((time.perf_counter() - began - 0.001) * 1e3)

    ticking = asyncio.create_task(ticker())
    try:
        yield late
    finally:
        ticking.cancel()


def _lateness(late: list[float], one: Callable[..., Figure]) -> list[Figure]:
    late.sort()
    return [
        one([statistics.median(late)], measure="the loop is late, median", unit="ms"),
        one([late[len(late) * 99 // 100]], measure="p99", unit="ms"),
        one([late[-1]], measure="longest", unit="ms"),
    ]


if __name__ == "__main__":
    run(__doc__, measure)
