"""Salted hashes of a journal: they recognise values that it does not store."""

from __future__ import annotations

import hashlib
import os
from typing import Final

__all__ = ["account_mark", "make_salt", "salted_hash"]

_LENGTH: Final = 16


def make_salt() -> bytes:
    """Return a new random salt for one journal."""
    return os.urandom(32)


def salted_hash(salt: bytes, payload: bytes) -> bytes:
    """Return the keyed BLAKE2b hash of a payload: 16 bytes.

    It is as safe as an HMAC with SHA-256, and takes a quarter of the instructions.

    Args:
        salt: the journal's salt.
        payload: any bytes.

    """
    return hashlib.blake2b(payload, key=salt, digest_size=_LENGTH).digest()


def account_mark(salt: bytes, account: str) -> bytes:
    """Return the hash by which a journal recognises its account.

    Args:
        salt: the journal's salt.
        account: fingerprint of the main keys.

    """
    return salted_hash(salt, f"account {account}".encode())
