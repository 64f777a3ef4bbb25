"""Protocol of a quota that several processes share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Protocol

from attrs import frozen

from facturaonline_async.config import Rate

__all__ = ["HORIZON", "LARGEST_BURST", "Lease", "SharedQuota", "Window", "burst_of", "make_window"]

HORIZON: Final = 0.05
"""How far ahead a quota gives starts, and how late a start may be used, in seconds.

A process that dies takes no more than the starts of this time with it.
"""

LARGEST_BURST: Final = 4
"""Maximum number of starts of one lease, and of the calls of a short window that are kept back."""

_LONG: Final = 60.0


@frozen
class Window:
    """A rate limit that several processes share.

    Starts are evenly spaced by ``rate.per / (rate.calls - burst)`` seconds, and `burst` of them may come at once. So no
    interval of ``rate.per`` seconds holds more than ``rate.calls`` starts, by the clock of the service. `make_window`
    makes one with a reserve for what happens after that.

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
    """Return how many calls of a shared rate are kept back: a tenth of them.

    They are at most 4, so that the rate under load is ``(rate.calls - burst) / rate.per``. They let queues that share a
    window lease independently of each other, and starts be late. For a window of a minute or longer they are a full
    tenth: evenly spaced starts alone would let nothing happen at once that its user expects to.

    Args:
        rate: The limit.

    """
    tenth = rate.calls // 10
    return tenth if rate.per >= _LONG else min(LARGEST_BURST, tenth)


def make_window(name: str, rate: Rate) -> Window:
    """Return the window in which processes keep a limit.

    A service spaces starts by its own clock. Its answers take different times, and a start may be used 50 ms late, so
    that two starts come nearer to each other than they were spaced. No interval of ``rate.per`` seconds holds more than
    ``rate.calls`` starts while these delays differ by less than:

    - ``reserve * rate.per / (rate.calls - burst_of(rate))``, where half of the burst is the reserve (10 ms for 200
      calls a second), or as many calls as 50 ms need: 1 for up to 22 calls a second;
    - 50 ms for fewer than 10 calls, which have no burst: their window is 50 ms longer than ``rate.per``.

    Delays that differ by more add one start for each further distance between two starts.

    Args:
        name: Identifies the limit in all processes.
        rate: The limit.

    """
    burst = burst_of(rate)
    if not burst:
        return Window(name, Rate(rate.calls, rate.per + HORIZON))
    gap = rate.per / (rate.calls - burst)
    reserve = min(math.ceil(burst / 2), math.ceil(HORIZON / gap))
    return Window(name, Rate(rate.calls - reserve, rate.per), burst - reserve)
