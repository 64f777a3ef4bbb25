"""What a check found: the certificate's facts, and everything that is wrong."""

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
    """What a certificate says. Texts that it does not have are ``""``; what cannot be printed in them is U+FFFD.

    Attributes:
        kind: ``"csd"`` (it has a sucursal), ``"fiel"``, or None for what the SAT does not issue.
        rfc: the holder's.
        rfc_representante, curp_representante: the legal representative's, for companies.
        curp: the holder's, for persons.
        nombre: the holder's name or razón social.
        sucursal: the branch that a CSD was made for.
        numero: the certificate's number, 20 digits.
        not_before, not_after: validity, aware datetimes in UTC.
        issuer: name of the authority; it is not verified that the authority signed.
        issuer_organization: whose authority it is.
        key_bits: size of its RSA key; 0 for a key of another kind.
        key_usage: what the key may do, in `cryptography`'s words.
        signature_hash: such as ``"sha256"``.

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
        """Whether the holder is a company or a person, by the RFC's length."""
        return "moral" if len(self.rfc) == 12 else "fisica"

    @property
    def is_from_sat(self) -> bool:
        """Whether the authority has the SAT's name."""
        return _SAT in fold(self.issuer_organization)

    @property
    def is_test(self) -> bool:
        """Whether the authority is one of the SAT's test authorities."""
        return any(word in fold(self.issuer) for word in _TEST_AUTHORITIES)


@frozen(repr=False)
class CheckReport:
    """What a check of a `Sello` found. It holds no secret, and can be pickled.

    Attributes:
        certificado: the certificate's facts, or None if it cannot be read.
        findings: everything, errors first; each has ``code``, ``severity``, ``seen`` and ``remedy``.

    """

    certificado: Certificado | None
    findings: tuple[Finding, ...] = ()

    @property
    def errors(self) -> tuple[Finding, ...]:
        """What keeps the Sello from being sent."""
        return tuple(finding for finding in self.findings if finding.is_error)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What somebody should look at."""
        return tuple(finding for finding in self.findings if not finding.is_error)

    @property
    def ok(self) -> bool:
        """Whether the Sello can be sent."""
        return not self.errors

    def __repr__(self) -> str:
        rfc, numero = (self.certificado.rfc, self.certificado.numero) if self.certificado else ("", "")
        codes = ", ".join(finding.code for finding in self.findings) or "nothing found"
        return f"<CheckReport: {rfc or 'no RFC'}, certificate {numero or 'unknown'}: {codes}>"
