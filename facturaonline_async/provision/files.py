"""The files that a plan names: whether they are there, each looked at once."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Final, NamedTuple

from facturaonline_async.errors import InvalidInputError
from facturaonline_async.resources.empresas.values import logo_extension
from facturaonline_async.sello import read_file

__all__ = ["Files", "Found"]

_KEPT: Final = 1024
_USUAL_BYTES: Final = 1 << 16


class Found(NamedTuple):
    """What was found where a cell names a file."""

    path: str
    #: Why it cannot be read, or ``""``.
    reason: str = ""


class Files:
    """The files that a plan names. Their paths start at its folder; one that many rows name is looked at once."""

    def __init__(self, folder: Path) -> None:
        self.find: Callable[[str], Found] = lru_cache(maxsize=_KEPT)(partial(_found, os.fspath(folder)))
        self.is_picture: Callable[[str], bool] = lru_cache(maxsize=_KEPT)(_is_picture)


# With a plan's tens of thousands of files, pathlib would take half of the time: hence os.


def _found(folder: str, cell: str) -> Found:
    """Look for a file, and see that it can be read."""
    path = os.path.join(folder, cell)  # noqa: PTH118
    if "\\" in cell and os.sep == "/" and not os.path.exists(path):  # noqa: PTH110
        path = os.path.join(folder, cell.replace("\\", "/"))  # noqa: PTH118  # a plan that was written on Windows
    if not _is_readable(path):
        try:
            read_file("", path)
        except InvalidInputError as problem:
            return Found("", str(problem).rpartition("cannot be read: ")[2].rstrip("."))
    return Found(path)


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
