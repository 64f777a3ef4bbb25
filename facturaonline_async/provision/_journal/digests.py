"""Digests of companies: recognise the data that were sent without storing them.

A digest is a salted HMAC of all data, followed by four bytes for each attribute: two of its name and two of its value.
These show which attribute has changed, and are too short to find a value by trying. Passwords are in the HMAC only,
together with keys that cannot be guessed.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any, Final

from attrs import fields

from facturaonline_async._secrets import Secret
from facturaonline_async.empresas._models import CorreoSmtp, NuevaEmpresa
from facturaonline_async.provision._journal.protocol import Journal
from facturaonline_async.sello import Sello

__all__ = ["changed_columns", "empresa_digest", "payload"]

_WHOLE: Final = 16
"""Length of the HMAC of all data, in bytes."""

_TAG: Final = 2
"""Bytes for the name of an attribute, and as many for its value."""


def empresa_digest(journal: Journal, nueva: NuevaEmpresa) -> bytes:
    """Return the digest of a company's data.

    Args:
        journal: its salt is used.
        nueva: the data.

    """
    parts = _plain(nueva, passwords=False)
    tags = (
        _name_tag(name) + journal.digest(json.dumps([name, parts[name]], sort_keys=True).encode())[:_TAG]
        for name in sorted(parts)
    )
    return journal.digest(payload(nueva)) + b"".join(tags)


def changed_columns(before: bytes, now: bytes) -> list[str]:
    """Return the columns of a plan in which two digests differ.

    If only the HMAC of all data differs, a password has changed. A certificate is named together with its key.

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


def payload(nueva: NuevaEmpresa) -> bytes:
    """Return a company's data as deterministic bytes. They are for a digest only.

    Attributes with their default value are omitted, because later versions may have more of them.
    """
    return json.dumps(_plain(nueva, passwords=True), sort_keys=True).encode()


def _plain(value: Any, *, passwords: bool) -> Any:
    """Convert a value to JSON types, without attributes that have their default."""
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, (NuevaEmpresa, Sello, CorreoSmtp)):
        values = {
            each.name: (getattr(value, each.name), each.default)
            for each in fields(type(value))
            if each.init and (passwords or each.name != "password")
        }
        return {
            name: _plain(each, passwords=passwords)
            for name, (each, default) in values.items()
            if each not in (None, "", default)
        }
    return value


def _name_tag(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()[:_TAG]


def _tags(digest: bytes) -> dict[bytes, bytes]:
    return {
        digest[start : start + _TAG]: digest[start + _TAG : start + 2 * _TAG]
        for start in range(_WHOLE, len(digest), 2 * _TAG)
    }


_COLUMNS: Final = {each.name: each.name for each in fields(NuevaEmpresa)} | {
    "csd": "cer/key",
    "fiel": "fielcer/fielkey",
}
