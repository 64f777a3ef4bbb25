"""Create an object of the API once.

Problem
    The API has no idempotency key: a create that is sent twice makes two. An answer may be lost, a list may be late or
    older than another list, a process may be killed between the request and its answer, and other tasks may want the
    same object.

Why no library
    Idempotency libraries store answers by a key that the server knows. This server knows none. Workflow engines repeat
    a step whose outcome is unknown, which is what must not happen here.

Algorithm
    `create_once` is one pass without waiting. `ensure` adds the wait until the object can be read, and a run of a plan
    adds the wait for lists of the settle time (``provision/_engine``)::

        look in the store ──▶ list ── found ───────────────────────────────▶ adopted (several: conflict)
           ▲                   └─ lacking ─┬─ pending ─────────────────────▶ unknown: look for it, create nothing
           │                               └─ begin: INTENT, durable ── attempt ─┬─ yes ──────────▶ created
           └──────── refused: another create began since the look ◀──┘           ├─ refused ──────▶ list once, failed
                                                                                 ├─ not sent ─────▶ planned
                                                                                 └─ perhaps ──────▶ unknown

Invariants, and the test of each (tests/core/once/test_create.py, unless another file is named)
    - The store knows a create before its first byte: `test_begin_is_recorded_before_the_first_byte`
      (tests/core/once/test_stores.py).
    - The look comes before the list: `test_a_list_older_than_another_create_leads_to_no_second_one`
      (tests/core/once/test_stores.py).
    - Nothing is created while a create is pending:
      `test_the_next_ensure_creates_nothing_while_the_outcome_of_the_first_is_unknown`.
    - Only a create that was certainly not done is dropped:
      `test_a_create_that_was_certainly_not_done_leaves_no_pending_create`.
    - A create that is cancelled in flight stays pending: `test_a_create_cancelled_in_flight_is_pending`
      (tests/core/once/test_stores.py).
    - A refusal is followed by one search, because the object may exist:
      `test_every_user_searches_after_a_refusal` (tests/core/once/test_stores.py).
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, Generic, Protocol, TypeVar

import anyio
from attrs import define, field

from facturaonline_async._core.endpoint import Endpoint
from facturaonline_async._core.engine import Attempts, Engine
from facturaonline_async._core.once.states import Origin, StepState, state_after
from facturaonline_async._core.once.store import ANYWAY, Grant, Key, Pending, Result, Seen, Store
from facturaonline_async._core.protocol.envelope import Reply
from facturaonline_async._core.running_loop import running_loop
from facturaonline_async._messages import message
from facturaonline_async.errors import (
    ApiError,
    AuthenticationError,
    FacturaOnlineError,
    NotFoundError,
    OutcomeUnknownError,
    RateLimitError,
    UnreadableAnswerError,
    text_of,
)

__all__ = [
    "PATIENCE",
    "CreateOutcome",
    "DesiredObject",
    "HasUid",
    "create",
    "create_once",
    "ensure",
    "pending_error",
    "poll_until",
    "send_once",
]


class HasUid(Protocol):
    """Object of the API."""

    @property
    def uid(self) -> int | str:
        """The API's identifier of the object."""
        ...


T = TypeVar("T")
V = TypeVar("V", bound=HasUid)

_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 5.0
_FIRST_LOOK: Final = 0.05
_LONGEST_LOOK: Final = 0.2
PATIENCE: Final = 10.0
"""Seconds for which a process that is sending a create is waited for, before lists are read in search of the object.

Nearly all creates end in that time; later, the other process may have been killed.
"""


class DesiredObject(Protocol[V]):
    """One object that should exist, and how the API creates and shows it.

    Each service implements it once.
    """

    @property
    def key(self) -> Key:
        """Key of the object in a store."""
        ...

    @property
    def endpoint(self) -> Endpoint:
        """Endpoint of the create."""
        ...

    async def find_all(self) -> Sequence[V]:
        """Return all objects with this key from a list that begins after the question."""
        ...

    async def read(self, uid: str) -> V | None:
        """Return the object with this uid, or None if it cannot be used yet.

        Raises:
            NotFoundError: There is none, or it is not visible yet.
            UnreadableAnswerError: The answer is about another object.

        """
        ...

    async def complete(self, value: V) -> V | None:
        """Return a listed object with all its data, or None if it is not usable yet."""
        ...

    async def attempts(self) -> Attempts:
        """Check what can only be checked now, and return the attempts of the create."""
        ...

    def created_uid(self, reply: Reply) -> str | None:
        """Return the uid in the answer to the create, or None if it has none.

        Raises:
            UnreadableAnswerError: The answer is unreadable, or about another object.

        """
        ...


@define(eq=False)  # never changed; see `Seen`
class CreateOutcome(Result, Generic[V]):
    """Result of one pass of `create_once`, with the objects it found.

    Attributes:
        of: Grant of the create, or what the store knew if nothing was begun.
        values: The objects that a list showed; empty after a create.
        seconds: Seconds until lists must show the object, for a create that was pending before; else None.

    """

    of: Grant | Seen = field(kw_only=True)
    values: tuple[V, ...] = ()
    seconds: float | None = None

    @property
    def uid(self) -> str | None:
        """First uid that a list or the answer gave, or that of the pending create."""
        return self.uids[0] if self.uids else None


# ── One pass ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def create_once(
    store: Store, desired: DesiredObject[V], *, seen: Seen | None = None, patience: float = 0.0
) -> CreateOutcome[V]:
    """Create the object unless it exists or may exist; do not wait for lists.

    The caller holds the keyed lock of the object, so that the tasks of a session take turns.

    Args:
        store: Record of creates.
        desired: The object.
        seen: What the store knew before a list that lacks the object; None: look and list first.
        patience: Seconds for which the store is asked again while another process is about to create the object. Its
            answer costs less than a list, and says first what has become of the create.

    Raises:
        FacturaOnlineError: The list could not be read. Nothing was created.

    """
    until = running_loop().time() + patience
    while True:
        if seen is None:
            seen = await _look_past_intent(store, desired.key, until)
            if values := await desired.find_all():
                return await _adopt(store, seen, values)
            if seen.pending is not None:
                if (await _look(store, desired.key)).pending is not None:
                    return _still_pending(desired, seen, seen.pending)
                seen = None  # it ended while the list was read, so that the list may be older
                continue
        outcome = await send_once(store, desired, seen)
        if outcome is None:
            seen = None
            continue
        try:
            return await _after_create(store, desired, outcome)
        finally:
            del outcome  # breaks the cycle between the error and this frame


async def _after_create(store: Store, desired: DesiredObject[V], outcome: CreateOutcome[V]) -> CreateOutcome[V]:
    """Search once after a refusal, and adopt what exists."""
    try:
        if not isinstance(outcome.error, ApiError):
            return outcome
        if found := await _look_after_refusal(desired, outcome.error):
            return await _adopt(store, outcome.of, found)
        if hasattr(outcome.error, "__notes__"):  # the search failed
            await store.end(outcome.of, outcome)
        return outcome
    finally:
        del outcome  # breaks the cycle between the error and this frame


async def send_once(store: Store, desired: DesiredObject[V], seen: Seen) -> CreateOutcome[V] | None:
    """Send the create, recorded before its first byte.

    It returns None if the store refused to begin.

    Args:
        store: Record of creates.
        desired: The object.
        seen: What the store knew about the object.

    """
    grant: Grant | None = None
    attempts, nonce = None, os.urandom(8).hex()
    uids: tuple[str, ...] = ()
    try:
        attempts = await desired.attempts()
        async for attempt in attempts:
            async with attempt:
                before, grant = grant, await store.begin(seen, nonce)
                if grant is None:
                    if before is not None:  # of an attempt that was certainly not done
                        await store.end(before, Result(StepState.PLANNED))
                    return None
                if (uid := desired.created_uid(await attempt.send(grant.asked_at))) is not None:
                    uids = (uid,)
        outcome: CreateOutcome[V] = CreateOutcome(StepState.DONE, Origin.CREATED, uids, of=grant or seen)
    except Exception as error:  # noqa: BLE001  # the create may have been done
        outcome = CreateOutcome(state_after(error), error=error, of=grant or seen)
    except asyncio.CancelledError:
        if grant is not None and attempts is not None:
            state = StepState.UNKNOWN if attempts.may_be_done else StepState.PLANNED
            with anyio.CancelScope(shield=True):
                await store.end(grant, Result(state, is_cancelled=True))
        raise
    try:
        await store.end(outcome.of, outcome)
        return outcome
    finally:
        del outcome  # breaks the cycle between the error and this frame


async def create(store: Store, desired: DesiredObject[V]) -> str | None:
    """Send the create of an object, and ignore what exists.

    It returns the uid if the answer has one.

    Args:
        store: Record of creates.
        desired: The object.

    Raises:
        FacturaOnlineError: The create failed; its class says whether it was done.

    """
    outcome = await send_once(store, desired, Seen(desired.key, ANYWAY))
    assert outcome is not None  # noqa: S101  # such a create is never refused
    try:
        if outcome.error is not None:
            raise outcome.error
        return outcome.uid
    finally:
        del outcome  # breaks the cycle between the error and this frame


async def _look(store: Store, key: Key) -> Seen:
    return (await store.look((key,)))[key]


async def _look_past_intent(store: Store, key: Key, until: float) -> Seen:
    """Look into the store, and again while a create is being sent.

    It ends at `until`, also if the store fails.
    """
    clock, pause = asyncio.get_running_loop().time, _FIRST_LOOK
    while True:
        seen = await _look(store, key)
        if seen.pending is None or seen.pending.state is not StepState.INTENT or (left := until - clock()) <= 0:
            return seen
        await asyncio.sleep(min(random.uniform(pause / 2, pause), left))
        pause = min(2 * pause, _LONGEST_LOOK)


async def _adopt(store: Store, of: Grant | Seen, values: Sequence[V]) -> CreateOutcome[V]:
    """Record what exists: once, or several times."""
    uids = tuple(str(value.uid) for value in values)
    state, origin = (StepState.DONE, Origin.ADOPTED) if len(uids) == 1 else (StepState.CONFLICT, None)
    outcome = CreateOutcome(state, origin, uids, of=of, values=tuple(values))
    await store.end(of, outcome)
    return outcome


def _still_pending(desired: DesiredObject[V], seen: Seen, pending: Pending) -> CreateOutcome[V]:
    # Only lists can show a confirmed create without a uid. One with a uid may have been deleted since.
    is_unresolved = pending.uid is None and pending.state in {StepState.DONE, StepState.UNRESOLVED}
    return CreateOutcome(
        StepState.UNRESOLVED if is_unresolved else StepState.UNKNOWN,
        uids=() if pending.uid is None else (pending.uid,),
        error=pending_error(pending, desired.endpoint.name),
        of=seen,
        seconds=pending.seconds,
    )


async def _look_after_refusal(desired: DesiredObject[V], refusal: ApiError) -> Sequence[V]:
    """Search once for an object whose create was refused, because it may exist.

    After throttling or an authentication failure there is no search: neither says anything about the object.
    """
    if isinstance(refusal, (RateLimitError, AuthenticationError)):
        return ()
    try:
        return await desired.find_all()
    except FacturaOnlineError as error:
        refusal.add_note(message("calls.refused_and_not_searched", error=text_of(error)))
        return ()


def pending_error(pending: Pending, endpoint: str) -> OutcomeUnknownError | UnreadableAnswerError:
    """Return the error that explains why a pending object is not created again.

    Args:
        pending: What the store knows.
        endpoint: Name of the create's endpoint.

    """
    seconds, uid = max(0.0, pending.seconds), pending.uid
    if pending.origin is Origin.ADOPTED:
        return OutcomeUnknownError(
            message("calls.not_shown_any_more", uid=uid or "", seconds=seconds), endpoint=endpoint, uid=uid
        )
    if pending.state in {StepState.DONE, StepState.UNRESOLVED}:
        return UnreadableAnswerError(message("calls.created_and_not_shown"), endpoint=endpoint, uid=uid)
    return OutcomeUnknownError(message("calls.earlier_create", seconds=seconds), endpoint=endpoint)


# ── Until it can be read ──────────────────────────────────────────────────────────────────────────────────────────────


async def ensure(engine: Engine, store: Store, desired: DesiredObject[V]) -> V:
    """Return the object, creating it first if it is missing.

    Calls with the same key run one at a time. An object that was created or found stays pending until the API's lists
    must show it, also after a cancellation. Until then, later ensures of the same key search for it and create nothing.

    Args:
        engine: Engine of the session.
        store: Record of creates.
        desired: The object.

    Raises:
        OutcomeUnknownError: A create got no readable answer, and the object has not shown before the deadline; or an
            object that was there does not show any more.
        UnreadableAnswerError: A create was confirmed, and the object has not shown before the deadline.
        FacturaOnlineError: The list failed, or the create was refused or not sent. Nothing was created.

    """
    async with engine.locks.hold(desired.key):
        is_shared = engine.shared_creates is not None
        patience = min(PATIENCE, engine.config.deadline) if is_shared else 0.0
        outcome = await create_once(store, desired, patience=patience)
        if outcome.values:
            listed = outcome.values[0]
            unreadable = UnreadableAnswerError(
                message("calls.not_readable_yet"), endpoint=f"{desired.endpoint.resource}.get", uid=listed.uid
            )
            return await poll_until(engine, partial(desired.complete, listed), problem=unreadable)
        of, uid = outcome.of, outcome.uid
        try:
            problem = _problem(desired, outcome)
        finally:
            del outcome  # breaks the cycle between the error and this frame
        search = _Search(store, desired, of, uid, drops_uid=is_shared)
        try:
            found = await poll_until(engine, search.once, problem=problem)
        finally:
            del problem
        await store.end(of, Result(StepState.DONE, Origin.ADOPTED, (str(found.uid),)))
        return found


def _problem(desired: DesiredObject[V], outcome: CreateOutcome[V]) -> FacturaOnlineError:
    """Return the error to raise if the object never shows.

    If the create was not done, raise its error.
    """
    error = outcome.error
    if error is None:
        return UnreadableAnswerError(
            message("calls.created_and_not_shown"), endpoint=desired.endpoint.name, uid=outcome.uid
        )
    if isinstance(error, (OutcomeUnknownError, UnreadableAnswerError)):
        return error
    try:
        raise error
    finally:
        del error, outcome  # breaks the cycle between the error and this frame


@define
class _Search(Generic[V]):
    """Search for an object that no list has shown.

    Attributes:
        store: Record of creates.
        desired: The object.
        of: Grant of its create, or what the store knew of it.
        uid: Its uid if it is known.
        drops_uid: Whether a uid that a read contradicts is dropped, for all processes.

    """

    store: Store
    desired: DesiredObject[V]
    of: Grant | Seen
    uid: str | None
    drops_uid: bool = field(kw_only=True)

    async def once(self) -> V | None:
        """Read the object once: by its uid if known, else by a list.

        Raises:
            FacturaOnlineError: It could not be read.

        """
        uid, problem = self.uid, None
        if uid is not None:
            try:
                return await self.desired.read(uid)
            except (NotFoundError, UnreadableAnswerError) as error:  # the uid may belong to another object
                problem = error
            if self.drops_uid and isinstance(problem, UnreadableAnswerError) and not problem.is_transient:
                # The answer to the create, or this one, was about another object: from now on lists decide.
                problem, uid, self.uid = None, None, None
                await self.store.end(self.of, Result(StepState.UNRESOLVED))
        for value in await self.desired.find_all():
            if problem is None or str(value.uid) != uid:
                return await self.desired.complete(value)
        if problem is not None:
            try:
                raise problem
            finally:
                problem = None
        return None


async def poll_until(
    engine: Engine,
    look: Callable[[], Awaitable[T | None]],
    *,
    problem: FacturaOnlineError,
    raising: tuple[type[FacturaOnlineError], ...] = (),
) -> T:
    """Call `look` with growing pauses until it finds an object.

    After ``Config.deadline`` seconds, raise `problem`. "Not found" and transient faults mean "not yet". A lasting fault
    ends the polling; `problem` is raised nevertheless, because the fault concerns the search and not the object.

    Args:
        engine: Engine of the session.
        look: Searches once.
        problem: Error to raise if nothing is found.
        raising: Errors of `look` that are raised at once.

    """
    clock = asyncio.get_running_loop().time
    until = clock() + engine.config.deadline
    pause = _FIRST_PAUSE
    try:
        while True:
            try:
                if (seen := await look()) is not None:
                    return seen
            except raising:
                raise
            except FacturaOnlineError as error:
                if not (error.is_transient or isinstance(error, (NotFoundError, OutcomeUnknownError))):
                    raise _with_reason(problem, error) from None
            left = until - clock()
            if left <= 0:
                problem.is_transient = True
                raise problem
            # Jitter spreads the reads of a batch that was created together.
            await asyncio.sleep(min(random.uniform(pause / 2, pause), left))
            pause = min(_LONGEST_PAUSE, 2 * pause)
    finally:
        del problem  # breaks the cycle between the error and this frame


def _with_reason(problem: FacturaOnlineError, look: FacturaOnlineError) -> FacturaOnlineError:
    """Return the problem with a note that says why the search failed."""
    if isinstance(problem, UnreadableAnswerError) and isinstance(
        look, UnreadableAnswerError
    ):  # both mean that it exists
        return UnreadableAnswerError(
            message("calls.created_and_unreadable", reason=look.args[0]), endpoint=problem.endpoint, uid=problem.uid
        )
    problem.add_note(message("calls.not_searched", error=text_of(look)))
    return problem
