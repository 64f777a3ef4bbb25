"""Reading the facts that a certificate of the SAT states."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from facturaonline_async.sello import der
from facturaonline_async.sello.printable import printable
from facturaonline_async.sello.report import Certificado, Kind
from facturaonline_async.sello.strangers import is_about_the_bytes

__all__ = ["UnreadableSubjectError", "read_certificado"]

_COMMON_NAME: Final = "2.5.4.3"
_SERIAL_NUMBER: Final = "2.5.4.5"
_ORGANIZATION: Final = "2.5.4.10"
_ORGANIZATIONAL_UNIT: Final = "2.5.4.11"
_UNIQUE_IDENTIFIER: Final = "2.5.4.45"

_USAGES: Final = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
)
_OF_A_FIEL: Final = {"data_encipherment", "key_agreement"}


class UnreadableSubjectError(ValueError):
    """It is a certificate, but its names cannot be read."""


def read_certificado(content: bytes) -> tuple[Certificado, rsa.RSAPublicNumbers | None]:
    """Return the facts, and the public key if it is one of RSA.

    Raises:
        UnreadableSubjectError: its names cannot be read.
        ValueError: it is no certificate that can be read.

    """
    try:
        read = x509.load_der_x509_certificate(content)
        key = read.public_key()
        usage = tuple(_usages(read))
        hashed = read.signature_hash_algorithm
        validity = read.not_valid_before_utc, read.not_valid_after_utc
        numero = _numero(read.serial_number)
        body = read.tbs_certificate_bytes
    except BaseException as error:
        if not is_about_the_bytes(error):
            raise
        raise ValueError("not a certificate that can be read") from None
    subject, issuer = _names(body)
    rfc, rfc_representante = _pair(subject, _UNIQUE_IDENTIFIER)
    curp, curp_representante = _pair(subject, _SERIAL_NUMBER)
    sucursal = subject.get(_ORGANIZATIONAL_UNIT, "")
    certificado = Certificado(
        kind=_kind(is_sat=bool(rfc and numero), sucursal=sucursal, usage=usage),
        rfc=rfc,
        rfc_representante=rfc_representante,
        curp=curp,
        curp_representante=curp_representante,
        nombre=subject.get(_COMMON_NAME, subject.get(_ORGANIZATION, "")),
        sucursal=sucursal,
        numero=numero,
        not_before=validity[0],
        not_after=validity[1],
        issuer=issuer.get(_COMMON_NAME, ""),
        issuer_organization=issuer.get(_ORGANIZATION, ""),
        key_bits=key.key_size if isinstance(key, rsa.RSAPublicKey) else 0,
        key_usage=usage,
        signature_hash=hashed.name if hashed else "",
    )
    return certificado, key.public_numbers() if isinstance(key, rsa.RSAPublicKey) else None


def _names(body: bytes) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Return the texts of subject and issuer, out of the part of the certificate that is signed."""
    try:
        parts = [part for part in der.first(body) if part.tag != der.VERSION]
        _serial, _algorithm, issuer, _validity, subject, *_ = parts
        return _shown(der.texts(subject)), _shown(der.texts(issuer))
    except ValueError:  # a DerError, or too few parts
        raise UnreadableSubjectError("its names cannot be read") from None


def _shown(texts: Mapping[str, str]) -> Mapping[str, str]:
    """Return the texts as logs and terminals may have them: anybody can make a certificate."""
    return {identifier: printable(text.strip()) for identifier, text in texts.items()}


def _pair(subject: Mapping[str, str], identifier: str) -> tuple[str, str]:
    """Return what stands before and behind the slash: the holder's, and the representative's."""
    holder, _, representante = subject.get(identifier, "").partition("/")
    normalized = [unicodedata.normalize("NFC", text).strip().upper() for text in (holder, representante)]
    return normalized[0], normalized[1]


def _numero(serial: int) -> str:
    """Return the 20 digits that a serial number's bytes spell, or ``""``: then it is not the SAT's."""
    if serial.bit_length() > 160 or serial <= 0:
        return ""
    text = serial.to_bytes(20, "big")
    return text.decode("ascii") if text.isdigit() else ""


def _usages(certificate: x509.Certificate) -> Iterator[str]:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return
    yield from (name for name in _USAGES if getattr(usage, name))


def _kind(*, is_sat: bool, sucursal: str, usage: tuple[str, ...]) -> Kind | None:
    """Tell CSD from FIEL: the one has a sucursal, and its key is for signing only."""
    may_do_more = bool(_OF_A_FIEL.intersection(usage))
    if not is_sat or bool(sucursal) == (may_do_more and bool(usage)):
        return None
    return "csd" if sucursal else "fiel"
