"""Send a create exactly once.

The intent is recorded before the first byte is sent, and the result before it is reported.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from attrs import define, field

from facturaonline_async._core.engine import Engine
from facturaonline_async._core.once.create import BeforeSend, look_after_refusal, send_create
from facturaonline_async._core.once.pending import Key, PendingCreate
from facturaonline_async._messages import Message, message
from facturaonline_async.errors import (
    ApiError,
    AuthenticationError,
    FacturaOnlineError,
    NotSentError,
    RateLimitError,
    UnreadableAnswerError,
    text_of,
)
from facturaonline_async.provision._engine.recorder import Recorder
from facturaonline_async.provision._journal.opening import JournalError
from facturaonline_async.provision._steps import Origin, Step, StepState

__all__ = ["FindUids", "Sender", "StoppedError", "describe", "stopped"]


#: Returns the uids that exist with the key of a step: from one list, and from a read of a given uid that it lacks.
FindUids: TypeAlias = Callable[[str | None], Awaitable[Sequence[str]]]


class StoppedError(NotSentError):
    """The run was stopped before this request was sent."""


def stopped(step: Step) -> Message:
    """Return the reason of a step that a stopped run has not sent."""
    return message("run.not_tried_again_stopped" if step.sends else "run.not_tried_stopped")


def describe(error: Exception) -> str:
    """Return an error's text with its notes.

    Of an error of another library it is only the type, because the text may hold secrets.
    """
    if not isinstance(error, FacturaOnlineError):
        return message("run.unexpected_error", type=type(error).__name__)
    text = text_of(error)
    for note in getattr(error, "__notes__", ()):
        text = text.then(note) if isinstance(text, Message) and isinstance(note, Message) else f"{text} {note}"
    return text


@define
class Sender:
    """Sends creates for a run.

    Attributes:
        engine: sends the requests.
        recorder: where each step is written.
        settle: seconds after which lists certainly show a create that took effect.
        others: hashes of the keys for which other tasks of this session sent a create since the run began.
        stopping: set when nothing more may be sent.

    """

    engine: Engine
    recorder: Recorder
    settle: float
    others: set[int] = field(factory=set, init=False)
    stopping: asyncio.Event = field(factory=asyncio.Event, init=False)

    async def create(
        self,
        step: Step,
        key: Key,
        send: Callable[[BeforeSend], Awaitable[str | None]],
        find_uids: FindUids,
    ) -> None:
        """Send the create of a step, and record its result in the step.

        Args:
            step: a PLANNED step.
            key: key of this create within the session.
            send: sends the request; returns the uid if the answer holds it.
            find_uids: called before the create if another task of this session (another run, an ``ensure``) may have
                created it, and after a refusal, which may mean that it exists.

        Raises:
            AuthenticationError: the API refused the keys; the step is FAILED.
            JournalError: the journal could not be written; nothing was sent.

        """
        async with self.engine.locks.hold(key):
            step.reason = ""
            pending = self.engine.pending.get(key)
            if pending is not None or hash(key) in self.others:
                await self._resolve_pending(step, key, pending, find_uids)
            if step.phase is StepState.PLANNED and not step.reason:
                await self._send(step, key, send, find_uids)

    async def _resolve_pending(self, step: Step, key: Key, pending: PendingCreate | None, find_uids: FindUids) -> None:
        """Adopt what another task of this session created, or wait for its pending create."""
        try:
            uids = await find_uids(pending.uid if pending is not None else None)
        except FacturaOnlineError as error:
            step.reason = message("run.not_searched", error=describe(error))
            await self.recorder.save(step)
            return
        if uids:
            await self._take(step, key, uids)
        elif pending is not None:
            # Without a uid only lists can show a confirmed create. One with a uid may have been deleted since.
            phase = StepState.UNRESOLVED if pending.is_sure and pending.uid is None else StepState.UNKNOWN
            left = pending.until - self._now()
            await self._leave_open(
                step, phase, pending.problem(key), min(left, self.settle) if left > 0 else self.settle
            )

    async def _take(self, step: Step, key: Key, uids: Sequence[str]) -> None:
        """Adopt what exists if it exists once, else record a conflict."""
        self.engine.pending.see(key, uids[0], self.settle)
        if len(uids) == 1:
            step.phase, step.how, step.uid, step.reason = StepState.DONE, Origin.ADOPTED, uids[0], ""
        else:
            several = message("run.several", count=len(uids), uids=", ".join(uids))
            step.phase, step.how, step.uid, step.reason = StepState.CONFLICT, None, None, several
        await self.recorder.save(step)

    async def _send(
        self,
        step: Step,
        key: Key,
        send: Callable[[BeforeSend], Awaitable[str | None]],
        find_uids: FindUids,
    ) -> None:
        """Record the intent when a start is granted, send the create, record its result."""
        sends = step.sends

        async def before() -> None:
            if self.stopping.is_set():
                raise StoppedError(stopped(step))
            # Attempts repeated in here certainly had no effect: together they count as one send.
            step.phase, step.reason, step.sends = StepState.INTENT, "", sends + 1
            await self.recorder.save(step)

        try:
            step.uid = await send_create(
                self.engine, key, send, before_send=before, settle=self.settle, mine=self.others
            )
        except NotSentError as error:
            step.phase, step.sends, step.reason = StepState.PLANNED, sends, describe(error)
            if isinstance(error, JournalError):
                raise
            await self.recorder.save(step)
        except ApiError as refusal:
            await self._refused(step, key, refusal, sends, find_uids)
        except Exception as error:  # noqa: BLE001  # unknown outcome: the create may have taken effect
            phase = StepState.UNRESOLVED if isinstance(error, UnreadableAnswerError) else StepState.UNKNOWN
            await self._leave_open(step, phase, error, self.settle)
        except BaseException:  # cancelled: the answer will not be read
            if step.phase is StepState.INTENT:
                step.phase, step.due, step.reason = (
                    StepState.UNKNOWN,
                    time.time() + self.settle,
                    message("run.interrupted"),
                )
                self.recorder.save_nowait(step)
            raise
        else:
            step.phase, step.how, step.reason = StepState.DONE, Origin.CREATED, ""
            step.due = time.time() + self.settle
            await self.recorder.save(step)

    async def _refused(self, step: Step, key: Key, refusal: ApiError, sends: int, find_uids: FindUids) -> None:
        """Record a refusal, or adopt what exists in spite of it."""
        # A throttled request counts as not sent.
        step.phase = StepState.PLANNED if isinstance(refusal, RateLimitError) else StepState.FAILED
        step.sends, step.reason = sends, describe(refusal)
        await self.recorder.save(step)
        if isinstance(refusal, AuthenticationError):
            raise refusal
        if uids := await look_after_refusal(refusal, lambda: find_uids(None)):
            await self._take(step, key, uids)
        elif step.reason != describe(refusal):
            step.reason = describe(refusal)
            await self.recorder.save(step)

    async def _leave_open(self, step: Step, phase: StepState, error: Exception, seconds: float) -> None:
        """Record that the create may have taken effect.

        UNKNOWN: it may exist. UNRESOLVED: it was confirmed, and is never sent again.
        """
        step.phase, step.reason = phase, describe(error)
        step.due = time.time() + seconds
        await self.recorder.save(step)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
