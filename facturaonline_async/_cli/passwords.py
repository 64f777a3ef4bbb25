"""Input of passwords.

A password is never an option, because every user of the machine can list the options of a process.
"""

from __future__ import annotations

import getpass
import os
import sys

import typer

from facturaonline_async._cli.terminals import is_terminal
from facturaonline_async._messages import message
from facturaonline_async._secrets import Secret
from facturaonline_async.errors import InvalidInputError

__all__ = ["read_password"]


def read_password(what: str, *, variable: str, as_stdin: bool) -> Secret:
    """Return a password from the standard input, the environment or the terminal.

    Args:
        what: name of the password, such as ``"CSD"``.
        variable: name of the environment variable.
        as_stdin: read the next line of the standard input, and no other source.

    Raises:
        InvalidInputError: there is no password, and no terminal for the question.

    """
    if as_stdin:
        given = _line()
        if given is None:
            raise InvalidInputError(message("cli.password_line_missing", what=what), field="password")
        return given
    if value := os.environ.get(variable):
        return Secret(value)
    if not is_terminal(sys.stdin):
        raise InvalidInputError(
            message("cli.password_without_terminal", what=what, variable=variable), field="password"
        )
    try:
        return Secret(getpass.getpass(message("cli.password", what=what)))
    except (KeyboardInterrupt, EOFError):
        sys.stderr.write(f"\n{message('cli.interrupted').then(message('cli.nothing_changed'))}\n")
        raise typer.Exit(130) from None


def _line() -> Secret | None:
    """Return the next line; None if it is empty or not UTF-8.

    The decoding error is not raised, because it would show a part of the password.
    """
    if sys.stdin is None:  # it was closed
        return None
    try:
        line = sys.stdin.readline().rstrip("\r\n")
    except UnicodeDecodeError:
        return None
    return Secret(line) if line else None
