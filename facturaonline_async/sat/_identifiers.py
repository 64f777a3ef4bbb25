"""The company's data: what an RFC, a CURP, a código postal and a régimen must look like."""

from __future__ import annotations

import re
from typing import Final

from stdnum.exceptions import InvalidChecksum, InvalidComponent, ValidationError
from stdnum.mx import curp as stdnum_curp, rfc as stdnum_rfc

from facturaonline_async.sat._findings import Finding
from facturaonline_async.sat._regimenes import REGIMENES

__all__ = ["codpos", "curp", "regimen", "rfc"]


# For an RFC and a CURP, python-stdnum's `validate` takes 248,000 instructions, a quarter of what a create takes. Most
# values match one of these forms, which leave only the check digit to compute: no date after the 28th, and a fourth
# letter that ends none of the words that the SAT does not give out.
_DAY: Final = "[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|1[0-9]|2[0-8])"
_INITIAL: Final = "[B-DF-HJ-MPQT-XZ]"
_COMMON_RFC: Final = re.compile(rf"[A-ZÑ&]{{3}}{_INITIAL}?{_DAY}[1-9A-V][1-9A-Z][0-9A]")
_COMMON_CURP: Final = re.compile(
    rf"[A-Z]{{3}}{_INITIAL}{_DAY}[HM](?:AS|B[CS]|C[CHLMS]|D[FG]|G[RT]|HG|JC|M[CNS]|N[ELT]|OC|PL|Q[RT]|S[LPR]|T[CLS]|VZ|YN|ZS)"
    "[A-Z]{3}[0-9A-Z][0-9]"
)
_GENERIC_CURPS: Final = frozenset({"XEXX010101HNEXXXA4", "XEXX010101MNEXXXA8"})
"""The SAT's for foreigners, men and women; the second one's check digit does not follow from its other characters."""
_CODPOS: Final = re.compile(r"(?!00000)[0-9]{5}")
_REGIMEN: Final = re.compile(r"[0-9]{3}")


def rfc(value: str, field: str = "rfc") -> list[Finding]:
    """Check a normalised RFC: letters, date, homoclave; its check digit only warns, for 1.5 % in use do not fit."""
    if _is_common_rfc(value) or _is_rfc(value, validate_check_digits=True):
        return []
    if _is_rfc(value):
        text = f"{value} has another check digit than its other characters ask for."
        return [Finding("rfc_check_digit", field, text)]
    return [Finding("rfc_format", field, f"{value!r:.60} is no RFC.")]


def _is_common_rfc(value: str) -> bool:
    return bool(_COMMON_RFC.fullmatch(value)) and value[-1] == stdnum_rfc.calc_check_digit(value[:-1])


def _is_rfc(value: str, *, validate_check_digits: bool = False) -> bool:
    try:
        return stdnum_rfc.validate(value, validate_check_digits) == value and len(value) in {12, 13}
    except ValidationError:
        return False


def _is_common_curp(value: str) -> bool:
    return bool(_COMMON_CURP.fullmatch(value)) and value[-1] == stdnum_curp.calc_check_digit(value)


def curp(value: str, field: str = "curp") -> list[Finding]:
    """Check a CURP; its date, state, sex and check digit only warn, for the catalogues behind them grow."""
    if value in _GENERIC_CURPS or _is_common_curp(value):
        return []
    try:
        if stdnum_curp.validate(value) == value:
            return []
    except (InvalidComponent, InvalidChecksum):
        if stdnum_curp.compact(value) == value:
            return [Finding("curp_doubtful", field, f"{value} is made as a CURP is, but not all of it fits.")]
    except ValidationError:
        pass
    return [Finding("curp_format", field, f"{value!r:.60} is no CURP.")]


def codpos(value: str, field: str = "codpos") -> list[Finding]:
    """Check a código postal."""
    if _CODPOS.fullmatch(value):
        return []
    return [Finding("codpos_format", field, f"{value!r:.60} is no código postal.")]


def regimen(value: str, rfc: str | None = None, field: str = "regimen") -> list[Finding]:
    """Check a régimen's code, and whether it fits the kind of person that the RFC (if it is known) belongs to."""
    if not _REGIMEN.fullmatch(value):
        return [Finding("regimen_format", field, f"{value!r:.60} is no code of a régimen fiscal.")]
    if (known := REGIMENES.get(value)) is None:
        return [Finding("regimen_unknown", field, f"{value} is not in the catalogue that this library knows.")]
    findings: list[Finding] = []
    if not known.is_current:
        text = f"{value} ({known.descripcion}) is of older catalogues."
        findings.append(Finding("regimen_retired", field, text))
    if rfc is not None and len(rfc) in {12, 13} and not known.fits(rfc):
        person = "una persona moral" if len(rfc) == 12 else "una persona física"
        text = f"{value} ({known.descripcion}) is not for {person}, such as {rfc}."
        findings.append(Finding("regimen_person", field, text))
    return findings
