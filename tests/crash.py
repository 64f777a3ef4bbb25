"""Kill the command again and again while the API fails at random, and count what is there twice, or not at all.

``python -m tests.crash`` takes about five minutes, ``--short`` one. The command is the real one, killed
with ``kill -9``; the emulator, which is never killed, is the oracle. Beside it run three controls without a safeguard.
They must make duplicates, else the oracle is blind. No time decides what a control makes: in its account, lists never
show what was created, the API loses the first answers or gives none, and a process is killed when its creates arrived.
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
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from attrs import define, field, frozen

from facturaonline_async import Config, FacturaOnlineError, connect
from facturaonline_async._cli.example import example_rfcs
from facturaonline_async.provision import Plan
from facturaonline_async.testing import Emulator, Fault
from tests.plans import ROW, nueva, written
from tests.provision.controls import provision_naively
from tests.provision.verdict import Verdict, judge

_TIMEOUT: Final = 1.0
_LONGEST_DELAY: Final = _TIMEOUT + 0.3
_LIST_LAG: Final = 0.3
_SETTLE: Final = 4.0
"""Seconds; above what any fault and the lists' lag can take together."""

_SLACK: Final = _SETTLE - _LONGEST_DELAY - _LIST_LAG
"""Seconds of the settle time that are left for a slow machine."""

_TURNS: Final = 5
"""Turns of the emulator's loop, at most, from a request's arrival to its work."""

_NEVER: Final = 3600.0
"""Seconds; longer than a control takes on any machine."""

_CREATES: Final = ("empresas.create", "series.create")
_FAULTS: Final = (
    (Fault.drop_before_commit(), 0.03),
    (Fault.drop_after_commit(), 0.03),
    (Fault.commit_late(0.6), 0.03),
    (Fault.status(502), 0.01),
    (Fault.status(502, commit=True), 0.02),
    (Fault.garbage(), 0.02),
    (Fault.html_page(), 0.01),
    (Fault.html_page(commit=False), 0.01),
    (Fault.throttle(), 0.02),
    (Fault.delay(_LONGEST_DELAY), 0.02),
    (Fault.delay_answer(_LONGEST_DELAY), 0.02),
)
_FAULTS_OF_READS: Final = ((Fault.status(500), 0.05), (Fault.drop_before_commit(), 0.03), (Fault.throttle(), 0.02))
_MOST_RUNS_AT_THE_END: Final = 10
"""Rows that failed are tried again by the next run."""

_LOST: Final = 5
"""Answers of each endpoint that the API loses in a control."""

_CONTROL_EMPRESAS: Final = 24
_CONTROL_KILLS: Final = 3


@frozen
class Size:
    """How much is done.

    Attributes:
        empresas: number of companies; each has two series.
        kills: number of processes to kill.
        rate: calls a second of these processes, so that the work lasts until the last one.

    """

    empresas: int
    kills: int
    rate: int


FULL: Final = Size(empresas=1000, kills=110, rate=60)
SHORT: Final = Size(empresas=30, kills=6, rate=20)


@define
class Outcome:
    """What one way of carrying out a plan left behind."""

    verdict: Verdict
    kills: int = 0
    runs: int = 0
    is_complete: bool = False
    faults: Counter[str] = field(factory=Counter)


@define
class Job:
    """A plan of companies, and the command that carries it out.

    Attributes:
        folder: with the plan and its journal.
        empresas: number of companies.
        has_series: whether each company has two series.
        settle: seconds, as the command is told.
        timeout: seconds, as the command is told.
        module: the command.

    """

    folder: Path
    empresas: int
    has_series: bool = True
    settle: float = _SETTLE
    timeout: float = _TIMEOUT
    module: str = "facturaonline_async"
    letras: dict[str, list[str]] = field(init=False)
    plan: Path = field(init=False)

    def __attrs_post_init__(self) -> None:
        rfcs = zip(range(self.empresas), example_rfcs(), strict=False)
        self.letras = {rfc: [f"F{number}", f"P{number}"] if self.has_series else [] for number, rfc in rfcs}
        rows = [
            ROW | {"rfc": rfc, "series": ";".join(f"{letra}:factura:1" for letra in letras)}
            for rfc, letras in self.letras.items()
        ]
        self.folder.mkdir()
        self.plan = written(self.folder, rows)

    def judge(self, emulator: Emulator) -> Verdict:
        journal = self.folder / "run.sqlite"
        return judge(emulator.state, self.letras, journal if journal.exists() else None)

    async def start(self, emulator: Emulator, *, rate: int = 1000) -> Process:
        """Start the command."""
        keys = emulator.credentials
        environment = os.environ | {
            "FACTURAONLINE_API_KEY": keys.api_key.reveal(),
            "FACTURAONLINE_SECRET_KEY": keys.secret_key.reveal(),
        }
        options: dict[str, Any] = {
            "journal": self.folder / "run.sqlite",
            "settle": self.settle,
            "base-url": emulator.base_url,
            "rate": f"{rate}/1",
            "timeout": self.timeout,
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", self.module, "provision", str(self.plan), *arguments, "--no-check", "--json"),
            env=environment, stdin=DEVNULL, stdout=PIPE, stderr=PIPE,
        )  # fmt: skip


async def kill_when(is_reached: Callable[[], bool], process: Process) -> bool:
    """Kill a process as soon as a condition holds; return whether it was killed before it ended."""
    reading = asyncio.create_task(process.communicate())
    while not is_reached() and not reading.done():  # noqa: ASYNC110  # the emulator's log has no event
        await asyncio.sleep(0.01)
    if process.returncode is None:
        process.send_signal(signal.SIGKILL)
    _, problems = await reading
    if process.returncode not in {0, 1, -signal.SIGKILL}:
        sys.stderr.write(problems.decode())
    return process.returncode == -signal.SIGKILL


# ── The protocol ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def the_protocol(job: Job, size: Size, seed: int) -> Outcome:
    """Kill processes at random under random faults, let the last ones live, and judge."""
    chance = random.Random(seed)
    emulator = Emulator(seed=seed, list_lag=_LIST_LAG, read_lag=0.1, latency=0.02)
    for endpoint in _CREATES:
        for fault, probability in _FAULTS:
            emulator.inject(fault, endpoint=endpoint, times=None, probability=probability)
    for endpoint in ("empresas.list", "empresas.get", "series.list"):
        for fault, probability in _FAULTS_OF_READS:
            emulator.inject(fault, endpoint=endpoint, times=None, probability=probability)
    kills = runs = 0
    is_complete = False
    async with emulator:
        while kills < size.kills:
            runs += 1
            process = await job.start(emulator, rate=size.rate)
            if not await kill_when(_some_time(emulator, chance, size.rate), process):
                break  # no work is left
            kills += 1
        for _ in range(_MOST_RUNS_AT_THE_END):
            runs += 1
            process = await job.start(emulator)
            output, problems = await process.communicate()
            with suppress(ValueError, KeyError):
                is_complete = json.loads(output)["complete"]
            if process.returncode not in {0, 1}:
                sys.stderr.write(problems.decode())
            if is_complete:
                break
        await asyncio.sleep(job.settle)  # the server has done all late work by then
        faults = Counter(request.fault.label for request in emulator.requests if request.fault is not None)
        return Outcome(job.judge(emulator), kills, runs, is_complete, faults)


def _some_time(emulator: Emulator, chance: random.Random, rate: int) -> Callable[[], bool]:
    """Return a condition that holds some time after the first call, or, one time in ten, after the start.

    It also holds after the calls that the rate allows in that time: a slow machine kills late, not less often.
    """
    clock, seconds = asyncio.get_running_loop().time, chance.uniform(0.05, 1.7)
    before = len(emulator.requests)
    began = None if chance.random() < 0.9 else clock()

    def is_reached() -> bool:
        nonlocal began
        calls = len(emulator.requests) - before
        if began is None and calls:
            began = clock()
        return began is not None and (clock() >= began + seconds or calls >= seconds * rate)

    return is_reached


# ── The controls ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _losing(*, list_lag: float = 0.0) -> Emulator:
    """Return an emulator that loses the first answers to creates that it did."""
    emulator = Emulator(list_lag=list_lag)
    for endpoint in _CREATES:
        emulator.inject(Fault.drop_after_commit(), endpoint=endpoint, times=_LOST)
    return emulator


async def without_settle(folder: Path) -> Outcome:
    """Believe the first list, and create again what it does not show.

    The plan has no series: a run waits for a list that shows a created serie, because its create returns no uid.
    """
    job = Job(folder, _CONTROL_EMPRESAS, has_series=False, settle=0.0)
    async with _losing(list_lag=_NEVER) as emulator:
        await (await job.start(emulator)).communicate()
        return Outcome(job.judge(emulator), runs=1)


async def intent_after_send(folder: Path) -> Outcome:
    """Record what was sent, not what is about to be sent: killed when all creates arrived, and none was answered."""
    job = Job(folder, _CONTROL_EMPRESAS, settle=_NEVER, timeout=_NEVER, module="tests.provision.controls")
    kills = 0
    async with Emulator(list_lag=_NEVER) as emulator:
        emulator.inject(Fault.delay_answer(_NEVER), endpoint="empresas.create", times=None)
        for number in range(1, _CONTROL_KILLS + 1):
            arrived = number * job.empresas
            kills += await kill_when(
                lambda arrived=arrived: emulator.count("empresas.create") >= arrived,  # type: ignore[misc]
                await job.start(emulator),
            )
            if job.judge(emulator).left_in_intent:
                break  # the safeguard was there after all, and the next process would wait
        return Outcome(job.judge(emulator), kills, runs=number)


async def naive(folder: Path) -> Outcome:
    """Create what is not listed, and try again what got no answer."""
    job = Job(folder, _CONTROL_EMPRESAS)
    rows = [(nueva(row.rfc), row.series) for row in Plan.from_csv(job.plan)]
    config = Config(rates=(), check_sello=False)
    async with (
        _losing() as emulator,
        connect(emulator.credentials, base_url=emulator.base_url, config=config) as client,
    ):
        with suppress(FacturaOnlineError):
            await provision_naively(client, rows)
        return Outcome(job.judge(emulator), runs=1)


# ── All of them ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def longest_stall(found: list[float]) -> None:
    """Append how many seconds the emulator's loop stood still, until cancelled: its work is done that much later."""
    clock = asyncio.get_running_loop().time
    while True:
        began = clock()
        await asyncio.sleep(0.01)
        found.append(clock() - began - 0.01)


async def run(seed: int, *, is_short: bool) -> int:
    """Run everything; again with twice the settle time where the emulator was slower than it allows."""
    scale = 1
    while True:
        stalls: list[float] = []
        watch = asyncio.create_task(longest_stall(stalls))
        problems = await run_once(seed, scale, SHORT if is_short else FULL)
        watch.cancel()
        for problem in problems:
            sys.stdout.write(f"WRONG {problem}\n")
        late = _TURNS * max(stalls)
        if not problems or late <= _SLACK + (scale - 1) * _SETTLE:
            return int(bool(problems))
        scale *= 2
        sys.stdout.write(
            f"Again with a settle time of {scale * _SETTLE} s: the emulator may have been {late:.1f} s late.\n"
        )


async def run_once(seed: int, scale: int, size: Size) -> list[str]:
    """Run everything at the same time, print the figures, and return the problems."""
    with tempfile.TemporaryDirectory() as name:
        folder, began = Path(name), time.monotonic()
        job = Job(folder / "protocol", size.empresas, settle=scale * _SETTLE)
        real, *others = await asyncio.gather(
            the_protocol(job, size, seed),
            without_settle(folder / "settle"),
            intent_after_send(folder / "intent"),
            naive(folder / "naive"),
        )
    controls = dict(zip(("settle 0", "intent after send", "naive repeats"), others, strict=True))
    sys.stdout.write(
        f"seed {seed}: {size.empresas} empresas, {2 * size.empresas} series; controls {_CONTROL_EMPRESAS} empresas\n"
    )
    _show({"the protocol": real, **controls})
    sys.stdout.write(f"{time.monotonic() - began:.0f} s; faults that met the protocol:\n")
    for label, number in real.faults.most_common():
        sys.stdout.write(f"  {number:>6} {label}\n")
    problems = [
        f"{name}: no duplicates: the oracle is blind" for name, each in controls.items() if not each.verdict.duplicates
    ]
    if not real.verdict.is_good or not real.is_complete:
        problems.append(f"the protocol: {real.verdict}, complete: {real.is_complete}")
    if real.kills < size.kills:
        problems.append(f"only {real.kills} processes were killed")
    return problems


def _show(outcomes: dict[str, Outcome]) -> None:
    figures: dict[str, list[object]] = {
        "": [*outcomes],
        "duplicates": [each.verdict.duplicates for each in outcomes.values()],
        "lost": [each.verdict.lost for each in outcomes.values()],
        "wrong owner": [each.verdict.wrong_owner for each in outcomes.values()],
        "left in INTENT": [each.verdict.left_in_intent for each in outcomes.values()],
        "report complete": [each.is_complete for each in outcomes.values()],
        "kill -9": [each.kills for each in outcomes.values()],
        "runs": [each.runs for each in outcomes.values()],
    }
    for name, row in figures.items():
        sys.stdout.write("".join([f"{name:<18}", *(f"{figure!s:>19}" for figure in row), "\n"]))


def main() -> None:
    """Read the options, run, and exit with 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="a small plan and a few kills: a minute")
    parser.add_argument("--seed", type=int, default=1, help="of the faults and of the kills (default: 1)")
    options = parser.parse_args()
    sys.exit(asyncio.run(run(options.seed, is_short=options.short)))


if __name__ == "__main__":
    main()
