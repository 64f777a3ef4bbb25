"""Encryption of a private key: its parameters, read before any key is derived.

The file itself sets the iteration count. A count of two thousand million in a file of 1 kB would hold the GIL, and so
block the whole process, for ten minutes. `cryptography` also reports an unsupported encryption as a wrong password.
"""

from __future__ import annotations

from itertools import islice
from typing import Final

from attrs import frozen

from facturaonline_async._messages import Message, message
from facturaonline_async._secrets import SecretBytes
from facturaonline_async.sello import _der as der

__all__ = ["Encryption", "inspect_encryption", "to_canonical"]

_PBES2: Final = "1.2.840.113549.1.5.13"
_PBKDF2: Final = "1.2.840.113549.1.5.12"
_SCRYPT: Final = "1.3.6.1.4.1.11591.4.11"
_RC2: Final = "1.2.840.113549.3.2"
_BLOCK_SIZES: Final = {
    "1.2.840.113549.3.7": 8,  # three-key DES, which the SAT uses
    _RC2: 8,
    "2.16.840.1.101.3.4.1.2": 16,  # AES
    "2.16.840.1.101.3.4.1.22": 16,
    "2.16.840.1.101.3.4.1.42": 16,
}
"""Block size of each supported cipher, in bytes."""
_RC2_WITH_128_BITS: Final = 58
_LEGACY_SCHEMES: Final = frozenset(
    {
        "1.2.840.113549.1.5.3",  # PBES1 with MD5 and DES
        "1.2.840.113549.1.12.1.3",  # PKCS#12 with three-key DES
        "1.2.840.113549.1.12.1.6",  # PKCS#12 with RC2
    }
)
_LEGACY_BLOCK_SIZE: Final = 8
_MAX_PARAMETERS: Final = 5
"""Parameters of a key derivation function; scrypt has the most."""

_HMAC_SHA1: Final = "1.2.840.113549.2.7"
_HMACS: Final = frozenset({_HMAC_SHA1, *(f"1.2.840.113549.2.{number}" for number in (8, 9, 10, 11))})
"""HMAC with SHA-1, SHA-224, SHA-256, SHA-384 and SHA-512."""

_MAX_ITERATIONS: Final = 1_000_000
"""Half a second. Keys of the SAT and of OpenSSL have 2048; the strictest recommendation is 600,000."""
_MAX_SCRYPT_COST: Final = 1 << 20
"""Limit of N·r·p: half a second and 128 MiB. OpenSSL's keys have an eighth of it."""


@frozen
class Encryption:
    """Encryption of a private key.

    Attributes:
        iterations: cost of one password, in iterations of PBKDF2: 1,000,000 take half a second.
        refusal: why the key is not opened, a clause about the key; None if it can be.
        is_block_aligned: whether the encrypted content is a whole number of cipher blocks.

    """

    iterations: int = 0
    refusal: Message | None = None
    is_block_aligned: bool = True


def inspect_encryption(content: bytes) -> Encryption:
    """Return the encryption of a PKCS#8 key. Never raises.

    Args:
        content: an encrypted private key in DER.

    """
    try:
        algorithm, encrypted = der.first_element(content)
        identifier, *parameters = islice(algorithm, _MAX_PARAMETERS)
        scheme = der.dotted_oid(identifier)
        if scheme in _LEGACY_SCHEMES:
            (parameter,) = parameters
            return _pbkdf2(_read_iterations(parameter), is_aligned=_is_block_aligned(encrypted, _LEGACY_BLOCK_SIZE))
        if scheme != _PBES2:
            return _unsupported()
        ((derivation, cipher),) = parameters
        is_aligned = _is_block_aligned(encrypted, _block_size(cipher))
        identifier, parameter = derivation
        function = der.dotted_oid(identifier)
        if function == _PBKDF2:
            _check_hmac(parameter)
            return _pbkdf2(_read_iterations(parameter), is_aligned=is_aligned)
        return _scrypt(parameter, is_aligned=is_aligned) if function == _SCRYPT else _unsupported()
    except ValueError:  # a DerError, or too few or too many parts
        return _unsupported()


def to_canonical(content: SecretBytes) -> SecretBytes:
    """Return an encrypted key without an explicit HMAC-SHA1 for PBKDF2.

    HMAC-SHA1 is the default. DER omits it and `cryptography` refuses it, but some programs write it.

    Args:
        content: an encrypted private key in DER; any other content is returned unchanged.

    """
    try:
        (scheme, (derivation, cipher)), encrypted = der.first_element(content)
        identifier, parameter = derivation
        *parameters, hmac = islice(parameter, _MAX_PARAMETERS)
        is_default = hmac.tag == der.SEQUENCE and der.dotted_oid(next(iter(hmac), hmac)) == _HMAC_SHA1
        if der.dotted_oid(scheme) != _PBES2 or der.dotted_oid(identifier) != _PBKDF2 or not is_default:
            return content
    except ValueError:  # a DerError, or too few or too many parts
        return content
    rest = der.encode(der.SEQUENCE, *(each.encoded for each in parameters))
    derived = der.encode(der.SEQUENCE, identifier.encoded, rest)
    algorithm = der.encode(der.SEQUENCE, scheme.encoded, der.encode(der.SEQUENCE, derived, cipher.encoded))
    return SecretBytes(der.encode(der.SEQUENCE, algorithm, encrypted.encoded))


def _is_block_aligned(encrypted: der.Element, block: int) -> bool:
    length = encrypted.end - encrypted.begin
    return length > 0 and length % block == 0


def _block_size(cipher: der.Element) -> int:
    """Return the block size of the cipher, in bytes.

    Raises:
        ValueError: the cipher is not supported.

    """
    identifier, vector = cipher
    name = der.dotted_oid(identifier)
    if name not in _BLOCK_SIZES:
        raise der.DerError("the cipher is not supported")
    if name == _RC2:
        version, vector = vector
        if der.integer(version) != _RC2_WITH_128_BITS:
            raise der.DerError("RC2 is supported with 128 bits only")
    if vector.tag != der.OCTET_STRING or vector.end - vector.begin != _BLOCK_SIZES[name]:
        raise der.DerError("the initialization vector has not the size of a block")
    return _BLOCK_SIZES[name]


def _check_hmac(parameter: der.Element) -> None:
    """Raise `ValueError` if PBKDF2 has no explicit salt, or uses an unsupported HMAC."""
    salt, _iterations, *others = islice(parameter, _MAX_PARAMETERS)
    hmacs = [each for each in others if each.tag == der.SEQUENCE]
    if salt.tag != der.OCTET_STRING or any(der.dotted_oid(next(iter(each), each)) not in _HMACS for each in hmacs):
        raise der.DerError("the salt or the HMAC is not supported")


def _read_iterations(parameter: der.Element) -> int:
    _salt, count, *_ = islice(parameter, _MAX_PARAMETERS)
    return der.integer(count)


def _unsupported() -> Encryption:
    return Encryption(refusal=message("findings.unknown_encryption"))


def _pbkdf2(iterations: int, *, is_aligned: bool) -> Encryption:
    if 1 <= iterations <= _MAX_ITERATIONS:
        return Encryption(iterations, is_block_aligned=is_aligned)
    refusal = message("findings.many_iterations", iterations=iterations)
    return Encryption(refusal=refusal, is_block_aligned=is_aligned)


def _scrypt(parameter: der.Element, *, is_aligned: bool) -> Encryption:
    _salt, cost, block_size, parallelism, *_ = islice(parameter, _MAX_PARAMETERS)
    n, r, p = map(der.integer, (cost, block_size, parallelism))
    if min(n, r, p) >= 1 and n * r * p <= _MAX_SCRYPT_COST:
        return Encryption(n * r * p, is_block_aligned=is_aligned)
    return Encryption(refusal=message("findings.costly_scrypt", n=n, r=r, p=p), is_block_aligned=is_aligned)
