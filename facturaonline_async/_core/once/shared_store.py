"""Store of creates that several processes share, as a session uses it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Hashable, Iterable
from contextlib import asynccontextmanager
from typing import TypeVar

from attrs import frozen

from facturaonline_async._core.logging import LOGGER
from facturaonline_async._core.once.store import Grant, Key, Result, Seen, Store, Subscription
from facturaonline_async._core.outage import Outage, shared_problem
from facturaonline_async._core.shared import shared_clock

__all__ = ["SharedStore"]

T = TypeVar("T")


@frozen(eq=False)
class SharedStore:
    """Store of the shared service, with what a session adds to any such store.

    A question that fails raises `SharedUnavailableError` while the service is away. Each grant has an age. What
    happened is reported without an error, also if the store fails.

    Attributes:
        service: The store of the service.
        outage: Whether the service answers.

    """

    service: Store
    outage: Outage

    async def look(self, keys: Iterable[Key]) -> dict[Key, Seen]:
        """Return what all processes know about these keys; see `Store.look`."""
        return await self._ask(self.service.look(keys))

    async def begin(self, seen: Seen, nonce: str) -> Grant | None:
        """Record that a create is about to be sent; see `Store.begin`."""
        asked_at = shared_clock()
        grant = await self._ask(self.service.begin(seen, nonce))
        if grant is not None and grant.asked_at is None:
            grant = Grant(grant.key, grant.mark, asked_at)
        return grant

    async def end(self, of: Grant | Seen, result: Result) -> None:
        """Record how a create ended, or what a list showed; see `Store.end`."""
        await self._tell(self.service.end(of, result))

    async def forget(self, kind: str, owner: Hashable, uid: str) -> None:
        """Drop the record of a deleted object; see `Store.forget`."""
        await self._tell(self.service.forget(kind, owner, uid))

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[Subscription]:
        """Return a subscription; see `Store.subscribe`."""
        subscription = self.service.subscribe()
        entered = await self._ask(subscription.__aenter__())
        try:
            yield entered
        finally:
            await subscription.__aexit__(None, None, None)

    async def _ask(self, question: Awaitable[T]) -> T:
        try:
            answer = await question
        except Exception as error:  # noqa: BLE001  # any failure means that nothing may be sent
            problem = shared_problem(error)
        else:
            self.outage.record(None)
            return answer
        self.outage.record(problem.args[0])
        try:
            raise problem
        finally:
            del problem  # breaks the cycle between the error and this frame

    async def _tell(self, statement: Awaitable[None]) -> None:
        try:
            await statement
        except Exception as error:  # noqa: BLE001  # it has happened, also if the store fails
            LOGGER.warning("the shared service was not told of the end of a create: %s", type(error).__name__)
