"""Private keys with unusual encryption or numbers, for the tests."""

from __future__ import annotations

import hashlib
from typing import Any

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from facturaonline_async.sello import _der as read
from facturaonline_async.testing import _der as der, _sellos as sellos
from tests.sello.certificates import made, private_key

PASSWORD = "12345678a"
PBES2, PBKDF2, SCRYPT = "1.2.840.113549.1.5.13", "1.2.840.113549.1.5.12", "1.3.6.1.4.1.11591.4.11"
DES3, AES, RC2 = "1.2.840.113549.3.7", "2.16.840.1.101.3.4.1.42", "1.2.840.113549.3.2"
PKCS12, ARIA = "1.2.840.113549.1.12.1.3", "1.2.410.200046.1.1.2"


def plain(form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    """Return a key that is not encrypted."""
    return private_key().private_bytes(Encoding.DER, form, NoEncryption())


def encrypted(plain: bytes, password: bytes = PASSWORD.encode()) -> bytes:
    """Encrypt PKCS#8 as the SAT does."""

    class Plain:
        def private_bytes(self, *_: object) -> bytes:
            return plain

    class Bytes:
        def encode(self) -> bytes:
            return password

    return sellos._encrypt_key(Plain(), Bytes())  # type: ignore[arg-type]


def encrypted_by(hash_name: str, *parameters: bytes, content: bytes | None = None) -> bytes:
    """Encrypt PKCS#8 with PBKDF2 of another hash, and these parameters behind salt and count."""
    salt, vector = bytes(range(8)), bytes(8)
    padder = PKCS7(64).padder()
    padded = padder.update(plain() if content is None else content) + padder.finalize()
    secret = hashlib.pbkdf2_hmac(hash_name, PASSWORD.encode(), salt, 2048, 24)
    encryptor = Cipher(TripleDES(secret), modes.CBC(vector)).encryptor()
    derivation = der.sequence(der.oid(PBKDF2), der.sequence(der.octets(salt), der.integer(2048), *parameters))
    cipher = der.sequence(der.oid(DES3), der.octets(vector))
    algorithm = der.sequence(der.oid(PBES2), der.sequence(derivation, cipher))
    return der.sequence(algorithm, der.octets(encryptor.update(padded) + encryptor.finalize()))


def wrapped(scheme: str, *parameters: bytes) -> bytes:
    """Return a good key whose file says that it is encrypted in another way."""
    _, content = read.first_element(made().key)
    return der.sequence(der.sequence(der.oid(scheme), *parameters), der.octets(content.content))


def derived(function: str, *numbers: int, cipher: str = DES3) -> bytes:
    """Return a good key whose file says that its password goes through this function."""
    derivation = der.sequence(der.oid(function), der.sequence(der.octets(bytes(8)), *map(der.integer, numbers)))
    return wrapped(PBES2, der.sequence(derivation, der.sequence(der.oid(cipher), der.octets(bytes(8)))))


def made_of(p: int, q: int, **numbers: int) -> bytes:
    """Return an encrypted key of two numbers, primes or not; `numbers` changes those that follow from them."""
    given: dict[str, Any] = {"n": p * q, "e": 65537, "d": 65537, "dmp1": 1, "dmq1": 1, "iqmp": 1}
    if min(p, q) > 1:
        d = pow(65537, -1, (p - 1) * (q - 1))
        given |= {"d": d, "dmp1": d % (p - 1), "dmq1": d % (q - 1), "iqmp": pow(q, -1, p)}
    given |= numbers
    content = der.sequence(
        *map(der.integer, (0, *(given[name] for name in ("n", "e", "d")), p, q)),
        *map(der.integer, (given[name] for name in ("dmp1", "dmq1", "iqmp"))),
    )
    return encrypted(
        der.sequence(der.integer(0), der.sequence(der.oid("1.2.840.113549.1.1.1"), der.null()), der.octets(content))
    )


def primes() -> tuple[int, int]:
    numbers = private_key().private_numbers()
    return numbers.p, numbers.q
