"""Create the steps of a run once, with memory and journal as one store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from attrs import define, field

from facturaonline_async._core.once.create import PATIENCE, CreateOutcome, DesiredObject, HasUid, create_once
from facturaonline_async._core.once.keyed_lock import KeyedLock
from facturaonline_async._core.once.layered import LayeredStore, ListedStore
from facturaonline_async._core.once.memory_store import MemoryStore
from facturaonline_async._core.once.pending import PendingCreates
from facturaonline_async._core.once.states import Origin, StepState
from facturaonline_async._core.once.store import Result, Store, Subscription
from facturaonline_async._messages import message
from facturaonline_async.errors import AuthenticationError, FacturaOnlineError, NotFoundError, SharedUnavailableError
from facturaonline_async.provision._engine.recorder import Recorder, describe
from facturaonline_async.provision._engine.step_store import StepStore, StoppedError
from facturaonline_async.provision._steps import Step

__all__ = ["Creator"]

V = TypeVar("V", bound=HasUid)


@define
class Creator:
    """Creates the steps of a run.

    Attributes:
        locks: locks of the session, by the keys of its creates.
        pending: pending creates of the session.
        recorder: where each step is written.
        settle: seconds after which lists certainly show a create that took effect.
        stopping: set when nothing more may be sent.
        shared: store of the creates of all processes, or None.
        listed: subscription to `shared` that began before the companies were listed, if another run listed them.

    """

    locks: KeyedLock
    pending: PendingCreates
    recorder: Recorder
    settle: float
    stopping: asyncio.Event
    shared: Store | None = None
    listed: Subscription | None = None
    _steps: StepStore = field(init=False)
    _store: LayeredStore = field(init=False)
    _subscription: Subscription | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._steps = StepStore(self.recorder, self.settle, self.stopping)
        memory: Store = MemoryStore(self.pending, self.settle)
        if self.shared is not None:
            shared = self.shared if self.listed is None else ListedStore(self.shared, self.listed)
            memory = LayeredStore(memory, shared)
        # The journal is written last, right before the first byte.
        self._store = LayeredStore(memory, self._steps)

    @asynccontextmanager
    async def subscribed(self) -> AsyncIterator[None]:
        """Notice the creates of other tasks of this session inside the ``with`` block.

        Everything that the run lists is listed inside it.
        """
        async with self._store.subscribe() as self._subscription:
            yield

    async def create(
        self, step: Step, desired: DesiredObject[V], *, on_begin: Callable[[], None] | None = None
    ) -> Sequence[V]:
        """Create a step, and record its result in it.

        Args:
            step: a PLANNED step, which a list of this run lacks.
            desired: the company or serie.
            on_begin: called, perhaps several times, when the limiter has started the create, or when the create waits
                for something else.

        Returns:
            What another program, or another task, has created since that list. The step is PLANNED then, and the caller
            decides as if the list had shown it.

        Raises:
            AuthenticationError: the API refused the keys; the step is FAILED.
            SharedUnavailableError: the service that processes share is away; the step is PLANNED.
            JournalError: the journal could not be written.

        """
        assert self._subscription is not None  # noqa: S101  # inside `subscribed`
        step.reason = ""
        if on_begin is not None and self.locks.is_held(desired.key):
            on_begin()
        async with self.locks.hold(desired.key):
            with self._steps.bound(desired.key, step, on_begin):
                try:
                    outcome = await create_once(
                        self._store,
                        desired,
                        seen=self._subscription.seen(desired.key),
                        patience=0.0 if self.shared is None else PATIENCE,
                    )
                    found = outcome.values
                    if outcome.seconds is not None:
                        found = await self._find_or_wait(step, desired, outcome, outcome.seconds)
                except StoppedError as error:
                    step.reason = describe(error)
                    return ()
                except FacturaOnlineError as error:
                    step.reason = message("run.not_searched", error=describe(error))
                    await self.recorder.save(step)
                    if isinstance(error, SharedUnavailableError):
                        raise
                    return ()
        try:
            if self._steps.problem is not None:
                raise self._steps.problem
            if isinstance(outcome.error, (AuthenticationError, SharedUnavailableError)):
                raise outcome.error
        finally:
            del outcome  # breaks the cycle between the error and this frame
        return found if step.state is StepState.PLANNED else ()

    async def _find_or_wait(
        self, step: Step, desired: DesiredObject[V], outcome: CreateOutcome[V], seconds: float
    ) -> tuple[V, ...]:
        """Return what another task has created, or let the step wait for it."""
        value = None
        if outcome.uid is not None:
            with suppress(NotFoundError):
                value = await desired.read(outcome.uid)
        if value is not None:
            await self._store.end(outcome.of, Result(StepState.DONE, Origin.ADOPTED, (str(value.uid),)))
            return (value,)
        step.state, step.reason = outcome.state, "" if outcome.error is None else describe(outcome.error)
        step.due = time.time() + (min(seconds, self.settle) if seconds > 0 else self.settle)
        await self.recorder.save(step)
        return ()
