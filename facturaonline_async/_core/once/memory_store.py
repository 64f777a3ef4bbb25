"""The pending creates of a session as a store of creates, in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable, Iterable
from contextlib import asynccontextmanager
from typing import cast

from attrs import define, field, frozen

from facturaonline_async._core.once.pending import PendingCreate, PendingCreates, Version
from facturaonline_async._core.once.states import StepState
from facturaonline_async._core.once.store import ANYWAY, Grant, Key, Pending, Result, Seen

__all__ = ["MemoryStore", "SessionSubscription"]


@frozen(eq=False)
class SessionSubscription:
    """Keys whose objects other tasks of the session created or found since it began.

    Attributes:
        changed: Hashes of these keys.

    """

    changed: set[int] = field(factory=set)

    def seen(self, key: Key) -> Seen:
        """Return what the session knew about a key; see `Subscription.seen`."""
        return Seen(key, self)


@define(eq=False)
class MemoryStore:
    """Pending creates of a session as a store.

    Attributes:
        pending: The pending creates.
        settle: Seconds after which lists must show an object.

    """

    pending: PendingCreates
    settle: float
    _mine: set[int] | None = field(default=None, init=False)  # the keys of this store's subscription

    async def look(self, keys: Iterable[Key]) -> dict[Key, Seen]:
        """Return what the session knows about these keys; see `Store.look`."""
        now, found = asyncio.get_running_loop().time(), {}
        for key in keys:
            entry = self.pending.get(key)
            pending = None if entry is None else Pending(entry.state, entry.until - now, entry.uid, entry.origin)
            version = self.pending.version(key)
            found[key] = Seen(key, (version, version.number), pending)
        return found

    async def begin(self, seen: Seen, nonce: str) -> Grant | None:
        """Record that a create is about to be sent; see `Store.begin`."""
        key, mark = seen.key, seen.mark
        if isinstance(mark, SessionSubscription):
            is_refused = hash(key) in mark.changed
        elif mark is ANYWAY:
            is_refused = False
        else:
            version, number = cast("tuple[Version, int]", mark)
            is_refused = version.number != number
        if is_refused and not self.pending.is_repeated(key, nonce):
            return None
        return Grant(key, self.pending.begin(key, self.settle, nonce=nonce, mine=self._mine))

    async def end(self, of: Grant | Seen, result: Result) -> None:
        """Record how a create ended, or what a list showed; see `Store.end`."""
        if result.is_found:
            self.pending.see(of.key, result.uids[0], self.settle, mine=self._mine)
        elif isinstance(of.mark, PendingCreate):
            self.pending.end(of.key, of.mark, self.settle, result.state, next(iter(result.uids), None))
        elif result.state is StepState.UNRESOLVED and isinstance(of, Seen) and of.pending is not None:
            self.pending.drop_uid(of.key, of.pending.uid, self.settle)

    async def forget(self, kind: str, owner: Hashable, uid: str) -> None:
        """Drop the entry of a deleted object; see `Store.forget`."""
        self.pending.forget(kind, owner, uid)

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[SessionSubscription]:
        """Return a subscription for the ``with`` block; see `Store.subscribe`.

        Creates of this store are not notified to it.
        """
        subscription = SessionSubscription()
        self._mine = subscription.changed
        with self.pending.subscribe(subscription.changed):
            yield subscription
