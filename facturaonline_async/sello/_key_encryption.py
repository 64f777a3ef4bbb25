"""How a key is encrypted: looked at before anything is computed, for the file itself says how much there is to compute.

A count of two thousand million in a file of 1 kB would hold the GIL, and with it the whole process, for ten minutes.
And what `cryptography` does not know in an encryption, it reports as it does a wrong password.
"""

from __future__ import annotations

from itertools import islice
from typing import Final

from attrs import frozen

from facturaonline_async.config import SecretBytes
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
"""Bytes in a block of each cipher that is known."""
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
"""Of a function that makes a key of a password: of scrypt."""

_HMAC_SHA1: Final = "1.2.840.113549.2.7"
_HMACS: Final = frozenset({_HMAC_SHA1, *(f"1.2.840.113549.2.{number}" for number in (8, 9, 10, 11))})
"""With SHA-1, SHA-224, SHA-256, SHA-384 and SHA-512."""

_MAX_ITERATIONS: Final = 1_000_000
"""Half a second. The SAT's keys have 2048, OpenSSL's as many, and the most careful advice is 600,000."""
_MAX_SCRYPT_COST: Final = 1 << 20
"""N·r·p: half a second and 128 MiB. OpenSSL's keys have an eighth of it."""

_UNKNOWN: Final = "it is encrypted in a way that is not known here"


@frozen
class Encryption:
    """How a key is encrypted.

    Attributes:
        rounds: work that a password takes, in rounds of PBKDF2: 1,000,000 take half a second.
        refusal: why it is not worth trying, or ``""``.
        is_aligned: whether the encrypted content is a whole number of the cipher's blocks.

    """

    iterations: int = 0
    refusal: str = ""
    is_block_aligned: bool = True


def inspect_encryption(content: bytes) -> Encryption:
    """Return how a PKCS#8 key is encrypted. Never raises."""
    try:
        algorithm, encrypted = der.first_element(content)
        identifier, *parameters = islice(algorithm, _MAX_PARAMETERS)
        scheme = der.dotted_oid(identifier)
        if scheme in _LEGACY_SCHEMES:
            (parameter,) = parameters
            return _pbkdf2(_read_iterations(parameter), is_aligned=_is_block_aligned(encrypted, _LEGACY_BLOCK_SIZE))
        if scheme != _PBES2:
            return Encryption(refusal=_UNKNOWN)
        ((derivation, cipher),) = parameters
        is_aligned = _is_block_aligned(encrypted, _block_size(cipher))
        identifier, parameter = derivation
        function = der.dotted_oid(identifier)
        if function == _PBKDF2:
            _check_hmac(parameter)
            return _pbkdf2(_read_iterations(parameter), is_aligned=is_aligned)
        return _scrypt(parameter, is_aligned=is_aligned) if function == _SCRYPT else Encryption(refusal=_UNKNOWN)
    except ValueError:  # a DerError, or too few or too many parts
        return Encryption(refusal=_UNKNOWN)


def to_canonical(content: SecretBytes) -> SecretBytes:
    """Return an encrypted key in DER as `cryptography` wants it: PBKDF2 with HMAC-SHA1 does not name that.

    It is the default, which DER leaves out and some programs write.
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
    """Return the bytes in a block of the cipher.

    Raises:
        ValueError: the cipher is not known.

    """
    identifier, vector = cipher
    name = der.dotted_oid(identifier)
    if name not in _BLOCK_SIZES:
        raise der.DerError("the cipher is not known")
    if name == _RC2:
        version, vector = vector
        if der.integer(version) != _RC2_WITH_128_BITS:
            raise der.DerError("RC2 is known with 128 bits only")
    if vector.tag != der.OCTET_STRING or vector.end - vector.begin != _BLOCK_SIZES[name]:
        raise der.DerError("the initial vector is no block of bytes")
    return _BLOCK_SIZES[name]


def _check_hmac(parameter: der.Element) -> None:
    """Raise `ValueError` where PBKDF2 takes its salt from elsewhere, or uses an HMAC that is not known."""
    salt, _iterations, *others = islice(parameter, _MAX_PARAMETERS)
    hmacs = [each for each in others if each.tag == der.SEQUENCE]
    if salt.tag != der.OCTET_STRING or any(der.dotted_oid(next(iter(each), each)) not in _HMACS for each in hmacs):
        raise der.DerError("the salt or the HMAC is not known")


def _read_iterations(parameter: der.Element) -> int:
    _salt, count, *_ = islice(parameter, _MAX_PARAMETERS)
    return der.integer(count)


def _pbkdf2(rounds: int, *, is_aligned: bool) -> Encryption:
    if 1 <= rounds <= _MAX_ITERATIONS:
        return Encryption(rounds, is_block_aligned=is_aligned)
    return Encryption(
        refusal=f"its password goes through {rounds:,} rounds, and a key of the SAT through 2,048",
        is_block_aligned=is_aligned,
    )


def _scrypt(parameter: der.Element, *, is_aligned: bool) -> Encryption:
    _salt, cost, block, lanes, *_ = islice(parameter, _MAX_PARAMETERS)
    n, r, p = map(der.integer, (cost, block, lanes))
    if min(n, r, p) >= 1 and n * r * p <= _MAX_SCRYPT_COST:
        return Encryption(n * r * p, is_block_aligned=is_aligned)
    return Encryption(
        refusal=f"its password goes through scrypt with N={n}, r={r} and p={p}, and no key of the SAT does",
        is_block_aligned=is_aligned,
    )
