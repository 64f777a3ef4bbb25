"""Ensure: find an object, else create it and poll for it; never create two.

All creates share `send_create`, which records a create as pending, and `look_after_refusal`, which searches after a
refusal, because a refusal may mean that the object exists.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

from attrs import evolve

from facturaonline_async._core.engine import BeforeSend, Engine
from facturaonline_async._core.once.pending import Key, PendingCreate
from facturaonline_async._messages import message
from facturaonline_async.errors import (
    ApiError,
    AuthenticationError,
    FacturaOnlineError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    RateLimitError,
    UnreadableAnswerError,
    text_of,
)

__all__ = ["BeforeSend", "ensure", "look_after_refusal", "poll_until", "send_create"]


class _HasUid(Protocol):
    @property
    def uid(self) -> int | str:
        """The API's identifier of the object."""
        ...


T = TypeVar("T")
V = TypeVar("V", bound=_HasUid)

_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 5.0


async def ensure(
    engine: Engine,
    key: Key,
    *,
    find: Callable[[], Awaitable[V | None]],
    create: Callable[[BeforeSend], Awaitable[str | None]],
    look: Callable[[str | None], Awaitable[V | None]],
) -> V:
    """Return the object of `key`, creating it first if it is missing.

    Calls with the same key run one at a time. An object that was created or found stays pending until the API's lists
    must show it (``Config.settle``), also after a cancellation. Until then, later ensures of the same key search for it
    and create nothing.

    Args:
        engine: Engine of the session.
        key: Key of the object.
        find: Searches the lists.
        create: Creates the object, and returns its uid if the answer has one.
        look: Searches once for an object that no list has shown: by its uid if given, else by lists.

    Raises:
        OutcomeUnknownError: A create got no readable answer, and the object has not shown before the deadline; or an
            object that was there does not show any more.
        UnreadableAnswerError: A create was confirmed, and the object has not shown before the deadline.
        FacturaOnlineError: `find` failed, or the create was refused or not sent. Nothing was created.

    """
    pending, settle = engine.pending, engine.config.settle
    async with engine.locks.hold(key):
        was_pending = pending.get(key) is not None
        found = await find()
        if found is None and was_pending and pending.get(key) is None:
            found = await find()  # other callers may have seen it, or its entry expired, after this list began
        if found is None:
            problem: FacturaOnlineError | None = None
            if (entry := pending.get(key)) is None:
                try:
                    uid = await send_create(engine, key, create)
                    entry = PendingCreate(0.0, is_sure=True, uid=uid)
                except ApiError as refusal:
                    if (found := await look_after_refusal(refusal, find)) is None:
                        raise
                    pending.see(key, str(found.uid), settle)
                    return found
                except (OutcomeUnknownError, UnreadableAnswerError) as error:
                    problem, entry = error, PendingCreate(0.0)
            known = entry
            found = await poll_until(engine, lambda: look(known.uid), problem=problem or known.problem(key))
        pending.see(key, str(found.uid), settle)
        return found


async def send_create(
    engine: Engine,
    key: Key,
    send: Callable[[BeforeSend], Awaitable[str | None]],
    *,
    before_send: BeforeSend | None = None,
    settle: float | None = None,
    mine: set[int] | None = None,
) -> str | None:
    """Send a create, record it as pending, and return its uid if the answer has one.

    Args:
        engine: Engine of the session.
        key: Key of the object.
        send: Sends the create, and awaits its argument right before the first byte.
        before_send: Awaited at that moment, before the create is recorded.
        settle: Seconds after which lists must show the object; None means ``Config.settle``.
        mine: As for `PendingCreates.started`.

    Raises:
        FacturaOnlineError: As `send` raises it. Only a create that was certainly not done is dropped.

    """
    pending, clock = engine.pending, asyncio.get_running_loop().time
    settle = engine.config.settle if settle is None else settle
    known, begun, was_spared = pending.get(key), None, False

    def spare() -> None:
        nonlocal was_spared
        was_spared = True

    async def before() -> Callable[[], None]:
        nonlocal begun, was_spared
        if before_send is not None:
            await before_send()
        begun, was_spared = pending.started(key, settle, mine), False
        return spare

    try:
        uid = await send(before)
    except (NotSentError, ApiError):
        pending.resolve(key, begun, before=known)
        raise
    except asyncio.CancelledError:
        if was_spared:  # cancelled between an attempt that was certainly not done and the next one
            pending.resolve(key, begun, before=known)
        raise
    except Exception as error:
        if begun is not None:
            is_sure = isinstance(error, UnreadableAnswerError)
            pending.update(key, evolve(begun, until=clock() + settle, is_sure=is_sure))
        raise
    replaced = None if begun is None else begun.before
    pending.update(
        key, PendingCreate(clock() + settle, is_sure=True, uid=uid, before=replaced)
    )  # evolve takes twice as long
    return uid


async def look_after_refusal(refusal: ApiError, look: Callable[[], Awaitable[T | None]]) -> T | None:
    """Search once for an object whose create was refused, because it may exist.

    Args:
        refusal: Error of the create. It gets a note if the search fails.
        look: Searches for the object.

    Returns:
        The object, or None if it is missing or the search failed. After throttling or an authentication failure there
        is no search, because neither says anything about the object.

    """
    if isinstance(refusal, (RateLimitError, AuthenticationError)):
        return None
    try:
        return await look()
    except FacturaOnlineError as error:
        refusal.add_note(message("calls.refused_and_not_searched", error=text_of(error)))
        return None


async def poll_until(engine: Engine, look: Callable[[], Awaitable[T | None]], *, problem: FacturaOnlineError) -> T:
    """Call `look` with growing pauses until it finds an object.

    After ``Config.deadline`` seconds, raise `problem`. "Not found" and transient faults mean "not yet". A lasting fault
    ends the polling; `problem` is raised nevertheless, because the fault concerns the search and not the object.

    Args:
        engine: Engine of the session.
        look: Searches once.
        problem: Error to raise if nothing is found.

    """
    clock = asyncio.get_running_loop().time
    until = clock() + engine.config.deadline
    pause = _FIRST_PAUSE
    while True:
        try:
            if (seen := await look()) is not None:
                return seen
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
