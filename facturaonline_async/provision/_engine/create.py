"""Sending a create exactly once: intent before the first byte, and its answer before anybody hears of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from attrs import define, field

from facturaonline_async._core.engine import Engine
from facturaonline_async._core.once.create import BeforeSend, look_after_refusal, send_create
from facturaonline_async._core.once.pending import Key, PendingCreate
from facturaonline_async.errors import (
    ApiError,
    AuthenticationError,
    FacturaOnlineError,
    NotSentError,
    RateLimitError,
    UnreadableAnswerError,
)
from facturaonline_async.provision._engine.recorder import Recorder
from facturaonline_async.provision._journal.opening import JournalError
from facturaonline_async.provision._steps import NOT_TRIED, Origin, Step, StepState

__all__ = ["FindUids", "Sender", "StoppedError", "describe", "stopped"]


#: Looks once for what is like a step, and returns the uids: by a list, and by a given uid if the list lacks it.
FindUids: TypeAlias = Callable[[str | None], Awaitable[Sequence[str]]]


class StoppedError(NotSentError):
    """The run was asked to stop before this was sent."""


def stopped(step: Step) -> str:
    """Return why a run that was stopped has not sent something."""
    return f"{NOT_TRIED}{' again' if step.sends else ''}: the run was stopped"


def describe(error: Exception) -> str:
    """Return an error's text. A stranger's may hold anything, and is not shown."""
    if not isinstance(error, FacturaOnlineError):
        return f"unexpected {type(error).__name__}"
    return " ".join([str(error), *getattr(error, "__notes__", ())])


@define
class Sender:
    """Sends creates for a run.

    Attributes:
        engine: sends the calls.
        book: where it is written down.
        settle: seconds after which what was sent must have shown up, if it was done.
        others: hashes of what others of this session have sent a create for since the run looked.
        stopping: set when nothing more is to be sent.

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
        """Send a create, and write down what is known of it; when this returns, the step tells it.

        `send` returns the uid, where the answer tells it. `look` is asked first where others of this session (another
        run, an ``ensure``) have made or seen one, and where the API refuses it: perhaps because it is there.

        Raises:
            AuthenticationError: the keys were refused; the step has failed.
            JournalError: nothing was sent.

        """
        async with self.engine.locks.hold(key):
            step.reason = ""
            pending = self.engine.pending.get(key)
            if pending is not None or hash(key) in self.others:
                await self._resolve_pending(step, key, pending, find_uids)
            if step.phase is StepState.PLANNED and not step.reason:
                await self._send(step, key, send, find_uids)

    async def _resolve_pending(self, step: Step, key: Key, pending: PendingCreate | None, find_uids: FindUids) -> None:
        """Take what others have created, or wait for what they may have."""
        try:
            uids = await find_uids(pending.uid if pending is not None else None)
        except FacturaOnlineError as error:
            step.reason = f"whether it is there could not be seen: {describe(error)}"
            await self.recorder.save(step)
            return
        if uids:
            await self._take(step, key, uids)
        elif pending is not None:
            # Of a yes without a uid no more can be learnt than from lists; what has one may be gone by now.
            phase = StepState.UNRESOLVED if pending.is_sure and pending.uid is None else StepState.UNKNOWN
            left = pending.until - self._now()
            await self._leave_open(
                step, phase, pending.problem(key), min(left, self.settle) if left > 0 else self.settle
            )

    async def _take(self, step: Step, key: Key, uids: Sequence[str]) -> None:
        """Adopt what is there, if it is there once."""
        self.engine.pending.see(key, uids[0], self.settle)
        if len(uids) == 1:
            step.phase, step.how, step.uid, step.reason = StepState.DONE, Origin.ADOPTED, uids[0], ""
        else:
            several = f"there are {len(uids)} of it: {', '.join(uids)}"
            step.phase, step.how, step.uid, step.reason = StepState.CONFLICT, None, None, several
        await self.recorder.save(step)

    async def _send(
        self,
        step: Step,
        key: Key,
        send: Callable[[BeforeSend], Awaitable[str | None]],
        find_uids: FindUids,
    ) -> None:
        sends = step.sends

        async def before() -> None:
            if self.stopping.is_set():
                raise StoppedError(stopped(step))
            # An attempt that is repeated in here was surely not done: however many there are, they count as one.
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
        except Exception as error:  # noqa: BLE001  # whatever it was, it may have been done
            phase = StepState.UNRESOLVED if isinstance(error, UnreadableAnswerError) else StepState.UNKNOWN
            await self._leave_open(step, phase, error, self.settle)
        except BaseException:  # cancelled: nobody will hear the answer
            if step.phase is StepState.INTENT:
                step.phase, step.due, step.reason = StepState.UNKNOWN, time.time() + self.settle, "interrupted"
                self.recorder.save_nowait(step)
            raise
        else:
            step.phase, step.how, step.reason = StepState.DONE, Origin.CREATED, ""
            step.due = time.time() + self.settle
            await self.recorder.save(step)

    async def _refused(self, step: Step, key: Key, refusal: ApiError, sends: int, find_uids: FindUids) -> None:
        """Write down a refusal, or adopt what is there in spite of it."""
        # What was throttled is as good as not sent.
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
        """Write down that it may exist (UNKNOWN), or that it does and is never sent again (UNRESOLVED)."""
        step.phase, step.reason = phase, describe(error)
        step.due = time.time() + seconds
        await self.recorder.save(step)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
