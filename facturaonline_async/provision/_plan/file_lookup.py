"""Check that the files that a plan names can be read, each file once."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Final, NamedTuple

from facturaonline_async._messages import Message
from facturaonline_async._text import compose
from facturaonline_async.empresas._models import logo_extension
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.sello import read_file

__all__ = ["FileLookup", "FoundFile"]

_KEPT: Final = 1024
_USUAL_BYTES: Final = 1 << 16
_Names = Mapping[str, Sequence[str]]


class FoundFile(NamedTuple):
    """Result of the search for a file that a cell names.

    Attributes:
        path: path of the file; ``""`` if it cannot be read.
        fault: why it cannot be read, or None.

    """

    path: str
    fault: Message | None = None


class FileLookup:
    """Files that a plan names, with paths relative to its folder.

    A file that many rows name is checked once.

    Attributes:
        find: returns the file that a cell names.
        is_picture: returns whether a file is a PNG or JPEG picture.

    """

    def __init__(self, folder: Path) -> None:
        # A folder is listed once: one listing per file would make the cost quadratic.
        names = lru_cache(maxsize=_KEPT)(_names)
        # If all rows name the same files, caching `find` saves a third of reading a plan, and `is_picture` nearly half.
        self.find: Callable[[str], FoundFile] = lru_cache(maxsize=_KEPT)(partial(_find, os.fspath(folder), names))
        self.is_picture: Callable[[str], bool] = lru_cache(maxsize=_KEPT)(_is_picture)


# `os` instead of pathlib, which would take half of the time with tens of thousands of files.


def _find(folder: str, names: Callable[[str], _Names], cell: str) -> FoundFile:
    """Find a file, and check that it can be read."""
    path = os.path.join(folder, cell)  # noqa: PTH118
    if "\\" in cell and os.sep == "/" and not os.path.exists(path):  # noqa: PTH110
        path = os.path.join(folder, cell.replace("\\", "/"))  # noqa: PTH118  # a plan that was written on Windows
    if not path.isascii() and not os.path.exists(path):  # noqa: PTH110
        path = _find_other_unicode_form(path, names)
    if not _is_readable(path):
        try:
            read_file("", path)
        except InvalidInputError as problem:
            return FoundFile("", problem.args[0])
    return FoundFile(path)


def _find_other_unicode_form(path: str, names: Callable[[str], _Names]) -> str:
    """Return the existing path that differs only in its Unicode form, else the path.

    A plan written on Windows names "compañía.cer" with composed characters (NFC). A macOS archive holds the file with
    decomposed ones (NFD), which is a different name on Linux.
    """
    head, tail = os.path.split(path)
    if not tail or os.path.lexists(path):
        return path
    head = head if not head or head.isascii() or os.path.exists(head) else _find_other_unicode_form(head, names)  # noqa: PTH110
    found = names(head or os.curdir).get(compose(tail), ())
    return os.path.join(head, found[0] if len(found) == 1 else tail)  # noqa: PTH118


def _names(folder: str) -> _Names:
    """Return the names in a folder by their composed form (NFC).

    If the folder cannot be read, there are none.
    """
    names: dict[str, list[str]] = {}
    try:
        for name in os.listdir(folder):  # noqa: PTH208
            names.setdefault(compose(name), []).append(name)
    except OSError:
        return {}
    return names


def _is_readable(path: str) -> bool:
    """Return whether the file is readable, regular and of usual size."""
    try:
        status = os.stat(path)  # noqa: PTH116
        if not stat.S_ISREG(status.st_mode) or not 0 < status.st_size <= _USUAL_BYTES:
            return False
        os.close(os.open(path, os.O_RDONLY))
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return False
    return True


def _is_picture(path: str) -> bool:
    return logo_extension(read_file("logo", path)) is not None
