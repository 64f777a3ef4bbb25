"""Variables of the environment from a file: the option ``--env-file``."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Final

from dotenv.parser import Binding, parse_stream

from facturaonline_async._messages import Message, message
from facturaonline_async._private_files import is_private
from facturaonline_async._text import printable, printable_path
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.postgres._environment import VARIABLE as DATABASE

__all__ = ["load_env_file"]

_OF_ACCOUNT: Final = ("FACTURAONLINE_API_KEY", "FACTURAONLINE_SECRET_KEY", "FACTURAONLINE_BASE_URL", DATABASE)
"""Variables that choose the account. A command that changes another account than the file's cannot be undone."""


def load_env_file(path: Path) -> None:
    """Set the variables of a file that the environment does not have yet.

    No value is expanded: ``$`` is a character as any other, because passwords hold it. No value is shown.

    Args:
        path: file in the syntax of dotenv, in UTF-8. Others may read it: that is warned of.

    Raises:
        InvalidInputError: it cannot be read, has a line that sets no variable or a value that no variable can have, or
            names another account, host or database than the environment.

    """
    shown = printable_path(path)
    try:
        with path.open("rb") as file:
            status, content = os.fstat(file.fileno()), file.read()
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:  # the text of the latter shows a part of the file
        reason = (isinstance(error, OSError) and error.strerror) or type(error).__name__
        fault = message("cli.env_file_unreadable", path=shown, reason=reason)
        raise InvalidInputError(fault, field="env-file") from None
    values: dict[str, str] = {}
    for each in parse_stream(io.StringIO(text)):
        if (problem := _fault(each, shown)) is not None:
            raise InvalidInputError(problem, field="env-file")
        if each.key is not None and each.value is not None:
            values[each.key] = each.value
    for name in _OF_ACCOUNT:
        if name in values and os.environ.get(name, "") not in {"", values[name]}:
            raise InvalidInputError(message("cli.env_file_conflict", variable=name, path=shown), field="env-file")
    if not is_private(status, path):
        sys.stderr.write(f"{message('cli.warning', text=message('cli.env_file_not_private', path=shown))}\n")
    for name, value in values.items():
        if not os.environ.get(name):  # an empty variable counts as one that is not set, as everywhere in the command
            os.environ[name] = value


def _fault(line: Binding, path: str) -> Message | None:
    """Return why a line sets no variable, or None.

    Args:
        line: a line, a value over several lines, or a comment.
        path: the file, to be shown.

    """
    number = line.original.line + _blank_lines(line.original.string)
    if line.key is None and not line.error:  # a comment
        return None
    if line.key is None or line.value is None or line.error or any(each in line.key for each in "=\0"):
        return message("cli.env_file_malformed", path=path, line=number)
    if "\0" in line.value:
        return message("cli.env_file_nul", variable=printable(line.key), path=path, line=number)
    if not (_can_be_encoded(line.key) and _can_be_encoded(line.value)):
        return message(
            "cli.env_file_not_encodable",
            variable=printable(line.key),
            path=path,
            line=number,
            encoding=sys.getfilesystemencoding(),
        )
    return None


def _can_be_encoded(text: str) -> bool:
    """Return whether the environment of this process can hold a text."""
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True


def _blank_lines(text: str) -> int:
    """Return the number of blank lines before a statement.

    The parser counts them as part of the statement.
    """
    return text[: len(text) - len(text.lstrip())].count("\n")
