"""What a large plan costs: rows a second, CPU and memory, and what the journal and the check add.

``python -m benchmarks.provision_load`` measures each case in a process of its own, against an emulator in another one.
``--trace`` tells instead what holds the memory at the end of a run, with `tracemalloc`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import IO, Any

_PASSWORD = "12345678a"  # noqa: S105
_COLUMNS = "razon_social,rfc,codpos,email,regimen,regimen_nomina,cer,key,password,series"


# ── The measured process ──────────────────────────────────────────────────────────────────────────────────────────────


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Provision a plan once, and return what it cost this process (and its workers)."""
    from facturaonline_async import Config, Credentials, connect  # noqa: PLC0415  # the parent stays small
    from facturaonline_async.provision import Plan, provision  # noqa: PLC0415

    plan = Plan.from_csv(options.plan)
    after_plan = memory("VmRSS")
    began, used = time.perf_counter(), cpu()
    config = Config(rates=(), check_sello=options.check)
    keys = Credentials(api_key=options.keys[0], secret_key=options.keys[1])
    top: list[str] = []
    if options.trace:
        tracemalloc.start()
    async with (
        connect(keys, base_url=options.url, config=config) as client,
        provision(client, plan, journal=options.journal, settle=5, concurrency=options.concurrency) as run,
    ):
        seconds = 0.0
        async for _ in run:
            seconds = time.perf_counter() - began  # without the last look, which waits for the settle time
        if options.trace:
            top = [str(each) for each in tracemalloc.take_snapshot().statistics("lineno")[:15]]
    assert run.report.is_complete, run.report
    return {
        "rows": len(plan),
        "seconds": seconds,
        "cpu": cpu() - used,
        "after plan": after_plan,
        "peak": memory("VmHWM"),
        "top": top,
    }


def cpu() -> float:
    """Return the seconds of CPU that this process and those that it has waited for have used."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def memory(name: str) -> float:
    """Return a line of the kernel's account of this process, in MiB. `ru_maxrss` would count the parent's, too."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise LookupError(name)


# ── The emulator's process ────────────────────────────────────────────────────────────────────────────────────────────


async def serve() -> None:
    """Emulate the API until nobody reads any more."""
    from facturaonline_async.testing import Emulator  # noqa: PLC0415

    async with Emulator(paging=True, log_limit=0) as emulator:
        keys = emulator.credentials
        told = {"url": emulator.base_url, "keys": [keys.api_key.reveal(), keys.secret_key.reveal()]}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


# ── The parent ────────────────────────────────────────────────────────────────────────────────────────────────────────


def write_plan(folder: Path, rows: int, series: int, *, certified: bool) -> None:
    """Write a plan; with certificates of their own where they are checked, else with the same two files for all."""
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415

    from facturaonline_async._cli.example import example_rfcs  # noqa: PLC0415
    from facturaonline_async.testing import make_sello  # noqa: PLC0415

    keys = [rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(16)]
    kinds = ";".join(f"{letra}:factura:1" for letra in "FPNABC"[:series])
    with (folder / "plan.csv").open("w", encoding="utf-8") as file:
        file.write(f"{_COLUMNS}\n")
        for number, rfc in zip(range(rows), example_rfcs(), strict=False):
            name = rfc if certified else "all"
            if certified or not number:
                sello = make_sello(rfc, password=_PASSWORD, private_key=keys[number % 16])
                (folder / f"{name}.cer").write_bytes(sello.cer)
                (folder / f"{name}.key").write_bytes(sello.key)
            file.write(
                f"Empresa {number},{rfc},06500,a@example.com,601,601,{name}.cer,{name}.key,{_PASSWORD},{kinds}\n"
            )


def measured(folder: Path, options: argparse.Namespace, *, journal: bool, check: bool) -> dict[str, Any]:
    """Measure one case in fresh processes."""
    module = [sys.executable, "-m", "benchmarks.provision_load"]
    with subprocess.Popen([*module, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        told = json.loads(_pipe(server.stdout).readline())
        command = [
            *(*module, "--measure", "--plan", folder / "plan.csv", "--url", told["url"], "--keys", *told["keys"]),
            *("--concurrency", options.concurrency, *(["--check"] if check else [])),
            *(["--journal", folder / "run.sqlite"] if journal else []),
            *(["--trace"] if options.trace else []),
        ]
        ended = subprocess.run([str(each) for each in command], stdout=subprocess.PIPE, text=True, check=True)
        _pipe(server.stdin).close()
    for file in folder.glob("run.sqlite*"):
        file.unlink()
    cost: dict[str, Any] = json.loads(ended.stdout)
    return cost


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


def compare(options: argparse.Namespace) -> None:
    """Measure all cases, and print a table."""
    few, many = options.rows // 10, options.rows
    cases = {
        f"{few} rows, journal": (few, True, False),
        f"{many} rows, journal": (many, True, False),
        f"{many} rows, no journal": (many, False, False),
        f"{many} rows, journal, check": (many, True, True),
    }
    if options.trace:
        cases = {name: case for name, case in cases.items() if case[1] and not case[2]}
    costs = {}
    print(f"{'':<30}{'rows/s':>8}{'CPU/row':>10}{'after plan':>12}{'peak':>10}")
    for name, (rows, journal, check) in cases.items():
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(
                [
                    *(sys.executable, "-m", "benchmarks.provision_load", "--write", folder),
                    *("--rows", str(rows), "--series", str(options.series), *(["--check"] if check else [])),
                ],
                check=True,
            )
            cost = costs[name] = measured(Path(folder), options, journal=journal, check=check)
        print(
            f"{name:<30}{rows / cost['seconds']:>8.0f}{cost['cpu'] / rows * 1e3:>7.2f} ms"
            f"{cost['after plan']:>8.1f} MiB{cost['peak']:>6.1f} MiB",
            flush=True,
        )
        for line in cost["top"]:
            print(f"    {line}")
    if not options.trace:
        small, large, without, _ = costs.values()
        print(f"peak memory, {many} rows to {few}: {large['peak'] / small['peak']:.2f}")
        print(
            f"the journal, a row: {(large['cpu'] - without['cpu']) / many * 1e3:.2f} ms of CPU, "
            f"{(large['seconds'] - without['seconds']) / many * 1e3:.2f} ms of time"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000, help="companies (default: 20000), and a tenth of them")
    parser.add_argument("--series", type=int, default=1, help="series of each (default: 1)")
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--trace", action="store_true", help="tell what holds the memory")
    hidden = parser.add_argument_group("used by itself")
    for name in ("--serve", "--measure", "--check"):
        hidden.add_argument(name, action="store_true")
    for name in ("--write", "--plan", "--url", "--journal"):
        hidden.add_argument(name)
    hidden.add_argument("--keys", nargs=2)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve())
    elif options.measure:
        sys.stdout.write(json.dumps(asyncio.run(measure(options))))
    elif options.write:
        write_plan(Path(options.write), options.rows, options.series, certified=options.check)
    else:
        compare(options)


if __name__ == "__main__":
    main()
