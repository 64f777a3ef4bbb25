"""An emulator in a process of its own, the witness of a test: ``emulator_process.py JSON``.

It prints where it listens and the keys of its account as JSON, and serves until its standard input ends.
Each line of the input gets a line: ``creates``, the number of requests that create; ``judge JSON``, what is wrong with
what exists, by letras of each RFC.
"""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs

from facturaonline_async import Credentials
from facturaonline_async.testing import Emulator
from tests.provision.verdict import judge

__all__ = ["Witness", "witness"]


@attrs.define
class Witness:
    """The emulator's process, as the test sees it.

    Attributes:
        base_url: URL of the API.
        credentials: Keys of the account.

    """

    base_url: str
    credentials: Credentials
    _process: Process

    async def ask(self, question: str) -> Any:
        """Return the answer to a line."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{question}\n".encode())
        return json.loads(await self._process.stdout.readline())


@asynccontextmanager
async def witness(**options: Any) -> AsyncIterator[Witness]:
    """Run an `Emulator` with these options in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, json.dumps(options), stdin=PIPE, stdout=PIPE, limit=2**24
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        at = json.loads(await process.stdout.readline())
        yield Witness(at["base_url"], Credentials(api_key=at["api_key"], secret_key=at["secret_key"]), process)
    finally:
        process.stdin.close()
        await process.wait()


def _most_in(seconds: float, moments: list[float]) -> int:
    """Return the largest number of moments in any interval of so many seconds."""
    most = first = 0
    for last, moment in enumerate(moments):
        while moment - moments[first] >= seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def _answer(emulator: Emulator, question: str) -> Any:
    if question == "creates":
        return emulator.count("empresas.create") + emulator.count("series.create")
    moments = [request.at for request in emulator.requests]
    verdict = attrs.asdict(judge(emulator.state, json.loads(question.removeprefix("judge "))))
    counts = Counter(request.endpoint for request in emulator.requests)
    return verdict | {"requests": counts, "most_in_a_second": _most_in(1.0, moments), "calls": len(moments)}


async def _main(options: dict[str, Any]) -> None:
    async with Emulator(**options) as emulator:
        keys = emulator.credentials
        at = {
            "base_url": emulator.base_url,
            "api_key": keys.api_key.reveal(),
            "secret_key": keys.secret_key.reveal(),
        }
        sys.stdout.write(json.dumps(at) + "\n")
        sys.stdout.flush()
        while line := await asyncio.to_thread(sys.stdin.readline):
            sys.stdout.write(json.dumps(_answer(emulator, line.strip())) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_main(json.loads(sys.argv[1])))
