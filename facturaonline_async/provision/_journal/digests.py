"""Digests of companies: recognise the data that were sent without storing them.

A digest is a salted hash of all data, followed by four bytes for each attribute: two of its name and two of its value.
These show which attribute has changed, and are too short to find a value by trying. Passwords are in the hash of all
data only, together with keys that cannot be guessed.

If a run was to update a company, and found these data in it, the digest ends with one more byte.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import cache
from typing import Any, Final

from attrs import fields

from facturaonline_async._secrets import Secret
from facturaonline_async.empresas._models import CambiosEmpresa, CorreoSmtp, NuevaEmpresa
from facturaonline_async.provision._journal.protocol import ReadableJournal
from facturaonline_async.sello import Sello

__all__ = ["changed_columns", "changed_since", "empresa_digest", "gives_data", "is_of_equal_data", "payload"]

_WHOLE: Final = 16
"""Length of the hash of all data, in bytes."""

_WITH_PASSWORDS: Final = (Sello, CorreoSmtp)

_TAG: Final = 2
"""Bytes for the name of an attribute, and as many for its value."""

_EQUAL: Final = b"="
"""Ends the digest of data that a run found in the company, so that it sent no update."""


def empresa_digest(journal: ReadableJournal, nueva: NuevaEmpresa | CambiosEmpresa, *, is_equal: bool = False) -> bytes:
    """Return the digest of a company's data.

    Args:
        journal: its salt is used.
        nueva: the data.
        is_equal: whether a run found that the company has these data.

    """
    members: list[bytes] = []
    tags: list[bytes] = []
    for name, value in _given(nueva):
        member = _member(name, value, passwords=True)
        members.append(member)
        public = _member(name, value, passwords=False) if isinstance(value, _WITH_PASSWORDS) else member
        tags += _name_tag(name), journal.digest(public)[:_TAG]
    return journal.digest(b"".join(members)) + b"".join(tags) + (_EQUAL if is_equal else b"")


def is_of_equal_data(digest: bytes) -> bool:
    """Return whether a run found in the company the data of a digest.

    Args:
        digest: digest of a company's data.

    """
    return (len(digest) - _WHOLE) % (2 * _TAG) == len(_EQUAL)


def gives_data(nueva: NuevaEmpresa | CambiosEmpresa) -> bool:
    """Return whether data give more of a company than its RFC.

    Those of a row that only gives series do not.

    Args:
        nueva: the data of a row.

    """
    return isinstance(nueva, NuevaEmpresa) or [name for name, _ in _given(nueva)] != ["rfc"]


def changed_since(journal: ReadableJournal, digest: bytes, nueva: NuevaEmpresa | CambiosEmpresa) -> list[str]:
    """Return the columns of a plan that have changed since a digest was made.

    It compares the hash of all data. Only if that differs, it makes those of the attributes, to name the columns.

    Args:
        journal: the journal that holds the digest.
        digest: digest of the data that were sent.
        nueva: the plan's data.

    """
    if not gives_data(nueva):
        return []
    if hmac.compare_digest(digest[:_WHOLE], journal.digest(payload(nueva))):
        return []
    return changed_columns(digest, empresa_digest(journal, nueva))


def changed_columns(before: bytes, now: bytes) -> list[str]:
    """Return the columns of a plan in which two digests differ.

    If only the hash of all data differs, a password has changed. A certificate is named together with its key.

    Args:
        before: digest of the data that were sent.
        now: digest of the plan's data.
    """
    if before == now:
        return []
    old, new = _tags(before), _tags(now)
    tags = {tag for tag, _ in old.items() ^ new.items()}
    found = [column for name, column in _COLUMNS.items() if _name_tag(name) in tags]
    return found or ["password"]


def payload(nueva: NuevaEmpresa | CambiosEmpresa) -> bytes:
    """Return a company's data as deterministic bytes. They are for a digest only.

    Attributes with their default value are omitted, because later versions may have more of them.
    """
    return _content(nueva, passwords=True)


def _member(name: str, value: Any, *, passwords: bool) -> bytes:
    """Return an attribute as bytes; the length makes them unambiguous."""
    content = _content(value, passwords=passwords)
    return f"{name}:{len(content)}:".encode() + content


def _content(value: Any, *, passwords: bool) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if isinstance(value, (NuevaEmpresa, CambiosEmpresa, *_WITH_PASSWORDS)):
        members = [
            _member(name, each, passwords=passwords)
            for name, each in _given(value)
            if passwords or not isinstance(each, Secret)
        ]
        return b"".join(members)
    if isinstance(value, bytes):
        return value
    return str(value.reveal() if isinstance(value, Secret) else value).encode("utf-8", "surrogatepass")


def _given(value: NuevaEmpresa | CambiosEmpresa | Sello | CorreoSmtp) -> list[tuple[str, Any]]:
    """Return names and values of the attributes without their default, sorted."""
    cls: type = type(value)
    named = [(name, getattr(value, name), default) for name, default in _attributes(cls)]
    # Certificates have no default, and comparing them takes long.
    return [
        (name, each)
        for name, each, default in named
        if each is not None and (isinstance(each, _WITH_PASSWORDS) or each not in ("", default))
    ]


@cache
def _attributes(cls: type) -> tuple[tuple[str, Any], ...]:
    """Return the names and defaults of a class's attributes, sorted."""
    return tuple(sorted((each.name, each.default) for each in fields(cls) if each.init))


@cache
def _name_tag(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()[:_TAG]


def _tags(digest: bytes) -> dict[bytes, bytes]:
    return {
        digest[start : start + _TAG]: digest[start + _TAG : start + 2 * _TAG]
        for start in range(_WHOLE, len(digest) - 2 * _TAG + 1, 2 * _TAG)
    }


_COLUMNS: Final = {each.name: each.name for each in fields(NuevaEmpresa)} | {
    "csd": "cer/key",
    "fiel": "fielcer/fielkey",
}
