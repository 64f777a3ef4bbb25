"""Result of a check: the facts of the certificate, and the findings."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

from attrs import frozen

from facturaonline_async._text import fold
from facturaonline_async.sat._findings import Finding

__all__ = ["Certificado", "CheckReport", "Kind"]

Kind = Literal["csd", "fiel"]

_SAT: Final = "servicio de administracion tributaria"
_TEST_AUTHORITIES: Final = ("uat", "pruebas")


@frozen(kw_only=True)
class Certificado:
    """Facts that a certificate states.

    A missing text is ``""``. Unprintable characters are replaced by U+FFFD.

    Attributes:
        kind: ``"csd"`` or ``"fiel"``; None for a certificate of any other kind.
        rfc: RFC of the holder.
        rfc_representante: RFC of the company's legal representative.
        curp: CURP of the holder, if it is a person.
        curp_representante: CURP of the company's legal representative.
        nombre: name or razón social of the holder.
        sucursal: branch for which a CSD was issued.
        numero: number of the certificate, 20 digits.
        not_before: begin of the validity, an aware datetime in UTC.
        not_after: end of the validity, an aware datetime in UTC.
        issuer: name of the certificate authority. Its signature is not verified.
        issuer_organization: organization of the certificate authority.
        key_bits: size of the RSA key, in bits; 0 for a key of another kind.
        key_usage: key usages, by `cryptography`'s names.
        signature_hash: hash of the signature, such as ``"sha256"``; ``""`` if unknown.

    """

    kind: Kind | None
    rfc: str
    rfc_representante: str
    curp: str
    curp_representante: str
    nombre: str
    sucursal: str
    numero: str
    not_before: datetime
    not_after: datetime
    issuer: str
    issuer_organization: str
    key_bits: int
    key_usage: tuple[str, ...]
    signature_hash: str

    @property
    def persona(self) -> Literal["moral", "fisica"]:
        """``"moral"`` for a company, ``"fisica"`` for a person, by the length of the RFC."""
        return "moral" if len(self.rfc) == 12 else "fisica"

    @property
    def is_from_sat(self) -> bool:
        """Whether the certificate authority has the SAT's name."""
        return _SAT in fold(self.issuer_organization)

    @property
    def is_test(self) -> bool:
        """Whether one of the SAT's test authorities issued the certificate."""
        return any(word in fold(self.issuer) for word in _TEST_AUTHORITIES)


@frozen(repr=False)
class CheckReport:
    """Result of a check of a `Sello`. It holds no secret, and can be pickled.

    Attributes:
        certificado: facts of the certificate, or None if it cannot be read.
        findings: all findings, errors first.

    """

    certificado: Certificado | None
    findings: tuple[Finding, ...] = ()

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that prevent the Sello from being sent."""
        return tuple(finding for finding in self.findings if finding.is_error)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings that a person should verify; the Sello is sent all the same."""
        return tuple(finding for finding in self.findings if not finding.is_error)

    @property
    def ok(self) -> bool:
        """Whether there are no errors, so that the Sello can be sent."""
        return not self.errors

    def __repr__(self) -> str:
        rfc, numero = (self.certificado.rfc, self.certificado.numero) if self.certificado else ("", "")
        codes = ", ".join(finding.code for finding in self.findings) or "nothing found"
        return f"<CheckReport: {rfc or 'no RFC'}, certificate {numero or 'unknown'}: {codes}>"
