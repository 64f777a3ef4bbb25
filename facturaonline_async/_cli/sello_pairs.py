"""Search of a folder for certificates and the keys that belong to them."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable, Iterator
from pathlib import Path
from typing import Final

from attrs import frozen

from facturaonline_async._messages import message
from facturaonline_async._secrets import Secret, SecretBytes
from facturaonline_async._text import printable_path
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.sat._findings import Finding
from facturaonline_async.sello import read_file
from facturaonline_async.sello._certificate_key_selection import (
    certificate_public_key,
    derive_public_key,
    select_certificate,
    select_key,
)
from facturaonline_async.sello._file_kind import recognise_all

__all__ = ["SelloPair", "find_pairs"]

_SUFFIXES: Final = (".cer", ".key")


@frozen
class SelloPair:
    """The files of a certificate and its key, or the finding on a file without a pair.

    Attributes:
        name: printable path of the first file, below the folder.
        content: paths of the certificate and of the key, or the finding.

    """

    name: str
    content: tuple[Path, Path] | Finding


def find_pairs(folder: Path, password: Secret) -> list[SelloPair]:
    """Return the pairs below a folder and the files without a pair, sorted by name."""
    found: list[SelloPair] = []

    def unreadable(error: OSError) -> None:
        """Add a finding for a folder that cannot be listed."""
        name = _name(folder, Path(error.filename or folder))
        reason = error.strerror or type(error).__name__
        seen = message("cli.pair_unreadable", file=name, reason=reason)
        found.append(SelloPair(name, Finding("unreadable_file", "cer", seen)))

    for parent, _, names in os.walk(folder, onerror=unreadable):
        files = [Path(parent, name) for name in names if not name.startswith("._")]  # metadata of macOS
        for first, content in _Pairing([file for file in files if _suffix(file) in _SUFFIXES], password).results():
            found.append(SelloPair(_name(folder, first), content))
    return sorted(found, key=lambda each: each.name)


def _suffix(file: Path) -> str:
    return file.suffix.lower()


def _name(folder: Path, file: Path) -> str:
    return printable_path(file.relative_to(folder) if file.is_relative_to(folder) else file)


class _Pairing:
    """The files of a folder, paired by name, then by public key, then as the only two."""

    def __init__(self, files: Iterable[Path], password: Secret) -> None:
        self._left = sorted(files)
        self._password = password
        self._results: list[tuple[Path, tuple[Path, Path] | Finding]] = []
        self._opened: set[Path] = set()

    def results(self) -> list[tuple[Path, tuple[Path, Path] | Finding]]:
        """Return pairs and findings, each with the file that names it."""
        self._pair(lambda file: file.stem)
        self._pair(lambda file: file.stem.casefold())
        if len({_suffix(file) for file in self._left}) == len(_SUFFIXES):
            publics = dict(self._publics())
            self._pair(publics.get, is_key=True)
        if [_suffix(file) for file in sorted(self._left, key=_suffix)] == list(_SUFFIXES):
            self._pair(lambda _: True)
        self._results += [(file, _alone(file, is_opened=file in self._opened)) for file in self._left]
        return self._results

    def _pair(self, common: Callable[[Path], Hashable], *, is_key: bool = False) -> None:
        """Pair the files with one value of `common`; None never matches.

        Args:
            common: what a certificate and its key have in common.
            is_key: whether that is their public key, not their name.

        """
        groups: dict[Hashable, list[Path]] = {}
        for file in self._left:
            groups.setdefault(common(file), []).append(file)
        groups.pop(None, None)
        for group in groups.values():
            suffixes = sorted(map(_suffix, group))
            if suffixes == list(_SUFFIXES):
                cer, key = sorted(group, key=_suffix)
                self._results.append((cer, (cer, key)))
            elif len(group) > 1:
                self._results += [(file, _ambiguous(file, group, is_key=is_key)) for file in group]
            else:
                continue
            self._left = [file for file in self._left if file not in group]

    def _publics(self) -> Iterator[tuple[Path, Hashable]]:
        """Yield the public keys of readable files; an unreadable file becomes a finding."""
        for file in list(self._left):
            is_key = _suffix(file) == ".key"
            try:
                content = read_file("key" if is_key else "cer", file)
            except InvalidInputError as error:
                self._results.append((file, Finding("unreadable_file", error.field or "cer", str(error))))
                self._left.remove(file)
                continue
            contents = recognise_all(SecretBytes(content))
            if is_key:
                public = derive_public_key(select_key(contents), self._password)
            else:
                public = certificate_public_key(select_certificate(contents, lambda: None))
            if public is not None:
                self._opened.add(file)
                yield file, public


def _ambiguous(file: Path, group: list[Path], *, is_key: bool) -> Finding:
    files = ", ".join(printable_path(each.name) for each in group)
    seen = message("cli.pair_same_key" if is_key else "cli.pair_same_name", files=files)
    return Finding("ambiguous", _suffix(file)[1:], seen)


def _alone(file: Path, *, is_opened: bool) -> Finding:
    name = printable_path(file.name)
    if _suffix(file) == ".cer":
        seen = message("cli.certificate_unpaired", file=name)
    elif is_opened:
        seen = message("cli.key_unpaired", file=name)
    else:
        seen = message("cli.key_unpaired_by_name", file=name)
    return Finding("unpaired", _suffix(file)[1:], seen)
