"""Findings about data to be sent: their codes and severities."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from functools import reduce
from typing import Final

from attrs import frozen

from facturaonline_async._messages import Message, message

__all__ = ["FINDINGS", "Finding", "Severity", "format_findings"]


class Severity(enum.StrEnum):
    """Severity of a finding.

    Attributes:
        ERROR: the API or the SAT would refuse the data, so it is not sent.
        WARNING: the data may be right and is sent; a person should verify it.

    """

    ERROR = "error"
    WARNING = "warning"


#: Severity of each code, in the order in which people correct the faults. Each code has a text "remedy.<code>".
FINDINGS: Final[dict[str, Severity]] = {
    # The two files
    "swapped": Severity.ERROR,
    "not_a_certificate": Severity.ERROR,
    "not_a_key": Severity.ERROR,
    "not_der": Severity.ERROR,
    "truncated": Severity.ERROR,
    "text_mode": Severity.ERROR,
    "trailing_bytes": Severity.ERROR,
    "unreadable_file": Severity.ERROR,
    "unpaired": Severity.ERROR,
    "ambiguous": Severity.ERROR,
    # Key and password
    "key_not_encrypted": Severity.ERROR,
    "unsupported_key": Severity.ERROR,
    "damaged_key": Severity.ERROR,
    "no_password": Severity.ERROR,
    "wrong_password": Severity.ERROR,
    "password_garbled": Severity.ERROR,
    "password_unsendable": Severity.ERROR,
    "key_mismatch": Severity.ERROR,
    # The certificate
    "fiel_as_csd": Severity.ERROR,
    "csd_as_fiel": Severity.ERROR,
    "unknown_kind": Severity.ERROR,
    "unreadable_subject": Severity.ERROR,
    "rfc_mismatch": Severity.ERROR,
    "expired": Severity.ERROR,
    "not_yet_valid": Severity.ERROR,
    "expires_soon": Severity.WARNING,
    "weak_key": Severity.WARNING,
    "weak_signature": Severity.WARNING,
    "unknown_issuer": Severity.WARNING,
    "test_certificate": Severity.WARNING,
    # The company's data
    "rfc_format": Severity.ERROR,
    "rfc_check_digit": Severity.WARNING,
    "curp_format": Severity.ERROR,
    "curp_doubtful": Severity.WARNING,
    "email_format": Severity.ERROR,
    "telefono_format": Severity.WARNING,
    "codpos_format": Severity.ERROR,
    "regimen_format": Severity.ERROR,
    "regimen_unknown": Severity.WARNING,
    "regimen_retired": Severity.WARNING,
    "regimen_person": Severity.WARNING,
}


@frozen
class Finding:
    """One fault of a certificate, a key, a password or the company's data.

    Attributes:
        code: stable name, such as ``"expired"``; docs/findings.md lists all of them.
        field: name of the field, such as ``"password"`` or ``"csd.password"``.
        seen: description of the fault, one sentence; never a secret. It is a str with the text's code, as `remedy` is;
            ``str(finding.seen)`` is a plain text, for serialisers that accept nothing but exact str.

    """

    code: str
    field: str
    seen: str

    @property
    def severity(self) -> Severity:
        """Whether the finding is an error or a warning."""
        return FINDINGS[self.code]

    @property
    def remedy(self) -> str:
        """Instruction for correcting the fault, one sentence; a `str` like `seen`."""
        return message("remedy." + self.code)

    @property
    def is_error(self) -> bool:
        """Whether the finding prevents the data from being sent."""
        return self.severity is Severity.ERROR

    def __str__(self) -> str:
        return str(_describe(self))


def _describe(finding: Finding) -> Message:
    return message("findings.finding", field=finding.field, seen=finding.seen, remedy=finding.remedy, code=finding.code)


def format_findings(findings: Iterable[Finding]) -> Message:
    """Join all findings into one text.

    Args:
        findings: findings in the order in which they appear, at least one.

    """
    return reduce(Message.then, map(_describe, findings))
