"""Share the rates of several processes through Redis.

Copy this file into your project, ``pip install redis``, and give each process the same URL and the same `Config`::

    async with RedisQuota("redis://127.0.0.1:6379/0") as redis, SessionManager(config, shared=redis) as session:
        client = FacturaOnline(session, credentials)

It needs Redis 5 or later. Each lease is one call of one Lua script.

What it does not guarantee:

- **Creates are not shared.** Two processes that create the same company or serie at the same moment can make two. Use
  ``ensure`` and ``provision`` in one process only; PostgreSQL (`facturaonline_async.postgres`) shares creates too.
- **A Redis that loses its memory forgets the last starts**: after a restart without persistence, when a replica takes
  over, or when it evicts keys. Then a window may hold a few calls more, those of the last 50 ms. It also forgets holds,
  the pauses that the API asked for.
- **Without Redis nothing is sent**: each call raises `SharedUnavailableError`, reads too.
- It is made for one server. On Redis Cluster all keys have one hash tag, and so are on one node.
- Time is that of the Redis server. If its clock is set back, starts go on at their usual distance. If it is set
  forward, each window may give its burst once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError, RedisError

from facturaonline_async import Config, NotSentError
from facturaonline_async.sharing import Lease, Store, Window

__all__ = ["RedisQuota"]

_PREFIX: Final = "{facturaonline}:"
_SECONDS: Final = 2.0
"""Maximum time of a question in seconds."""

_LEASE: Final = """
-- KEYS: a window each, then the hold. ARGV: wanted, then spacing and burst of each window, in microseconds.
-- Returns retry_in, the number of the key that blocks, and the starts.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local horizon, day = 50000, 86400
local wanted, count = tonumber(ARGV[1]), #KEYS - 1
local held = tonumber(redis.call('GET', KEYS[#KEYS]) or 0)
local spacing, burst, soonest = {}, {}, {}
for i = 1, count do
    spacing[i], burst[i] = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
    soonest[i] = tonumber(redis.call('GET', KEYS[i]) or now)
    if soonest[i] > now + horizon + spacing[i] * (wanted + 1) then
        soonest[i] = now + horizon -- the clock was set back
    end
    soonest[i] = math.max(soonest[i], now - burst[i])
end
local starts, retry_in, blocking = {}, 0, 0
for number = 1, wanted do
    local start, by = now, 0
    if held > start then start, by = held, #KEYS end
    for i = 1, count do
        if soonest[i] > start then start, by = soonest[i], i end
    end
    if start - now > horizon then
        retry_in, blocking = start - now, by
        break
    end
    for i = 1, count do
        soonest[i] = math.max(soonest[i], start - burst[i]) + spacing[i]
    end
    starts[number] = start - now
end
if #starts > 0 then
    for i = 1, count do
        redis.call('SET', KEYS[i], string.format('%.0f', soonest[i]), 'EX', day)
    end
end
return {retry_in, blocking, starts}
"""

_HOLD: Final = """
local time = redis.call('TIME')
local till = time[1] * 1000000 + time[2] + tonumber(ARGV[1])
if till > tonumber(redis.call('GET', KEYS[1]) or 0) then
    redis.call('SET', KEYS[1], string.format('%.0f', till), 'PX', math.ceil(tonumber(ARGV[1]) / 1000) + 1)
end
"""


class RedisQuota:
    """Quota that processes share through Redis; a session takes it as ``shared``.

    Use it as ``async with``. It belongs to one event loop. After ``os.fork`` each child makes its own.

    Args:
        url: ``redis://`` or ``rediss://`` URL of the server.

    """

    def __init__(self, url: str) -> None:
        self._redis = Redis.from_url(url, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS)
        self._lease = self._redis.register_script(_LEASE)
        self._hold = self._redis.register_script(_HOLD)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._redis.aclose()

    @property
    def quota(self) -> RedisQuota:
        """The quota; see `Shared`."""
        return self

    def creates(self, config: Config) -> Store | None:  # noqa: ARG002  # the protocol has it
        """Return None: creates are not shared."""
        return None

    async def lease(self, windows: Sequence[Window], key: str, wanted: int) -> Lease:
        """Reserve starts in all these windows at once; see `SharedQuota.lease`.

        Raises:
            NotSentError: Redis does not answer.

        """
        spacings = [each.rate.per * 1e6 / (each.rate.calls - each.burst) for each in windows]
        bursts = [spacing * each.burst for spacing, each in zip(spacings, windows, strict=True)]
        numbers = [number for pair in zip(spacings, bursts, strict=True) for number in pair]
        keys = [*(f"{_PREFIX}rate {each.name}" for each in windows), f"{_PREFIX}hold {key}"]
        retry_in, blocking, starts = await self._ask(self._lease, keys, [wanted, *map(round, numbers)])
        names = ["", *(each.name for each in windows), key]
        return Lease(tuple(start / 1e6 for start in starts), retry_in / 1e6, names[blocking])

    async def hold(self, key: str, seconds: float) -> None:
        """Let no process start a call with these keys for a time; see `SharedQuota.hold`."""
        with suppress(NotSentError):  # else it holds this process alone
            await self._ask(self._hold, [f"{_PREFIX}hold {key}"], [round(min(seconds, 3600) * 1e6)])

    async def _ask(self, script: Any, keys: list[str], arguments: list[int]) -> Any:
        problem = ""
        try:
            async with asyncio.timeout(_SECONDS):
                return await script(keys=keys, args=arguments)
        except TimeoutError:
            problem = f"Redis did not answer in {_SECONDS:g} s"
        except RedisConnectionError:
            problem = "no connection to Redis"
        except RedisError as error:
            raise NotSentError(f"Redis refused the script: {type(error).__name__}") from None
        unavailable = NotSentError(problem)
        unavailable.is_transient = True  # a run of a plan waits until Redis answers again
        raise unavailable
