"""The example with Redis, against a real server."""

from __future__ import annotations

import asyncio
import runpy
import shutil
import socket
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from attrs import define
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from facturaonline_async import Config, FacturaOnline, Rate, SessionManager, SharedUnavailableError
from facturaonline_async.sharing import Window
from facturaonline_async.testing import Emulator

pytestmark = pytest.mark.postgres

EXAMPLE = Path(__file__).parents[2] / "examples" / "redis_quota.py"
RedisQuota: Any = runpy.run_path(str(EXAMPLE))["RedisQuota"]
WINDOW = Window("window", Rate(20, 1), 2)


@define
class Server:
    """A private Redis on loopback, without persistence."""

    port: int
    folder: Path
    process: Process | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def start(self) -> None:
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("redis-server is not installed")
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.process = await asyncio.create_subprocess_exec(
            program, *options, "--dir", str(self.folder), stdout=DEVNULL, stderr=DEVNULL
        )
        async with Redis.from_url(self.url) as redis:
            while True:
                try:
                    await redis.ping()
                except RedisConnectionError:
                    await asyncio.sleep(0.02)
                else:
                    return

    async def stop(self) -> None:
        assert self.process is not None
        self.process.kill()
        await self.process.wait()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """Start a server, and stop it by its process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Server(port, tmp_path)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def clock(redis: Redis) -> float:
    seconds, microseconds = await redis.time()
    return float(seconds + microseconds / 1e6)


async def test_processes_together_get_the_starts_of_one_window(server: Server) -> None:
    """The clock is read before and after each lease: the server gave its starts between these moments."""
    earliest: list[float] = []
    latest: list[float] = []

    async def ask() -> None:
        async with RedisQuota(server.url) as quota, Redis.from_url(server.url) as redis:
            while len(latest) < 60:
                before = await clock(redis)
                lease = await quota.lease([WINDOW], "key", 4)
                after = await clock(redis)
                earliest.extend(before + start for start in lease.starts)
                latest.extend(after + start for start in lease.starts)
                await asyncio.sleep(lease.retry_in)

    await asyncio.gather(*(ask() for _ in range(4)))
    assert len(latest) <= 18 * (max(latest) - min(earliest)) + WINDOW.burst + 1


async def test_a_lease_gives_the_burst_and_then_says_when_and_why(server: Server) -> None:
    async with RedisQuota(server.url) as quota:
        windows = [WINDOW, Window("wide", Rate(1000, 1), 4)]
        await quota.lease(windows, "key", 1)
        await asyncio.sleep(0.3)
        lease = await quota.lease(windows, "key", 9)
        assert ([round(start, 3) for start in lease.starts], lease.blocked_by) == ([0, 0, 0], "window")
        assert lease.retry_in == pytest.approx(1 / 18, abs=1e-5)


async def test_a_hold_delays_its_key_alone_and_the_longest_one_counts(server: Server) -> None:
    async with RedisQuota(server.url) as quota:
        await quota.hold("key", 30)
        await quota.hold("key", 1)
        held = await quota.lease([WINDOW], "key", 1)
        assert (held.starts, held.blocked_by, 20 < held.retry_in <= 30) == ((), "key", True)
        assert len((await quota.lease([WINDOW], "other", 1)).starts) == 1


async def test_sessions_share_a_rate(server: Server) -> None:
    async with (
        Emulator() as emulator,
        RedisQuota(server.url) as one,
        RedisQuota(server.url) as two,
    ):
        config = Config(base_url=emulator.base_url, rates=(), host_rates=Rate(10, 1))
        async with SessionManager(config, one) as first, SessionManager(config, two) as second:
            clients = [FacturaOnline(each, emulator.credentials) for each in (first, second)]
            began = time.monotonic()
            await asyncio.gather(*(clients[number % 2].series.list() for number in range(21)))
        assert max(each.at for each in emulator.requests) - began >= 20 / 9 - 0.001


async def test_without_redis_nothing_is_sent_and_then_calls_go_on(server: Server) -> None:
    async with Emulator() as emulator, RedisQuota(server.url) as quota:
        config = Config(base_url=emulator.base_url)
        async with SessionManager(config, quota) as session:
            client = FacturaOnline(session, emulator.credentials)
            await client.series.list()
            await server.stop()
            with pytest.raises(SharedUnavailableError, match="no connection to Redis"):
                await client.series.list()
            await quota.hold("key", 1)
            assert emulator.count("series.list") == 1
            await server.start()
            await client.series.list()
            assert emulator.count("series.list") == 2
