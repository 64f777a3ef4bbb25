"""Sending a create exactly once: intent before the first byte, and its answer before anybody hears of it."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence

from attrs import define, field

from facturaonline_async.doubts import Doubt, Key
from facturaonline_async.errors import (
    ApiError,
    AuthenticationError,
    FacturaOnlineError,
    NotSentError,
    RateLimitError,
    UnreadableAnswerError,
)
from facturaonline_async.provision.book import Book
from facturaonline_async.provision.opening import JournalError
from facturaonline_async.provision.things import How, Phase, Thing
from facturaonline_async.resources.ensure import BeforeSend
from facturaonline_async.session import SessionManager

__all__ = ["Sender", "StoppedError", "stopped", "told"]


class StoppedError(NotSentError):
    """The run was asked to stop before this was sent."""


def stopped(thing: Thing) -> str:
    """Return why a run that was stopped has not sent something."""
    return f"the run was stopped before it was sent{' again' if thing.sends else ''}"


def told(error: Exception) -> str:
    """Return an error's text. A stranger's may hold anything, and is not shown."""
    if not isinstance(error, FacturaOnlineError):
        return f"unexpected {type(error).__name__}"
    return " ".join([str(error), *getattr(error, "__notes__", ())])


@define
class Sender:
    """Sends creates for a run.

    Attributes:
        session: what sends.
        book: where it is written down.
        settle: seconds after which what was sent must have shown up, if it was done.
        others: hashes of what others of this session have sent a create for since the run looked.
        is_stopping: whether nothing more is to be sent.

    """

    session: SessionManager
    book: Book
    settle: float
    others: set[int] = field(factory=set, init=False)
    is_stopping: bool = field(default=False, init=False)

    async def create(
        self,
        thing: Thing,
        key: Key,
        send: Callable[[BeforeSend], Awaitable[str | None]],
        look: Callable[[], Awaitable[Sequence[str]]],
    ) -> None:
        """Send a create, and write down what is known of it; when this returns, the thing tells it.

        `send` returns the uid, where the answer tells it. `look` lists the uids of those like it, where others of this
        session (another run, an ``ensure``) have sent a create of it, so that it is not repeated.

        Raises:
            AuthenticationError: the keys were refused; the thing has failed.
            JournalError: nothing was sent.

        """
        async with self.session.turns.take(key):
            thing.reason = ""
            doubt = self.session.doubts.get(key)
            if doubt is not None or hash(key) in self.others:
                await self._heed(thing, key, doubt, look)
            if thing.phase is Phase.PLANNED and not thing.reason:
                await self._send(thing, key, send, look)

    async def _heed(
        self, thing: Thing, key: Key, doubt: Doubt | None, look: Callable[[], Awaitable[Sequence[str]]]
    ) -> None:
        """Take what others have created, or wait for what they may have."""
        if not await self._find(thing, key, look) or thing.phase is not Phase.PLANNED or doubt is None:
            return
        if doubt.uid is not None:  # the API has said so, and lists are late
            thing.phase, thing.how, thing.uid = Phase.DONE, How.ADOPTED, doubt.uid
            await self.book.save(thing)
        else:
            await self._leave_open(thing, doubt.problem(key), min(doubt.until - self._now(), self.settle))

    async def _find(self, thing: Thing, key: Key, look: Callable[[], Awaitable[Sequence[str]]]) -> bool:
        """See whether it is there, and return whether that could be seen."""
        try:
            uids = await look()
        except FacturaOnlineError as error:
            thing.reason = f"{thing.reason} (whether it is there could not be seen: {told(error)})".strip()
            await self.book.save(thing)
            return False
        if uids:
            self.session.doubts.end(key)
            several = f"there are {len(uids)} of it: {', '.join(uids)}"
            thing.phase, thing.reason = (Phase.DONE, "") if len(uids) == 1 else (Phase.CONFLICT, several)
            thing.how, thing.uid = (How.ADOPTED, uids[0]) if len(uids) == 1 else (None, None)
            await self.book.save(thing)
        return True

    async def _send(
        self,
        thing: Thing,
        key: Key,
        send: Callable[[BeforeSend], Awaitable[str | None]],
        look: Callable[[], Awaitable[Sequence[str]]],
    ) -> None:
        sends, doubts = thing.sends, self.session.doubts

        async def before() -> None:
            if self.is_stopping:
                raise StoppedError(stopped(thing))
            # An attempt that is repeated in here was surely not done: however many there are, they count as one.
            thing.phase, thing.reason, thing.sends = Phase.INTENT, "", sends + 1
            await self.book.save(thing)
            doubts.begin(key, self.settle, mine=self.others)

        try:
            thing.uid = await send(before)
        except NotSentError as error:
            doubts.end(key)
            thing.phase, thing.sends, thing.reason = Phase.PLANNED, sends, told(error)
            if isinstance(error, JournalError):
                raise
            await self.book.save(thing)
        except ApiError as refusal:
            doubts.end(key)
            # What was throttled is as good as not sent.
            thing.phase = Phase.PLANNED if isinstance(refusal, RateLimitError) else Phase.FAILED
            thing.sends, thing.reason = sends, told(refusal)
            await self.book.save(thing)
            if isinstance(refusal, AuthenticationError):
                raise
            if sends and thing.phase is Phase.FAILED:  # perhaps because it is there by now
                await self._find(thing, key, look)
        except Exception as error:  # noqa: BLE001  # whatever it was, it may have been done
            is_sure = isinstance(error, UnreadableAnswerError)
            doubts.put(key, Doubt(math.inf if is_sure else self._now() + self.settle, is_sure=is_sure))
            await self._leave_open(thing, error, self.settle)
        except BaseException:  # cancelled: nobody will hear the answer
            if thing.phase is Phase.INTENT:
                thing.phase, thing.due, thing.reason = Phase.UNKNOWN, time.time() + self.settle, "interrupted"
                self.book.note(thing)
            raise
        else:
            # Without a uid it cannot be taken as it is before a list shows it, however long that takes.
            until = math.inf if thing.uid is None else self._now() + self.settle
            doubts.put(key, Doubt(until, is_sure=True, uid=thing.uid))
            thing.phase, thing.how, thing.reason = Phase.DONE, How.CREATED, ""
            await self.book.save(thing)

    async def _leave_open(self, thing: Thing, error: Exception, seconds: float) -> None:
        """Write down that it may exist; of what surely exists, also that it is never sent again."""
        thing.phase = Phase.UNRESOLVED if isinstance(error, UnreadableAnswerError) else Phase.UNKNOWN
        thing.reason = told(error)
        thing.due = time.time() + seconds
        await self.book.save(thing)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
