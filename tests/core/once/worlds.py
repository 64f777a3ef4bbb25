"""Drawn worlds: many tasks want the same objects from a faulty API, over each store; none may exist twice.

``python -m tests.core.once.worlds --worlds 18000`` draws that many for each store.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Hashable, Iterable
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path

from attrs import define, field

from facturaonline_async import NotSentError, ValidationError
from facturaonline_async._core.once.create import create_once
from facturaonline_async._core.once.states import StepState
from facturaonline_async._core.once.store import Grant, Key, Result, Seen, Store, Subscription
from tests.core.once.stores import SETTLE, STORES, Network, RemoteStore, two_processes
from tests.core.once.toy import Cliente, Toy, ToyApi
from tests.virtual import clocks, virtually

__all__ = ["World", "duplicates", "main"]

_LETRAS = "ABC"


@define
class Server(ToyApi):
    """API that goes on working for a caller that is gone."""

    async def create(self, letra: str) -> str:
        """Create an object, whatever becomes of the caller."""
        work = asyncio.ensure_future(super().create(letra))
        work.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may be left to ask
        return await asyncio.shield(work)


@define(eq=False)
class Process:
    """A store as one process has it; after its death nothing more is recorded."""

    store: Store
    is_dead: bool = False

    async def look(self, keys: Iterable[Key]) -> dict[Key, Seen]:
        """See `Store.look`."""
        return await self.store.look(keys)

    async def begin(self, seen: Seen, nonce: str) -> Grant | None:
        """See `Store.begin`."""
        grant = await self.store.begin(seen, nonce)
        if self.is_dead:
            raise NotSentError("the process was killed")
        return grant

    async def end(self, of: Grant | Seen, result: Result) -> None:
        """See `Store.end`."""
        if not self.is_dead:
            await self.store.end(of, result)

    async def forget(self, kind: str, owner: Hashable, uid: str) -> None:
        """See `Store.forget`."""
        await self.store.forget(kind, owner, uid)

    def subscribe(self) -> AbstractAsyncContextManager[Subscription]:
        """See `Store.subscribe`."""
        return self.store.subscribe()


@define
class World:
    """One draw.

    Attributes:
        name: Name of the store.
        seed: Seed of the draw.
        api: The API.
        network: Server of the store that several processes share.

    """

    name: str
    seed: int
    dice: random.Random = field(init=False)
    api: Server = field(init=False)
    network: Network = field(init=False)

    def __attrs_post_init__(self) -> None:
        dice = self.dice = random.Random(f"{self.name} {self.seed}")
        self.network = Network(latency=dice.choice([0, 0.2, 2]), loss=dice.choice([0, 0.3]), dice=dice)
        self.api = Server(
            lag=dice.choice([0, 0.5, 5, 10]),
            latency=dice.choice([0, 0.3, 3]),
            loss=dice.choice([0, 0.1, 0.3, 0.6]),
            dice=dice,
        )

    def _stores(self, path: Path) -> AbstractAsyncContextManager[tuple[Store, Store]]:
        """Open the store; its server or its file outlives a process."""
        if self.name == "remote":
            return nullcontext((RemoteStore(self.network), RemoteStore(self.network)))
        if self.name == "shared":
            return nullcontext(two_processes(self.network))
        return STORES[self.name](path)

    async def live(self, path: Path) -> list[Cliente]:
        """Let processes want the objects, be cancelled and be killed, until all exist."""
        kills = self.dice.choice([0, 0, 1, 2]) if self.name != "memory" else 0
        for number in range(kills + 1):
            async with self._stores(path) as both:
                processes = [Process(store) for store in both]
                tasks = [
                    asyncio.create_task(self._want(letra, processes[each % 2]))
                    for letra in _LETRAS
                    for each in range(self.dice.choice([1, 2, 6]))
                ]
                if number < kills:
                    await asyncio.sleep(self.dice.uniform(0, 15))
                    for process in processes:
                        process.is_dead = True
                    for task in tasks:
                        task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                if number == kills:
                    for task in tasks:
                        task.result()
        return [each for _, each in self.api.made]

    async def _want(self, letra: str, process: Process) -> None:
        """Ask until the object exists; some requests are refused, and some callers give up and ask again."""
        for _ in range(200):
            refusal = ValidationError("no") if self.dice.random() < 0.05 else None
            patience = self.dice.choice([None, None, 1.0, 4.0])
            try:
                async with asyncio.timeout(patience):
                    outcome = await create_once(process, Toy(self.api, letra, refusal))
            except (TimeoutError, NotSentError):
                continue
            if outcome.state in {StepState.DONE, StepState.CONFLICT}:
                return
            await asyncio.sleep(self.dice.uniform(0, SETTLE / 4))
        raise AssertionError(f"{letra} never came about")


def duplicates(name: str, seed: int) -> int:
    """Return how many objects too many or too few a world has."""
    with tempfile.TemporaryDirectory() as folder, clocks():
        made = virtually(World(name, seed).live(Path(folder)))
    found = Counter(each.letra for each in made)
    return sum(abs(found[letra] - 1) for letra in _LETRAS)


def main() -> None:
    """Draw worlds for each store, and exit with 1 if one is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=18_000, help="number of worlds for each store")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    options = parser.parse_args()
    wrong = 0
    for name in STORES:
        bad = [seed for seed in range(options.first, options.first + options.worlds) if duplicates(name, seed)]
        print(f"{name}: {options.worlds:,} worlds, {len(bad)} wrong {bad[:10] or ''}", flush=True)  # noqa: T201
        wrong += len(bad)
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
