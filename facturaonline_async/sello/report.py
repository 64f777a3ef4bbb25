"""What a check found: the certificate's facts, and everything that is wrong."""

from __future__ import annotations

from attrs import frozen

from facturaonline_async.findings import Finding
from facturaonline_async.sello.certificado import Certificado

__all__ = ["Report"]


@frozen(repr=False)
class Report:
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
        return f"<Report: {rfc or 'no RFC'}, certificate {numero or 'unknown'}: {codes}>"
