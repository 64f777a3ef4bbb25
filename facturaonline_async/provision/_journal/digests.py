"""By what a journal knows again which data of a company were sent, without keeping them.

A digest is a salted HMAC of everything, and then two bytes for each attribute: they tell which one has changed, and too
little to find out a value by trying. Passwords are in the first part alone, among keys that cannot be guessed.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any, Final

from attrs import fields

from facturaonline_async.config import Secret
from facturaonline_async.empresas._models import CorreoSmtp, NuevaEmpresa
from facturaonline_async.provision._journal.writer import Journal
from facturaonline_async.sello import Sello

__all__ = ["changed_columns", "empresa_digest", "payload"]

_WHOLE: Final = 16
"""Bytes of the HMAC of everything."""

_TAG: Final = 2
"""Bytes for an attribute's name, and for its value."""


def empresa_digest(journal: Journal, nueva: NuevaEmpresa) -> bytes:
    """Return by what these data are known again."""
    parts = _plain(nueva, passwords=False)
    tags = (
        _name_tag(name) + journal.digest(json.dumps([name, parts[name]], sort_keys=True).encode())[:_TAG]
        for name in sorted(parts)
    )
    return journal.digest(payload(nueva)) + b"".join(tags)


def changed_columns(before: bytes, now: bytes) -> list[str]:
    """Return the columns of a plan that two digests differ in; none for equal ones.

    Where no attribute differs and the whole does, a password has changed. A certificate is named with its key.
    """
    if before == now:
        return []
    old, new = _tags(before), _tags(now)
    tags = {tag for tag, _ in old.items() ^ new.items()}
    found = [column for name, column in _COLUMNS.items() if _name_tag(name) in tags]
    return found or ["password"]


def payload(nueva: NuevaEmpresa) -> bytes:
    """Return all that is sent of a company as bytes, always the same ones: for a digest, and for nothing else.

    Attributes with their default value are left out: later versions may have more of them.
    """
    return json.dumps(_plain(nueva, passwords=True), sort_keys=True).encode()


def _plain(value: Any, *, passwords: bool) -> Any:
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, (NuevaEmpresa, Sello, CorreoSmtp)):
        said = {
            each.name: (getattr(value, each.name), each.default)
            for each in fields(type(value))
            if each.init and (passwords or each.name != "password")
        }
        return {
            name: _plain(each, passwords=passwords)
            for name, (each, default) in said.items()
            if each not in (None, "", default)
        }
    return value


def _name_tag(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()[:_TAG]


def _tags(digest: bytes) -> dict[bytes, bytes]:
    return {
        digest[place : place + _TAG]: digest[place + _TAG : place + 2 * _TAG]
        for place in range(_WHOLE, len(digest), 2 * _TAG)
    }


_COLUMNS: Final = {each.name: each.name for each in fields(NuevaEmpresa)} | {
    "csd": "cer or key",
    "fiel": "fielcer or fielkey",
}
