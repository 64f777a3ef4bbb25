"""The example bot, with a local server in place of Telegram's."""

from __future__ import annotations

import asyncio
import runpy
import signal
from pathlib import Path

import pytest

pytest.importorskip("aiogram", reason="aiogram is not installed")

from facturaonline_async.provision._journal.progress import read_progress
from facturaonline_async.testing import Emulator, emulator_in_thread
from tests.integrations.bot_api import bot_api
from tests.integrations.programs import EXAMPLES, created, environment, make_plan, started

pytestmark = pytest.mark.integrations

BOT = str(EXAMPLES / "aiogram_bot.py")
EMPRESAS = 30


async def test_a_bot_that_is_stopped_in_a_run_waits_for_it_and_resumes_it(tmp_path: Path) -> None:
    """The session stays open until the requests in flight are recorded, and the message says how far it came."""
    make_plan(tmp_path / "plan", EMPRESAS)
    with emulator_in_thread(Emulator(latency=0.05)) as emulator:
        async with bot_api() as telegram:
            plan = str(tmp_path / "plan" / "plan.csv")
            env = environment(emulator, PLAN=plan, BOT_TOKEN="1:test", BOT_API=telegram.url)
            async with started(BOT, env=env) as bot:
                telegram.write("/alta")
                while emulator.count("series.create") < 5:
                    assert bot.process.returncode is None
                    await asyncio.sleep(0.02)
                began = asyncio.get_running_loop().time()
                bot.process.send_signal(signal.SIGTERM)
                assert (await bot.ended(), [line for line in bot.lines if "Traceback" in line]) == (0, [])
                print(f"SIGTERM: {asyncio.get_running_loop().time() - began:.1f} s")
            await telegram.shows("Incompleto: /alta continúa.")
            status = read_progress(tmp_path / "plan" / "plan.sqlite")
            uncertain = [status.empresas[state] + status.series[state] for state in ("unknown", "intent", "failed")]
            assert (uncertain, status.is_broken_off) == ([0, 0, 0], False)

            async with started(BOT, env=env) as bot:
                telegram.write("/alta")
                number = await telegram.shows("Completo.")
                telegram.write("/series")
                await telegram.shows("No hay series.")
                bot.process.send_signal(signal.SIGTERM)
                assert await bot.ended() == 0
        assert f"empresas: {EMPRESAS} de {EMPRESAS}" in telegram.messages[number][-1]
        assert created(emulator) == (EMPRESAS, 3 * EMPRESAS, 0)


async def test_a_bot_that_is_stopped_while_a_plan_is_read_does_not_wait_for_it() -> None:
    """It does not stop the run before it in its place."""
    names = runpy.run_path(BOT)
    job = names["Job"]()
    job.run = "the run before"
    await names["alta"](None, None, job)  # its task has not begun
    await job.stop()
    assert (job.run, job.task.cancelled()) == (None, True)
