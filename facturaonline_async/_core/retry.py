"""What may be repeated, and when: by operation, and by what is known of the outcome. No I/O, no clock.

A repeat must be harmless. What surely was not done may be sent again, and so may a read. Of what may have been done, an
update is sent again, for twice is the same as once; a change of state only once a look has shown that it was not done;
and a create never.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from attrs import frozen

from facturaonline_async._core.endpoint import Endpoint, RetrySafety
from facturaonline_async.config import RetryPolicy
from facturaonline_async.errors import (
    FacturaOnlineError,
    NotSentError,
    OutcomeUnknownError,
    RateLimitError,
    ServerError,
)

__all__ = ["Action", "Budget", "Decision", "decide", "is_throttled", "read_date", "read_retry_after"]

_TRANSIENT_COST: Final = 14
_THROTTLED_COST: Final = 5
_READINGS: Final = 2
"""Attempts at most of a read that is answered with something unreadable: it will hardly be better the third time."""


class Action(enum.Enum):
    """What to do after an attempt without a yes."""

    #: Tell the caller.
    RAISE = "raise"
    #: Send it again.
    REPEAT = "repeat"
    #: See whether it was done, and send it again only if it was not.
    VERIFY = "look"
    #: See whether it was done, and tell the caller if it was not.
    VERIFY_LAST = "last look"
    #: It was done.
    DONE = "done"


@frozen
class Decision:
    """What to do next, how many seconds to wait before, and what that cost of the budget."""

    action: Action
    pause: float
    cost: int = 0


def decide(
    error: FacturaOnlineError,
    endpoint: Endpoint,
    policy: RetryPolicy,
    budget: Budget,
    *,
    attempt: int,
    left: float,
    uniform: Callable[[float, float], float],
) -> Decision:
    """Return what to do after an attempt.

    Args:
        error: how it ended.
        endpoint: what was called.
        policy: how often, and how soon.
        budget: what repeats are paid from.
        attempt: its number, from 0.
        left: seconds until the deadline.
        uniform: draws evenly between two numbers.

    """
    pause = _backoff(error, policy, attempt, uniform)
    step = _harmless(error, endpoint)
    if step is Action.RAISE or pause >= left:
        return Decision(Action.RAISE, pause)
    if attempt + 1 >= _attempts(error, endpoint, policy):
        return Decision(Action.VERIFY_LAST if step is Action.VERIFY else Action.RAISE, pause)
    cost = _THROTTLED_COST if is_throttled(error) else _TRANSIENT_COST
    return Decision(step, pause, cost) if budget.spend(cost) else Decision(Action.RAISE, pause)


def _harmless(error: FacturaOnlineError, endpoint: Endpoint) -> Action:
    """Return what may be done after this error, as far as harm goes."""
    if isinstance(error, RateLimitError):
        return Action.REPEAT
    if isinstance(error, NotSentError):
        return Action.REPEAT if error.is_transient else Action.RAISE
    points_elsewhere = error.status is not None and 300 <= error.status < 400
    if not isinstance(error, OutcomeUnknownError) or points_elsewhere:
        return Action.RAISE
    match endpoint.retry_safety:
        case RetrySafety.READ:
            return Action.REPEAT if error.is_transient else Action.RAISE
        case RetrySafety.IDEMPOTENT:
            return Action.REPEAT
        case RetrySafety.VERIFY_FIRST:
            return Action.VERIFY
        case RetrySafety.NEVER:
            return Action.RAISE


def _attempts(error: FacturaOnlineError, endpoint: Endpoint, policy: RetryPolicy) -> int:
    """Return how many attempts there may be in all, if they go on ending like this."""
    if endpoint.retry_safety is not RetrySafety.READ:
        return policy.attempts
    is_answered = error.status is not None and error.status < 300
    return min(_READINGS, policy.read_attempts) if is_answered else policy.read_attempts


def _backoff(
    error: FacturaOnlineError, policy: RetryPolicy, attempt: int, uniform: Callable[[float, float], float]
) -> float:
    """Return the seconds to wait: what the server asked for, or a guess.

    The guess is drawn evenly from 0 to a bound that doubles (full jitter), so that callers who failed together part.
    """
    if isinstance(error, (RateLimitError, ServerError)) and error.retry_after is not None:
        return error.retry_after
    first = policy.throttled if is_throttled(error) else policy.transient
    return uniform(0, min(policy.longest, first * 2 ** min(attempt, 64)))


def is_throttled(error: FacturaOnlineError) -> bool:
    """Whether the server asks for fewer calls."""
    return isinstance(error, RateLimitError) or (isinstance(error, ServerError) and error.status == 503)


class Budget:
    """Tokens that repeats cost: when everything fails, repeats would only make it worse.

    A repeat that succeeds gets its tokens back, and a success at the first attempt brings one.
    """

    def __init__(self, tokens: int) -> None:
        self._most = self._left = tokens
        self.is_touched: bool = False  # asked at each success, which is nearly always the end of it

    def spend(self, tokens: int) -> bool:
        """Take so many tokens, if there are as many."""
        if tokens > self._left:
            return False
        self._left -= tokens
        self.is_touched = True
        return True

    def refund(self, tokens: int) -> None:
        """Put so many tokens back, up to what there was in the beginning."""
        self._left = min(self._most, self._left + tokens)
        self.is_touched = self._left < self._most


def read_retry_after(header: str, now: float) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks to wait, or None where it says nothing that makes sense.

    Args:
        header: seconds, or an HTTP date; a date in the past is 0.
        now: seconds since 1970, by the server's clock if it told it.

    """
    text = header.strip(" \t")
    if re.fullmatch(r"[0-9]{1,300}", text):
        return float(text)
    date = read_date(text)
    return None if date is None else max(0.0, date - now)


def read_date(text: str) -> float | None:
    """Return an HTTP date in seconds since 1970, or None."""
    if not text.isascii() or len(text) > 40 or not re.search(r"[A-Za-z]", text):
        return None
    try:
        date = parsedate_to_datetime(text)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
