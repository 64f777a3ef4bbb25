"""Ensure: find it, else create it, else look for it. Never create it twice."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from typing import Final, TypeVar

from facturaonline_async.errors import (
    ApiError,
    FacturaOnlineError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    UnreadableAnswerError,
)
from facturaonline_async.session import SessionManager

__all__ = ["BeforeSend", "Key", "begin_doubt", "doubt", "ensure", "poll"]

T = TypeVar("T")
CreatedT = TypeVar("CreatedT")

#: Awaited in the last moment before the first byte is sent.
BeforeSend = Callable[[], Awaitable[None]]

#: What a create's endpoint, its keys' fingerprint, and its thing's natural key are together.
Key = tuple[str, Hashable, Hashable]

_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 5.0


async def ensure(
    session: SessionManager,
    key: Key,
    *,
    find: Callable[[], Awaitable[T | None]],
    create: Callable[[BeforeSend], Awaitable[CreatedT]],
    look: Callable[[CreatedT | None], Awaitable[T | None]],
) -> T:
    """Return what `find` finds, creating it first if it is not there. One at a time for each `key`.

    `key` is the create's endpoint, the fingerprint of the keys, and what tells the thing from others. `look` is what
    `find` is, after the create: it is told what the create gave, or None if nobody knows.

    The session remembers a create that may have happened and has not shown up. Until it shows up or ``Config.settle``
    is over, later ensures of the same key look for it and create nothing, also after their caller was cancelled.

    Raises:
        OutcomeUnknownError: a create got no readable answer, and has not shown up before the deadline.
        UnreadableAnswerError: a create got its yes, and has not shown up before the deadline.
        FacturaOnlineError: `find` failed, or the create was refused or not sent: nothing was created.

    """
    async with session.turns.take(key):
        if (found := await find()) is not None:
            session.doubts.pop(key, None)
            return found
        problem: OutcomeUnknownError | UnreadableAnswerError
        created: CreatedT | None = None
        if (problem_before := doubt(session, key)) is not None:
            problem = problem_before
        else:
            try:
                created = await create(partial(begin_doubt, session, key))
            except NotSentError:
                session.doubts.pop(key, None)
                raise
            except ApiError as refusal:
                session.doubts.pop(key, None)
                return await _adopt(find, refusal)
            except (OutcomeUnknownError, UnreadableAnswerError) as error:
                problem = error
                if isinstance(error, UnreadableAnswerError):
                    session.doubts[key] = math.inf
            else:
                session.doubts[key] = math.inf  # it exists: it must never be created again
                problem = UnreadableAnswerError(
                    "it was created, but has not shown up before the deadline: look for it later",
                    endpoint=key[0],
                    uid=created if isinstance(created, (int, str)) else None,
                )
        shown = await poll(session, lambda: look(created), problem=problem)
        session.doubts.pop(key, None)
        return shown


async def begin_doubt(session: SessionManager, key: Key, mine: set[int] | None = None) -> None:
    """Remember that a create of this key is on its way: from now on nobody knows, until its answer tells.

    `mine` is the caller's own set among the session's `onlookers`, which needs not be told.
    """
    for onlooker in session.onlookers:
        if onlooker is not mine:
            onlooker.add(hash(key))
    now = asyncio.get_running_loop().time()
    for each in [each for each, until in session.doubts.items() if until <= now]:
        del session.doubts[each]
    session.doubts[key] = now + session.config.settle


def doubt(session: SessionManager, key: Key) -> OutcomeUnknownError | UnreadableAnswerError | None:
    """Return what keeps this from being created, if an earlier create may still show up."""
    until = session.doubts.get(key, 0.0)
    if until == math.inf:
        return UnreadableAnswerError(
            "it was created before, but has not shown up before the deadline: look for it later", endpoint=key[0]
        )
    left = until - asyncio.get_running_loop().time()
    if left > 0:
        return OutcomeUnknownError(
            f"an earlier create of it may still show up, so that none is made for another {left:.0f} s", endpoint=key[0]
        )
    return None


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
    raised: whatever it says is about the look, not about what is looked for.
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
                problem.add_note(f"(it could not be looked for: {error})")
                raise problem from None
        left = until - clock()
        if left <= 0:
            raise problem
        # Jitter: a batch that was created together looks apart.
        await asyncio.sleep(min(random.uniform(pause / 2, pause), left))
        pause = min(_LONGEST_PAUSE, 2 * pause)
