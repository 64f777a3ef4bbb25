"""The company's data: what an RFC, a CURP, a código postal and a régimen must look like."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stdnum.exceptions import InvalidChecksum, InvalidComponent, ValidationError
from stdnum.mx import curp as stdnum_curp, rfc as stdnum_rfc

from facturaonline_async.findings import Finding
from facturaonline_async.regimenes import REGIMENES

__all__ = ["codpos", "curp", "regimen", "rfc"]


def rfc(value: str, field: str = "rfc") -> Iterator[Finding]:
    """Check a normalised RFC: letters, date, homoclave; its check digit only warns, for 1.5 % in use do not fit."""
    if _is_rfc(value, validate_check_digits=True):
        return  # as nearly all are, after one look
    if _is_rfc(value):
        yield Finding("rfc_check_digit", field, f"{value} has another check digit than its other characters ask for.")
    else:
        yield Finding("rfc_format", field, f"{value!r:.60} is no RFC.")


def _is_rfc(value: str, *, validate_check_digits: bool = False) -> bool:
    try:
        return stdnum_rfc.validate(value, validate_check_digits) == value and len(value) in {12, 13}
    except ValidationError:
        return False


def curp(value: str, field: str = "curp") -> Iterator[Finding]:
    """Check a CURP; its date, state, sex and check digit only warn, for the catalogues behind them grow."""
    try:
        is_written_so = stdnum_curp.validate(value) == value
    except (InvalidComponent, InvalidChecksum):
        if stdnum_curp.compact(value) == value:
            yield Finding("curp_doubtful", field, f"{value} is made as a CURP is, but not all of it fits.")
            return
        is_written_so = False
    except ValidationError:
        is_written_so = False
    if not is_written_so:
        yield Finding("curp_format", field, f"{value!r:.60} is no CURP.")


def codpos(value: str, field: str = "codpos") -> Iterator[Finding]:
    """Check a código postal."""
    if not re.fullmatch(r"[0-9]{5}", value) or value == "00000":
        yield Finding("codpos_format", field, f"{value!r:.60} is no código postal.")


def regimen(value: str, rfc: str | None = None, field: str = "regimen") -> Iterator[Finding]:
    """Check a régimen's code, and whether it fits the kind of person that the RFC (if it is known) belongs to."""
    known = REGIMENES.get(value)
    if not re.fullmatch(r"[0-9]{3}", value):
        yield Finding("regimen_format", field, f"{value!r:.60} is no code of a régimen fiscal.")
    elif known is None:
        yield Finding("regimen_unknown", field, f"{value} is not in the catalogue that this library knows.")
    else:
        if not known.is_current:
            yield Finding("regimen_retired", field, f"{value} ({known.descripcion}) is of older catalogues.")
        if rfc is not None and len(rfc) in {12, 13} and not known.fits(rfc):
            person = "una persona moral" if len(rfc) == 12 else "una persona física"
            yield Finding("regimen_person", field, f"{value} ({known.descripcion}) is not for {person}, such as {rfc}.")
