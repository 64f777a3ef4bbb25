"""Salted HMACs of a journal: they recognise values that it does not store."""

from __future__ import annotations

import hmac
import os
from typing import Final

__all__ = ["account_mark", "make_salt", "salted_hmac"]

_LENGTH: Final = 16


def make_salt() -> bytes:
    """Return a new random salt for one journal."""
    return os.urandom(32)


def salted_hmac(salt: bytes, payload: bytes) -> bytes:
    """Return the HMAC of a payload: 16 bytes.

    Args:
        salt: the journal's salt.
        payload: any bytes.

    """
    return hmac.digest(salt, payload, "sha256")[:_LENGTH]


def account_mark(salt: bytes, account: str) -> bytes:
    """Return the HMAC by which a journal recognises its account.

    Args:
        salt: the journal's salt.
        account: fingerprint of the main keys.

    """
    return salted_hmac(salt, f"account {account}".encode())
