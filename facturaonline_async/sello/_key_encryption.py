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

__all__ = ["Encryption", "canonical", "examined"]

_PBES2: Final = "1.2.840.113549.1.5.13"
_PBKDF2: Final = "1.2.840.113549.1.5.12"
_SCRYPT: Final = "1.3.6.1.4.1.11591.4.11"
_RC2: Final = "1.2.840.113549.3.2"
_BLOCKS: Final = {
    "1.2.840.113549.3.7": 8,  # three-key DES, which the SAT uses
    _RC2: 8,
    "2.16.840.1.101.3.4.1.2": 16,  # AES
    "2.16.840.1.101.3.4.1.22": 16,
    "2.16.840.1.101.3.4.1.42": 16,
}
"""Bytes in a block of each cipher that is known."""
_RC2_WITH_128_BITS: Final = 58
_OLDER: Final = frozenset(
    {
        "1.2.840.113549.1.5.3",  # PBES1 with MD5 and DES
        "1.2.840.113549.1.12.1.3",  # PKCS#12 with three-key DES
        "1.2.840.113549.1.12.1.6",  # PKCS#12 with RC2
    }
)
_OLDER_BLOCK: Final = 8
_MOST_PARAMETERS: Final = 5
"""Of a function that makes a key of a password: of scrypt."""

_HMAC_SHA1: Final = "1.2.840.113549.2.7"
_HMACS: Final = frozenset({_HMAC_SHA1, *(f"1.2.840.113549.2.{number}" for number in (8, 9, 10, 11))})
"""With SHA-1, SHA-224, SHA-256, SHA-384 and SHA-512."""

_MOST_ROUNDS: Final = 1_000_000
"""Half a second. The SAT's keys have 2048, OpenSSL's as many, and the most careful advice is 600,000."""
_MOST_SCRYPT: Final = 1 << 20
"""N·r·p: half a second and 128 MiB. OpenSSL's keys have an eighth of it."""

_UNKNOWN: Final = "it is encrypted in a way that is not known here"


@frozen
class Encryption:
    """How a key is encrypted.

    Attributes:
        rounds: work that a password takes, in rounds of PBKDF2: 1,000,000 take half a second.
        refusal: why it is not worth trying, or ``""``.
        is_whole: whether the encrypted content is a whole number of the cipher's blocks.

    """

    rounds: int = 0
    refusal: str = ""
    is_whole: bool = True


def examined(content: bytes) -> Encryption:
    """Return how a PKCS#8 key is encrypted. Never raises."""
    try:
        algorithm, encrypted = der.first(content)
        identifier, *parameters = islice(algorithm, _MOST_PARAMETERS)
        scheme = der.dotted(identifier)
        if scheme in _OLDER:
            (parameter,) = parameters
            return _with_rounds(_count(parameter), is_whole=_is_whole(encrypted, _OLDER_BLOCK))
        if scheme != _PBES2:
            return Encryption(refusal=_UNKNOWN)
        ((derivation, cipher),) = parameters
        is_whole = _is_whole(encrypted, _block(cipher))
        identifier, parameter = derivation
        function = der.dotted(identifier)
        if function == _PBKDF2:
            _check_hmac(parameter)
            return _with_rounds(_count(parameter), is_whole=is_whole)
        return _scrypt(parameter, is_whole=is_whole) if function == _SCRYPT else Encryption(refusal=_UNKNOWN)
    except ValueError:  # a DerError, or too few or too many parts
        return Encryption(refusal=_UNKNOWN)


def canonical(content: SecretBytes) -> SecretBytes:
    """Return an encrypted key in DER as `cryptography` wants it: PBKDF2 with HMAC-SHA1 does not name that.

    It is the default, which DER leaves out and some programs write.
    """
    try:
        (scheme, (derivation, cipher)), encrypted = der.first(content)
        identifier, parameter = derivation
        *parameters, hmac = islice(parameter, _MOST_PARAMETERS)
        is_default = hmac.tag == der.SEQUENCE and der.dotted(next(iter(hmac), hmac)) == _HMAC_SHA1
        if der.dotted(scheme) != _PBES2 or der.dotted(identifier) != _PBKDF2 or not is_default:
            return content
    except ValueError:  # a DerError, or too few or too many parts
        return content
    rest = der.encoded(der.SEQUENCE, *(each.whole for each in parameters))
    derived = der.encoded(der.SEQUENCE, identifier.whole, rest)
    algorithm = der.encoded(der.SEQUENCE, scheme.whole, der.encoded(der.SEQUENCE, derived, cipher.whole))
    return SecretBytes(der.encoded(der.SEQUENCE, algorithm, encrypted.whole))


def _is_whole(encrypted: der.Element, block: int) -> bool:
    length = encrypted.end - encrypted.begin
    return length > 0 and length % block == 0


def _block(cipher: der.Element) -> int:
    """Return the bytes in a block of the cipher.

    Raises:
        ValueError: the cipher is not known.

    """
    identifier, vector = cipher
    name = der.dotted(identifier)
    if name not in _BLOCKS:
        raise der.DerError("the cipher is not known")
    if name == _RC2:
        version, vector = vector
        if der.integer(version) != _RC2_WITH_128_BITS:
            raise der.DerError("RC2 is known with 128 bits only")
    if vector.tag != der.OCTET_STRING or vector.end - vector.begin != _BLOCKS[name]:
        raise der.DerError("the initial vector is no block of bytes")
    return _BLOCKS[name]


def _check_hmac(parameter: der.Element) -> None:
    """Raise `ValueError` where PBKDF2 takes its salt from elsewhere, or uses an HMAC that is not known."""
    salt, _count, *others = islice(parameter, _MOST_PARAMETERS)
    hmacs = [each for each in others if each.tag == der.SEQUENCE]
    if salt.tag != der.OCTET_STRING or any(der.dotted(next(iter(each), each)) not in _HMACS for each in hmacs):
        raise der.DerError("the salt or the HMAC is not known")


def _count(parameter: der.Element) -> int:
    _salt, count, *_ = islice(parameter, _MOST_PARAMETERS)
    return der.integer(count)


def _with_rounds(rounds: int, *, is_whole: bool) -> Encryption:
    if 1 <= rounds <= _MOST_ROUNDS:
        return Encryption(rounds, is_whole=is_whole)
    return Encryption(
        refusal=f"its password goes through {rounds:,} rounds, and a key of the SAT through 2,048", is_whole=is_whole
    )


def _scrypt(parameter: der.Element, *, is_whole: bool) -> Encryption:
    _salt, cost, block, lanes, *_ = islice(parameter, _MOST_PARAMETERS)
    n, r, p = map(der.integer, (cost, block, lanes))
    if min(n, r, p) >= 1 and n * r * p <= _MOST_SCRYPT:
        return Encryption(n * r * p, is_whole=is_whole)
    return Encryption(
        refusal=f"its password goes through scrypt with N={n}, r={r} and p={p}, and no key of the SAT does",
        is_whole=is_whole,
    )
