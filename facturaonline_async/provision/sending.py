"""Sending a create exactly once: intent before the first byte, and its answer before anybody hears of it."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from attrs import define, field

from facturaonline_async.errors import ApiError, FacturaOnlineError, NotSentError, UnreadableAnswerError
from facturaonline_async.provision.book import Book
from facturaonline_async.provision.journal import JournalError
from facturaonline_async.provision.things import How, Phase, Thing
from facturaonline_async.resources.ensure import BeforeSend, Key, begin_doubt, doubt
from facturaonline_async.session import SessionManager

__all__ = ["Sender", "StoppedError", "told"]

T = TypeVar("T")


class StoppedError(NotSentError):
    """The run was asked to stop before this was sent."""


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
        send: Callable[[BeforeSend], Awaitable[T]],
        look: Callable[[], Awaitable[str | None]],
    ) -> T | None:
        """Send a create, and write down what is known of it; return its answer if that was a yes.

        Of what is done, the caller writes it down, for it knows the uid. `look` looks for the thing where others of
        this session (another run, an ``ensure``) have sent a create of it, so that it is not repeated.

        Raises:
            ApiError: the refusal, for whoever wants to know more of it; the thing has failed.
            JournalError, StoppedError: nothing was sent.

        """
        async with self.session.turns.take(key):
            earlier = doubt(self.session, key)
            if (earlier or hash(key) in self.others) and (uid := await look()) is not None:
                thing.phase, thing.how, thing.uid, thing.reason = Phase.DONE, How.ADOPTED, uid, ""
                self.shown(key)
                await self.book.save(thing)
                return None
            if earlier is not None:
                await self._leave_open(thing, earlier)
                return None
            return await self._send(thing, key, send)

    def shown(self, key: Key) -> None:
        """Let others of this session find it, or create it: lists tell by now whether it exists."""
        self.session.doubts.pop(key, None)

    async def _send(self, thing: Thing, key: Key, send: Callable[[BeforeSend], Awaitable[T]]) -> T | None:
        sends = thing.sends

        async def before() -> None:
            if self.is_stopping:
                raise StoppedError("the run was stopped before it was sent")
            # An attempt that is repeated in here was surely not done: however many there are, they count as one.
            thing.phase, thing.reason, thing.sends = Phase.INTENT, "", sends + 1
            await self.book.save(thing)
            await begin_doubt(self.session, key, mine=self.others)

        try:
            answer = await send(before)
        except NotSentError as error:
            self.session.doubts.pop(key, None)
            is_end = isinstance(error, (JournalError, StoppedError))
            thing.phase, thing.sends, thing.reason = Phase.PLANNED, sends, told(error)
            if is_end:
                self.book.note(thing)
                raise
            await self.book.save(thing)
        except ApiError as refusal:
            self.session.doubts.pop(key, None)
            thing.phase, thing.sends, thing.reason = Phase.FAILED, sends, told(refusal)
            await self.book.save(thing)
            raise
        except Exception as error:  # noqa: BLE001  # whatever it was, it may have been done
            await self._leave_open(thing, error)
        except BaseException:  # cancelled: nobody will hear the answer
            if thing.phase is Phase.INTENT:
                thing.phase, thing.due, thing.reason = Phase.UNKNOWN, time.time() + self.settle, "interrupted"
                self.book.note(thing)
            raise
        else:
            self.session.doubts[key] = math.inf  # it exists: until lists show it, nobody may create it
            thing.phase, thing.how, thing.reason = Phase.DONE, How.CREATED, ""
            return answer
        return None

    async def _leave_open(self, thing: Thing, error: Exception) -> None:
        """Write down that it may exist; of what surely exists, also that it is never sent again."""
        thing.phase = Phase.UNRESOLVED if isinstance(error, UnreadableAnswerError) else Phase.UNKNOWN
        thing.reason = told(error)
        thing.due = time.time() + self.settle
        await self.book.save(thing)
