"""The life of a session in a hikari bot: it opens before the bot connects, and closes after it has left Discord.

Settings come from the environment: DISCORD_TOKEN; FACTURAONLINE_API_KEY, FACTURAONLINE_SECRET_KEY and
FACTURAONLINE_BASE_URL; DISCORD_API, for tests with a server of their own.
"""

from __future__ import annotations

import os

import hikari

from facturaonline_async import FacturaOnline, FacturaOnlineError, connect

bot = hikari.GatewayBot(
    os.environ["DISCORD_TOKEN"], intents=hikari.Intents.NONE, rest_url=os.environ.get("DISCORD_API"), banner=None
)
clients: list[FacturaOnline] = []


@bot.listen()
async def open_session(_: hikari.StartingEvent) -> None:
    """Open the session in the bot's event loop."""
    clients.append(await connect())


@bot.listen()
async def close_session(_: hikari.StoppedEvent) -> None:
    """Close the session when no command uses it any more."""
    await clients.pop().aclose()


@bot.listen()
async def answer(event: hikari.InteractionCreateEvent) -> None:
    """Answer ``/series``; a command has to be registered with Discord once."""
    interaction = event.interaction
    if isinstance(interaction, hikari.CommandInteraction) and interaction.command_name == "series":
        await interaction.create_initial_response(hikari.ResponseType.DEFERRED_MESSAGE_CREATE)
        try:
            names = [f"{serie.letra} ({serie.descripcion})" for serie in await clients[0].series.list()]
        except FacturaOnlineError as error:
            names = [str(error)]
        await interaction.edit_initial_response("\n".join(names) or "No hay series.")


if __name__ == "__main__":
    bot.run()
