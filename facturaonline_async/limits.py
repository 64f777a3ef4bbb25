"""RateLimiter: who decides when a call may start. The one of this process, or one that several processes share."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Protocol

from facturaonline_async.config import Config, Rate
from facturaonline_async.gate import Gate

__all__ = ["LocalLimiter", "RateLimiter"]


class RateLimiter(Protocol):
    """What a `SessionManager` asks of a limiter. Keys are fingerprints of key pairs, never the pairs.

    A limiter may also have a coroutine ``aclose()``; the session never calls it, for a limiter may serve several.
    """

    async def acquire(self, endpoint: str, key: str, *, max_wait: float | None = None) -> None:
        """Wait until a call to the endpoint may start, at most `max_wait` seconds (None: as long as it takes).

        Cancelling the wait must lose no capacity.

        Raises:
            LimiterWaitError: it would take longer.

        """

    async def hold(self, key: str, seconds: float) -> None:
        """Let no call with this key start for so many seconds from now. Holds do not add up: the longest counts."""


class LocalLimiter:
    """The limiter of one process; several sessions may share it. Nothing to start or to close.

    Args:
        rates: limits of each endpoint, for each key.
        endpoint_rates: limits of single endpoints, by name such as ``"series.create"``, instead of `rates`.
        total_rates: limits of all endpoints of a key together.
        host_rates: limits of all calls.

    Raises:
        InvalidInputError: anything else than `Rate` values was given.

    """

    def __init__(
        self,
        *,
        rates: Rate | Iterable[Rate] = (),
        endpoint_rates: Mapping[str, Rate | Iterable[Rate]] | None = None,
        total_rates: Rate | Iterable[Rate] = (),
        host_rates: Rate | Iterable[Rate] = (),
    ) -> None:
        self._gate = Gate(
            Config(rates=rates, endpoint_rates=endpoint_rates or {}, total_rates=total_rates, host_rates=host_rates)
        )

    def __repr__(self) -> str:
        return f"<LocalLimiter: {self._gate!r}>"

    async def acquire(self, endpoint: str, key: str, *, max_wait: float | None = None) -> None:
        """Wait until a call may start. See `RateLimiter.acquire`."""
        if not self._gate.take(endpoint, key, asyncio.get_running_loop()):  # saves a tenth
            await self._gate.acquire(endpoint, key, max_wait=max_wait)

    async def hold(self, key: str, seconds: float) -> None:
        """Let no call with this key start for so many seconds from now. See `RateLimiter.hold`."""
        self._gate.hold(key, seconds)
