"""Ensure: find it, else create it, else look for it. Never create it twice."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, TypeVar

from facturaonline_async.errors import (
    ApiError,
    AuthenticationError,
    NotFoundError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RateLimitError,
    UnreadableAnswerError,
)
from facturaonline_async.session import SessionManager

__all__ = ["ensure", "poll"]

T = TypeVar("T")

_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 5.0
_SURELY_NOT_THERE: Final = (AuthenticationError, PermissionDeniedError, RateLimitError)


async def ensure(
    session: SessionManager,
    key: Hashable,
    *,
    find: Callable[[], Awaitable[T | None]],
    create: Callable[[], Awaitable[T | None]],
) -> T:
    """Return what `find` finds, creating it first if it is not there. One at a time for each `key`.

    `create` may return what it created; where it cannot, `find` looks for it.

    Raises:
        OutcomeUnknownError: the create got no readable answer, and it did not show up before the deadline.
        UnreadableAnswerError: the create got its yes, but it did not show up before the deadline.
        FacturaOnlineError: whatever else `find` or `create` raise.

    """
    async with session.turns.take(key):
        if (found := await find()) is not None:
            return found
        problem: OutcomeUnknownError | UnreadableAnswerError
        try:
            if (created := await create()) is not None:
                return created
            problem = UnreadableAnswerError("it was created, but did not show up in the list before the deadline")
        except (OutcomeUnknownError, UnreadableAnswerError) as error:
            problem = error
        except ApiError as error:
            # Somebody else may have been faster. If so, it is there now.
            if isinstance(error, _SURELY_NOT_THERE) or (found := await find()) is None:
                raise
            return found
        shown = await poll(session, find)
        if shown is None:
            raise problem
        return shown


async def poll(session: SessionManager, look: Callable[[], Awaitable[T | None]]) -> T | None:
    """Look until there is something to see, with growing pauses that last ``Config.deadline`` in all, at most.

    A company is not there at once: "not found" means not yet.
    """
    left = session.config.deadline
    pause = _FIRST_PAUSE
    while True:
        try:
            if (seen := await look()) is not None:
                return seen
        except NotFoundError:
            pass
        if left <= 0:
            return None
        wait = min(random.uniform(pause / 2, pause), left)  # jitter: a batch that was created together looks apart
        await asyncio.sleep(wait)
        left -= wait
        pause = min(_LONGEST_PAUSE, 2 * pause)
