"""Sending a create exactly once: intent before the first byte, and its answer before anybody hears of it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from attrs import define, field

from facturaonline_async.errors import (
    ApiError,
    FacturaOnlineError,
    NotSentError,
    UnreadableAnswerError,
)
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
    """Sends creates for a run."""

    session: SessionManager
    book: Book
    settle: float
    is_stopping: bool = field(default=False, init=False)
    has_sent: bool = field(default=False, init=False)

    async def create(
        self,
        thing: Thing,
        key: Key,
        send: Callable[[BeforeSend], Awaitable[T]],
        look: Callable[[], Awaitable[str | None]],
    ) -> T | None:
        """Send a create, and write down what is known of it; return its answer if that was a yes.

        `look` looks for the thing where this session has sent a create of it before, so that a run beside this one, or
        an ``ensure``, is not repeated.

        Raises:
            ApiError: the refusal, for whoever wants to know more of it; the thing has failed.
            JournalError, StoppedError: nothing was sent.

        """
        async with self.session.turns.take(key):
            if (hash(key) in self.session.created or doubt(self.session, key)) and (uid := await look()) is not None:
                thing.phase, thing.how, thing.uid, thing.reason = Phase.DONE, How.ADOPTED, uid, ""
                self.session.doubts.pop(key, None)
                await self.book.save(thing)
                return None
            if (earlier := doubt(self.session, key)) is not None:
                await self._leave_open(thing, earlier)
                return None
            return await self._send(thing, key, send)

    async def _send(self, thing: Thing, key: Key, send: Callable[[BeforeSend], Awaitable[T]]) -> T | None:
        async def before() -> None:
            if self.is_stopping:
                raise StoppedError("the run was stopped before it was sent")
            self.has_sent = True
            thing.phase, thing.reason = Phase.INTENT, ""
            thing.sends += 1
            await self.book.save(thing)
            await begin_doubt(self.session, key)

        try:
            answer = await send(before)
        except NotSentError as error:
            self.session.doubts.pop(key, None)
            thing.phase, thing.reason = Phase.PLANNED, told(error)
            if isinstance(error, (JournalError, StoppedError)):
                thing.reason = ""
                if isinstance(error, StoppedError):
                    self.book.note(thing)
                raise
            await self.book.save(thing)
            return None
        except ApiError as refusal:
            self.session.doubts.pop(key, None)
            thing.phase, thing.reason = Phase.FAILED, told(refusal)
            await self.book.save(thing)
            raise
        except Exception as error:  # noqa: BLE001  # whatever it was, it may have been done
            await self._leave_open(thing, error)
            return None
        except BaseException:  # cancelled: nobody will hear the answer
            if thing.phase is Phase.INTENT:
                thing.phase, thing.due, thing.reason = Phase.UNKNOWN, time.time() + self.settle, "interrupted"
                self.book.note(thing)
            raise
        self.session.doubts.pop(key, None)
        thing.phase, thing.how, thing.reason = Phase.DONE, How.CREATED, ""
        return answer

    async def _leave_open(self, thing: Thing, error: Exception) -> None:
        """Write down that it may exist; of what surely exists, also that it is never sent again."""
        surely = isinstance(error, UnreadableAnswerError)
        thing.phase = Phase.UNRESOLVED if surely else Phase.UNKNOWN
        thing.reason = told(error)
        thing.due = time.time() + self.settle
        await self.book.save(thing)
