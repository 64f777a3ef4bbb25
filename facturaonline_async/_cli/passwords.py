"""Input of passwords.

A password is never an option, because every user of the machine can list the options of a process.
"""

from __future__ import annotations

import getpass
import os
import sys

import typer

from facturaonline_async.config import Secret
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
            raise InvalidInputError(
                f"The standard input has no line with the password of the {what}, or one that is not UTF-8.",
                field="password",
            )
        return given
    if value := os.environ.get(variable):
        return Secret(value)
    if not sys.stdin.isatty():
        raise InvalidInputError(
            f"There is no terminal to ask for the password of the {what}: give --password-stdin, or set {variable}.",
            field="password",
        )
    try:
        return Secret(getpass.getpass(f"Contraseña ({what}): "))
    except (KeyboardInterrupt, EOFError):
        sys.stderr.write("\nInterrupted. Nothing was changed.\n")
        raise typer.Exit(130) from None


def _line() -> Secret | None:
    """Return the next line; None if it is empty or not UTF-8.

    The decoding error is not raised, because it would show a part of the password.
    """
    try:
        line = sys.stdin.readline().rstrip("\r\n")
    except UnicodeDecodeError:
        return None
    return Secret(line) if line else None
