"""The files that a plan names: whether they are there, each looked at once."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Final, NamedTuple

from facturaonline_async._text import compose
from facturaonline_async.empresas._models import logo_extension
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.sello import read_file

__all__ = ["Files", "FoundFile"]

_KEPT: Final = 1024
_USUAL_BYTES: Final = 1 << 16
_Names = Mapping[str, Sequence[str]]


class FoundFile(NamedTuple):
    """What was found where a cell names a file."""

    path: str
    #: Why it cannot be read, or ``""``.
    reason: str = ""


class Files:
    """The files that a plan names. Their paths start at its folder; one that many rows name is looked at once."""

    def __init__(self, folder: Path) -> None:
        # A folder is listed once: with the certificates of all rows in it, a list for each would cost their square.
        names = lru_cache(maxsize=_KEPT)(_names)
        # Where all rows name the same files, `find` saves a third of reading a plan, and `is_picture` nearly half.
        self.find: Callable[[str], FoundFile] = lru_cache(maxsize=_KEPT)(partial(_find, os.fspath(folder), names))
        self.is_picture: Callable[[str], bool] = lru_cache(maxsize=_KEPT)(_is_picture)


# With a plan's tens of thousands of files, pathlib would take half of the time: hence os.


def _find(folder: str, names: Callable[[str], _Names], cell: str) -> FoundFile:
    """Look for a file, and see that it can be read."""
    path = os.path.join(folder, cell)  # noqa: PTH118
    if "\\" in cell and os.sep == "/" and not os.path.exists(path):  # noqa: PTH110
        path = os.path.join(folder, cell.replace("\\", "/"))  # noqa: PTH118  # a plan that was written on Windows
    if not path.isascii() and not os.path.exists(path):  # noqa: PTH110
        path = _find_other_unicode_form(path, names)
    if not _is_readable(path):
        try:
            read_file("", path)
        except InvalidInputError as problem:
            return FoundFile("", str(problem).rpartition("cannot be read: ")[2].rstrip("."))
    return FoundFile(path)


def _find_other_unicode_form(path: str, names: Callable[[str], _Names]) -> str:
    """Return the path whose names differ from these in their Unicode form alone, if there is one; else the path.

    A plan that was written on Windows says "compañía.cer" with composed characters (NFC). Out of an archive of macOS
    the file comes with decomposed ones (NFD), which Linux takes for another name.
    """
    head, tail = os.path.split(path)
    if not tail or os.path.lexists(path):
        return path
    head = head if not head or head.isascii() or os.path.exists(head) else _find_other_unicode_form(head, names)  # noqa: PTH110
    found = names(head or os.curdir).get(compose(tail), ())
    return os.path.join(head, found[0] if len(found) == 1 else tail)  # noqa: PTH118


def _names(folder: str) -> _Names:
    """Return the names in a folder by their composed form (NFC), none where it cannot be read."""
    names: dict[str, list[str]] = {}
    try:
        for name in os.listdir(folder):  # noqa: PTH208
            names.setdefault(compose(name), []).append(name)
    except OSError:
        return {}
    return names


def _is_readable(path: str) -> bool:
    """Whether the file is what most are, without reading it."""
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
