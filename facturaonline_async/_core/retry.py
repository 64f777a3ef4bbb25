"""Retry decisions by operation and outcome. No I/O, no clock.

A retry must be safe. A request that was certainly not done may be sent again, and so may a read. If the outcome is
unknown, an update is sent again because it is idempotent, a change of state only after a read has shown that it is
missing, and a create never, unless the client chose a reference that the server accepts once.
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
_MAX_READS_OF_BAD_ANSWER: Final = 2
"""Maximum attempts of a read whose answers are unreadable."""


class Action(enum.Enum):
    """Next action after a failed attempt."""

    #: Raise the error.
    RAISE = "raise"
    #: Send the request again.
    REPEAT = "repeat"
    #: Verify by a read, and send the request again if it was not done.
    VERIFY = "look"
    #: Verify by a read, and raise the error if the request was not done.
    VERIFY_LAST = "last look"
    #: The request was done.
    DONE = "done"


@frozen
class Decision:
    """Next action, and its pause and cost.

    Attributes:
        action: Next action.
        pause: Seconds to wait before it.
        cost: Tokens that the retry budget paid for it.

    """

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
    """Return the decision after a failed attempt.

    Args:
        error: Error of the attempt.
        endpoint: Endpoint that was called.
        policy: Limits of attempts and pauses.
        budget: Retry budget, which is charged for a retry.
        attempt: Number of the attempt, from 0.
        left: Seconds until the deadline.
        uniform: Draws a uniform random number between two bounds.

    """
    pause = _backoff(error, policy, attempt, uniform)
    action = _safe_action(error, endpoint)
    if action is Action.RAISE or pause >= left:
        return Decision(Action.RAISE, pause)
    if attempt + 1 >= _max_attempts(error, endpoint, policy):
        return Decision(Action.VERIFY_LAST if action is Action.VERIFY else Action.RAISE, pause)
    cost = _THROTTLED_COST if is_throttled(error) else _TRANSIENT_COST
    return Decision(action, pause, cost) if budget.charge(cost) else Decision(Action.RAISE, pause)


def _safe_action(error: FacturaOnlineError, endpoint: Endpoint) -> Action:
    """Return the action that is safe after this error, before limits apply."""
    if isinstance(error, RateLimitError):
        return Action.REPEAT
    if isinstance(error, NotSentError):
        return Action.REPEAT if error.is_transient else Action.RAISE
    is_redirect = error.status is not None and 300 <= error.status < 400
    if not isinstance(error, OutcomeUnknownError) or is_redirect:
        return Action.RAISE
    match endpoint.retry_safety:
        case RetrySafety.READ:
            return Action.REPEAT if error.is_transient else Action.RAISE
        case RetrySafety.IDEMPOTENT | RetrySafety.ONCE_PER_REFERENCE:
            return Action.REPEAT
        case RetrySafety.VERIFY_FIRST:
            return Action.VERIFY
        case RetrySafety.NEVER:
            return Action.RAISE


def _max_attempts(error: FacturaOnlineError, endpoint: Endpoint, policy: RetryPolicy) -> int:
    """Return the maximum number of attempts for an error of this kind."""
    if endpoint.retry_safety is not RetrySafety.READ:
        return policy.attempts
    is_answered = error.status is not None and error.status < 300
    return min(_MAX_READS_OF_BAD_ANSWER, policy.read_attempts) if is_answered else policy.read_attempts


def _backoff(
    error: FacturaOnlineError, policy: RetryPolicy, attempt: int, uniform: Callable[[float, float], float]
) -> float:
    """Return the pause in seconds: ``Retry-After``, or backoff with full jitter.

    Full jitter draws from 0 to a bound that doubles, so that callers that failed together spread out.
    """
    if isinstance(error, (RateLimitError, ServerError)) and error.retry_after is not None:
        return error.retry_after
    first = policy.throttled if is_throttled(error) else policy.transient
    return uniform(0, min(policy.longest, first * 2 ** min(attempt, 64)))


def is_throttled(error: FacturaOnlineError) -> bool:
    """Return whether the server asks for fewer calls."""
    return isinstance(error, RateLimitError) or (isinstance(error, ServerError) and error.status == 503)


class Budget:
    """Retry budget: stops retries when most calls fail.

    Each retry costs tokens. A successful retry gets them back; a success at the first attempt adds one token.

    Args:
        tokens: Capacity, and initial number of tokens.

    Attributes:
        is_touched: Whether tokens are missing; checked at each success, and nearly always False.

    """

    def __init__(self, tokens: int) -> None:
        self._capacity = self._left = tokens
        self.is_touched: bool = False

    def charge(self, tokens: int) -> bool:
        """Take tokens, and return whether there were enough."""
        if tokens > self._left:
            return False
        self._left -= tokens
        self.is_touched = True
        return True

    def refund(self, tokens: int) -> None:
        """Put tokens back, up to the capacity."""
        self._left = min(self._capacity, self._left + tokens)
        self.is_touched = self._left < self._capacity


def read_retry_after(header: str, now: float) -> float | None:
    """Return the seconds of a ``Retry-After`` header, or None if it is malformed.

    Args:
        header: Seconds, or an HTTP date; a date in the past gives 0.
        now: Seconds since 1970, by the server's clock if known.

    """
    text = header.strip(" \t")
    if re.fullmatch(r"[0-9]{1,300}", text):
        return float(text)
    date = read_date(text)
    return None if date is None else max(0.0, date - now)


def read_date(text: str) -> float | None:
    """Return an HTTP date in seconds since 1970, or None if it is malformed."""
    if not text.isascii() or len(text) > 40 or not re.search(r"[A-Za-z]", text):
        return None
    try:
        date = parsedate_to_datetime(text)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
