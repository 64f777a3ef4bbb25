"""Generator of test certificates and keys in the form of the SAT's."""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
import re
import secrets
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from facturaonline_async._messages import message
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.sello import Sello
from facturaonline_async.testing import _der as der

__all__ = ["make_sello"]

_COMMON_NAME: Final = "2.5.4.3"
_SERIAL_NUMBER: Final = "2.5.4.5"
_COUNTRY: Final = "2.5.4.6"
_ORGANIZATION: Final = "2.5.4.10"
_ORGANIZATIONAL_UNIT: Final = "2.5.4.11"
_NAME: Final = "2.5.4.41"
_UNIQUE_IDENTIFIER: Final = "2.5.4.45"
_EMAIL: Final = "1.2.840.113549.1.9.1"

_SHA256_WITH_RSA: Final = der.sequence(der.oid("1.2.840.113549.1.1.11"), der.null())
_CLOCK_TOLERANCE: Final = timedelta(hours=1)
"""Validity begins before the current time, so that clocks may differ."""

_NUMBER_PREFIXES: Final = {"uat": "3000100000", "ac6": "000010000006"}
"""Prefix of the certificate numbers of each authority."""

_numbers: Final = itertools.count(secrets.randbelow(10**10))


def make_sello(
    rfc: str,
    *,
    razon_social: str | None = None,
    kind: Literal["csd", "fiel"] = "csd",
    password: str = "12345678a",  # noqa: S107  # the password of all the SAT's own test files
    now: datetime | None = None,
    years: int = 4,
    number: str | None = None,
    private_key: rsa.RSAPrivateKey | None = None,
    issuer: Literal["uat", "ac6"] = "uat",
) -> Sello:
    """Make a `Sello` for tests, in the form of the SAT's test files.

    The certificate has the name of one of the SAT's authorities, but is signed with a temporary key of this process.
    For an expired or not yet valid certificate, change `now`. For a wrong password, combine the bytes of a result with
    another password.

    Args:
        rfc: RFC of the holder, not checked. With 12 characters the holder is a company, and the certificate names a
            representative too.
        razon_social: name of the holder; default ``"EMPRESA <rfc>"``. Ñ and & are allowed, here and in the RFC.
        kind: ``"csd"`` (with an OU, for sealing invoices) or ``"fiel"`` (the e.firma of the holder).
        password: password that encrypts the key.
        now: an aware datetime; default: the current time. Validity begins one hour earlier.
        years: years of validity, from 1 up.
        number: number of the certificate, 20 ASCII digits; default: a new one for each call, with the issuer's prefix.
        private_key: RSA key to use instead of a new one. A new key takes about 0.1 s, a call with a given key some
            milliseconds, so that a few keys suffice for thousands of certificates.
        issuer: ``"uat"``, the SAT's test authority; or ``"ac6"``, its AC6 for production, which encodes its own name
            against the standard: double-encoded UTF-8, and UTF-8 in a PrintableString. `cryptography` refuses to load
            such a certificate.

    Returns:
        The certificate, its encrypted key and the password.

    Raises:
        InvalidInputError: an argument has another value than these.

    """
    moment = datetime.now(UTC) if now is None else now
    _check(rfc, kind, moment, years=years, number=number, issuer=issuer)
    key = private_key or rsa.generate_private_key(public_exponent=65537, key_size=2048)
    body = der.sequence(
        der.explicit(0, der.integer(2)),  # version 3
        der.integer(int.from_bytes((number or _new_number(issuer)).encode("ascii"), "big")),
        _SHA256_WITH_RSA,
        _issuer() if issuer == "uat" else _issuer_ac6(),
        _validity(moment - _CLOCK_TOLERANCE, years),
        _subject(rfc, razon_social or f"EMPRESA {rfc}", kind),
        key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        der.explicit(3, _extensions(kind)),
    )
    signature = _authority_key().sign(body, padding.PKCS1v15(), hashes.SHA256())
    return Sello(der.sequence(body, _SHA256_WITH_RSA, der.bits(signature)), _encrypt_key(key, password), password)


def _check(rfc: str, kind: str, now: datetime, *, years: int, number: str | None, issuer: str) -> None:
    if not rfc:
        raise InvalidInputError(message("values.empty", name="rfc"), field="rfc")
    if kind not in {"csd", "fiel"}:
        raise InvalidInputError(message("testing.not_a_kind", name="kind", value=f"{kind!r}"), field="kind")
    if now.tzinfo is None:
        raise InvalidInputError(message("values.without_time_zone", name="now"), field="now")
    if years < 1:
        raise InvalidInputError(
            message("testing.too_small", name="years", minimum=1, value=f"{years!r}"), field="years"
        )
    if issuer not in _NUMBER_PREFIXES:
        raise InvalidInputError(message("testing.unknown_issuer", name="issuer", value=f"{issuer!r}"), field="issuer")
    if number is not None and not re.fullmatch(r"[0-9]{20}", number):
        raise InvalidInputError(
            message("testing.not_a_certificate_number", name="number", value=f"{number!r}"), field="number"
        )


def _new_number(issuer: str) -> str:
    """Return a certificate number that is unique in this process."""
    prefix = _NUMBER_PREFIXES[issuer]
    rest = 20 - len(prefix)
    return f"{prefix}{next(_numbers) % 10**rest:0{rest}d}"


@functools.cache
def _authority_key() -> rsa.RSAPrivateKey:
    """Return the temporary key of the authority.

    It has 2048 bits, because the SAT's 4096 are slow to make.
    """
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _rdn(attribute: str, value: bytes) -> bytes:
    return der.set_of(der.sequence(der.oid(attribute), value))


@functools.cache
def _issuer() -> bytes:
    return der.sequence(
        _rdn(_COMMON_NAME, der.utf8("AC UAT")),
        _rdn(_ORGANIZATION, der.utf8("SERVICIO DE ADMINISTRACION TRIBUTARIA")),
        _rdn(_ORGANIZATIONAL_UNIT, der.utf8("SAT-IES Authority")),
        _rdn(_EMAIL, der.ia5("pruebas@example.com")),
        _rdn("2.5.4.9", der.utf8("3ra cerrada de caliz")),  # street address
        _rdn("2.5.4.17", der.utf8("06370")),  # postal code
        _rdn(_COUNTRY, der.text("MX")),
        _rdn("2.5.4.8", der.utf8("CIUDAD DE MEXICO")),  # state
        _rdn("2.5.4.7", der.utf8("COYOACAN")),  # locality
        _rdn(_UNIQUE_IDENTIFIER, der.text("2.5.4.45")),  # the value of the SAT's own test authority
        _rdn("1.2.840.113549.1.9.2", der.text("responsable: ACDMA-SAT")),  # unstructured name
    )


def _double_encode(text: str) -> bytes:
    """Return a UTF8String of double-encoded UTF-8."""
    return der.utf8(text.encode().decode("latin-1"))


@functools.cache
def _issuer_ac6() -> bytes:
    responsible = "responsable: Administración Central de Servicios Tributarios al Contribuyente"
    return der.sequence(
        _rdn(_COMMON_NAME, _double_encode("A.C. del Servicio de Administración Tributaria")),
        _rdn(_ORGANIZATION, _double_encode("Servicio de Administración Tributaria")),
        _rdn(_ORGANIZATIONAL_UNIT, der.utf8("SAT-IES Authority")),
        _rdn(_EMAIL, der.ia5("contacto.tecnico@example.com")),
        _rdn("2.5.4.9", der.utf8("Av. Hidalgo 77, Col. Guerrero")),  # street address
        _rdn("2.5.4.17", der.utf8("06300")),  # postal code
        _rdn(_COUNTRY, der.text("MX")),
        _rdn("2.5.4.8", _double_encode("Ciudad de México")),  # state
        _rdn("2.5.4.7", _double_encode("Cuauhtémoc")),  # locality
        _rdn(_UNIQUE_IDENTIFIER, der.text("SAT970701NN3")),
        _rdn("1.2.840.113549.1.9.2", der.string(0x13, responsible.encode())),  # unstructured name, in a PrintableString
    )


def _subject(rfc: str, razon_social: str, kind: str) -> bytes:
    """Return the name of the holder.

    A slash separates a company's RFC and CURP from those of its representative.
    """
    is_company = len(rfc) == 12
    curp = f"{rfc[:10]}HDFRRL09".replace("Ñ", "X").replace("&", "X")  # no CURP has either
    name = [_rdn(attribute, der.text(razon_social)) for attribute in (_COMMON_NAME, _NAME, _ORGANIZATION)]
    contact = [_rdn(_COUNTRY, der.text("MX")), _rdn(_EMAIL, der.ia5("pruebas@example.com"))]
    holder = [
        _rdn(_UNIQUE_IDENTIFIER, der.text(f"{rfc} / VADA800927DJ3" if is_company else rfc)),
        _rdn(_SERIAL_NUMBER, der.text(" / VADA800927HSRSRL05" if is_company else curp)),
    ]
    if kind == "fiel":
        return der.sequence(*name, *contact, *holder)
    return der.sequence(*name, *holder, _rdn(_ORGANIZATIONAL_UNIT, der.text("Sucursal 1")))


def _validity(begin: datetime, years: int) -> bytes:
    try:
        end = begin.replace(year=begin.year + years)
    except ValueError:  # 29 February
        end = begin.replace(year=begin.year + years, day=28)
    return der.sequence(der.utc(begin), der.utc(end))


@functools.cache
def _extensions(kind: str) -> bytes:
    """Return the extensions; only the basic constraints are critical."""
    constraints = der.sequence(der.oid("2.5.29.19"), der.boolean(True), der.octets(der.sequence()))  # noqa: FBT003
    if kind == "csd":
        return der.sequence(constraints, _key_usage(0b11000000, 6))  # digitalSignature, contentCommitment
    purposes = der.sequence(der.oid("1.3.6.1.5.5.7.3.4"), der.oid("1.3.6.1.5.5.7.3.2"))  # e-mail, client
    return der.sequence(
        constraints,
        _key_usage(0b11011000, 3),  # the same, dataEncipherment, keyAgreement
        der.sequence(der.oid("2.16.840.1.113730.1.1"), der.octets(der.bits(b"\xa0", 5))),  # Netscape: client, e-mail
        der.sequence(der.oid("2.5.29.37"), der.octets(purposes)),
    )


def _key_usage(usage: int, unused: int) -> bytes:
    return der.sequence(der.oid("2.5.29.15"), der.octets(der.bits(bytes((usage,)), unused)))


def _encrypt_key(key: rsa.RSAPrivateKey, password: str) -> bytes:
    """Encrypt a key as the SAT does.

    The scheme is PBES2 with PBKDF2 (HMAC-SHA1, 2048 iterations) and three-key DES. `cryptography`
    can read this encryption, but writes AES only.
    """
    salt, vector = os.urandom(8), os.urandom(8)
    secret = hashlib.pbkdf2_hmac("sha1", password.encode(), salt, 2048, 24)
    padder = PKCS7(64).padder()
    plain = padder.update(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())) + padder.finalize()
    encryptor = Cipher(TripleDES(secret), modes.CBC(vector)).encryptor()
    derivation = der.sequence(der.oid("1.2.840.113549.1.5.12"), der.sequence(der.octets(salt), der.integer(2048)))
    cipher = der.sequence(der.oid("1.2.840.113549.3.7"), der.octets(vector))
    return der.sequence(
        der.sequence(der.oid("1.2.840.113549.1.5.13"), der.sequence(derivation, cipher)),
        der.octets(encryptor.update(plain) + encryptor.finalize()),
    )
