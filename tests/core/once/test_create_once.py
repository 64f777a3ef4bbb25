"""What `create_once` asks of its store, and tells it."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import anyio
import pytest
from attrs import define, field

from facturaonline_async import NotSentError, RateLimitError, ValidationError
from facturaonline_async._core.once.create import create_once, send_once
from facturaonline_async._core.once.memory_store import MemoryStore
from facturaonline_async._core.once.pending import PendingCreates
from facturaonline_async._core.once.states import StepState
from facturaonline_async._core.once.store import Grant, Result, Seen
from tests.core.once.stores import SETTLE, Network, RemoteStore, key
from tests.core.once.toy import Attempts, Cliente, Toy, ToyApi

pytestmark = pytest.mark.virtual_clock


@define(eq=False)
class Watched(MemoryStore):
    """Store that remembers how creates ended.

    Attributes:
        grants: Grants in order; None is a refusal.
        ends: What ended, and how.
        refused: Number of the begin that it refuses.
        asked_at: Age of its grants.
        seconds: Time that it takes to record an end.

    """

    grants: list[Grant | None] = field(factory=list)
    ends: list[tuple[Grant | Seen, Result]] = field(factory=list)
    refused: int = 0
    asked_at: float | None = None
    seconds: float = 0.0

    async def begin(self, seen: Seen, nonce: str) -> Grant | None:
        """See `Store.begin`."""
        grant = None if len(self.grants) + 1 == self.refused else await super().begin(seen, nonce)
        if grant is not None:
            grant.asked_at = self.asked_at
        self.grants.append(grant)
        return grant

    async def end(self, of: Grant | Seen, result: Result) -> None:
        """See `Store.end`."""
        await asyncio.sleep(self.seconds)
        self.ends.append((of, result))
        await super().end(of, result)


def watched(**options: Any) -> Watched:
    return Watched(PendingCreates(), SETTLE, **options)


async def look(store: MemoryStore) -> Seen:
    return (await store.look([key("A")]))[key("A")]


class Throttled(Attempts):
    """Attempts whose first one is throttled, and repeated."""

    async def __aexit__(self, *details: object) -> bool:
        """Let the create be repeated once."""
        is_throttled = isinstance(details[1], RateLimitError)
        if is_throttled:
            self._refusal, self._is_over = None, False
        return is_throttled


@define
class Customer(Toy):
    """Resource whose attempts a test gives, and whose list may fail after the first time."""

    given: Attempts | None = None
    is_list_away: bool = False
    lists: int = 0

    async def find_all(self) -> list[Cliente]:
        """List."""
        self.lists += 1
        if self.is_list_away and self.lists > 1:
            raise NotSentError("the list is away")
        return await Toy.find_all(self)

    async def attempts(self) -> Any:
        """Return the attempts of the create."""
        return self.given or await Toy.attempts(self)


async def test_a_repetition_that_may_not_begin_withdraws_the_attempt_before_it() -> None:
    store, api = watched(refused=2), ToyApi()
    throttled = Throttled(api, "A", RateLimitError("too many", endpoint="series.create", status=429))

    assert await send_once(store, Customer(api, "A", given=throttled), await look(store)) is None
    ((ended, result),) = store.ends
    assert (ended, result.state, (await look(store)).pending) == (store.grants[0], StepState.PLANNED, None)
    assert api.made == []


async def test_a_create_that_may_not_begin_ends_nothing() -> None:
    store = watched(refused=1)

    assert await send_once(store, Toy(ToyApi(), "A"), await look(store)) is None
    assert store.ends == []


async def test_an_attempt_knows_the_age_of_its_grant() -> None:
    ages: list[float | None] = []

    class Aged(Attempts):
        """Attempts that remember the ages."""

        async def send(self, asked_at: float | None = None) -> str:
            """Send the create."""
            ages.append(asked_at)
            return await super().send(asked_at)

    store, api = watched(asked_at=7.0), ToyApi()
    await create_once(store, Customer(api, "A", given=Aged(api, "A", None)))

    assert ages == [7.0]


@pytest.mark.parametrize(("is_list_away", "records"), [(False, 1), (True, 2)])
async def test_a_refusal_is_recorded_again_if_the_search_after_it_failed(*, is_list_away: bool, records: int) -> None:
    """The reason says then that nobody knows whether it exists."""
    store, refusal = watched(), ValidationError("no", endpoint="series.create", status=400)
    outcome = await create_once(store, Customer(ToyApi(), "A", refusal, is_list_away=is_list_away))

    assert outcome.error is refusal
    assert [(ended, result.error) for ended, result in store.ends] == [(store.grants[0], refusal)] * records
    assert len(getattr(refusal, "__notes__", ())) == records - 1


async def test_the_create_of_another_process_is_not_waited_for_without_patience() -> None:
    one, other = (RemoteStore(network) for network in [Network()] * 2)
    assert await other.begin((await other.look([key("A")]))[key("A")], "another") is not None

    began = asyncio.get_running_loop().time()
    outcome = await create_once(one, Toy(ToyApi(latency=0.0), "A"))
    assert (outcome.state, asyncio.get_running_loop().time() - began) == (StepState.UNKNOWN, 0.0)


async def test_the_store_is_asked_again_with_pauses_that_double(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = (RemoteStore(network) for network in [Network()] * 2)
    assert await other.begin((await other.look([key("A")]))[key("A")], "another") is not None
    drawn: list[tuple[float, float]] = []

    def uniform(least: float, most: float) -> float:
        drawn.append((least, most))
        return most

    api, began = ToyApi(dice=random.Random(1), latency=0.0), asyncio.get_running_loop().time()
    monkeypatch.setattr(random, "uniform", uniform)
    outcome = await create_once(one, Toy(api, "A"), patience=0.8)

    assert (outcome.state, round(asyncio.get_running_loop().time() - began, 3)) == (StepState.UNKNOWN, 0.8)
    assert drawn == [(pause / 2, pause) for pause in (0.05, 0.1, 0.2, 0.2, 0.2, 0.2)]


@pytest.mark.parametrize(("latency", "state"), [(0.0, StepState.UNKNOWN), (1000.0, StepState.PLANNED)])
async def test_a_cancelled_create_is_recorded_whoever_cancels_it(latency: float, state: StepState) -> None:
    """A cancel scope cancels each await again, also those that clean up."""

    class Late(Attempts):
        """Attempts that wait before the first byte."""

        async def send(self, asked_at: float | None = None) -> str:
            """Wait, and send the create."""
            await asyncio.sleep(latency)
            return await super().send(asked_at)

    store, api = watched(seconds=1.0), ToyApi(create_latency=1000.0)
    with anyio.move_on_after(5) as scope:
        await create_once(store, Customer(api, "A", given=Late(api, "A", None)))

    ((ended, result),) = store.ends
    assert scope.cancelled_caught
    assert (ended, result.state, result.is_cancelled) == (store.grants[0], state, True)
