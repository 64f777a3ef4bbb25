"""The file of --keys-out: the API keys of new companies, shown nowhere else."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

from attrs import define, field

from facturaonline_async._cli.output_path_checks import unwritable
from facturaonline_async._messages import message
from facturaonline_async._private_files import open_private
from facturaonline_async._text import printable_path
from facturaonline_async.config import Credentials
from facturaonline_async.errors import InvalidInputError

__all__ = ["KeysFile"]

_HEADER: Final = ("rfc", "uid", "api_key", "secret_key")


@define
class KeysFile:
    """CSV file with one company per line, readable by its owner only.

    A resumed run appends to it.

    Attributes:
        rfcs: companies in the file.

    """

    _file: int = field(alias="file")
    rfcs: set[str]

    @classmethod
    @contextmanager
    def open(cls, path: Path, *, option: str = "--keys-out") -> Iterator[Self]:
        """Open or create the file.

        Args:
            path: the file.
            option: option of the command that names it, for errors.

        Raises:
            InvalidInputError: it cannot be created, is not a file of keys, or is readable by others.

        """
        try:
            file = open_private(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0))
        except OSError as error:
            raise unwritable(path, error, option=option) from None
        try:
            yield cls(file, _known(path, file))
        finally:
            os.close(file)

    def add(self, rfc: str, uid: str, credentials: Credentials) -> None:
        """Write a company's keys to the disk, unless the file has them already."""
        if rfc in self.rfcs:
            return
        _write(self._file, (rfc, uid, credentials.api_key.reveal(), credentials.secret_key.reveal()))
        self.rfcs.add(rfc)


def _known(path: Path, file: int) -> set[str]:
    """Return the companies in the file; write the header if it is empty."""
    if os.name == "posix" and os.fstat(file).st_mode & 0o077:
        raise InvalidInputError(message("cli.keys_readable_by_others", path=printable_path(path)), field="keys-out")
    with open(file, encoding="utf-8", errors="replace", newline="", closefd=False) as text:
        try:
            rows = list(csv.reader(text))
        except csv.Error:
            rows = [[]]
    if not rows:
        _write(file, _HEADER)
        return set()
    if tuple(rows[0]) != _HEADER:
        raise InvalidInputError(message("cli.keys_in_another_file", path=printable_path(path)), field="keys-out")
    return {row[0] for row in rows[1:] if len(row) == len(_HEADER)}


def _write(file: int, row: tuple[str, ...]) -> None:
    line = io.StringIO(newline="")
    csv.writer(line).writerow(row)
    os.write(file, line.getvalue().encode())
    os.fsync(file)
