"""Protocol of a quota that several processes share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from attrs import frozen

from facturaonline_async.config import Rate

__all__ = ["HORIZON", "Lease", "SharedQuota", "Window", "burst_of"]

HORIZON: Final = 0.05
"""How far ahead a quota gives starts, and how late a start may be used, in seconds.

A process that dies takes no more than the starts of this time with it.
"""

_LARGEST_BURST: Final = 4
_LONG: Final = 60.0


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
        starts: Seconds from the answer until each start, soonest first; at most 0.05. A start that is not used within
            50 ms is lost.
        retry_in: Seconds until the next start, if fewer starts were given than wanted.
        blocked_by: Name of the window that gives no start before that, or the key if it is held; ``""`` if unknown.

    """

    starts: tuple[float, ...]
    retry_in: float
    blocked_by: str = ""


class SharedQuota(Protocol):
    """Quota of calls that several processes share."""

    async def lease(self, windows: Sequence[Window], key: str, wanted: int) -> Lease:
        """Reserve starts in all these windows at once.

        Args:
            windows: The limits that apply to the calls.
            key: Fingerprint of the key pair; a hold of it delays the starts.
            wanted: Maximum number of starts; 1 or more.

        Raises:
            NotSentError: The quota cannot be reached, so that nothing may be sent. If ``is_transient`` is true, a run
                of a plan waits until it can be reached.

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


def burst_of(rate: Rate) -> int:
    """Return how many starts of a shared rate may come at once.

    The rate kept under load is ``(rate.calls - burst) / rate.per``. A tenth of the calls, at most 4, lets queues that
    share a window lease independently of each other. A window of a minute or longer has a burst of a full tenth:
    evenly spaced starts alone would let nothing happen at once that its user expects to.

    Args:
        rate: The limit.

    """
    tenth = rate.calls // 10
    return tenth if rate.per >= _LONG else min(_LARGEST_BURST, tenth)
