"""The example bots for Discord, with a local server in place of Discord's."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import pytest

from facturaonline_async.provision._journal.progress import read_progress
from facturaonline_async.testing import Emulator, emulator_in_thread
from tests.integrations.discord_api import discord_api
from tests.integrations.programs import EXAMPLES, created, environment, make_plan, started

pytestmark = pytest.mark.integrations

EMPRESAS = 20

#: discord.py has no setting for its server.
LAUNCHER = """
import runpy, sys, discord, yarl
discord.http.Route.BASE = sys.argv[1]
discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(sys.argv[2])
runpy.run_path(sys.argv[3], run_name="__main__")
"""


async def test_a_bot_that_is_stopped_in_a_run_waits_for_it_and_resumes_it(tmp_path: Path) -> None:
    pytest.importorskip("discord", reason="discord.py is not installed")
    make_plan(tmp_path / "plan", EMPRESAS)
    with emulator_in_thread(Emulator(latency=0.05)) as emulator:
        async with discord_api() as discord:
            plan = str(tmp_path / "plan" / "plan.csv")
            env = environment(emulator, PLAN=plan, DISCORD_TOKEN="test")
            command = ("-c", LAUNCHER, discord.url, discord.gateway, str(EXAMPLES / "discord_bot.py"))
            async with started(*command, env=env) as bot:
                await discord.use("alta")
                while emulator.count("series.create") < 5:
                    assert bot.process.returncode is None, "".join(bot.lines)
                    await asyncio.sleep(0.02)
                began = time.monotonic()
                bot.process.send_signal(signal.SIGTERM)
                assert (await bot.ended(), [line for line in bot.lines if "Traceback" in line]) == (0, []), bot.lines
                print(f"SIGTERM: {time.monotonic() - began:.1f} s")
            await discord.shows("Incompleto: /alta continúa.")
            assert (discord.commands, await discord.is_left_in_good_order()) == (["series", "alta"], True)
            status = read_progress(tmp_path / "plan" / "plan.sqlite")
            uncertain = [status.empresas[state] + status.series[state] for state in ("unknown", "intent", "failed")]
            assert (uncertain, status.is_broken_off) == ([0, 0, 0], False)

            async with started(*command, env=env) as bot:
                await asyncio.gather(discord.use("alta"), discord.use("alta"))
                await discord.shows("Ya hay una alta en curso.")
                number = await discord.shows("Completo.")
                await discord.use("series")
                await discord.shows("No hay series.")
                bot.process.send_signal(signal.SIGTERM)
                assert await bot.ended() == 0, bot.lines
        assert f"empresas: {EMPRESAS} de {EMPRESAS}" in discord.messages[number][-1]
        assert created(emulator) == (EMPRESAS, 3 * EMPRESAS, 0)


async def test_a_hikari_bot_opens_its_session_and_closes_it(tmp_path: Path) -> None:
    pytest.importorskip("hikari", reason="hikari is not installed")
    with emulator_in_thread() as emulator:
        async with discord_api() as discord:
            env = environment(emulator, DISCORD_TOKEN="MTAw.test.test", DISCORD_API=discord.url, PYTHONWARNINGS="error")
            async with started("-X", "dev", str(EXAMPLES / "hikari_bot.py"), env=env) as bot:
                await discord.use("series")
                await discord.shows("No hay series.")
                bot.process.send_signal(signal.SIGTERM)
                await bot.ended()
            assert [line for line in bot.lines if "Traceback" in line or "Unclosed" in line] == []
            assert await discord.is_left_in_good_order()
        assert emulator.count("series.list") == 1
