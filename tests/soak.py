"""Soak: many mixed calls at once against an emulator that fails at random, and an oracle that misses nothing.

``python -m tests.soak --calls 20000 --concurrency 64 --faults 0.2``
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import resource
import sys
import time
from collections import Counter
from itertools import product

from attrs import evolve

from facturaonline_async import Config, FacturaOnline, RetryPolicy, SessionManager, bulk
from facturaonline_async.testing import Emulator
from tests.oracle import FAULTS, OPERATIONS, Oracle

CONFIG = Config(
    rates=(),
    concurrency_per_key=64,
    retry=RetryPolicy(transient=0.001, throttled=0.002, budget=10**9 - 1),
    deadline=2,
    settle=0.01,
)


def main() -> None:
    """Read the options, run, and exit with 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=20_000, help="calls in all (default: 20000)")
    parser.add_argument("--concurrency", type=int, default=64, help="calls at once (default: 64)")
    parser.add_argument("--faults", type=float, default=0.2, help="share of requests that go wrong (default: 0.2)")
    parser.add_argument("--seed", type=int, default=1, help="of the faults and of what is called (default: 1)")
    sys.exit(asyncio.run(soak(parser.parse_args())))


async def soak(options: argparse.Namespace) -> int:
    """Run, print the figures, and return 1 if anything is wrong."""
    chance = random.Random(options.seed)
    tasks = asyncio.all_tasks()
    memory: dict[int, float] = {}
    async with Emulator(seed=options.seed, log_limit=0) as emulator:
        async with SessionManager(evolve(CONFIG, base_url=emulator.base_url)) as session:
            oracles = make_oracles(emulator, session, options.concurrency)
            one = 1 - (1 - options.faults) ** (1 / len(FAULTS))  # each fault is asked in its turn
            for fault in FAULTS:
                emulator.inject(fault, times=None, probability=one)
            free = list(oracles)

            async def work(number: int) -> None:
                oracle = free.pop()
                await oracle.call(chance.choice((*OPERATIONS, "delete", "delete empresa")), chance.randrange(1000))
                free.append(oracle)
                if number % (options.calls // 4) == 0:
                    memory[number] = resident()

            began = time.perf_counter()
            async with bulk.stream(range(1, options.calls + 1), work, concurrency=options.concurrency) as outcomes:
                async for outcome in outcomes:
                    outcome.result()
            seconds = time.perf_counter() - began
            gate = repr(session)
            http = session._engine.transport.http
            used = len(http.connector._acquired) if http and http.connector else 0
        await asyncio.sleep(0.1)
        gc.collect()
        left = [task for task in asyncio.all_tasks() - tasks if "facturaonline_async/testing" not in repr(task)]
        left = [task for task in left if "aiohttp/web" not in repr(task)]
    wrong = [each for oracle in oracles for each in oracle.wrong]
    told = sum((Counter(oracle.told) for oracle in oracles), Counter())
    is_new = "0 waiting, 0 in flight" in gate
    grown = memory[options.calls] / memory[options.calls // 4]
    figures = {
        "calls": sum(told.values()),
        "seconds": f"{seconds:.1f}",
        "told": ", ".join(f"{name} {number}" for name, number in told.most_common()),
        "wrong accounts": len(wrong),
        "connections in use": used,
        "tasks left": len(left),
        "gate as new": is_new,
        "memory (MiB)": ", ".join(f"{mib:.1f} after {number}" for number, mib in sorted(memory.items())),
        "memory, end to quarter": f"{grown:.3f}",
    }
    for name, figure in figures.items():
        sys.stdout.write(f"{name:<24}{figure}\n")
    for each in wrong[:20]:
        sys.stdout.write(f"WRONG {each}\n")
    return int(bool(wrong or used or left or not is_new or grown > 1.1))


def make_oracles(emulator: Emulator, session: SessionManager, number: int) -> list[Oracle]:
    """Give each worker a company of its own, so that no two judge the same thing."""
    prefixes = ("".join(letters) for letters in product("ABCDEFGHJKLM", repeat=3))
    oracles = []
    for prefix in (next(prefixes) for _ in range(number)):
        uid = emulator.add_empresa(rfc=f"Z{prefix[:2]}010101{prefix[2]}A1")
        client = FacturaOnline(session, emulator.credentials_of(uid))
        oracles.append(Oracle(emulator, client, uid, prefix=prefix))
    return oracles


def resident() -> float:
    """Return the most memory that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
