"""The command ``facturaonline doctor``: why a call does not reach the account."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.style import Style
from rich.table import Table
from rich.text import Text

from facturaonline_async._cli import interruption
from facturaonline_async._cli.client_command import AsJson, BaseUrl, show_warnings
from facturaonline_async._cli.command_groups import single_command
from facturaonline_async._cli.consoles import new_console
from facturaonline_async._cli.database import DatabaseUrl
from facturaonline_async._messages import Message, message
from facturaonline_async._text import printable

if TYPE_CHECKING:
    from facturaonline_async._cli.doctor_checks import Check

__all__ = ["app", "command"]

_STYLES: Final = {"ok": Style(color="green"), "failed": Style(color="red", bold=True), "skipped": Style(dim=True)}


def command(
    base_url: BaseUrl = None,
    database: DatabaseUrl = None,
    timeout: Annotated[
        float, typer.Option(min=0.1, max=600, metavar="SECONDS", help="Maximum time of each check.")
    ] = 10.0,
    as_json: AsJson = False,
) -> None:
    """Check the connection, the keys and the account. It only reads.

    Each line is a check, with a remedy if it is not well: versions, address, keys and proxies of the environment, DNS,
    connection, TLS, clock, shared database, company of the keys, and what its lists hold. It never prints a key, a
    password, or the address of a proxy. The text names your company: read it before you share it.

    The exit code is 1 if something is not well.

    Examples:
      facturaonline doctor
      facturaonline doctor --json
    """
    from facturaonline_async._cli import output  # noqa: PLC0415  # help needs no values of the API
    from facturaonline_async._cli.doctor_checks import Doctor  # noqa: PLC0415  # imports aiohttp

    found: list[Check] = []
    lines = _Lines()
    doctor = Doctor(base_url, database, timeout)
    with show_warnings():
        work = doctor.run(found.append if as_json else lines.print)
        is_well = interruption.run(work, interrupted=message("cli.interrupted"))
    if as_json:
        output.print_json({"is_well": is_well, "checks": [_json_value(check) for check in found]})
    raise typer.Exit(0 if is_well else 1)


app: typer.Typer = single_command("doctor", command)


class _Lines:
    """Results as lines. A terminal gets them wrapped at words, also a narrow one."""

    def __init__(self) -> None:
        self._console = new_console()
        self._is_wrapped = self._console.is_terminal or "COLUMNS" in os.environ
        states = (message("doctor.state_ok"), message("doctor.state_failed"), message("doctor.state_skipped"))
        self._width = max(map(len, states))

    def print(self, check: Check) -> None:
        """Print the result of a check, and its remedy on a line of its own."""
        state = Text(message(f"doctor.state_{check.state}"), style=_STYLES[check.state])
        text = message("doctor.line", check=message(f"doctor.label_{check.name}"), text=check.text)
        self._print(state, text)
        if check.remedy is not None:
            self._print(Text(), message("doctor.remedy", text=check.remedy))

    def _print(self, state: Text, text: Message) -> None:
        shown = Text(printable(text))
        if self._is_wrapped:
            table = Table.grid(padding=(0, 1))
            table.add_column(width=self._width)
            table.add_column(overflow="fold")
            table.add_row(state, shown)
            self._console.print(table)
        else:
            state.pad_right(self._width - len(state) + 1)
            self._console.print(state + shown, soft_wrap=True)


def _json_value(check: Check) -> dict[str, Any]:
    """Return the JSON values of a result."""
    return {
        "name": check.name,
        "state": check.state,
        "code": check.text.code,
        "text": printable(check.text),
        "remedy": None if check.remedy is None else printable(check.remedy),
        "facts": dict(check.facts),
    }
