"""A plan made real, with and without a journal: ``python -m benchmarks.bench_provision [--quick]``.

Each row is a company and three series of its own, against a fresh emulator in a process of its own. The emulator is the
slower of the two, so that rows per second are a lower bound; CPU is that of this process alone. Certificates are not
checked here: see ``bench_checks``.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice, product
from pathlib import Path
from typing import Final

from benchmarks.command import Scale, run
from benchmarks.contenders.library import Library
from benchmarks.figures import Figure, summary
from benchmarks.rounds import Cost, ratios
from facturaonline_async import Config, Credentials, connect
from facturaonline_async.provision import Plan, provision
from facturaonline_async.testing import Emulator
from tests.plans import ROW, certify, written

__all__ = ["emulated", "measure"]

WITHOUT: Final = f"{Library.name}, without a journal"
WITH: Final = f"{Library.name}, with a journal"

_figure: Final[Callable[..., Figure]] = partial(summary, bench="bench_provision")


async def measure(scale: Scale) -> list[Figure]:
    costs: dict[str, list[Cost]] = {WITHOUT: [], WITH: []}
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        plan = _plan(Path(name), scale.rows)
        for number in range(-1, scale.rounds):
            for how in costs if number % 2 else reversed(list(costs)):
                cost = await _run(plan, Path(name) / f"{number}.sqlite" if how == WITH else None)
                if number >= 0:
                    costs[how].append(cost)
    about = {"case": f"{scale.rows} companies with three series each"}
    figures = []
    for how, spent in costs.items():
        one = partial(_figure, contender=how, **about)
        cpu = ratios(spent, costs[WITHOUT], lambda cost: cost.cpu)
        figures += [
            one([1 / cost.wall for cost in spent], measure="rows", unit="/s"),
            one([cost.cpu * 1e3 for cost in spent], measure="CPU for a row", unit="ms"),
            one(cpu, measure="CPU", unit="×", against=WITHOUT),
        ]
    return figures


def _plan(folder: Path, number: int) -> Plan:
    """Return a plan of so many companies, each with a certificate of its own."""
    letters = ("".join(each) for each in product("ABCDEFGHJKLM", repeat=3))
    rfcs = [f"Z{each[:2]}010101{each[2]}A1" for each in islice(letters, number)]
    certify(folder, rfcs)
    series = "F:factura:1;P:pago;N:nota_credito"
    rows = [{**ROW, "rfc": rfc, "cer": f"c/{rfc}.cer", "key": f"c/{rfc}.key", "series": series} for rfc in rfcs]
    return Plan.from_csv(written(folder, rows))


async def _run(plan: Plan, journal: Path | None) -> Cost:
    """Make the plan real in an account without companies; return what a row took."""
    with emulated() as (url, keys):
        config = Config(rates=(), concurrency_per_key=64, check_sello=False)
        async with connect(keys, base_url=url, config=config) as client:
            gc.collect()
            wall, cpu = time.perf_counter(), time.process_time()
            # Without the last look, which waits for the settle time: what is measured is the work on the rows.
            async with provision(client, plan, journal=journal, concurrency=32, audit=False) as run:
                async for _ in run:
                    pass
            cost = Cost((time.process_time() - cpu) / len(plan), (time.perf_counter() - wall) / len(plan))
    if not run.report.is_complete:
        raise RuntimeError(f"the plan was not brought about: {run.report}")
    return cost


# ── The emulator ──────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def emulated() -> Iterator[tuple[str, Credentials]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.bench_provision", "emulator"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[1],
        text=True,
    )
    assert process.stdin
    assert process.stdout
    try:
        told = json.loads(process.stdout.readline())
        yield told["url"], Credentials(api_key=told["api_key"], secret_key=told["secret_key"])
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


async def _emulate() -> None:
    async with Emulator(log_limit=0) as emulator:
        keys = emulator.credentials
        told = {"api_key": keys.api_key.reveal(), "secret_key": keys.secret_key.reveal()}  # of nobody
        print(json.dumps({"url": emulator.base_url, **told}), flush=True)
        ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ended.set)
        await ended.wait()
    os._exit(0)  # connections of a client that has gone are not waited for


if __name__ == "__main__":
    if sys.argv[1:2] == ["emulator"]:
        asyncio.run(_emulate())
    else:
        run(__doc__, measure)
