"""Kill the command again and again while the API fails at random, and count what is there twice, or not at all.

``python -m benchmarks.crash`` takes about five minutes, ``--short`` a few seconds. The command is the real one, killed
with ``kill -9``; the emulator, which is never killed, is the oracle. Beside it run three controls, which do it wrong
and must make duplicates: else the oracle is blind.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import Counter
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
from attrs import define, field, frozen

from facturaonline_async import Config, FacturaOnlineError, RetryPolicy, connect
from facturaonline_async._cli.example import example_rfcs
from facturaonline_async.provision import Plan
from facturaonline_async.testing import Emulator, Fault, Request
from tests.plans import ROW, nueva, written
from tests.provision.controls import provision_naively
from tests.provision.verdict import Verdict, judge

_TIMEOUT = 1.0
_LIST_LAG = 0.3
_SETTLE = 2.5
"""Seconds; above what any fault below and the lists' lag can take together."""

_SLACK = _SETTLE - _TIMEOUT - 0.3 - _LIST_LAG
"""Seconds that are left of it."""

_MOST_SCALE = 8
"""So much slower, and no more, oracles are looked at that saw nothing."""

_TURNS = 5
"""Turns of the emulator's loop, at most, from a request's arrival to its work."""

_FAULTS = (
    (Fault.drop_before_commit(), 0.03),
    (Fault.drop_after_commit(), 0.03),
    (Fault.commit_late(0.6), 0.03),
    (Fault.status(502), 0.01),
    (Fault.status(502, commit=True), 0.02),
    (Fault.garbage(), 0.02),
    (Fault.html_page(), 0.01),
    (Fault.html_page(commit=False), 0.01),
    (Fault.throttle(), 0.02),
    (Fault.delay(_TIMEOUT + 0.3), 0.02),
    (Fault.delay_answer(_TIMEOUT + 0.3), 0.02),
)
_NAIVE_RUNS = 3
_LATE = 2.0
_LATEST = 4.0
_LAG_OF_CONTROLS = 1.5
"""Seconds; long enough that also a slow machine stumbles where it should."""

_FAULTS_OF_READS = ((Fault.status(500), 0.05), (Fault.drop_before_commit(), 0.03), (Fault.throttle(), 0.02))


@frozen
class Size:
    """How much of it.

    Attributes:
        empresas: how many; each with two series.
        kills: how many processes are killed.
        rate: calls a second while processes are killed, so that the work lasts until the last one.

    """

    empresas: int
    kills: int
    rate: int


FULL = Size(empresas=1000, kills=110, rate=60)
SHORT = Size(empresas=30, kills=6, rate=20)
CONTROL = Size(empresas=100, kills=10, rate=200)
SHORT_CONTROL = Size(empresas=24, kills=3, rate=100)


@define
class Outcome:
    """What came of one way of doing it."""

    verdict: Verdict
    kills: int = 0
    runs: int = 0
    is_complete: bool = False
    faults: Counter[str] = field(factory=Counter)
    seconds: float = 0.0


@define
class Fight:
    """One plan, one emulator, and processes that are killed.

    Attributes:
        folder, size, seed, settle, list_lag, latest, faults: what is done to it.
        module: the command.
        kills_at: kill when a request meets this fault, instead of at random.
        is_finished: whether what is left is brought to its end.

    """

    folder: Path
    size: Size
    seed: int
    module: str = "facturaonline_async"
    settle: float = _SETTLE
    list_lag: float = _LIST_LAG
    latest: float = _LATEST
    faults: tuple[tuple[Fault, float], ...] = _FAULTS
    kills_at: Fault | None = None
    is_finished: bool = True
    chance: random.Random = field(init=False)
    letras: dict[str, list[str]] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        rfcs = zip(range(self.size.empresas), example_rfcs(), strict=False)
        self.letras = {rfc: [f"F{number}", f"P{number}"] for number, rfc in rfcs}

    @property
    def journal(self) -> Path:
        return self.folder / "run.sqlite"

    def write_plan(self) -> Path:
        rows = [
            ROW | {"rfc": rfc, "series": f"{first}:factura:1;{second}:pago"}
            for rfc, (first, second) in self.letras.items()
        ]
        return written(self.folder, rows)

    def emulator(self) -> Emulator:
        """Return an emulator with all its faults."""
        emulator = Emulator(seed=self.seed, list_lag=self.list_lag, read_lag=0.1, latency=0.02)
        for endpoint in ("empresas.create", "series.create"):
            for fault, probability in self.faults:
                emulator.inject(fault, endpoint=endpoint, times=None, probability=probability)
        for endpoint in ("empresas.list", "empresas.get", "series.list"):
            for fault, probability in _FAULTS_OF_READS:
                emulator.inject(fault, endpoint=endpoint, times=None, probability=probability)
        return emulator

    async def fought(self) -> Outcome:
        """Kill processes, let the last ones live, and judge."""
        plan, began = self.write_plan(), time.monotonic()
        async with self.emulator() as emulator:
            outcome = Outcome(Verdict(0, 0, 0))
            while outcome.kills < self.size.kills:
                outcome.runs += 1
                process = await self.start(plan, emulator, rate=self.size.rate)
                outcome.kills += await self.kill(process, emulator)
                if process.returncode == 0:
                    break  # there was nothing left to kill it for
            for _ in range(5 if self.is_finished else 0):  # rows that failed are tried again by the next run
                outcome.runs += 1
                process = await self.start(plan, emulator, rate=1000)
                output, problems = await process.communicate()
                with suppress(ValueError, KeyError):
                    outcome.is_complete = json.loads(output)["complete"]
                if process.returncode not in {0, 1}:
                    print(problems.decode(), file=sys.stderr)
                if process.returncode == 0:
                    break
            await asyncio.sleep(self.latest)  # what is done late is done by then
            outcome.verdict = judge(emulator.state, self.letras, self.journal)
            outcome.faults = _met(emulator)
        outcome.seconds = time.monotonic() - began
        return outcome

    async def start(self, plan: Path, emulator: Emulator, *, rate: int) -> Process:
        """Start the command."""
        keys = emulator.credentials
        environment = os.environ | {
            "FACTURAONLINE_API_KEY": keys.api_key.reveal(),
            "FACTURAONLINE_SECRET_KEY": keys.secret_key.reveal(),
        }
        options: dict[str, Any] = {
            "journal": self.journal,
            "settle": self.settle,
            "base-url": emulator.base_url,
            "rate": f"{rate}/1",
            "timeout": _TIMEOUT,
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", self.module, "provision", str(plan), *arguments, "--no-check", "--json"),
            env=environment, stdin=DEVNULL, stdout=PIPE, stderr=PIPE,
        )  # fmt: skip

    async def kill(self, process: Process, emulator: Emulator) -> bool:
        """Kill the process some time after its first call, or (now and then) before; return whether it came to it."""
        reading = asyncio.create_task(process.communicate())
        if self.kills_at is not None:
            calls = len(emulator.requests)
            while not reading.done() and not _meets(self.kills_at, emulator.requests[calls:]):  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        elif self.chance.random() < 0.9:
            calls = len(emulator.requests)
            while len(emulator.requests) == calls and not reading.done():  # noqa: ASYNC110  # it rings no bell
                await asyncio.sleep(0.01)
        if self.kills_at is None:
            await self.let_it_work(reading, emulator)
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        _, problems = await reading
        if process.returncode not in {0, 1, -signal.SIGKILL}:
            print(problems.decode(), file=sys.stderr)
        return process.returncode == -signal.SIGKILL

    async def let_it_work(self, reading: asyncio.Task[Any], emulator: Emulator) -> None:
        """Wait some time, or for the calls that its rate allows in it: a slow machine kills late, not less often."""
        clock, seconds = asyncio.get_running_loop().time, self.chance.uniform(0.05, 1.7)
        ends, calls = clock() + seconds, len(emulator.requests) + seconds * self.size.rate
        while not reading.done() and clock() < ends and len(emulator.requests) < calls:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def without_settle(folder: Path, size: Size, seed: int, scale: int) -> Outcome:
    """Look at once, and create again what is not listed. Nobody is killed."""
    late = ((Fault.commit_late(scale * _LATE), 0.3),)
    size = Size(size.empresas, 0, size.rate)
    lag = scale * _LAG_OF_CONTROLS
    return await Fight(folder, size, seed, settle=0.0, list_lag=lag, faults=late, latest=scale * _LATEST).fought()


async def intent_after_send(folder: Path, size: Size, seed: int, scale: int) -> Outcome:
    """Write down what was sent, not what is about to be. Killed whenever a create has come and is not done yet."""
    latest, lag = Fault.delay(scale * _LATEST), scale * _LAG_OF_CONTROLS
    return await Fight(
        folder,
        size,
        seed,
        module="tests.provision.controls",
        settle=scale * _LATEST + lag + 1,
        list_lag=lag,
        latest=scale * _LATEST,
        faults=((latest, 0.1),),
        kills_at=latest,
        is_finished=False,
    ).fought()


async def naive(folder: Path, size: Size, seed: int) -> Outcome:
    """Create what is not listed, and try again what got no answer, three times over. Nobody is killed."""
    fight, began = Fight(folder, size, seed), time.monotonic()
    plan = Plan.from_csv(fight.write_plan())
    config = Config(
        rates=(), check_sello=False, total_timeout=_TIMEOUT, upload_timeout=_TIMEOUT, deadline=10,
        retry=RetryPolicy(transient=0.01, throttled=0.01),
    )  # fmt: skip
    async with fight.emulator() as emulator:
        async with connect(emulator.credentials, base_url=emulator.base_url, config=config) as client:
            for _ in range(_NAIVE_RUNS):
                with suppress(FacturaOnlineError):
                    await provision_naively(client, [(nueva(row.rfc), row.series) for row in plan])
        await asyncio.sleep(2)
        verdict = judge(emulator.state, fight.letras)
        return Outcome(verdict, runs=_NAIVE_RUNS, faults=_met(emulator), seconds=time.monotonic() - began)


def _meets(fault: Fault, requests: Sequence[Request]) -> bool:
    return any(request.fault == fault for request in requests)


def _met(emulator: Emulator) -> Counter[str]:
    return Counter(request.fault.label for request in emulator.requests if request.fault is not None)


@define
class Pulse:
    """How long the emulator's loop stood still: what arrives meanwhile is done that much later.

    Attributes:
        longest: seconds.

    """

    longest: float = 0.0

    async def feel(self) -> None:
        """Measure, until cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            began = clock()
            await asyncio.sleep(0.01)
            self.longest = max(self.longest, clock() - began - 0.01)


async def fight_until_it_says_something(seed: int, *, is_short: bool) -> int:
    """Run everything, and again with twice the time for everything where the machine was too slow to tell."""
    scale = 1
    while True:
        pulse = Pulse()
        feeling = asyncio.create_task(pulse.feel())
        is_good, is_blind = await fight_all(seed, scale, is_short=is_short)
        feeling.cancel()
        if is_good and not is_blind:
            return 0
        is_slow = _TURNS * pulse.longest > _SLACK + (scale - 1) * _SETTLE
        if not is_slow and (not is_good or scale >= _MOST_SCALE):
            return 1
        scale *= 2
        print(f"Again, {scale} times as slowly: the loop stood still for {pulse.longest:.1f} s, or oracles were blind")


async def fight_all(seed: int, scale: int, *, is_short: bool) -> tuple[bool, bool]:
    """Run everything at the same time, print the figures, and return whether all is well, and who saw nothing."""
    size, control = (SHORT, SHORT_CONTROL) if is_short else (FULL, CONTROL)
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / each for each in ("real", "settle", "intent", "naive")]
        for folder in folders:
            await anyio.Path(folder).mkdir()
        fights: list[Coroutine[Any, Any, Outcome]] = [
            Fight(folders[0], size, seed, settle=scale * _SETTLE).fought(),
            without_settle(folders[1], control, seed, scale),
            intent_after_send(folders[2], control, seed, scale),
            naive(folders[3], control, seed),
        ]
        names = ("the protocol", "settle 0", "intent after send", "naive repeats")
        outcomes = dict(zip(names, await asyncio.gather(*fights), strict=True))
    real, *controls = outcomes.values()
    _show(outcomes, size, control, seed)
    enough = real.kills >= (size.kills if is_short else 100)
    if not enough:
        print(f"WRONG only {real.kills} processes were killed")
    blind = [name for name, each in outcomes.items() if each in controls and not each.verdict.duplicates]
    for each in blind:
        print(f"WRONG {each}: no duplicates: the oracle is blind, or the faults are too few")
    return real.verdict.is_good and real.is_complete and enough, bool(blind)


def _show(outcomes: dict[str, Outcome], size: Size, control: Size, seed: int) -> None:
    print(f"seed {seed}: {size.empresas} empresas, {2 * size.empresas} series; controls {control.empresas} empresas")
    figures: dict[str, list[object]] = {
        "duplicates": [each.verdict.duplicates for each in outcomes.values()],
        "lost": [each.verdict.lost for each in outcomes.values()],
        "wrong owner": [each.verdict.wrong_owner for each in outcomes.values()],
        "left in INTENT": [each.verdict.left_in_intent for each in outcomes.values()],
        "report complete": [each.is_complete for each in outcomes.values()],
        "kill -9": [each.kills for each in outcomes.values()],
        "runs": [each.runs for each in outcomes.values()],
        "faults": [sum(each.faults.values()) for each in outcomes.values()],
        "seconds": [round(each.seconds) for each in outcomes.values()],
    }
    print("".join([f"{'':<18}", *(f"{name:>19}" for name in outcomes)]))
    for name, row in figures.items():
        print("".join([f"{name:<18}", *(f"{figure!s:>19}" for figure in row)]))
    print("faults that met the protocol:")
    for label, number in next(iter(outcomes.values())).faults.most_common():
        print(f"  {number:>6} {label}")


def main() -> None:
    """Read the options, run, and exit with 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="a small plan and a few kills")
    parser.add_argument("--seed", type=int, default=1, help="of the faults and of the kills (default: 1)")
    options = parser.parse_args()
    sys.exit(asyncio.run(fight_until_it_says_something(options.seed, is_short=options.short)))


if __name__ == "__main__":
    main()
