"""The command ``facturaonline emulator``: the API on this machine, for tests."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from facturaonline_async._cli import interruption
from facturaonline_async._cli.command_groups import single_command

__all__ = ["app", "command"]


def command(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on loopback; 0 takes a free one.")] = 8080,
    latency: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="Delay of each response.")] = 0.0,
    list_lag: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="Delay until lists show a new row.")] = 0.0,
    state: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Keep the companies and series in this file, also for the next run.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Run an emulator of the API on loopback until Ctrl-C.

    It prints the environment variables with which this library and this command use it. Its state is in memory, and
    lost when it stops, unless --state names a file.
    """
    interruption.run(_serve(port, latency, list_lag, state))


app: typer.Typer = single_command("emulator", command)


async def _serve(port: int, latency: float, list_lag: float, state: Path | None) -> None:
    from facturaonline_async.testing import Emulator  # noqa: PLC0415  # imports the server of aiohttp

    async with Emulator(port=port, latency=latency, list_lag=list_lag, log_limit=1000, state_file=state) as emulator:
        console = Console(highlight=False, soft_wrap=True)
        console.print(f"export FACTURAONLINE_BASE_URL={emulator.base_url}")
        # These keys are valid for this emulator only.
        console.print(f"export FACTURAONLINE_API_KEY={emulator.credentials.api_key.reveal()}")
        console.print(f"export FACTURAONLINE_SECRET_KEY={emulator.credentials.secret_key.reveal()}")
        await asyncio.Event().wait()
