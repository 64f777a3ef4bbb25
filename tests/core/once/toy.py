"""A toy resource, which the library does not know, and its API."""

from __future__ import annotations

import asyncio
import random
from typing import Any, Self

from attrs import define, field, frozen

from facturaonline_async import OutcomeUnknownError
from facturaonline_async._core.endpoint import Endpoint, RetrySafety
from facturaonline_async._core.once.store import Key
from tests.core.once.stores import key

__all__ = ["Attempts", "Cliente", "Toy", "ToyApi"]


@frozen
class Cliente:
    """Object of a toy API."""

    uid: str
    letra: str


@define
class ToyApi:
    """API without idempotency: lists lag, and answers get lost.

    Attributes:
        lag: Seconds after which lists show a new object.
        latency: Longest delay of a call.
        create_latency: Further delay of a create, before its work.
        loss: Share of the creates whose answer is lost; half of these were done.

    """

    lag: float = 0.0
    latency: float = 0.1
    create_latency: float = 0.0
    loss: float = 0.0
    dice: random.Random = field(factory=lambda: random.Random(1))
    made: list[tuple[float, Cliente]] = field(factory=list)
    calls: list[str] = field(factory=list)

    async def list(self, letra: str) -> list[Cliente]:
        """Return what a list shows; it is read at once and answered late."""
        self.calls.append(f"list {letra}")
        now = asyncio.get_running_loop().time()
        shown = [each for at, each in self.made if each.letra == letra and at + self.lag <= now]
        await asyncio.sleep(self.dice.uniform(0, self.latency))
        return shown

    async def create(self, letra: str) -> str:
        """Create an object, whatever exists."""
        self.calls.append(f"create {letra}")
        await asyncio.sleep(self.dice.uniform(0, self.latency) + self.create_latency)
        is_lost = self.dice.random() < self.loss
        if not is_lost or self.dice.random() < 0.5:
            cliente = Cliente(str(len(self.made)), letra)
            self.made.append((asyncio.get_running_loop().time(), cliente))
        await asyncio.sleep(self.dice.uniform(0, self.latency))
        if is_lost:
            raise OutcomeUnknownError("no answer")
        return self.made[-1][1].uid


class Attempts:
    """One attempt of a create; it has the shape of the engine's."""

    def __init__(self, api: ToyApi, letra: str, refusal: Exception | None) -> None:
        self.may_be_done = False
        self._api, self._letra, self._refusal = api, letra, refusal
        self._is_over = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Self:
        if self._is_over:
            raise StopAsyncIteration
        return self

    async def __aenter__(self) -> Self:
        self._is_over = True
        return self

    async def __aexit__(self, *_: object) -> bool:
        """Let every error pass."""
        return False

    async def send(self, _: float | None = None) -> str:
        """Send the create once."""
        if self._refusal is not None:
            raise self._refusal
        self.may_be_done = True
        return await self._api.create(self._letra)


@define
class Toy:
    """A resource that the library does not know."""

    api: ToyApi
    letra: str
    refusal: Exception | None = None

    @property
    def key(self) -> Key:
        """Key in a store."""
        return key(self.letra)

    @property
    def endpoint(self) -> Endpoint:
        """Endpoint of the create."""
        return Endpoint(name="series.create", method="POST", path="/toys", retry_safety=RetrySafety.NEVER)

    async def find_all(self) -> list[Cliente]:
        """List."""
        return await self.api.list(self.letra)

    async def read(self, uid: str) -> Cliente | None:
        """Read by uid."""
        return next((each for _, each in self.api.made if each.uid == uid), None)

    async def complete(self, value: Cliente) -> Cliente:
        """Return the value, which lacks nothing."""
        return value

    async def attempts(self) -> Any:
        """Return the attempts of the create."""
        return Attempts(self.api, self.letra, self.refusal)

    def created_uid(self, reply: Any) -> str:
        """Return the uid in the answer."""
        return str(reply)
