"""How a key is encrypted: looked at before anything is computed, for the file itself says how much there is to compute.

A count of two thousand million in a file of 1 kB would hold the GIL, and with it the whole process, for ten minutes.
"""

from __future__ import annotations

from typing import Final

from facturaonline_async.sello import der

__all__ = ["refusal"]

_PBES2: Final = "1.2.840.113549.1.5.13"
_PBKDF2: Final = "1.2.840.113549.1.5.12"
_SCRYPT: Final = "1.3.6.1.4.1.11591.4.11"
_CIPHERS: Final = frozenset(
    {
        "1.2.840.113549.3.7",  # three-key DES, which the SAT uses
        "1.2.840.113549.3.2",  # RC2
        "2.16.840.1.101.3.4.1.2",  # AES
        "2.16.840.1.101.3.4.1.22",
        "2.16.840.1.101.3.4.1.42",
    }
)
_OLDER: Final = frozenset(
    {
        "1.2.840.113549.1.5.3",  # PBES1 with MD5 and DES
        "1.2.840.113549.1.12.1.3",  # PKCS#12 with three-key DES
        "1.2.840.113549.1.12.1.6",  # PKCS#12 with RC2
    }
)

_MOST_ROUNDS: Final = 1_000_000
"""Half a second. The SAT's keys have 2048, OpenSSL's as many, and the most careful advice is 600,000."""
_MOST_SCRYPT: Final = 1 << 20
"""N·r·p: half a second and 128 MiB. OpenSSL's keys have an eighth of it."""

_UNKNOWN: Final = "it is encrypted in a way that is not known here"


def refusal(content: bytes) -> str:
    """Return why an encrypted PKCS#8 key is not worth trying, or ``""``. Never raises."""
    try:
        algorithm, _ = der.first(content)
        identifier, parameters = algorithm
        scheme = der.dotted(identifier)
        if scheme in _OLDER:
            return _rounds(*parameters)
        if scheme != _PBES2:
            return _UNKNOWN
        derivation, cipher = parameters
        if der.dotted(next(iter(cipher))) not in _CIPHERS:
            return _UNKNOWN
        identifier, parameters = derivation
        function = der.dotted(identifier)
        if function == _PBKDF2:
            return _rounds(*parameters)
        return _scrypt(*parameters) if function == _SCRYPT else _UNKNOWN
    except (ValueError, TypeError, StopIteration):  # a DerError, or too few or too many parts
        return _UNKNOWN


def _rounds(_salt: der.Element, count: der.Element, *_: der.Element) -> str:
    rounds = der.integer(count)
    if 1 <= rounds <= _MOST_ROUNDS:
        return ""
    return f"its password goes through {rounds:,} rounds, and a key of the SAT through 2,048"


def _scrypt(_salt: der.Element, cost: der.Element, block: der.Element, lanes: der.Element, *_: der.Element) -> str:
    n, r, p = map(der.integer, (cost, block, lanes))
    if min(n, r, p) >= 1 and n * r * p <= _MOST_SCRYPT:
        return ""
    return f"its password goes through scrypt with N={n}, r={r} and p={p}, and no key of the SAT does"
