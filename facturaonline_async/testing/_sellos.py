"""Certificates with keys, shaped as those of the SAT, that nobody has to ask the SAT for."""

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
_EARLIER: Final = timedelta(hours=1)
"""A certificate is valid from a little before now, so that clocks may differ."""

_PREFIXES: Final = {"uat": "3000100000", "ac6": "000010000006"}
"""How the certificate numbers of each authority begin."""

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
    """Make a certificate and its key, shaped as the SAT's test files are: a `Sello` to send, or to break.

    The certificate is signed by an authority that this process makes up and forgets, with the name of one of the SAT's.
    For one that has expired, or is not valid yet, move `now`; for a wrong password, take the bytes of one
    call and another password.

    Args:
        rfc: taken as it is. One of 12 characters is a company's: its certificate names a representative too.
        razon_social: name of the holder; default ``"EMPRESA <rfc>"``. Ñ and & are fine, here and in the RFC.
        kind: ``"csd"`` (with an OU, for sealing invoices) or ``"fiel"`` (the e.firma of the holder).
        password: the key is encrypted with it.
        now: an aware datetime; default: the current time. Validity begins an hour earlier.
        years: of validity, from 1 up.
        number: 20 ASCII digits; default: another one for each call, such as the issuer gives.
        private_key: RSA key to use instead of a new one. Making keys is slow (about 0.1 s): with a key given, a call
            takes some milliseconds, so that a few keys do for thousands of certificates.
        issuer: ``"uat"``, the SAT's test authority; or ``"ac6"``, its AC6, which issues certificates for production and
            writes its own name as no standard allows: UTF-8 that was encoded twice, and UTF-8 in a PrintableString.
            `cryptography` refuses to load such a certificate.

    Raises:
        InvalidInputError: an argument is none of the above.

    """
    moment = datetime.now(UTC) if now is None else now
    _check(rfc, kind, moment, years=years, number=number, issuer=issuer)
    key = private_key or rsa.generate_private_key(public_exponent=65537, key_size=2048)
    body = der.sequence(
        der.explicit(0, der.integer(2)),  # version 3
        der.integer(int.from_bytes((number or _new_number(issuer)).encode("ascii"), "big")),
        _SHA256_WITH_RSA,
        _issuer() if issuer == "uat" else _issuer_ac6(),
        _validity(moment - _EARLIER, years),
        _subject(rfc, razon_social or f"EMPRESA {rfc}", kind),
        key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        der.explicit(3, _extensions(kind)),
    )
    signature = _authority_key().sign(body, padding.PKCS1v15(), hashes.SHA256())
    return Sello(der.sequence(body, _SHA256_WITH_RSA, der.bits(signature)), _encrypted(key, password), password)


def _check(rfc: str, kind: str, now: datetime, *, years: int, number: str | None, issuer: str) -> None:
    if not rfc:
        raise InvalidInputError("rfc is empty.", field="rfc")
    if kind not in {"csd", "fiel"}:
        raise InvalidInputError(f'kind must be "csd" or "fiel", and was {kind!r}.', field="kind")
    if now.tzinfo is None:
        raise InvalidInputError("now must be an aware datetime: give it a time zone.", field="now")
    if years < 1:
        raise InvalidInputError(f"years must be a number from 1 up, and was {years!r}.", field="years")
    if issuer not in _PREFIXES:
        raise InvalidInputError(f'issuer must be "uat" or "ac6", and was {issuer!r}.', field="issuer")
    if number is not None and not re.fullmatch(r"[0-9]{20}", number):
        raise InvalidInputError(f"number must be 20 ASCII digits, and was {number!r}.", field="number")


def _new_number(issuer: str) -> str:
    """Return a certificate number that no other call of this process gets."""
    prefix = _PREFIXES[issuer]
    rest = 20 - len(prefix)
    return f"{prefix}{next(_numbers) % 10**rest:0{rest}d}"


@functools.cache
def _authority_key() -> rsa.RSAPrivateKey:
    """Return the key of the authority. The SAT's has 4096 bits; a throw-away one need not be so slow to make."""
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
        _rdn(_UNIQUE_IDENTIFIER, der.text("2.5.4.45")),  # the SAT's own test authority has this for a value
        _rdn("1.2.840.113549.1.9.2", der.text("responsable: ACDMA-SAT")),  # unstructured name
    )


def _double_encoded(text: str) -> bytes:
    """Return a UTF8String whose text was read as Latin-1, and encoded once more."""
    return der.utf8(text.encode().decode("latin-1"))


@functools.cache
def _issuer_ac6() -> bytes:
    responsible = "responsable: Administración Central de Servicios Tributarios al Contribuyente"
    return der.sequence(
        _rdn(_COMMON_NAME, _double_encoded("A.C. del Servicio de Administración Tributaria")),
        _rdn(_ORGANIZATION, _double_encoded("Servicio de Administración Tributaria")),
        _rdn(_ORGANIZATIONAL_UNIT, der.utf8("SAT-IES Authority")),
        _rdn(_EMAIL, der.ia5("contacto.tecnico@example.com")),
        _rdn("2.5.4.9", der.utf8("Av. Hidalgo 77, Col. Guerrero")),  # street address
        _rdn("2.5.4.17", der.utf8("06300")),  # postal code
        _rdn(_COUNTRY, der.text("MX")),
        _rdn("2.5.4.8", _double_encoded("Ciudad de México")),  # state
        _rdn("2.5.4.7", _double_encoded("Cuauhtémoc")),  # locality
        _rdn(_UNIQUE_IDENTIFIER, der.text("SAT970701NN3")),
        _rdn("1.2.840.113549.1.9.2", der.string(0x13, responsible.encode())),  # unstructured name, in a PrintableString
    )


def _subject(rfc: str, razon_social: str, kind: str) -> bytes:
    """Return the holder. A company's RFC and CURP stand before and behind a slash, with its representative's."""
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
    """Return the extensions, among which only the basic constraints are critical."""
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


def _encrypted(key: rsa.RSAPrivateKey, password: str) -> bytes:
    """Encrypt a key as the SAT's files are: PBES2 of PBKDF2 (HMAC-SHA1, 2048 rounds) and three-key DES.

    `cryptography` reads that, and writes AES only.
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
