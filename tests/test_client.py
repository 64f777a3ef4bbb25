"""SessionManager: its public members and its figures."""

from __future__ import annotations

import asyncio

from facturaonline_async import Config, FacturaOnline, Rate, SessionManager, SessionStats
from facturaonline_async.testing import Emulator, Fault
from tests.virtual import virtually


def test_a_session_has_three_public_members() -> None:
    public = {name for name in vars(SessionManager) if not name.startswith("_")}
    assert public == {"aclose", "config", "stats"}


def test_stats_count_waiting_calls_and_calls_in_flight() -> None:
    async def main() -> tuple[SessionStats, SessionStats]:
        async with Emulator() as emulator:
            emulator.inject(Fault.delay(5), times=None)
            config = Config(base_url=emulator.base_url, rates=Rate(2, 60))
            async with SessionManager(config) as session:
                client = FacturaOnline(session, emulator.credentials)
                calls = [asyncio.ensure_future(client.series.get(uid)) for uid in range(5)]
                await asyncio.sleep(1)
                seen = session.stats
                for call in calls:
                    call.cancel()
                await asyncio.gather(*calls, return_exceptions=True)
                return seen, session.stats

    during, after = virtually(main())
    assert during == SessionStats(waiting=3, in_flight=2, held_keys={}, is_closed=False)
    assert after == SessionStats(waiting=0, in_flight=0, held_keys={}, is_closed=False)


def test_stats_show_the_remaining_pause_of_a_throttled_key_pair() -> None:
    async def main() -> tuple[dict[str, float], bool]:
        async with Emulator() as emulator:
            emulator.inject(Fault.status(429, headers={"Retry-After": "30"}))
            session = SessionManager(Config(base_url=emulator.base_url))
            call = asyncio.ensure_future(FacturaOnline(session, emulator.credentials).series.list())
            await asyncio.sleep(10)
            held = dict(session.stats.held_keys)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            await session.aclose()
            return {name: round(seconds) for name, seconds in held.items()}, session.stats.is_closed

    held, is_closed = virtually(main())
    assert list(held.values()) == [20]
    assert is_closed


def test_stats_are_read_without_a_running_loop() -> None:
    async def main() -> SessionManager:
        async with Emulator() as emulator:
            emulator.inject(Fault.status(429, headers={"Retry-After": "30"}))
            session = SessionManager(Config(base_url=emulator.base_url))
            call = asyncio.ensure_future(FacturaOnline(session, emulator.credentials).series.list())
            await asyncio.sleep(10)
            assert len((await asyncio.to_thread(lambda: session.stats)).held_keys) == 1
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            await session.aclose()
            return session

    assert virtually(main()).stats.is_closed
