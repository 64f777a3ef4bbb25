"""Findings about data to be sent: their codes, severities and remedies."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Final

from attrs import frozen

__all__ = ["FINDINGS", "Finding", "Severity", "format_findings"]


class Severity(enum.StrEnum):
    """Severity of a finding.

    Attributes:
        ERROR: the API or the SAT would refuse the data, so it is not sent.
        WARNING: the data may be right and is sent; a person should verify it.

    """

    ERROR = "error"
    WARNING = "warning"


_E, _W = Severity.ERROR, Severity.WARNING

#: Severity and remedy of each code, in the order in which people correct the faults.
FINDINGS: Final[dict[str, tuple[Severity, str]]] = {
    # The two files
    "swapped": (_E, "Exchange them: cer is the .cer file, key is the .key file."),
    "not_a_certificate": (_E, "Give the .cer file that the SAT's CertiSAT lets you download."),
    "not_a_key": (_E, "Give the .key file that the SAT's Certifica made together with the request."),
    "not_der": (_E, "The API takes the SAT's own binary files (DER): give those, or what sello.to_der() returns."),
    "truncated": (_E, "The file is incomplete: copy or download it again, in binary mode."),
    "text_mode": (_E, "Transfer the file again in binary mode (FTP: binary, not ascii; e-mail: as an attachment)."),
    "trailing_bytes": (_E, "Give the file as the SAT gave it: copy or download it again, or use sello.to_der()."),
    "unreadable_file": (_E, "Look at the file and at its permissions, or copy or download it again."),
    "unpaired": (_E, "Put a .cer and its .key into one folder, with one name; other names need the key's password."),
    "ambiguous": (_E, "Leave one .cer and one .key of a name, or give the two files themselves."),
    # Key and password
    "key_not_encrypted": (_E, "Give the .key file as the SAT's Certifica made it, with its password."),
    "unsupported_key": (_E, "Give the .key file as the SAT's Certifica made it: an RSA key in PKCS#8."),
    "damaged_key": (_E, "The file was changed: take it from a backup, or request a new certificate from the SAT."),
    "no_password": (_E, "Give the password chosen in Certifica for this key (contraseña de la clave privada)."),
    "wrong_password": (_E, "Give the password chosen in Certifica for this very key, not the portal's (CIEC)."),
    "password_garbled": (_E, "Give the password as chosen in Certifica: correct it where it is stored or read."),
    "password_unsendable": (_E, "Give the key another password: one line of visible characters, at best ASCII ones."),
    "key_mismatch": (_E, "Give the key that was made with this certificate's request: each sucursal has its own."),
    # The certificate
    "fiel_as_csd": (_E, "Give the CSD (Certificado de Sello Digital), not the e.firma (FIEL)."),
    "csd_as_fiel": (_E, "Give the e.firma (FIEL), not the CSD (Certificado de Sello Digital)."),
    "unknown_kind": (_E, "Give a CSD or e.firma that the SAT issued."),
    "unreadable_subject": (_E, "Give the .cer file as the SAT gave it: copy or download it again."),
    "rfc_mismatch": (_E, "Give the certificate of this company, or correct its RFC."),
    "expired": (_E, "Request a new certificate from the SAT (CSD in CertiSAT; e.firma at an office, or by SAT ID)."),
    "not_yet_valid": (_E, "Wait until then, or set this machine's clock."),
    "expires_soon": (_W, "Request the next certificate from the SAT now, and update the company with it."),
    "weak_key": (_W, "Request a new certificate from the SAT, with a key of 2048 bits."),
    "weak_signature": (_W, "Request a new certificate from the SAT: this one is of an old kind."),
    "unknown_issuer": (_W, "Make sure that the SAT issued it: the issuer's name is not the SAT's."),
    "test_certificate": (_W, "Give a certificate for production: the SAT's test certificates have no fiscal validity."),
    # The company's data
    "rfc_format": (_E, "Give the RFC as the SAT has it on record: 12 characters (moral) or 13 (física), no hyphens."),
    "rfc_check_digit": (_W, "Compare it with the Constancia de Situación Fiscal: its check digit does not fit."),
    "curp_format": (_E, "Give the CURP's 18 characters, no blanks."),
    "curp_doubtful": (_W, "Compare it with the CURP's certificate: its date, state or check digit does not fit."),
    "codpos_format": (_E, "Give 5 digits, such as 06500: spreadsheets drop the zero in front."),
    "regimen_format": (_E, "Give the SAT's code of 3 digits (c_RegimenFiscal), such as 601."),
    "regimen_unknown": (_W, "Compare it with the SAT's catalogue c_RegimenFiscal."),
    "regimen_retired": (_W, "CFDI 4.0 does not list this code: compare it with the Constancia de Situación Fiscal."),
    "regimen_person": (_W, "Compare it with the Constancia de Situación Fiscal: the RFC or the régimen may be wrong."),
}  # fmt: skip


@frozen
class Finding:
    """One fault of a certificate, a key, a password or the company's data.

    Attributes:
        code: stable name, such as ``"expired"``; docs/findings.md lists all of them.
        field: name of the field, such as ``"password"`` or ``"csd.password"``.
        seen: description of the fault, one sentence; never a secret.

    """

    code: str
    field: str
    seen: str

    @property
    def severity(self) -> Severity:
        """Whether the finding is an error or a warning."""
        return FINDINGS[self.code][0]

    @property
    def remedy(self) -> str:
        """Instruction for correcting the fault, one sentence."""
        return FINDINGS[self.code][1]

    @property
    def is_error(self) -> bool:
        """Whether the finding prevents the data from being sent."""
        return self.severity is Severity.ERROR

    def __str__(self) -> str:
        return f"{self.field}: {self.seen} {self.remedy} [{self.code}]"


def format_findings(findings: Iterable[Finding]) -> str:
    """Join all findings into one text.

    Args:
        findings: findings in the order in which they appear.

    """
    return " ".join(map(str, findings))
