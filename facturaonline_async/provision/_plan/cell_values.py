"""Parse the cells of a plan: the value of each column, or its problem."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Final

from attrs import fields_dict, resolve_types

from facturaonline_async._core.known_companies import normalize_rfc
from facturaonline_async._messages import Message, message
from facturaonline_async._text import letters
from facturaonline_async.empresas._models import NuevaEmpresa
from facturaonline_async.provision._plan.models import EXISTING
from facturaonline_async.sat import _identifiers as identifiers
from facturaonline_async.sat._findings import Finding
from facturaonline_async.sat._regimenes import REGIMENES, find_regimen

__all__ = [
    "ATTRIBUTES",
    "COLUMNS",
    "COMPANY_COLUMNS",
    "COUNTS",
    "FILES",
    "FLAGS",
    "FREE_TEXTS",
    "HIDDEN",
    "PASSWORDS",
    "REQUIRED",
    "TEXTS",
    "Value",
    "parse_cell",
]

REQUIRED: Final = ("razon_social", "rfc", "codpos", "email", "regimen_nomina", "cer", "key")
FILES: Final = ("cer", "key", "fielcer", "fielkey", "logo")
PASSWORDS: Final = ("password", "fielpassword")
_FIELDS: Final = fields_dict(resolve_types(NuevaEmpresa))
#: Attributes of a company whose cells hold their value.
ATTRIBUTES: Final = _FIELDS.keys() - {"csd", "fiel", "smtp", "logo"}
FLAGS: Final = frozenset(name for name in ATTRIBUTES if _FIELDS[name].type == bool | None)
COUNTS: Final = frozenset(name for name in ATTRIBUTES if _FIELDS[name].type == int | None)
_VARIABLES: Final = tuple(f"{password}_env" for password in PASSWORDS)
COLUMNS: Final = ATTRIBUTES | {*FILES, *PASSWORDS, *_VARIABLES, "series", "existing", "uid"}
#: Columns with data of a company: a row without them only gives series.
COMPANY_COLUMNS: Final = COLUMNS - {"rfc", "series", "existing", "uid"}
#: Columns whose cells messages never show: they hold a password, or stand beside one and hold it if cells are shifted.
HIDDEN: Final = frozenset({*FILES, *PASSWORDS, *_VARIABLES, "series"})

Value = str | int | bool
_Check = Callable[[str], tuple[Value, Message | None]]

_YES: Final = frozenset({"1", "si", "sí", "true", "verdadero", "yes", "x"})
_NO: Final = frozenset({"0", "no", "false", "falso"})
_EXISTING: Final = {"adoptar": "adopt", "conservar": "adopt", "actualizar": "update", "fallar": "fail"}
_UID: Final = re.compile(r"[0-9A-Za-z_-]{1,64}")
_CODE: Final = re.compile(r"[0-9]{3,5}")
_DIVIDERS: Final = re.compile(r"(?<=\S)[-\u2010-\u2015\s.]+(?=\S)")
_REGIMEN: Final = re.compile(r"([0-9]{3})(?:\.0)?(?:\s*[-\u2010-\u2015:.]?\s*([^\W\d].*))?")
_NO_NAMES: Final = frozenset({"N/A", "NA", "N.A.", "N/D", "ND", "S/N", "SN", "TBD", "XXX"})


def parse_cell(name: str, cell: str) -> tuple[Value, Message | None]:
    """Return the value of a cell, and its problem or None.

    Args:
        name: name of the column.
        cell: text of the cell, not empty.

    """
    check = _CHECKS.get(name)
    return check(cell) if check is not None else (cell, None)


def _has_error(findings: Iterable[Finding]) -> bool:
    return any(finding.is_error for finding in findings)


def _rfc(cell: str) -> tuple[Value, Message | None]:
    """Return the RFC without hyphens and blanks, with which people divide it."""
    rfc = normalize_rfc(_DIVIDERS.sub("", cell))
    return rfc, message("plan.not_rfc") if _has_error(identifiers.check_rfc(rfc)) else None


def _curp(cell: str) -> tuple[Value, Message | None]:
    curp = cell.upper()
    return curp, message("plan.not_curp") if _has_error(identifiers.check_curp(curp)) else None


def _codpos(cell: str) -> tuple[Value, Message | None]:
    # No other text is kept: it may be a password.
    return _cached_codpos(cell) if _CODE.fullmatch(cell) else _uncached_codpos(cell)


def _uncached_codpos(cell: str) -> tuple[Value, Message | None]:
    """Restore the leading zero that a spreadsheet dropped.

    The códigos of Mexico City begin with it.
    """
    digits = cell.removesuffix(".0")
    restored = f"0{digits}" if re.fullmatch(r"[0-9]{4}", digits) else digits
    return restored, message("plan.not_codpos") if _has_error(identifiers.check_codpos(restored)) else None


_cached_codpos: Final = lru_cache(_uncached_codpos)  # together with `_cached_regimen`, saves 5 % of reading a plan


def _regimen(cell: str) -> tuple[Value, Message | None]:
    return _cached_regimen(cell) if _CODE.fullmatch(cell) else _uncached_regimen(cell)


def _uncached_regimen(cell: str) -> tuple[Value, Message | None]:
    """Return the code of a régimen that is written as a code, in words, or as both."""
    parts = _REGIMEN.fullmatch(cell)
    code, words = parts.groups("") if parts is not None else ("", cell)
    known = find_regimen(words) if words else None
    if code and known is not None and known.codigo != code:
        return cell, message("plan.regimen_of_other_words", code=code, other=known.codigo)
    if code and words and not _are_words_of(words, code):
        return cell, message("plan.regimen_with_words", code=code)
    code = code or (known.codigo if known is not None else cell)
    return code, message("plan.not_regimen") if _has_error(identifiers.check_regimen(code)) else None


_cached_regimen: Final = lru_cache(_uncached_regimen)


def _are_words_of(words: str, code: str) -> bool:
    """Return whether words are the beginning of a régimen's description."""
    known = REGIMENES.get(code)
    return known is None or letters(known.descripcion).startswith(letters(words))


def _email(cell: str) -> tuple[Value, Message | None]:
    return cell, message("plan.not_email") if _has_error(identifiers.check_email(cell)) else None


def _razon_social(cell: str) -> tuple[Value, Message | None]:
    is_name = any(map(str.isalnum, cell)) and cell.upper() not in _NO_NAMES
    return cell, None if is_name else message("plan.not_razon_social")


def _existing(cell: str) -> tuple[Value, Message | None]:
    word = _EXISTING.get(cell.lower(), cell.lower())
    return word, None if word in EXISTING else message("plan.not_existing")


def _uid(cell: str) -> tuple[Value, Message | None]:
    return cell, None if _UID.fullmatch(cell) else message("plan.not_uid")


def _flag(cell: str) -> tuple[Value, Message | None]:
    word = cell.lower()
    return word in _YES, None if word in _YES | _NO else message("plan.not_flag")


def _count(cell: str) -> tuple[Value, Message | None]:
    is_count = bool(re.fullmatch(r"[0-9]{1,9}", cell))
    return int(cell) if is_count else 0, None if is_count else message("plan.not_number")


_CODES: Final[Mapping[str, _Check]] = {
    "rfc": _rfc,
    "curp": _curp,
    "codpos": _codpos,
    "regimen": _regimen,
    "regimen_nomina": _regimen,
}
#: Columns whose values are sent as texts.
TEXTS: Final = ATTRIBUTES - FLAGS - COUNTS
#: Those of `TEXTS` that hold free text, such as names and addresses.
FREE_TEXTS: Final = TEXTS - _CODES.keys()
_CHECKS: Final[Mapping[str, _Check]] = {
    **_CODES,
    "razon_social": _razon_social,
    "email": _email,
    "mail_conta": _email,
    "existing": _existing,
    "uid": _uid,
    **dict.fromkeys(FLAGS, _flag),
    **dict.fromkeys(COUNTS, _count),
}
