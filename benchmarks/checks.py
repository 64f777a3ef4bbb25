"""What a check of a Sello costs, and what it does to the event loop: ``python -m benchmarks.checks``."""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time

import anyio.to_thread
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key

from facturaonline_async.provision.checkers import checkers
from facturaonline_async.sello import Sello, check
from facturaonline_async.sello.checking import find_all
from facturaonline_async.testing import make_sello

RFC = "EKU9003173C9"


def made(number: int) -> list[Sello]:
    keys = [rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(16)]
    return [make_sello(RFC, private_key=keys[each % len(keys)]) for each in range(number)]


def cost(sellos: list[Sello]) -> None:
    """Print one check against loading its key, in the same run, one after the other."""
    find_all(sellos[0], rfc=RFC, kind="csd", now=None, production=False)  # imports
    ratios, again, loads = [], [], []
    for sello in sellos[1:]:
        began = time.perf_counter()
        load_der_private_key(sello.key, sello.password.reveal().encode())
        loaded = time.perf_counter()
        check(sello, rfc=RFC)
        checked = time.perf_counter()
        check(sello, rfc=RFC)
        loads.append(loaded - began)
        ratios.append((checked - loaded) / (loaded - began))
        again.append((time.perf_counter() - checked) / (loaded - began))
    print(f"loading a key             {statistics.median(loads) * 1e3:6.1f} ms")
    print(f"a check / loading its key {statistics.median(ratios):6.2f}")
    print(f"the same check again      {statistics.median(again):6.2f}")


async def lag(sellos: list[Sello], *, processes: int | None) -> None:
    """Print how late a ticker of 1 ms is while all are checked: in processes, or in threads (processes=0)."""
    late: list[float] = []

    async def ticker() -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            late.append(time.perf_counter() - began - 0.001)

    async with checkers(processes or None) as checked:
        ticking = asyncio.create_task(ticker())
        began = time.perf_counter()
        if processes == 0:
            await asyncio.gather(*(anyio.to_thread.run_sync(lambda sello=sello: check(sello)) for sello in sellos))  # type: ignore[misc]
        else:
            await asyncio.gather(*(checked(sello, rfc=RFC, kind="csd") for sello in sellos))
        took = time.perf_counter() - began
        used = len(checked._idle) or 1  # noqa: SLF001
        ticking.cancel()
    late.sort()
    how = "threads" if processes == 0 else f"{used} process{'es' if used > 1 else ''}"
    median, p99, longest = (each * 1e3 for each in (statistics.median(late), late[len(late) * 99 // 100], late[-1]))
    print(
        f"{len(sellos)} checks, {how:<12} {len(sellos) / took:5.0f}/s, {len(sellos) / took / used:4.0f}/s each; "
        f"the loop is late by {median:.2f} ms (median), {p99:.2f} ms (p99), {longest:.2f} ms (max)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checks", type=int, default=200)
    arguments = parser.parse_args()
    cost(made(33))
    for processes in (None, 2, 0):
        asyncio.run(lag(made(arguments.checks), processes=processes))


if __name__ == "__main__":
    main()
