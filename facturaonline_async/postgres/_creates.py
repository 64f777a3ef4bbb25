"""Creates of all processes as a store, in PostgreSQL."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
from collections.abc import AsyncIterator, Hashable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Final

from attrs import define, field, frozen

from facturaonline_async._core.logging import LOGGER
from facturaonline_async._core.once.states import Origin, StepState
from facturaonline_async._core.once.store import ANYWAY, Grant, Key, Pending, Result, Seen
from facturaonline_async._core.shared import shared_clock
from facturaonline_async._messages import message
from facturaonline_async.errors import NotSentError
from facturaonline_async.postgres._connection import Database

__all__ = ["Mark", "PostgresCreates"]

_MARK: Final = "SELECT * FROM facturaonline.mark_v1()"
_LOOK: Final = """
    SELECT m.*, l.* FROM facturaonline.mark_v1() AS m LEFT JOIN facturaonline.look_v1(%s) AS l ON true
"""
_BEGIN: Final = "SELECT * FROM facturaonline.begin_v1(%s, %s, %s, %s, %s, %s, %s, %s)"
_END: Final = "SELECT facturaonline.end_v1(%s, %s, %s, %s, %s, %s, %s)"
_SEE: Final = "SELECT facturaonline.see_v1(%s, %s, %s, %s)"
_DROP_UID: Final = "SELECT facturaonline.drop_uid_v1(%s, %s, %s)"
_FORGET: Final = "SELECT facturaonline.forget_v1(%s, %s)"

_CONFIRMED: Final = frozenset({StepState.DONE, StepState.UNRESOLVED})


@frozen
class Mark:
    """A moment of the server; it also is a subscription that begins there.

    Attributes:
        timeline: Timeline of the server.
        timeline_since: When this timeline was found, in microseconds of the server's clock.
        snapshot: The transactions that were over.
        at: The moment, in microseconds of the server's clock.
        taken_at: Time of the loop's clock when the answer came.

    """

    timeline: str
    timeline_since: int
    snapshot: str
    at: int
    taken_at: float = field(factory=lambda: asyncio.get_running_loop().time())

    def seen(self, key: Key) -> Seen:
        """Return what a list that begins after this moment may rely on."""
        return Seen(key, self)


@define(eq=False)
class _Begun:
    """A create that this process began.

    Attributes:
        nonce: Random text of the create.
        attempt: Number of the attempt in this process.
        before: Uid of the earlier object of its key, which is not the created one.
        uid: Its uid, once the API's answer gave it and it was recorded.

    """

    nonce: str
    attempt: int
    before: str | None = None
    uid: str | None = None


@define(eq=False)
class PostgresCreates:
    """Creates of all processes that share a database, for one host.

    A mark is a moment of the server: its timeline, its snapshot and its time. So one statement gives the marks of any
    number of keys, and a subscription needs no memory. What begin compares is in ``schema/001.sql``.

    Attributes:
        database: The database.
        host: Base URL of the API; creates at another host are other creates.
        settle: Seconds after which lists must show an object.
        grace: Seconds from asking `begin` until the last possible first byte of the create.

    """

    database: Database
    host: str
    settle: float
    grace: float
    _attempts: itertools.count[int] = field(factory=itertools.count, init=False)

    async def look(self, keys: Iterable[Key]) -> dict[Key, Seen]:
        """Return what all processes know about these keys; see `Store.look`.

        It costs one round trip.

        Raises:
            SharedUnavailableError: The database does not answer.

        """
        hashes = {key: self._hash(*key) for key in keys}
        rows = await self.database.query(_LOOK, [list(hashes.values())])
        mark = Mark(*rows[0][:4])
        pending = {
            row[4]: Pending(StepState(row[5]), row[6], row[7], Origin.ADOPTED if row[8] else None)
            for row in rows
            if row[4] is not None
        }
        # After a lost timeline any object may have been created by anyone.
        left = (mark.timeline_since - mark.at) / 1e6 + self.settle + self.grace
        lost = Pending(StepState.UNKNOWN, left) if left > 0 else None
        return {key: Seen(key, mark, pending.get(hashed, lost)) for key, hashed in hashes.items()}

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[Mark]:
        """Return a subscription that costs one round trip; see `Store.subscribe`.

        It is good for a day. Later, each `begin` is refused, so that its caller looks and lists again.

        Raises:
            SharedUnavailableError: The database does not answer.

        """
        [row] = await self.database.query(_MARK)
        yield Mark(*row)

    async def begin(self, seen: Seen, nonce: str) -> Grant | None:
        """Record durably that a create is about to be sent; see `Store.begin`.

        If the caller is cancelled, or the answer is lost, the record is withdrawn in the background.

        Raises:
            SharedUnavailableError: The database does not answer, so that nothing may be sent.

        """
        asked_at, begun = shared_clock(), _Begun(nonce, next(self._attempts))
        grant = Grant(seen.key, begun, asked_at)
        asking = self.database.spawn(self._begin(seen, begun))
        try:
            return grant if await asyncio.shield(asking) else None
        except BaseException:
            self.database.spawn(self._withdraw(asking, grant))
            raise

    async def _begin(self, seen: Seen, begun: _Begun) -> bool:
        mark = seen.mark if isinstance(seen.mark, Mark) else None
        compared = (None, None, None) if mark is None else (mark.timeline, mark.snapshot, mark.at)
        assert mark is not None or seen.mark is ANYWAY  # noqa: S101  # another mark would never be refused
        [(is_begun, begun.before)] = await self.database.query(
            _BEGIN,
            [
                self._hash(*seen.key),
                self._hash(*seen.key[:2]),
                begun.nonce,
                begun.attempt,
                self.settle + self.grace,
                *compared,
            ],
        )
        return bool(is_begun)

    async def _withdraw(self, asking: asyncio.Task[bool], grant: Grant) -> None:
        """End a create whose `begin` may be recorded, and whose caller sends nothing."""
        with suppress(NotSentError):
            if not await asking:
                return
        await self._end(grant, Result(StepState.PLANNED))

    async def end(self, of: Grant | Seen, result: Result) -> None:
        """Record how a create ended, or what a list showed; see `Store.end`.

        It goes on in the background if the caller is cancelled, or was.
        """
        if self._is_known(of, result):
            return
        ending = self.database.spawn(self._end(of, result))
        if not result.is_cancelled:
            await asyncio.shield(ending)

    async def _end(self, of: Grant | Seen, result: Result) -> None:
        uid = next(iter(result.uids), None)
        key, begun = self._hash(*of.key), of.mark
        try:
            if result.is_found:
                await self.database.query(_SEE, [key, self._hash(*of.key[:2]), uid, self.settle])
            elif isinstance(begun, _Begun):
                state = result.state.value
                of_begun = (key, begun.nonce, begun.attempt, begun.before)
                await self.database.query(_END, [*of_begun, state, uid, self.settle])
                begun.uid = uid
            elif result.state is StepState.UNRESOLVED and isinstance(of, Seen) and of.pending is not None:
                await self.database.query(_DROP_UID, [key, of.pending.uid, self.settle])
        except NotSentError as error:
            LOGGER.warning("%s", message("postgres.end_not_recorded", reason=error.args[0]))

    async def forget(self, kind: str, owner: Hashable, uid: str) -> None:
        """Drop the record of a deleted object; see `Store.forget`."""
        try:
            await self.database.query(_FORGET, [self._hash(kind, owner), uid])
        except NotSentError as error:
            LOGGER.warning("%s", message("postgres.delete_not_recorded", reason=error.args[0]))

    def _hash(self, *parts: Hashable) -> bytes:
        """Return the hash that stands for a key, or for a kind and its owner."""
        text = json.dumps([self.host, *map(str, parts)])
        return hashlib.blake2b(text.encode(), digest_size=20).digest()

    def _is_known(self, of: Grant | Seen, result: Result) -> bool:
        """Return whether the database has the same record already."""
        if result.origin is not Origin.ADOPTED:
            return False
        if isinstance(of, Grant):
            return isinstance(of.mark, _Begun) and of.mark.uid == result.uids[0]
        pending = of.pending
        return (
            pending is not None
            and pending.state in _CONFIRMED
            and pending.uid == result.uids[0]
            and isinstance(of.mark, Mark)
            and pending.seconds > asyncio.get_running_loop().time() - of.mark.taken_at
        )
