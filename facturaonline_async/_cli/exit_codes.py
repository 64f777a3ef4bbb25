"""The exit code of each error, and what the command says about it."""

from __future__ import annotations

from typing import NamedTuple

from facturaonline_async._messages import Message, message
from facturaonline_async._text import printable
from facturaonline_async.errors import (
    AuthenticationError,
    FacturaOnlineError,
    InvalidInputError,
    OutcomeUnknownError,
    UnreadableAnswerError,
)

__all__ = ["Ending", "describe"]


class Ending(NamedTuple):
    """The end of a command that failed.

    Attributes:
        code: exit code.
        lines: lines for the standard error.

    """

    code: int
    lines: tuple[str, ...]


def describe(error: Exception) -> Ending | None:
    """Return the end of the command after an error; None for a bug of the command."""
    if isinstance(error, FacturaOnlineError):
        code, advice = _ending(error)
        lines = (*str(error).splitlines(), *getattr(error, "__notes__", ()), *advice)
        return Ending(code, tuple(map(printable, lines)))
    if isinstance(error, OSError):
        where = f": {error.filename}" if error.filename else ""
        return Ending(1, (printable(f"{error.strerror or type(error).__name__}{where}"),))
    return None


def _ending(error: FacturaOnlineError) -> tuple[int, tuple[Message, ...]]:
    """Return the exit code of an error, and lines that say what to do next."""
    if isinstance(error, InvalidInputError):
        return 2, ()
    if isinstance(error, AuthenticationError):
        return 1, (message("cli.keys_refused"),)
    if not error.endpoint:
        return 1, ()

    # A call was made: the module has imported everything that this one needs.
    from facturaonline_async._endpoints import ENDPOINTS  # noqa: PLC0415

    endpoint = ENDPOINTS.get(error.endpoint)
    if endpoint is None or endpoint.method == "GET":
        return 1, ()
    if isinstance(error, OutcomeUnknownError):
        return 3, (message("cli.result_unknown"),)
    if isinstance(error, UnreadableAnswerError):
        return 3, (message("cli.result_unreadable"),)
    return 1, ()
