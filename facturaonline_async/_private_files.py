"""Files and folders that only their owner can read, with any umask.

They are for keys, certificates, journals and reports.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Final

__all__ = ["is_private", "make_private_folder", "open_private", "publish_private", "read_small"]

_FILE_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700
_OF_OTHERS: Final = 0o077
_WRITABLE: Final = 0o022
_READABLE_BY_ALL: Final = 0o007
_SECRETS: Final = Path("/run/secrets")
"""Where containers have their secrets. Only root puts something there."""


def open_private(path: str | os.PathLike[str], flags: int) -> int:
    """Open a file; create it with mode 0600 if `flags` include `os.O_CREAT`.

    An existing file keeps its mode. The function fits the `opener` argument of the built-in ``open``.

    Args:
        path: path of the file.
        flags: flags of `os.open`.

    Returns:
        A file descriptor.

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
    if hasattr(os, "fchmod"):  # a umask may have removed the owner's own permissions, too
        os.fchmod(file, _FILE_MODE)
    return file


def make_private_folder(path: Path) -> None:
    """Create a folder and its missing parents, all with mode 0700.

    Args:
        path: path of the new folder.

    Raises:
        FileExistsError: the folder exists.
        OSError: the folder cannot be created.

    """
    if not path.parent.exists():
        make_private_folder(path.parent)
    path.mkdir(_FOLDER_MODE)
    path.chmod(_FOLDER_MODE)


def publish_private(path: Path, content: bytes, *, replaces: bool) -> None:
    """Write a file with mode 0600 as a whole: no program sees a part of it.

    A draft beside the file gets the content, and then the file's name. It is removed if anything fails, or Ctrl-C is
    pressed.

    Args:
        path: path of the file. If it is a link that is replaced, its target is replaced, not the link.
        content: content of the file.
        replaces: whether an existing file is replaced.

    Raises:
        FileExistsError: the file exists, and must not be replaced.
        OSError: the file cannot be written.

    """
    path = path.resolve() if replaces else path
    draft = path.with_name(f".{os.urandom(8).hex()}.tmp")
    try:
        with open(draft, "xb", opener=open_private) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if replaces:
            draft.replace(path)
        else:
            _publish_new(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _publish_new(draft: Path, path: Path) -> None:
    """Give a draft a name that no file has."""
    try:
        os.link(draft, path)  # unlike a rename, it fails if the name is taken
    except FileExistsError:
        raise
    except OSError:  # the file system has no links, as on many USB sticks: reserve the name
        os.close(open_private(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        draft.replace(path)


def read_small(path: Path, *, limit: int) -> tuple[bytes, bool]:
    """Read a small file; return its content, and whether it is private.

    Args:
        path: path of a regular file.
        limit: maximum size, in bytes.

    Raises:
        OSError: the file cannot be read, is not a regular one, or is larger.

    """
    with open(path, "rb", opener=_open_at_once) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), str(path))
        content = file.read(limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return content, is_private(status, path)


def is_private(status: os.stat_result, path: Path) -> bool:
    """Return whether only its owner, and those that root has chosen, can read a file.

    Nobody else can write it. The owner has mode 0600, as OpenSSH demands. A file of root may be readable by a group, as
    for libpq: Kubernetes mounts secrets so for an ``fsGroup``. In ``/run/secrets``, the runtime of a container has
    mounted the file, and each process of the container may read it: Docker gives it mode 0444.

    Args:
        status: status of the open file. Systems other than POSIX have no modes; there the answer is yes.
        path: path of the file. If it is a link, the file itself counts: Kubernetes makes links inside the folder.

    """
    if os.name != "posix" or not status.st_mode & _OF_OTHERS:
        return True
    if status.st_mode & _WRITABLE:
        return False
    if status.st_uid == 0 != os.geteuid() and not status.st_mode & _READABLE_BY_ALL:
        return True
    return _SECRETS in path.resolve().parents


def _open_at_once(path: str, flags: int) -> int:
    """Open a file; a named pipe must not make the caller wait for a writer."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
