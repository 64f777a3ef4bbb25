"""The emulator in a process of its own, whose log says what processes did: ``python -m tests.postgres.witness JSON``.

It prints its URL and keys, and for each line that it reads a report, both as JSON. It ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from attrs import asdict, define, frozen

from facturaonline_async.testing import Emulator, Fault

__all__ = ["Behaviour", "Report", "Witness", "witness"]


@frozen
class Behaviour:
    """How the API behaves.

    Attributes:
        latency: Seconds of each call.
        list_lag: Seconds until lists show a new object.
        read_lag: Seconds until a new company can be read.
        faults: Share of creates and lists that go wrong.
        others: Share of the details of a company that are about another one.
        seed: Seed of the faults.

    """

    latency: float = 0.0
    list_lag: float = 0.0
    read_lag: float = 0.0
    faults: float = 0.0
    others: float = 0.0
    seed: int = 0


@frozen
class Report:
    """What the API has seen.

    Attributes:
        arrivals: Moment, endpoint and path of each request; the clock is that of all processes of the machine.
        series: The letras that exist, once for each serie.
        empresas: The RFCs that exist, once for each company; without the main one.

    """

    arrivals: list[tuple[float, str, str]]
    series: list[str]
    empresas: list[str]

    def moments(self, endpoint: str = "") -> list[float]:
        """Return when the requests to an endpoint arrived, or all requests."""
        return [at for at, name, _ in self.arrivals if not endpoint or name == endpoint]

    def count(self, endpoint: str) -> int:
        """Return the number of requests to an endpoint."""
        return len(self.moments(endpoint))

    @property
    def duplicates(self) -> list[str]:
        """Letras and RFCs that exist several times."""
        return [name for name, count in Counter([*self.series, *self.empresas]).items() if count > 1]


@define(eq=False)
class Witness:
    """The running process.

    Attributes:
        base_url: Prefix of the API.
        keys: API key and secret key of the main company.

    """

    base_url: str
    keys: tuple[str, str]
    _process: Process

    async def report(self) -> Report:
        """Return what the API has seen so far, once it does nothing more."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"report\n")
        return Report(**json.loads(await self._process.stdout.readline()))


@asynccontextmanager
async def witness(behaviour: Behaviour = Behaviour()) -> AsyncIterator[Witness]:
    """Run the emulator until the block ends."""
    command = [sys.executable, "-m", "tests.postgres.witness", json.dumps(asdict(behaviour))]
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, limit=1 << 26)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        where = json.loads(await process.stdout.readline())
        yield Witness(where["base_url"], tuple(where["keys"]), process)
    finally:
        process.stdin.close()
        await process.communicate()


# ── The process ───────────────────────────────────────────────────────────────────────────────────────────────────────


def faulty(emulator: Emulator, share: float) -> None:
    """Let creates and lists go wrong, each fault with the same probability."""
    faults: Iterable[Fault] = (
        Fault.drop_before_commit(),
        Fault.drop_after_commit(),
        Fault.commit_late(1.0),
        Fault.status(500, commit=True),
        Fault.delay_answer(3.0),
        Fault.garbage(),
    )
    for resource in ("series", "empresas"):
        for fault in faults:
            emulator.inject(fault, endpoint=f"{resource}.create", times=None, probability=share / 6)
        emulator.inject(Fault.status(502), endpoint=f"{resource}.list", times=None, probability=share / 6)


async def mistaken(emulator: Emulator, share: float) -> None:
    """Let so many details of a company be those of the main one."""
    keys = emulator.credentials
    headers = {"F-Api-Key": keys.api_key.reveal(), "F-Secret-Key": keys.secret_key.reveal()}
    uid = next(uid for uid, row in emulator.state["empresas"].items() if row.get("main"))
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{emulator.base_url}/v1/account/{uid}", headers=headers) as answer,
    ):
        body = await answer.json()
    assert body["status"] == "success", body
    emulator.inject(Fault.status(200, body=body), endpoint="empresas.get", times=None, probability=share)


def report(emulator: Emulator) -> Report:
    state = emulator.state
    return Report(
        [(each.at, each.endpoint, each.path) for each in emulator.requests],
        [row["letra"] for row in state["series"].values()],
        [row["rfc"] for row in state["empresas"].values() if not row.get("main")],
    )


async def serve(behaviour: Behaviour) -> None:
    async with Emulator(
        latency=behaviour.latency, list_lag=behaviour.list_lag, read_lag=behaviour.read_lag, seed=behaviour.seed
    ) as emulator:
        if behaviour.others:
            await mistaken(emulator, behaviour.others)
        if behaviour.faults:
            faulty(emulator, behaviour.faults)
        keys = emulator.credentials
        say({"base_url": emulator.base_url, "keys": [keys.api_key.reveal(), keys.secret_key.reveal()]})
        while await asyncio.to_thread(sys.stdin.readline):
            while emulator._server._tasks:  # noqa: ASYNC110  # also the work that a fault delays
                await asyncio.sleep(0.01)
            say(asdict(report(emulator)))
        os._exit(0)  # it waits for no client's connections


def say(value: Any) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(serve(Behaviour(**json.loads(sys.argv[1]))))
