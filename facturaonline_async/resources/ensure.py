"""Ensure: find it, else create it, else look for it. Never create it twice."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeVar

from facturaonline_async.doubts import Doubt, Key
from facturaonline_async.errors import (
    ApiError,
    FacturaOnlineError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    UnreadableAnswerError,
)
from facturaonline_async.session import SessionManager

__all__ = ["BeforeSend", "ensure", "poll"]

T = TypeVar("T")

#: Awaited in the last moment before the first byte is sent.
BeforeSend = Callable[[], Awaitable[None]]

_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 5.0


async def ensure(
    session: SessionManager,
    key: Key,
    *,
    find: Callable[[], Awaitable[T | None]],
    create: Callable[[BeforeSend], Awaitable[str | None]],
    look: Callable[[str | None], Awaitable[T | None]],
) -> T:
    """Return what `find` finds, creating it first if it is not there. One at a time for each `key`.

    `create` returns the uid, where the answer tells it. `look` is what `find` is, after the create: it is told that
    uid, or None if nobody knows it.

    The session remembers a create that the API's lists may not show yet. Until they show it or ``Config.settle`` is
    over, later ensures of the same key look for it and create nothing, also after their caller was cancelled.

    Raises:
        OutcomeUnknownError: a create got no readable answer, and has not shown up before the deadline.
        UnreadableAnswerError: a create got its yes, and has not shown up before the deadline.
        FacturaOnlineError: `find` failed, or the create was refused or not sent: nothing was created.

    """
    doubts = session.doubts
    async with session.turns.take(key):
        was_in_doubt = doubts.get(key) is not None
        found = await find()
        if found is None and was_in_doubt and doubts.get(key) is None:
            found = await find()  # what others see, or wait for no longer, need not be in a list that began before
        if found is not None:
            doubts.end(key)
            return found
        problem: OutcomeUnknownError | UnreadableAnswerError | None = None
        if (doubt := doubts.get(key)) is None:
            try:
                doubt = Doubt(math.inf, is_sure=True, uid=await create(partial(_begin, session, key)))
            except NotSentError:
                doubts.end(key)
                raise
            except ApiError as refusal:
                doubts.end(key)
                return await _adopt(find, refusal)
            except (OutcomeUnknownError, UnreadableAnswerError) as error:
                problem = error
                is_sure = isinstance(error, UnreadableAnswerError)
                doubt = Doubt(math.inf if is_sure else _over(session), is_sure=is_sure)
            doubts.put(key, doubt)
        uid = doubt.uid
        shown = await poll(session, lambda: look(uid), problem=problem or doubt.problem(key))
        if uid is None:
            doubts.end(key)
        else:  # it can be read, and yet the lists may not show it for a while
            doubts.put(key, Doubt(_over(session), is_sure=True, uid=uid))
        return shown


async def _begin(session: SessionManager, key: Key) -> None:
    session.doubts.begin(key, session.config.settle)


def _over(session: SessionManager) -> float:
    return asyncio.get_running_loop().time() + session.config.settle


async def _adopt(find: Callable[[], Awaitable[T | None]], refusal: ApiError) -> T:
    """Return what somebody else was faster to create, or raise the refusal."""
    try:
        found = None if refusal.status == 429 else await find()
    except FacturaOnlineError as error:
        refusal.add_note(f"(whether somebody else created it could not be seen: {error})")
        found = None
    if found is None:
        raise refusal
    return found


async def poll(session: SessionManager, look: Callable[[], Awaitable[T | None]], *, problem: FacturaOnlineError) -> T:
    """Look until there is something to see, with growing pauses, for ``Config.deadline`` seconds; else raise `problem`.

    "Not found" means not yet, and so do faults that may pass. A fault that stays ends the looking, but is not what is
    raised: what it says is about the look, not about what is looked for.
    """
    clock = asyncio.get_running_loop().time
    until = clock() + session.config.deadline
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
