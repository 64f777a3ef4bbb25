"""Files and folders for their owner alone: keys, certificates, journals and reports, with any umask."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

__all__ = ["make_private_folder", "open_private"]

_FILE_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700


def open_private(path: str | os.PathLike[str], flags: int) -> int:
    """Open a file, and make it with mode 0600 if `flags` ask for that and it is not there.

    A file that exists keeps its mode. The function fits the `opener` argument of the built-in ``open``.

    Raises:
        OSError: as from `os.open`.

    """
    if not flags & os.O_CREAT:
        return os.open(path, flags)
    try:
        file = os.open(path, flags | os.O_EXCL, _FILE_MODE)
    except FileExistsError:
        if flags & os.O_EXCL:
            raise
        return os.open(path, flags & ~os.O_CREAT)
    if hasattr(os, "fchmod"):  # a umask may have taken the owner's own rights, too
        os.fchmod(file, _FILE_MODE)
    return file


def make_private_folder(path: Path) -> None:
    """Make a folder with mode 0700, and each folder above it that is not there, likewise.

    Raises:
        FileExistsError: it is there already.
        OSError: it cannot be made.

    """
    if not path.parent.exists():
        make_private_folder(path.parent)
    path.mkdir(_FOLDER_MODE)
    path.chmod(_FOLDER_MODE)
