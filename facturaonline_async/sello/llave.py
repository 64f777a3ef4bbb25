"""Opening a private key: what its file and its password turn out to be."""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from threading import Lock
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key

__all__ = ["DamagedKeyError", "UnsupportedKeyError", "WrongPasswordError", "open_llave"]


class WrongPasswordError(ValueError):
    """The password does not open the key."""


class UnsupportedKeyError(ValueError):
    """It is encrypted, or made, in a way that the SAT's keys are not."""


class DamagedKeyError(ValueError):
    """The password opens it, and its numbers are no RSA key."""


class _Validated:
    """Remembers which keys were validated: by a keyed digest of file and password, and never more than some thousand.

    Loading an RSA key proves its primes, which is nearly all of the cost (28 of 29 ms). `cryptography` documents that
    this may be skipped for keys that are known to be valid, and a file that this process has validated is one.
    """

    def __init__(self, limit: int = 4096) -> None:
        self._limit = limit
        self._salt = os.urandom(16)
        self._digests: OrderedDict[bytes, None] = OrderedDict()
        self._lock = Lock()  # checks run in threads

    def digest(self, content: bytes, password: bytes | None) -> bytes:
        """Return what a file with its password is known by, here and now only."""
        parts = (len(content).to_bytes(8, "big"), content, b"" if password is None else b"\1" + password)
        return hashlib.blake2b(b"".join(parts), key=self._salt, digest_size=16).digest()

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._digests

    def add(self, digest: bytes) -> None:
        """Remember one, and forget the oldest."""
        with self._lock:
            self._digests[digest] = None
            while len(self._digests) > self._limit:
                self._digests.popitem(last=False)


_validated: Final = _Validated()


def open_llave(content: bytes, password: bytes | None) -> rsa.RSAPublicNumbers:
    """Return the public half of a PKCS#8 (or PKCS#1) key in DER. Holds the GIL for about 30 ms at the first time.

    Raises:
        WrongPasswordError: the password does not open it.
        DamagedKeyError: it opens, and is no valid RSA key.
        UnsupportedKeyError: it is encrypted, or made, in a way that the SAT's keys are not.

    """
    digest = _validated.digest(content, password)
    problem: ValueError
    try:
        public = _public(content, password, is_valid=digest in _validated)
    except UnsupportedKeyError as error:
        problem = error
    except UnsupportedAlgorithm:
        problem = UnsupportedKeyError("it is encrypted in a way that is not known here")
    except Exception:  # noqa: BLE001  # ValueError as documented; and whatever a stranger's bytes make of it
        problem = _closed(content, password)
    else:
        _validated.add(digest)
        return public
    raise problem  # out of the handler: no other library's error goes along


def _closed(content: bytes, password: bytes | None) -> ValueError:
    """Return why it does not load.

    One wrong password in 256 decrypts to something with good padding, and the library then calls the key malformed.
    What tells them apart is whether the structure within can be read, numbers aside: the key is read without
    validating them, and thrown away unused.
    """
    try:
        _public(content, password, is_valid=True)
    except UnsupportedKeyError as error:
        return error
    except Exception:  # noqa: BLE001  # as above
        if password is None:
            return DamagedKeyError("its content is no private key")
        return WrongPasswordError("the password does not open it")
    return DamagedKeyError("its numbers are no RSA key")


def _public(content: bytes, password: bytes | None, *, is_valid: bool) -> rsa.RSAPublicNumbers:
    key = load_der_private_key(content, password, unsafe_skip_rsa_key_validation=is_valid)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise UnsupportedKeyError("it is no RSA key")
    return key.public_key().public_numbers()
