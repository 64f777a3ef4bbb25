"""A quota that several schedulers share: what a service does with one row for each window, in the memory of a test."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Sequence

from attrs import define, field

from facturaonline_async import NotSentError
from facturaonline_async.sharing import HORIZON, Lease, Window

__all__ = ["QuotaDouble"]


@define
class QuotaDouble:
    """Evenly spaced starts with a burst, over all windows of a lease at once.

    Attributes:
        latency: Seconds of a question, and of an answer.
        jitter: Longest further delay of each.
        is_away: Whether it answers with an error.
        stuck: Lets no answer out while it is set.
        leases: Key, number wanted, and number given of each lease.
        holds: Key and seconds of each hold.
        says_why: Whether it says what blocks a lease.

    """

    latency: float = 0.0
    jitter: float = 0.0
    is_away: bool = False
    stuck: asyncio.Event | None = None
    says_why: bool = True
    leases: list[tuple[str, int, int]] = field(factory=list)
    holds: list[tuple[str, float]] = field(factory=list)
    dice: random.Random = field(factory=lambda: random.Random(1))
    _at: dict[str, float] = field(factory=dict)
    _held_until: dict[str, float] = field(factory=dict)

    async def lease(self, windows: Sequence[Window], key: str, wanted: int) -> Lease:
        """See `SharedQuota.lease`."""
        await self._travel()
        if self.is_away:
            error = NotSentError("the service is away")
            error.is_transient = True
            raise error
        lease = self._reserve(windows, key, wanted, asyncio.get_running_loop().time())
        self.leases.append((key, wanted, len(lease.starts)))
        await self._travel()
        if self.stuck is not None:
            await self.stuck.wait()
        return lease

    async def hold(self, key: str, seconds: float) -> None:
        """See `SharedQuota.hold`."""
        await self._travel()
        self.holds.append((key, seconds))
        until = asyncio.get_running_loop().time() + seconds
        self._held_until[key] = max(self._held_until.get(key, 0.0), until)

    async def _travel(self) -> None:
        await asyncio.sleep(self.latency + self.dice.uniform(0, self.jitter))

    def _reserve(self, windows: Sequence[Window], key: str, wanted: int, now: float) -> Lease:
        gaps = {each.name: each.rate.per / (each.rate.calls - each.burst) for each in windows}
        credit = {each.name: gaps[each.name] * each.burst for each in windows}
        for name in gaps:
            self._at[name] = max(self._at.get(name, -math.inf), now - credit[name])
        starts: list[float] = []
        for _ in range(wanted):
            ready = {key: self._held_until.get(key, 0.0)} | {name: self._at[name] for name in gaps}
            blocking = max(ready, key=ready.__getitem__)
            at = max(now, ready[blocking])
            if at - now > HORIZON:
                return Lease(tuple(starts), at - now, blocking if self.says_why else "")
            for name, gap in gaps.items():
                self._at[name] = max(self._at[name], at - credit[name]) + gap
            starts.append(at - now)
        return Lease(tuple(starts), 0.0)
