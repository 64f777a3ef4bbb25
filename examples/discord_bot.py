"""A Discord bot: slash commands that list series and provision a plan, with its progress in one message.

Settings come from the environment: DISCORD_TOKEN; FACTURAONLINE_API_KEY, FACTURAONLINE_SECRET_KEY and
FACTURAONLINE_BASE_URL; PLAN, a plan file, whose journal is beside it. On SIGTERM the bot waits for the requests in
flight of a run before it closes the session; /alta resumes the run.
"""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path

import discord
from discord import app_commands

from facturaonline_async import FacturaOnline, FacturaOnlineError, connect
from facturaonline_async.provision import Plan, ProgressSnapshot, Run, provision


class Bot(discord.Client):
    """The bot, its session, and the run in progress, if there is one: the bot has one plan."""

    def __init__(self) -> None:
        super().__init__(intents=discord.Intents.none())
        self.tree = app_commands.CommandTree(self)
        self.tree.add_command(series)
        self.tree.add_command(alta)
        self._client: FacturaOnline | None = None
        self._run: Run | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def facturaonline(self) -> FacturaOnline:
        """The client; it is open while the bot is."""
        if self._client is None:
            raise RuntimeError("the bot has not been started")
        return self._client

    async def setup_hook(self) -> None:
        """Open the session in the bot's own event loop, and tell Discord the commands."""
        self._client = await connect()
        await self.tree.sync()

    async def close(self) -> None:
        """Wait for the run, leave Discord, and close the session last; closing twice does no harm."""
        if self._run is not None:
            await self._run.stop()
        elif self._task is not None:
            self._task.cancel()  # the plan is still being read: nothing was sent
        if self._task is not None:
            await asyncio.wait({self._task})
        await super().close()
        if self._client is not None:
            await self._client.aclose()

    def start_run(self, interaction: discord.Interaction[Bot]) -> None:
        """Start the run, or resume it, in a task of its own."""
        self._run = None
        self._task = asyncio.create_task(self._work(interaction))

    @property
    def is_running(self) -> bool:
        """Whether the run is at work."""
        return self._task is not None and not self._task.done()

    async def _work(self, interaction: discord.Interaction[Bot]) -> None:
        await interaction.response.send_message("Leyendo el plan…")
        # As a message of the bot: an interaction can be edited for 15 minutes only, and a run may last longer.
        message = await (await interaction.original_response()).fetch()
        path = Path(os.environ["PLAN"])
        settle = float(os.environ["SETTLE"]) if "SETTLE" in os.environ else None  # for tests with an emulator
        try:
            plan = await asyncio.to_thread(Plan.from_file, path)
            journal = path.with_suffix(".sqlite")
            async with provision(self.facturaonline, plan, journal=journal, settle=settle) as self._run:
                showing = asyncio.create_task(show(self._run, message))
                async for _ in self._run:
                    pass
            await showing  # it ends with the run
        except FacturaOnlineError as error:
            await edit(message, f"No se pudo: {error}")


@app_commands.command(description="Muestra las series de la cuenta.")
async def series(interaction: discord.Interaction[Bot]) -> None:
    """List the series of the account."""
    await interaction.response.defer(thinking=True)  # Discord waits for 3 s; a call may wait longer for the limiter
    try:
        names = [
            f"{serie.letra} ({serie.descripcion})" for serie in await interaction.client.facturaonline.series.list()
        ]
    except FacturaOnlineError as error:
        names = [str(error)]
    await interaction.edit_original_response(content=short("\n".join(names) or "No hay series."))


@app_commands.command(description="Da de alta las empresas y series del plan.")
async def alta(interaction: discord.Interaction[Bot]) -> None:
    """Start the run, or resume it."""
    if interaction.client.is_running:
        await interaction.response.send_message("Ya hay una alta en curso.")
        return
    interaction.client.start_run(interaction)  # before anything is awaited: a second /alta finds the run


async def show(run: Run, message: discord.Message) -> None:
    """Edit the message every two seconds, and once more at the end of the run."""
    before = ""
    async for snapshot in run.progress.follow(every=2.0):
        if (text := text_of(snapshot)) != before:
            before = text
            await edit(message, text)


async def edit(message: discord.Message, text: str) -> None:
    """Edit a message; one that cannot be edited must not end the run."""
    with suppress(discord.DiscordException):
        await message.edit(content=short(text))


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


def short(text: str) -> str:
    """Return a text that fits into a message."""
    return text if len(text) <= 2000 else f"{text[:1999]}…"


async def main() -> None:
    """Serve until SIGTERM or Ctrl-C; close the session when no request is in flight."""
    async with Bot() as bot:
        serving = asyncio.create_task(bot.start(os.environ["DISCORD_TOKEN"]))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
        with suppress(asyncio.CancelledError):
            await serving


if __name__ == "__main__":
    discord.utils.setup_logging()
    asyncio.run(main())
