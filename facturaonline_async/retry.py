"""What may be repeated, and when. No I/O, no clock.

A repeat must be harmless: what surely was not sent may be sent again, and a read may be read again. Nothing else is.
"""

from __future__ import annotations

from collections.abc import Callable

from facturaonline_async.config import RetryPolicy
from facturaonline_async.endpoint import Endpoint, Repeat
from facturaonline_async.errors import FacturaOnlineError, NotSentError, OutcomeUnknownError

__all__ = ["wait_before_repeat"]


def wait_before_repeat(
    error: FacturaOnlineError,
    endpoint: Endpoint,
    policy: RetryPolicy,
    *,
    attempt: int,
    uniform: Callable[[float, float], float],
) -> float | None:
    """Return the seconds to wait before the call is repeated, or None if it must not be.

    Args:
        error: how the attempt ended.
        endpoint: what was called.
        policy: how often, and how soon.
        attempt: number of the attempt that ended, from 0.
        uniform: draws evenly between two numbers (full jitter, so that callers who failed together part).

    """
    reads = endpoint.repeat is Repeat.READ
    is_harmless = isinstance(error, NotSentError) or (reads and isinstance(error, OutcomeUnknownError))
    attempts = policy.read_attempts if reads else policy.attempts
    if not (error.is_transient and is_harmless and attempt + 1 < attempts):
        return None
    return uniform(0, min(policy.longest, policy.transient * 2**attempt))
