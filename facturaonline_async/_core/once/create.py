"""Ensure: find it, else create it, else look for it. Never create it twice.

What every create has in common stands here: what a session remembers of it (`send_create`), and that a refused one is
looked for, for a refusal may mean that it is there (`look_after_refusal`).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

from attrs import evolve

from facturaonline_async._core.engine import BeforeSend, Engine
from facturaonline_async._core.once.pending import Key, PendingCreate
from facturaonline_async.errors import (
    ApiError,
    AuthenticationError,
    FacturaOnlineError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    RateLimitError,
    UnreadableAnswerError,
)

__all__ = ["BeforeSend", "ensure", "look_after_refusal", "poll_until", "send_create"]


class _HasUid(Protocol):
    @property
    def uid(self) -> int | str:
        """The API's own name of it."""
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
    """Return what `find` finds, creating it first if it is not there. One at a time for each `key`.

    `create` returns the uid, where the answer tells it. `look` looks once for what is there or may be, and no list has
    shown: it reads it by its uid, if one is given, and else lists.

    What was created or found is remembered until the API's lists must show it (``Config.settle``). Until then, later
    ensures of the same key look for it and create nothing: lists may be late, and a list may lack what an earlier one
    showed. So it is after their caller was cancelled, too.

    Raises:
        OutcomeUnknownError: a create got no readable answer, and has not shown up before the deadline; or what was
            there a moment ago does not show any more.
        UnreadableAnswerError: a create got its yes, and has not shown up before the deadline.
        FacturaOnlineError: `find` failed, or the create was refused or not sent: nothing was created.

    """
    doubts, settle = engine.pending, engine.config.settle
    async with engine.locks.hold(key):
        was_in_doubt = doubts.get(key) is not None
        found = await find()
        if found is None and was_in_doubt and doubts.get(key) is None:
            found = await find()  # what others see, or wait for no longer, need not be in a list that began before
        if found is None:
            problem: FacturaOnlineError | None = None
            if (doubt := doubts.get(key)) is None:
                try:
                    uid = await send_create(engine, key, create)
                    doubt = PendingCreate(0.0, is_sure=True, uid=uid)
                except ApiError as refusal:
                    if (found := await look_after_refusal(refusal, find)) is None:
                        raise
                    doubts.see(key, str(found.uid), settle)
                    return found
                except (OutcomeUnknownError, UnreadableAnswerError) as error:
                    problem, doubt = error, PendingCreate(0.0)
            known = doubt
            found = await poll_until(engine, lambda: look(known.uid), problem=problem or known.problem(key))
        doubts.see(key, str(found.uid), settle)
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
    """Send a create, remember it in the engine, and return the uid where its answer tells it.

    Args:
        engine: remembers the create.
        key: of what is created.
        send: sends it, awaiting what it is given in the last moment before the first byte.
        before_send: awaited in that moment, before the create is remembered.
        settle: seconds after which it must have shown up; None: ``Config.settle``.
        mine: see `Doubts.begin`.

    Raises:
        FacturaOnlineError: as `send` raises it. Only what surely was not done is forgotten.

    """
    doubts, clock = engine.pending, asyncio.get_running_loop().time
    settle = engine.config.settle if settle is None else settle
    known, begun, was_spared = doubts.get(key), None, False

    def spare() -> None:
        nonlocal was_spared
        was_spared = True

    async def before() -> Callable[[], None]:
        nonlocal begun, was_spared
        if before_send is not None:
            await before_send()
        begun, was_spared = doubts.started(key, settle, mine), False
        return spare

    try:
        uid = await send(before)
    except (NotSentError, ApiError):
        doubts.resolve(key, begun, before=known)
        raise
    except asyncio.CancelledError:
        if was_spared:  # cancelled between an attempt that surely was not done and the next one
            doubts.resolve(key, begun, before=known)
        raise
    except Exception as error:
        if begun is not None:
            is_sure = isinstance(error, UnreadableAnswerError)
            doubts.update(key, evolve(begun, until=clock() + settle, is_sure=is_sure))
        raise
    replaced = None if begun is None else begun.before
    doubts.update(
        key, PendingCreate(clock() + settle, is_sure=True, uid=uid, before=replaced)
    )  # evolve takes twice as long
    return uid


async def look_after_refusal(refusal: ApiError, look: Callable[[], Awaitable[T | None]]) -> T | None:
    """Look once for what the API refused to create: perhaps because it is there by now.

    Return None if it is not there, or could not be seen; a note on the refusal says which. What was throttled, or sent
    with unknown keys, is not looked for: neither says anything about what is there.
    """
    if isinstance(refusal, (RateLimitError, AuthenticationError)):
        return None
    try:
        return await look()
    except FacturaOnlineError as error:
        refusal.add_note(f"(whether it is there could not be seen: {error})")
        return None


async def poll_until(engine: Engine, look: Callable[[], Awaitable[T | None]], *, problem: FacturaOnlineError) -> T:
    """Look until there is something to see, with growing pauses, for ``Config.deadline`` seconds; else raise `problem`.

    "Not found" means not yet, and so do faults that may pass. A fault that stays ends the looking, but is not what is
    raised: what it says is about the look, not about what is looked for.
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
        # Jitter: a batch that was created together looks apart.
        await asyncio.sleep(min(random.uniform(pause / 2, pause), left))
        pause = min(_LONGEST_PAUSE, 2 * pause)


def _with_reason(problem: FacturaOnlineError, look: FacturaOnlineError) -> FacturaOnlineError:
    """Return the problem, telling why it could not be looked for."""
    if isinstance(problem, UnreadableAnswerError) and isinstance(look, UnreadableAnswerError):  # it is there, both say
        return UnreadableAnswerError(
            f"it is there, but not readable: {look.args[0]}", endpoint=problem.endpoint, uid=problem.uid
        )
    problem.add_note(f"(it could not be looked for: {look})")
    return problem
