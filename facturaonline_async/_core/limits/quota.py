"""Protocol of a quota that several processes share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from attrs import frozen

from facturaonline_async.config import Rate

__all__ = ["Lease", "SharedQuota", "Window"]


@frozen
class Window:
    """A rate limit that several processes share.

    Starts are evenly spaced by ``rate.per / (rate.calls - burst)`` seconds, and `burst` of them may come at once. So no
    interval of ``rate.per`` seconds holds more than ``rate.calls`` starts.

    Attributes:
        name: Identifies the limit in all processes; at most 200 bytes, without secrets.
        rate: The limit.
        burst: Number of starts that may come at once; below ``rate.calls``.

    """

    name: str
    rate: Rate
    burst: int = 0


@frozen
class Lease:
    """Starts that a quota gave to one process.

    Attributes:
        starts: Seconds from the answer until each start, soonest first. A start that is not used within 50 ms is lost.
        retry_in: Seconds after which asking again is worthwhile, if fewer starts were given than wanted.

    """

    starts: tuple[float, ...]
    retry_in: float


class SharedQuota(Protocol):
    """Quota of calls that several processes share."""

    async def lease(self, windows: Sequence[Window], key: str, wanted: int) -> Lease:
        """Reserve starts in all these windows at once.

        Args:
            windows: The limits that apply to the calls.
            key: Fingerprint of the key pair; a hold of it delays the starts.
            wanted: Maximum number of starts; 1 or more.

        Raises:
            NotSentError: The quota cannot be reached, so that nothing may be sent.

        """
        ...

    async def hold(self, key: str, seconds: float) -> None:
        """Let no process start a call with these keys for a time; the longest hold counts.

        It never raises: a hold that cannot be shared holds this process alone.

        Args:
            key: Fingerprint of the key pair.
            seconds: Length of the hold from now.

        """
        ...
