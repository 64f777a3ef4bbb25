"""Quota of calls that several processes share, in PostgreSQL."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

from attrs import define, field, frozen

from facturaonline_async._core.limits.quota import HORIZON, Lease, Window
from facturaonline_async._core.logging import LOGGER
from facturaonline_async._messages import Message, message
from facturaonline_async._validators import positive_int
from facturaonline_async.errors import NotSentError, SharedUnavailableError
from facturaonline_async.postgres._connection import Database

__all__ = ["OnOutage", "PostgresQuota", "Share"]

_LEASE: Final = "SELECT * FROM facturaonline.lease_v1(%s, %s, %s, %s, %s, %s)"
_HOLD: Final = "SELECT facturaonline.hold_v1(%s, %s)"

_SECONDS: Final = 1.0
"""Maximum time of a lease in seconds, if the process can do without its answer."""
_PROBE_EVERY: Final = 0.25
"""Seconds between two leases that ask whether an outage is over."""


@frozen
class Share:
    """What a process does while the database is away: it uses its share of each rate.

    All processes together keep each rate if all of them lose the database at the same time, and each rate has a call
    for each process. If only some of them lose it, these add their shares: up to ``2 - 1 / processes`` times the rate.
    Creates are not sent during an outage in any case, because they cannot be recorded.

    Attributes:
        processes: number of processes that share the database.

    """

    processes: int = field(validator=positive_int)


OnOutage: TypeAlias = Literal["closed"] | Share


class PostgresQuota:
    """Quota of all processes that share a database.

    Starts are counted by the server's clock, one row for each window; see ``schema/001.sql``.

    During an outage one lease at a time asks whether it is over, every quarter of a second. The others are answered at
    once.

    Args:
        database: The database.
        on_outage: ``"closed"``: leases fail. A `Share`: each process uses its share of each rate.

    """

    def __init__(self, database: Database, on_outage: OnOutage) -> None:
        self._database = database
        self._share = _LocalShare(on_outage.processes) if isinstance(on_outage, Share) else None
        self._problem: Message | None = None  # during an outage
        self._ask_at = 0.0
        self._is_asking = False

    async def lease(self, windows: Sequence[Window], key: str, wanted: int) -> Lease:
        """Reserve starts in all these windows at once; see `SharedQuota.lease`.

        Raises:
            SharedUnavailableError: The database does not answer, and the policy is ``"closed"``.
            NotSentError: The database refuses the lease.

        """
        if self._problem is None:
            return await self._ask(windows, key, wanted)
        if self._is_asking or asyncio.get_running_loop().time() < self._ask_at:
            return self._without_database(windows, wanted, self._problem)
        self._is_asking = True
        try:
            return await self._ask(windows, key, wanted)
        finally:
            self._is_asking = False

    async def _ask(self, windows: Sequence[Window], key: str, wanted: int) -> Lease:
        ordered = sorted(windows, key=lambda window: window.name)  # so no two leases wait for each other
        names = [window.name for window in ordered]
        calls, per = [window.rate.calls for window in ordered], [float(window.rate.per) for window in ordered]
        burst = [window.burst for window in ordered]
        try:
            seconds = None if self._share is None else _SECONDS
            [row] = await self._database.query(_LEASE, [names, calls, per, burst, key, wanted], seconds=seconds)
        except SharedUnavailableError as error:
            problem: Message = error.args[0]
        else:
            if self._problem is not None:
                self._problem = None
                if self._share is not None:
                    self._share.clear()
            starts, retry_in, blocked_by = row
            return Lease(tuple(start / 1e6 for start in starts), retry_in / 1e6, blocked_by)
        self._problem, self._ask_at = problem, asyncio.get_running_loop().time() + _PROBE_EVERY
        return self._without_database(windows, wanted, problem)

    def _without_database(self, windows: Sequence[Window], wanted: int, problem: Message) -> Lease:
        if self._share is not None:
            return self._share.lease(windows, wanted)
        raise SharedUnavailableError(problem)

    async def hold(self, key: str, seconds: float) -> None:
        """Let no process start a call with these keys for a time; see `SharedQuota.hold`."""
        try:
            await self._database.query(_HOLD, [key, float(seconds)])
        except NotSentError as error:
            LOGGER.info("%s", message("postgres.hold_not_shared", reason=error.args[0]))


@define
class _LocalShare:
    """Starts of one process during an outage, evenly spaced.

    Attributes:
        processes: Number of processes that share the database.

    """

    processes: int
    _next: dict[str, float] = field(factory=dict, init=False)  # soonest next start of each window

    def clear(self) -> None:
        """Forget the starts of an outage that is over."""
        self._next.clear()

    def lease(self, windows: Sequence[Window], wanted: int) -> Lease:
        """Reserve starts in all these windows at once."""
        now = asyncio.get_running_loop().time()
        gaps = {window.name: self._gap(window) for window in windows}
        for name, gap in gaps.items():
            # The windows are taken for full, and the processes do not start in step.
            self._next.setdefault(name, now + random.uniform(0.5, 1.5) * gap)
        starts: list[float] = []
        for _ in range(wanted):
            blocked_by = max(gaps, key=lambda name: self._next[name], default="")
            start = max(now, self._next[blocked_by] if blocked_by else now)
            if start - now > HORIZON:
                return Lease(tuple(starts), start - now, blocked_by)
            for name, gap in gaps.items():
                self._next[name] = max(start, self._next[name]) + gap
            starts.append(start - now)
        return Lease(tuple(starts), 0.0)

    def _gap(self, window: Window) -> float:
        """Return the seconds between two starts of a window."""
        calls, per = window.rate.calls, window.rate.per
        return per / (calls // self.processes) if calls >= self.processes else per * self.processes / calls
