"""The steps of a run as a store of creates, written to its journal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Hashable, Iterable
from contextlib import asynccontextmanager

from attrs import define, field

from facturaonline_async._core.once.states import Origin, StepState
from facturaonline_async._core.once.store import ANYWAY, Grant, Key, Pending, Result, Seen
from facturaonline_async._core.shared import shared_clock
from facturaonline_async._messages import Message, message
from facturaonline_async.errors import NotSentError
from facturaonline_async.provision._engine.recorder import Recorder, describe
from facturaonline_async.provision._journal.errors import JournalError
from facturaonline_async.provision._steps import Step

__all__ = ["StepStore", "StoppedError", "stopped"]


class StoppedError(NotSentError):
    """The run was stopped before this request was sent."""


def stopped(sends: int) -> Message:
    """Return why a stopped run has not sent a step, after so many sends."""
    return message("run.not_tried_again_stopped" if sends else "run.not_tried_stopped")


@define(eq=False)
class _BoundStep:
    """Step that is the record of a key inside the ``with`` block.

    Attributes:
        step: The step.
        nonce: Random text of its create; ``""`` before it begins.

    """

    _all: dict[Key, _BoundStep]
    _key: Key
    step: Step
    _on_begin: Callable[[], None] | None
    nonce: str = ""

    def __enter__(self) -> None:
        self._all[self._key] = self

    def __exit__(self, *_: object) -> None:
        del self._all[self._key]

    def report_begin(self) -> None:
        """Report that the create begins, or has to list first."""
        if self._on_begin is not None:
            self._on_begin()


@define(eq=False)
class StepStore:
    """Steps of a run as a store.

    The run owns its journal alone, so that no other task begins a create of its steps: the journal's lock takes the
    place of a comparison for each key. A step counts as sent once, however often its attempts were certainly not done.

    Attributes:
        recorder: Where each step is written.
        settle: Seconds after which lists must show a create that took effect.
        stopping: Set when nothing more may be sent.
        problem: Why a result could not be written, or None; the run ends then.

    """

    recorder: Recorder
    settle: float
    stopping: asyncio.Event = field(factory=asyncio.Event)
    problem: JournalError | None = field(default=None, init=False)
    _bound: dict[Key, _BoundStep] = field(factory=dict, init=False)

    def bound(self, key: Key, step: Step, on_begin: Callable[[], None] | None = None) -> _BoundStep:
        """Let this step be the record of a key inside the ``with`` block.

        An intent of a killed process may have been sent at any moment up to now.

        Args:
            key: Key of the create.
            step: The step.
            on_begin: Called whenever the create begins, or has to list first.

        """
        if step.state is StepState.INTENT:
            step.state, step.due = StepState.UNKNOWN, time.time() + self.settle
        return _BoundStep(self._bound, key, step, on_begin)

    async def look(self, keys: Iterable[Key]) -> dict[Key, Seen]:
        """Return what the steps of these keys say; see `Store.look`.

        Raises:
            StoppedError: The run was stopped.

        """
        keys = list(keys)
        if self.stopping.is_set():
            raise StoppedError(stopped(max(self._bound[key].step.sends for key in keys)))
        seen = {}
        for key in keys:
            bound = self._bound[key]
            bound.report_begin()  # the list may take long
            seen[key] = Seen(key, bound.step.sends, _pending(bound.step, self.settle))
        return seen

    async def begin(self, seen: Seen, nonce: str) -> Grant | None:
        """Write the intent; it is durable when this returns. See `Store.begin`.

        Raises:
            StoppedError: The run was stopped.
            JournalError: The journal could not be written.

        """
        bound, before = self._bound[seen.key], seen.mark
        step = bound.step
        if self.stopping.is_set():
            raise StoppedError(stopped(before if isinstance(before, int) else step.sends))
        if before is ANYWAY:
            before = step.sends
        if not isinstance(before, int) or (step.sends != before and bound.nonce != nonce):
            return None
        bound.report_begin()
        bound.nonce = nonce
        asked_at = shared_clock() if self.recorder.is_shared else None
        step.state, step.reason, step.sends = StepState.INTENT, "", before + 1
        try:
            await self.recorder.save(step)
        except asyncio.CancelledError:
            step.state, step.sends = StepState.PLANNED, before
            self.recorder.save_nowait(step)
            raise
        return Grant(seen.key, before, asked_at)

    async def end(self, of: Grant | Seen, result: Result) -> None:
        """Write the outcome of a create, or what a list showed; see `Store.end`.

        A found object that the run cannot have created decides nothing yet: its step is PLANNED, as if the run's first
        list had shown it, and the caller decides.
        """
        step = self._bound[of.key].step
        if result.is_found and not step.sends:
            step.state, step.reason = StepState.PLANNED, ""
            return
        step.state, step.reason = result.state, "" if result.error is None else describe(result.error)
        if result.is_cancelled and result.state is StepState.UNKNOWN:
            step.reason = message("run.interrupted")
        if result.state in {StepState.PLANNED, StepState.FAILED} and isinstance(of.mark, int):
            step.sends = of.mark
        elif result.state is StepState.CONFLICT:
            step.origin, step.uid = None, None
            step.reason = message("run.several", count=len(result.uids), uids=", ".join(result.uids))
        elif result.state is StepState.DONE:
            step.origin, step.uid = result.origin, next(iter(result.uids), None)
        if result.state in {StepState.UNKNOWN, StepState.UNRESOLVED} or result.origin is Origin.CREATED:
            step.due = time.time() + self.settle
        if isinstance(result.error, JournalError):
            self.problem = result.error
            return
        if result.is_cancelled:
            self.recorder.save_nowait(step)
            return
        try:
            await self.recorder.save(step)
        except JournalError as problem:
            self.problem = problem

    async def forget(self, kind: str, owner: Hashable, uid: str) -> None:
        """Let the steps of a deleted object be pending no more; see `Store.forget`."""
        for (step_kind, step_owner, *_), bound in self._bound.items():
            if (step_kind, step_owner, bound.step.uid) == (kind, owner, uid):
                bound.step.due = 0.0

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[StepStore]:
        """Return this store: only the run itself begins creates of its steps."""
        yield self

    def seen(self, key: Key) -> Seen:
        """Return the step's state at the begin of the run; see `Subscription.seen`."""
        step = self._bound[key].step
        return Seen(key, step.sends if _pending(step, self.settle) is None else None)


def _pending(step: Step, settle: float) -> Pending | None:
    """Return the create of a step that lists may not show yet, or None."""
    if step.state is StepState.PLANNED:
        return None
    seconds = min(max(step.due - time.time(), 0.0), settle)
    if step.state is StepState.INTENT:
        return Pending(StepState.INTENT, settle)
    if step.state is StepState.UNRESOLVED or (step.state in {StepState.UNKNOWN, StepState.DONE} and seconds > 0):
        return Pending(step.state, seconds, step.uid, step.origin)
    return None
