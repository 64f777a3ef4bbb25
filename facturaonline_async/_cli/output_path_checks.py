"""Checks of output paths: a command must not overwrite a file that it reads."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path

from facturaonline_async._messages import message
from facturaonline_async._text import printable_path
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.provision._journal.completeness import side_file

__all__ = ["check_file", "check_folder", "journal_files", "same_file", "unwritable"]

_BESIDE = ("-wal", "-shm", "-journal", ".lock", ".emulator")


def journal_files(journal: Path) -> list[Path]:
    """Return the paths of a journal and of all its side files, existing or not."""
    file = journal.resolve()
    return [file, *(side_file(file, suffix) for suffix in _BESIDE)]


def check_file(path: Path, *, option: str, replaces: bool) -> None:
    """Refuse a file that `publish_private` could not write.

    Args:
        path: path of the file.
        option: name of the option or argument, for the error.
        replaces: whether an existing file is replaced; of a link, its target.

    Raises:
        InvalidInputError: the path is a folder or a device, exists and must not be replaced, or `check_folder` refuses
            it.

    """
    if path.is_dir():
        raise unwritable(path, IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)), option=option)
    if not replaces and (path.exists() or path.is_symlink()):
        raise InvalidInputError(
            message("cli.export_exists", path=printable_path(path)), field=option.removeprefix("--")
        )
    if path.exists() and not path.is_file():
        raise unwritable(path, OSError(errno.EINVAL, os.strerror(errno.EINVAL)), option=option)
    if replaces and _is_loop(path):
        raise unwritable(path, OSError(errno.ELOOP, os.strerror(errno.ELOOP)), option=option)
    check_folder(path.resolve() if replaces else path, option=option)


def _is_loop(path: Path) -> bool:
    """Return whether a path is a link that leads to itself."""
    try:
        path.stat()
    except OSError as error:
        return error.errno == errno.ELOOP
    return False


def check_folder(path: Path, *, option: str) -> None:
    """Refuse a new file whose folder is missing or must not be written.

    Args:
        path: path of the file.
        option: name of the option or argument, for the error.

    Raises:
        InvalidInputError: there is no such folder, or this user may not write into it.

    """
    if not path.parent.exists():
        fault = errno.ENOENT
    elif not path.parent.is_dir():
        fault = errno.ENOTDIR
    elif not os.access(path.parent, os.W_OK):
        fault = errno.EACCES
    else:
        return
    raise unwritable(path, OSError(fault, os.strerror(fault)), option=option)


def unwritable(path: Path, error: OSError, *, option: str) -> InvalidInputError:
    """Return the error for an option whose file cannot be written."""
    folder = path.parent
    if isinstance(error, FileNotFoundError) and not folder.exists():
        text = message("cli.folder_missing", option=option, path=printable_path(path), folder=printable_path(folder))
    else:
        reason = error.strerror or type(error).__name__
        text = message("cli.not_writable", option=option, path=printable_path(path), reason=reason)
    return InvalidInputError(text, field=option.removeprefix("--"))


def same_file(path: Path, others: Iterable[str | os.PathLike[str]]) -> str | None:
    """Return which of the other paths is the same file as `path`, or None.

    Links and other spellings of a path are resolved.
    """
    seen, real = _inode(path), os.path.realpath(path)
    for other in others:
        there = _inode(other)
        if seen == there if seen and there else not (seen or there) and real == os.path.realpath(other):
            return os.fspath(other)
    return None


def _inode(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116  # a plan may have tens of thousands of files
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino
