"""Passwords, which are never options: those of other processes could be read by anybody on the machine."""

from __future__ import annotations

import getpass
import os
import sys

import typer

from facturaonline_async.config import Secret
from facturaonline_async.errors import InvalidInputError

__all__ = ["read_password"]


def read_password(what: str, *, variable: str, as_stdin: bool) -> Secret:
    """Return a password: the next line of the standard input, or an environment variable, or what somebody types.

    Args:
        what: what it opens, such as ``"CSD"``.
        variable: name of the environment variable.
        as_stdin: take the next line of the standard input, and nothing else.

    Raises:
        InvalidInputError: there is none, and no terminal to ask on.

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
    """Return the next line. An error of decoding would show a part of it, and is not raised."""
    try:
        line = sys.stdin.readline().rstrip("\r\n")
    except UnicodeDecodeError:
        return None
    return Secret(line) if line else None
