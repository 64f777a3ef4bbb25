"""Reader of the facts in a SAT certificate.

`cryptography` refuses some of the SAT's certificates, because their names break the rules of X.509, and warns of
others. The tests compare both readers.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Final

from attrs import field, frozen

from facturaonline_async._text import printable, repair_mojibake
from facturaonline_async.sello import _der as der
from facturaonline_async.sello._report import Certificado, Kind

__all__ = ["Certificate", "PublicNumbers", "UnreadableSubjectError", "read_certificate"]

_COMMON_NAME: Final = "2.5.4.3"
_SERIAL_NUMBER: Final = "2.5.4.5"
_ORGANIZATION: Final = "2.5.4.10"
_ORGANIZATIONAL_UNIT: Final = "2.5.4.11"
_UNIQUE_IDENTIFIER: Final = "2.5.4.45"

_KEY_USAGE: Final = "2.5.29.15"
_BASIC_CONSTRAINTS: Final = "2.5.29.19"
_RSA: Final = "1.2.840.113549.1.1.1"

_USAGES: Final = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
)
"""In bit order."""
_FIEL_USAGES: Final = {"data_encipherment", "key_agreement"}

_HASHES: Final = {
    "1.2.840.113549.1.1.4": "md5",
    "1.2.840.113549.1.1.5": "sha1",
    "1.2.840.113549.1.1.14": "sha224",
    "1.2.840.113549.1.1.11": "sha256",
    "1.2.840.113549.1.1.12": "sha384",
    "1.2.840.113549.1.1.13": "sha512",
    "1.2.840.10045.4.1": "sha1",
    "1.2.840.10045.4.3.1": "sha224",
    "1.2.840.10045.4.3.2": "sha256",
    "1.2.840.10045.4.3.3": "sha384",
    "1.2.840.10045.4.3.4": "sha512",
}
"""Hash of each RSA and ECDSA signature algorithm, by OID."""

_TIMES: Final = {der.UTC_TIME: re.compile(rb"[0-9]{12}Z"), der.GENERALIZED_TIME: re.compile(rb"[0-9]{14}Z")}
_MAX_EXTENSIONS: Final = 100


class UnreadableSubjectError(ValueError):
    """A certificate whose subject or issuer cannot be read."""


@frozen
class PublicNumbers:
    """Public half of an RSA key.

    Attributes:
        n: modulus.
        e: public exponent.

    """

    n: int = field(repr=False)
    e: int


@frozen
class Certificate:
    """DER elements of a certificate, located but not yet decoded.

    Attributes:
        number: serial number.
        algorithm: signature algorithm.
        issuer: name of the authority.
        validity: begin and end.
        subject: name of the holder.
        key: public key with its algorithm.
        extensions: contents of the key usage and the basic constraints, by OID.

    """

    number: der.Element
    algorithm: der.Element
    issuer: der.Element
    validity: der.Element
    subject: der.Element
    key: der.Element
    extensions: Mapping[str, der.Element]

    @classmethod
    def of(cls, content: bytes) -> Certificate:
        """Locate the elements of a certificate.

        Args:
            content: the certificate in DER.

        Raises:
            ValueError: the bytes are not a readable certificate.

        """
        body, algorithm, _signature = der.first_element(content)
        parts = [part for part in islice(body, 11) if part.tag != der.VERSION]
        number, _algorithm, issuer, validity, subject, key, *others = parts
        wrapped = next((part for part in others if part.tag == der.EXTENSIONS), None)
        return cls(number, algorithm, issuer, validity, subject, key, {} if wrapped is None else _extensions(wrapped))

    @property
    def is_authority(self) -> bool:
        """Whether this is a CA certificate, by its basic constraints, or self-issued."""
        if self.issuer.content == self.subject.content:
            return True
        constraints = self.extensions.get(_BASIC_CONSTRAINTS)
        if constraints is None:
            return False
        return any(part.tag == der.BOOLEAN and any(part.content) for part in islice(constraints, 1))

    @property
    def public_numbers(self) -> PublicNumbers | None:
        """The RSA public key; None for a key of another kind.

        Raises:
            ValueError: the key cannot be read.

        """
        algorithm, bits = self.key
        if der.dotted_oid(next(iter(algorithm), bits)) != _RSA:
            return None
        if bits.tag != der.BIT_STRING or bits.content[:1] != b"\0":
            raise der.DerError("the public key is not a whole number of bytes")
        n, e = der.first_element(bits.content[1:])
        return PublicNumbers(der.unsigned_integer(n), der.unsigned_integer(e))

    @property
    def numero(self) -> str:
        """The 20 ASCII digits in the serial number; ``""`` if the SAT did not issue it."""
        digits = self.number.content
        return digits.decode("ascii") if len(digits) == 20 and digits.isdigit() else ""

    @property
    def usages(self) -> tuple[str, ...]:
        """The key usages, by `cryptography`'s names.

        Raises:
            ValueError: the extension cannot be read.

        """
        usage = self.extensions.get(_KEY_USAGE)
        if usage is None:
            return ()
        if usage.tag != der.BIT_STRING or len(usage.content) < 2:
            raise der.DerError("the key usage has no bits")
        bits = usage.content[1]
        return tuple(name for number, name in enumerate(_USAGES) if bits & 0x80 >> number)

    @property
    def signature_hash(self) -> str:
        """The hash of the signature, such as ``"sha256"``; ``""`` if unknown.

        Raises:
            ValueError: the algorithm cannot be read.

        """
        return _HASHES.get(der.dotted_oid(next(iter(self.algorithm), self.algorithm)), "")

    @property
    def period(self) -> tuple[datetime, datetime]:
        """Begin and end of the validity, in UTC.

        Raises:
            ValueError: a time cannot be read.

        """
        begin, end = self.validity
        return _parse_time(begin), _parse_time(end)


def _extensions(wrapped: der.Element) -> dict[str, der.Element]:
    (listed,) = wrapped
    found: dict[str, der.Element] = {}
    for extension in islice(listed, _MAX_EXTENSIONS):
        identifier, *_, content = islice(extension, 3)
        name = der.dotted_oid(identifier)
        if name in {_KEY_USAGE, _BASIC_CONSTRAINTS}:
            if content.tag != der.OCTET_STRING or name in found:
                raise der.DerError("an extension is repeated, or is not an OCTET STRING")
            found[name] = der.first_element(content.content)
    return found


def _parse_time(element: der.Element) -> datetime:
    if element.tag not in _TIMES:
        raise der.DerError("the element is not a time")
    if not _TIMES[element.tag].fullmatch(element.content):
        raise der.DerError("a time must have 12 or 14 digits and a Z")
    text = element.content.decode("ascii")
    if element.tag == der.UTC_TIME:  # 1950 to 2049
        text = ("19" if text >= "5" else "20") + text
    return datetime.fromisoformat(f"{text[:8]}T{text[8:]}").astimezone(UTC)


def read_certificate(content: bytes) -> tuple[Certificado, PublicNumbers | None]:
    """Return the facts of a certificate, and its public key.

    Args:
        content: the certificate in DER.

    Returns:
        The facts; and the public key, or None for a key that is not RSA.

    Raises:
        UnreadableSubjectError: the subject or the issuer cannot be read.
        ValueError: the bytes are not a readable certificate.

    """
    read = Certificate.of(content)
    key, usage, numero = read.public_numbers, read.usages, read.numero
    (not_before, not_after), signature_hash = read.period, read.signature_hash
    subject, issuer = _read_name(read.subject), _read_name(read.issuer)
    rfc, rfc_representante = _split_representative(subject, _UNIQUE_IDENTIFIER)
    curp, curp_representante = _split_representative(subject, _SERIAL_NUMBER)
    certificado = Certificado(
        kind=_classify(usage, subject.get(_ORGANIZATIONAL_UNIT)) if rfc and numero else None,
        rfc=rfc,
        rfc_representante=rfc_representante,
        curp=curp,
        curp_representante=curp_representante,
        nombre=subject.get(_COMMON_NAME, subject.get(_ORGANIZATION, "")),
        sucursal=subject.get(_ORGANIZATIONAL_UNIT, ""),
        numero=numero,
        not_before=not_before,
        not_after=not_after,
        issuer=issuer.get(_COMMON_NAME, ""),
        issuer_organization=issuer.get(_ORGANIZATION, ""),
        key_bits=key.n.bit_length() if key else 0,
        key_usage=usage,
        signature_hash=signature_hash,
    )
    return certificado, key


def _read_name(name: der.Element) -> Mapping[str, str]:
    """Return the printable texts of a name, by OID.

    Mojibake is repaired, because the SAT's AC6 writes its own name double-encoded.
    """
    try:
        texts = der.name_texts(name)
    except der.DerError:
        raise UnreadableSubjectError("the subject or the issuer cannot be read") from None
    return {identifier: printable(repair_mojibake(text).strip()) for identifier, text in texts.items()}


def _split_representative(subject: Mapping[str, str], identifier: str) -> tuple[str, str]:
    """Return the value of the holder and that of the legal representative.

    A slash separates the two.
    """
    holder, _, representante = subject.get(identifier, "").partition("/")
    normalized = [unicodedata.normalize("NFC", text).strip().upper() for text in (holder, representante)]
    return normalized[0], normalized[1]


def _classify(usage: tuple[str, ...], sucursal: str | None) -> Kind | None:
    """Return the kind of a certificate; None if its OU and its key usage disagree.

    A CSD has a sucursal, and its key only signs. The key of a FIEL has further usages.

    Args:
        usage: the key usages.
        sucursal: text of the OU; None if there is no OU. A blank text proves nothing.

    """
    has_fiel_usage = bool(_FIEL_USAGES.intersection(usage))
    has_sucursal = bool(sucursal) or (sucursal is not None and not has_fiel_usage)
    if has_sucursal == has_fiel_usage:
        return None
    return "csd" if has_sucursal else "fiel"
