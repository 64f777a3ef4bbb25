"""Checks of a company's RFC, CURP, código postal and régimen fiscal."""

from __future__ import annotations

import re
from typing import Final

from stdnum.exceptions import InvalidChecksum, InvalidComponent, ValidationError
from stdnum.mx import curp as stdnum_curp, rfc as stdnum_rfc

from facturaonline_async._messages import message
from facturaonline_async.sat._findings import Finding
from facturaonline_async.sat._regimenes import REGIMENES

__all__ = ["check_codpos", "check_curp", "check_regimen", "check_rfc", "rfc_check_digit"]


# For an RFC and a CURP, python-stdnum's `validate` takes 248,000 instructions, a quarter of a create. Most values match
# one of these patterns, which leave only the check digit to compute. They exclude dates after the 28th, and any fourth
# letter that could end a word on the SAT's list of forbidden words.
_DAY: Final = "[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|1[0-9]|2[0-8])"
_INITIAL: Final = "[B-DF-HJ-MPQT-XZ]"
_COMMON_RFC: Final = re.compile(rf"[A-ZÑ&]{{3}}{_INITIAL}?{_DAY}[1-9A-V][1-9A-Z][0-9A]")
_COMMON_CURP: Final = re.compile(
    rf"[A-Z]{{3}}{_INITIAL}{_DAY}[HM](?:AS|B[CS]|C[CHLMS]|D[FG]|G[RT]|HG|JC|M[CNS]|N[ELT]|OC|PL|Q[RT]|S[LPR]|T[CLS]|VZ|YN|ZS)"
    "[A-Z]{3}[0-9A-Z][0-9]"
)
_GENERIC_CURPS: Final = frozenset({"XEXX010101HNEXXXA4", "XEXX010101MNEXXXA8"})
"""The SAT's generic CURPs for foreigners, male and female. The check digit of the second one is not regular."""
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+")
_TELEFONO: Final = re.compile(r"\+?(?:[ ().-]*[0-9]){10,15}[ ,.;-]*(?:(?:ext|x)[ .:]*[0-9]{1,6})?", re.IGNORECASE)
_CODPOS: Final = re.compile(r"(?!00000)[0-9]{5}")
_REGIMEN: Final = re.compile(r"[0-9]{3}")


def check_rfc(value: str, field: str = "rfc") -> list[Finding]:
    """Check the letters, the date, the homoclave and the check digit of an RFC.

    A wrong check digit is only a warning, because 1.5 % of the RFCs in use have one.

    Args:
        value: RFC in upper case, without blanks.
        field: name of the field, for the findings.

    """
    if _is_common_rfc(value) or _is_rfc(value, validate_check_digits=True):
        return []
    if _is_rfc(value):
        return [Finding("rfc_check_digit", field, message("findings.rfc_check_digit", value=value))]
    return [Finding("rfc_format", field, message("findings.rfc_format", value=f"{value!r:.60}"))]


def rfc_check_digit(body: str) -> str:
    """Return the check digit of an RFC: 0 to 9 or A.

    Args:
        body: RFC without its last character, in upper case; 11 characters of a company's, 12 of a person's.

    """
    return stdnum_rfc.calc_check_digit(body)


def _is_common_rfc(value: str) -> bool:
    return bool(_COMMON_RFC.fullmatch(value)) and value[-1] == rfc_check_digit(value[:-1])


def _is_rfc(value: str, *, validate_check_digits: bool = False) -> bool:
    try:
        return stdnum_rfc.validate(value, validate_check_digits) == value and len(value) in {12, 13}
    except ValidationError:
        return False


def _is_common_curp(value: str) -> bool:
    return bool(_COMMON_CURP.fullmatch(value)) and value[-1] == stdnum_curp.calc_check_digit(value)


def check_curp(value: str, field: str = "curp") -> list[Finding]:
    """Check the form, the date, the state, the sex and the check digit of a CURP.

    All but a wrong form are only warnings, because the official catalogues grow.

    Args:
        value: CURP in upper case, without blanks.
        field: name of the field, for the findings.

    """
    if value in _GENERIC_CURPS or _is_common_curp(value):
        return []
    try:
        if stdnum_curp.validate(value) == value:
            return []
    except (InvalidComponent, InvalidChecksum):
        if stdnum_curp.compact(value) == value:
            return [Finding("curp_doubtful", field, message("findings.curp_doubtful", value=value))]
    except ValidationError:
        pass
    return [Finding("curp_format", field, message("findings.curp_format", value=f"{value!r:.60}"))]


def check_codpos(value: str, field: str = "codpos") -> list[Finding]:
    """Check a código postal.

    Args:
        value: five digits.
        field: name of the field, for the findings.

    """
    if _CODPOS.fullmatch(value):
        return []
    return [Finding("codpos_format", field, message("findings.codpos_format", value=f"{value!r:.60}"))]


def check_email(value: str, field: str = "email") -> list[Finding]:
    """Check an e-mail address: one sign @, and no blanks.

    Args:
        value: address, without a name.
        field: name of the field, for the findings.

    """
    if _EMAIL.fullmatch(value):
        return []
    return [Finding("email_format", field, message("findings.email_format", value=f"{value!r:.60}"))]


def check_telefono(value: str, field: str = "telefono") -> list[Finding]:
    """Check a telephone number: 10 digits or more, divided as people like.

    Args:
        value: number; an extension may follow.
        field: name of the field, for the findings.

    """
    if _TELEFONO.fullmatch(value):
        return []
    return [Finding("telefono_format", field, message("findings.telefono_format", value=f"{value!r:.60}"))]


def check_regimen(value: str, rfc: str | None = None, field: str = "regimen") -> list[Finding]:
    """Check the code of a régimen fiscal, and whether it fits the company's RFC.

    Args:
        value: code of three digits, such as ``"601"``.
        rfc: RFC of the company or person; None: unknown.
        field: name of the field, for the findings.

    """
    if not _REGIMEN.fullmatch(value):
        return [Finding("regimen_format", field, message("findings.regimen_format", value=f"{value!r:.60}"))]
    if (known := REGIMENES.get(value)) is None:
        return [Finding("regimen_unknown", field, message("findings.regimen_unknown", value=value))]
    findings: list[Finding] = []
    if not known.is_current:
        seen = message("findings.regimen_retired", value=value, descripcion=known.descripcion)
        findings.append(Finding("regimen_retired", field, seen))
    if rfc is not None and len(rfc) in {12, 13} and not known.fits(rfc):
        seen = message(
            "findings.regimen_not_for_moral" if len(rfc) == 12 else "findings.regimen_not_for_fisica",
            value=value,
            descripcion=known.descripcion,
            rfc=rfc,
        )
        findings.append(Finding("regimen_person", field, seen))
    return findings
