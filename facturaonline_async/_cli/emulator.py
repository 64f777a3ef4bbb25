"""The command ``facturaonline emulator``: the API on this machine, for tests."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from facturaonline_async._cli import interruption
from facturaonline_async._cli.command_groups import single_command
from facturaonline_async._cli.consoles import new_console
from facturaonline_async._cli.settings import INSIDE_EMULATOR
from facturaonline_async._messages import message
from facturaonline_async._text import printable
from facturaonline_async.errors import InvalidInputError

if TYPE_CHECKING:
    from facturaonline_async.testing import Emulator

__all__ = ["app", "command"]

_PORT: Final = 8080
_PATIENCE: Final = 5.0
"""Seconds that a command has to end after Ctrl-C, before it is asked to terminate."""


def command(
    run: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="COMMAND",
            help="Command to run with the emulator, after --; the emulator ends with it.",
            show_default=False,
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            help="Port on loopback; 0 takes a free one. Default: 8080, or a free one with COMMAND.",
            show_default=False,
        ),
    ] = None,
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
    behaviour: Annotated[
        Path | None,
        typer.Option(metavar="REPORT", help="Behave as this report of facturaonline probe says.", show_default=False),
    ] = None,
) -> None:
    """Run an emulator of the API on loopback until Ctrl-C, or with a command.

    It prints the environment variables with which this library and this command use it. Its state is in memory, and
    lost when it stops, unless --state names a file.

    With COMMAND it prints nothing: the command gets the variables, and its exit code is passed on (128 and the number
    of a signal that ended it).

    Examples:
      facturaonline emulator
      facturaonline emulator -- pytest -q
      facturaonline emulator -- facturaonline plan preview plan.xlsx
    """
    from facturaonline_async.testing import Emulator  # noqa: PLC0415  # imports the server of aiohttp

    number = port if port is not None else 0 if run else _PORT
    emulator = Emulator(
        port=number, latency=latency, list_lag=list_lag, log_limit=1000, state_file=state, behaviour=behaviour
    )
    code = interruption.run(_run(emulator, run) if run else _serve(emulator))
    if code:
        raise typer.Exit(code)


app: typer.Typer = single_command("emulator", command)


def _variables(emulator: Emulator) -> dict[str, str]:
    """Return the environment of a program that uses the emulator."""
    # These keys are valid for this emulator only.
    return {
        "FACTURAONLINE_BASE_URL": emulator.base_url,
        "FACTURAONLINE_API_KEY": emulator.credentials.api_key.reveal(),
        "FACTURAONLINE_SECRET_KEY": emulator.credentials.secret_key.reveal(),
    }


async def _serve(emulator: Emulator) -> int:
    async with emulator:
        console = new_console(soft_wrap=True)
        for name, value in _variables(emulator).items():
            console.print(f"export {name}={value}")
        await asyncio.Event().wait()
    return 0


async def _run(emulator: Emulator, arguments: list[str]) -> int:
    """Run a command with the emulator; return its exit code.

    Raises:
        InvalidInputError: the command cannot be started.

    """
    problem: InvalidInputError
    async with emulator:
        try:
            variables = _variables(emulator) | {INSIDE_EMULATOR: "1"}
            child = await asyncio.create_subprocess_exec(*arguments, env=os.environ | variables)
        except OSError as error:
            reason = message("cli.command_not_started", command=printable(arguments[0]), reason=error.strerror or "")
            problem = InvalidInputError(reason, field="COMMAND")
        else:
            with suppress(NotImplementedError):  # Windows
                asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, child.terminate)
            try:
                code = await child.wait()
            except asyncio.CancelledError:  # Ctrl-C at a terminal reaches the command, too
                await _end(child)
                raise
            return code if code >= 0 else 128 - code
    raise problem


async def _end(child: asyncio.subprocess.Process) -> None:
    """Wait for the end of a command, and ask it to terminate if that takes long."""
    try:
        async with asyncio.timeout(_PATIENCE):
            await child.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            child.terminate()
        await child.wait()
