"""A Telegram bot: /series lists series, /alta brings a plan about and shows its progress in one message.

Settings come from the environment: BOT_TOKEN; FACTURAONLINE_API_KEY, FACTURAONLINE_SECRET_KEY and
FACTURAONLINE_BASE_URL; PLAN, a plan file, whose journal is beside it. On SIGTERM the bot waits for the requests in
flight of a run before it closes the session; /alta resumes the run.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path

from aiogram import Bot, Dispatcher
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import TelegramAPIError
from aiogram.filters import Command
from aiogram.types import Message

from facturaonline_async import FacturaOnline, FacturaOnlineError, connect
from facturaonline_async.provision import Plan, ProgressSnapshot, Run, provision

dispatcher = Dispatcher()


class Job:
    """The run in progress, if there is one: the bot has one plan."""

    run: Run | None = None
    task: asyncio.Task[None] | None = None

    async def stop(self) -> None:
        """Stop the run, and wait until its requests in flight are recorded and its message is final."""
        if self.run is not None:
            await self.run.stop()
        elif self.task is not None:
            self.task.cancel()  # the plan is still being read: nothing was sent
        if self.task is not None:
            await asyncio.wait({self.task})


@dispatcher.message(Command("series"))
async def series(message: Message, facturaonline: FacturaOnline) -> None:
    """List the series of the account."""
    try:
        names = [f"{serie.letra} ({serie.descripcion})" for serie in await facturaonline.series.list()]
    except FacturaOnlineError as error:
        names = [str(error)]
    await message.answer("\n".join(names) or "No hay series.")


@dispatcher.message(Command("alta"))
async def alta(message: Message, facturaonline: FacturaOnline, job: Job) -> None:
    """Start the run, or resume it, in a task of its own."""
    if job.task is not None and not job.task.done():
        await message.answer("Ya hay una alta en curso.")
        return
    job.run = None
    job.task = asyncio.create_task(work(message, facturaonline, job))


async def work(message: Message, client: FacturaOnline, job: Job) -> None:
    """Bring the plan about, and edit one message meanwhile."""
    path = Path(os.environ["PLAN"])
    settle = float(os.environ["SETTLE"]) if "SETTLE" in os.environ else None  # for tests with an emulator
    shown = await message.answer("Leyendo el plan…")
    try:
        plan = await asyncio.to_thread(Plan.from_file, path)
        async with provision(client, plan, journal=path.with_suffix(".sqlite"), settle=settle) as job.run:
            showing = asyncio.create_task(show(job.run, shown))
            async for _ in job.run:
                pass
        await showing  # it ends with the run
    except FacturaOnlineError as error:
        await shown.edit_text(f"No se pudo: {error}")


async def show(run: Run, message: Message) -> None:
    """Edit the message every two seconds, and once more at the end of the run."""
    before = ""
    async for snapshot in run.progress.follow(every=2.0):
        if (text := text_of(snapshot)) != before:
            before = text
            with suppress(TelegramAPIError):  # a message that cannot be edited must not end the run
                await message.edit_text(text)


def text_of(snapshot: ProgressSnapshot) -> str:
    """Return the figures of a run as a message."""
    lines = [
        f"empresas: {snapshot.existing_empresas} de {snapshot.planned_empresas}",
        f"series: {snapshot.existing_series} de {snapshot.planned_series}",
    ]
    if snapshot.is_complete:
        lines.append("Completo.")
    elif snapshot.is_last:
        lines.append("Incompleto: /alta continúa.")
    return "\n".join([*lines, *(f"{reason.count} × {reason.text}" for reason in snapshot.reasons)])


async def main() -> None:
    """Poll until SIGTERM or Ctrl-C; close the session when no request is in flight."""
    job = Job()
    dispatcher.shutdown.register(job.stop)  # before aiogram closes the bot's own session
    server = os.environ.get("BOT_API")  # a Bot API server of your own
    session = AiohttpSession(api=TelegramAPIServer.from_base(server)) if server else AiohttpSession()
    async with connect() as client:
        bot = Bot(os.environ["BOT_TOKEN"], session=session)
        await dispatcher.start_polling(bot, facturaonline=client, job=job)


if __name__ == "__main__":
    asyncio.run(main())
