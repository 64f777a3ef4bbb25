"""The next command for the user after a run that is not complete."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import Final

from facturaonline_async._text import printable

__all__ = ["repeat_command"]

_ONCE: Final = "--faults-out"
"""Option that refuses a file that exists, and the run has written it."""
_DATABASE: Final = "--database"
_REFERENCE: Final = "env:"


def repeat_command(arguments: Sequence[str]) -> str:
    """Return the line for the shell that runs the same command again.

    It has no password: the URL of a database is left to the user, unless a variable names it.

    Args:
        arguments: arguments of this process, without its name.

    """
    words = [shlex.quote(printable(word)) for word in _repeated(arguments)]
    return " ".join(["facturaonline", *words])


def _repeated(arguments: Sequence[str]) -> Iterator[str]:
    left = iter(arguments)
    for word in left:
        option, sign, value = word.partition("=")
        if option not in {_ONCE, _DATABASE}:
            yield word
            continue
        value = value if sign else next(left, "")
        if option == _DATABASE:
            yield from (option, value if value.startswith(_REFERENCE) else "URL")
