"""Stores of creates that are made of other stores."""

from __future__ import annotations

from collections.abc import AsyncIterator, Hashable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from attrs import frozen

from facturaonline_async._core.once.states import StepState
from facturaonline_async._core.once.store import ANYWAY, Grant, Key, Result, Seen, Store, Subscription

__all__ = ["LayeredStore", "ListedStore"]

_NOT_DONE = Result(StepState.PLANNED)


@frozen(eq=False)
class LayeredStore:
    """Store that records each create in two stores.

    `begin` asks the memory first, because it answers at once, and writes the durable record last, right before the
    first byte. A pending create of either store prevents another one.

    Attributes:
        memory: Store of the session.
        durable: Store that outlives the process.

    """

    memory: Store
    durable: Store

    async def look(self, keys: Iterable[Key]) -> dict[Key, Seen]:
        """Return what both stores know about these keys; see `Store.look`."""
        keys = list(keys)
        remembered, recorded = await self.memory.look(keys), await self.durable.look(keys)
        return {
            key: Seen(key, (remembered[key], recorded[key]), remembered[key].pending or recorded[key].pending)
            for key in keys
        }

    async def begin(self, seen: Seen, nonce: str) -> Grant | None:
        """Record in both stores that a create is about to be sent; see `Store.begin`."""
        if seen.mark is ANYWAY:
            remembered = recorded = seen
        else:
            mark: Any = seen.mark
            remembered, recorded = mark
        if (first := await self.memory.begin(remembered, nonce)) is None:
            return None
        second = None
        try:
            second = await self.durable.begin(recorded, nonce)
        finally:
            if second is None:
                await self.memory.end(first, _NOT_DONE)
        return None if second is None else Grant(seen.key, (first, second), first.asked_at or second.asked_at)

    async def end(self, of: Grant | Seen, result: Result) -> None:
        """Record the outcome in both stores; see `Store.end`."""
        mark: Any = of.mark
        first, second = (of, of) if mark is ANYWAY else mark
        await self.memory.end(first, result)
        await self.durable.end(second, result)

    async def forget(self, kind: str, owner: Hashable, uid: str) -> None:
        """Drop the record of a deleted object; see `Store.forget`."""
        await self.memory.forget(kind, owner, uid)
        await self.durable.forget(kind, owner, uid)

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[_LayeredSubscription]:
        """Return a subscription to both stores; see `Store.subscribe`."""
        async with self.memory.subscribe() as remembered, self.durable.subscribe() as recorded:
            yield _LayeredSubscription(remembered, recorded)


@frozen(eq=False)
class _LayeredSubscription:
    """Subscriptions to both stores."""

    remembered: Subscription
    recorded: Subscription

    def seen(self, key: Key) -> Seen:
        """Return what both stores knew about a key; see `Subscription.seen`."""
        return Seen(key, (self.remembered.seen(key), self.recorded.seen(key)))


@frozen(eq=False)
class ListedStore:
    """Store for a caller whose list another one read.

    Its subscriptions begin before that list, so that `begin` refuses what changed since.

    Attributes:
        store: The store.
        subscription: Began in the store before the list was read.

    """

    store: Store
    subscription: Subscription

    async def look(self, keys: Iterable[Key]) -> dict[Key, Seen]:
        """Return the knowledge about these keys; see `Store.look`."""
        return await self.store.look(keys)

    async def begin(self, seen: Seen, nonce: str) -> Grant | None:
        """Record that a create is about to be sent; see `Store.begin`."""
        return await self.store.begin(seen, nonce)

    async def end(self, of: Grant | Seen, result: Result) -> None:
        """Record how a create ended, or what a list showed; see `Store.end`."""
        await self.store.end(of, result)

    async def forget(self, kind: str, owner: Hashable, uid: str) -> None:
        """Drop the record of a deleted object; see `Store.forget`."""
        await self.store.forget(kind, owner, uid)

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[Subscription]:
        """Return the earlier subscription."""
        yield self.subscription
