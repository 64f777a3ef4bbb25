"""A whole job beside its limits: ``python -m benchmarks.bench_job [--latency 0 0.3 1] [--rows 200] [--virtual]``.

A plan of companies with three series each is carried out with the library's own limits and settings: with a journal and
with checked certificates. The clock stops at the last outcome; the audit comes after it. The emulator runs in a process
of its own, and answers each call after the latency.

The ideal is what the limits and the latency alone need: the limiter starts 10 creates at once and 10 in each further
second, and then the last company makes the calls that wait for each other (`tests.provision.pace.CHAIN`).

``--virtual`` plays the job on the virtual clock of the tests, without sockets, journal and certificates. Its figures
are exact, and the same on every machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from itertools import islice
from pathlib import Path

from facturaonline_async import Credentials, FacturaOnline, connect
from facturaonline_async._cli.example import example_rfcs
from facturaonline_async.provision import Plan, RowOutcome, State, provision
from facturaonline_async.testing import Emulator
from tests.plans import ROW, certify, written
from tests.provision.pace import ideal, play

__all__ = ["measure"]


def write_plan(folder: Path, rows: int) -> Plan:
    """Write a plan of companies with three series each, and certificates that pass the check."""
    rfcs = list(islice(example_rfcs(), rows))
    certify(folder, rfcs)
    own = [{"rfc": rfc, "cer": f"c/{rfc}.cer", "key": f"c/{rfc}.key"} for rfc in rfcs]
    return Plan.from_csv(
        written(folder, [{**ROW, **each, "series": "F:factura:1;P:pago;N:nota_credito"} for each in own])
    )


async def run_job(folder: Path, rows: int, latency: float) -> tuple[float, Counter[str]]:
    """Carry out a plan in an emulated account; see `measure`."""
    plan = write_plan(folder, rows)
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.bench_job", "--serve", str(latency)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[1],
    )
    assert server.stdin
    assert server.stdout
    try:
        told = json.loads(await server.stdout.readline())
        keys = Credentials(api_key=told["api_key"], secret_key=told["secret_key"])
        async with connect(keys, base_url=told["url"]) as client:
            seconds = await _until_last_outcome(client, plan, folder / "run.sqlite")
    finally:
        server.stdin.close()
        calls = Counter(json.loads(await server.stdout.read() or "{}"))
        await server.wait()
    return seconds, calls


async def _until_last_outcome(client: FacturaOnline, plan: Plan, journal: Path) -> float:
    began, outcomes = time.perf_counter(), list[RowOutcome]()
    async with provision(client, plan, journal=journal) as run:
        async for outcome in run:
            outcomes.append(outcome)
            if len(outcomes) == len(plan):
                break
        seconds = time.perf_counter() - began
    if any(serie.state is not State.CREATED for outcome in outcomes for serie in outcome.series):
        raise RuntimeError(f"the job failed: {run.report}")
    return seconds


async def _serve(latency: float) -> None:
    """Emulate the API until stdin ends, then print the number of calls of each endpoint."""
    async with Emulator(latency=latency) as emulator:
        keys = emulator.credentials
        told = {"api_key": keys.api_key.reveal(), "secret_key": keys.secret_key.reveal()}  # of an emulated account
        print(json.dumps({"url": emulator.base_url, **told}), flush=True)
        await asyncio.to_thread(sys.stdin.read)
        print(json.dumps({name: emulator.count(name) for name in Emulator.ENDPOINTS}), flush=True)


def measure(rows: int, latency: float, *, is_virtual: bool) -> tuple[float, Counter[str]]:
    """Return the seconds until the last outcome, and the number of calls of each endpoint."""
    if is_virtual:
        pace = play(rows, latency)
        return pace.seconds, pace.calls
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        return asyncio.run(run_job(Path(folder), rows, latency))


def main() -> None:
    """Run the job once for each latency, and print a line for each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--latency", type=float, nargs="+", default=[0.0, 0.3, 1.0], metavar="SECONDS")
    parser.add_argument("--rows", type=int, default=200, help="companies (default: 200)")
    parser.add_argument("--virtual", action="store_true", help="on the virtual clock of the tests")
    parser.add_argument("--serve", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        asyncio.run(_serve(options.serve))
        return
    print("latency      wall     ideal  wall/ideal  calls for each company")
    for latency in options.latency:
        seconds, calls = measure(options.rows, latency, is_virtual=options.virtual)
        best = ideal(options.rows, latency)
        print(
            f"{latency:5.1f} s  {seconds:6.2f} s  {best:6.2f} s  {seconds / best:10.3f}  "
            f"{calls.total() / options.rows:22.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
