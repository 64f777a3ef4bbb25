"""Repair and checks of names and addresses that people typed. No I/O.

Spreadsheets, scripts and other systems leave artifacts around and inside a text. The SAT compares a legal name
character by character, so that an artifact becomes part of the company's name. `unwrap` and `clean_text` repair
unambiguous artifacts and return a message for each change. `find_error_value` and `find_fault` recognise all others,
which a person must correct. Values made in Python only use `compose` and `find_invisible` of ``_text``.
"""

from __future__ import annotations

import html
import re
from typing import Final

from facturaonline_async._messages import Message, message
from facturaonline_async._text import compose

__all__ = ["clean_text", "find_error_value", "find_fault", "unwrap"]

# ── Repair ────────────────────────────────────────────────────────────────────────────────────────────────────────────

_WRAPPINGS: Final = (
    (re.compile(r'\s*+="((?:[^"]|"")*+)"\s*+'), "without_formula"),
    (re.compile(r'\s++"((?:[^"]|"")*+)"\s*+'), "without_quotation_marks"),
    (re.compile(r"\s*+'([0-9][0-9 ()+.-]*+)"), "without_apostrophe"),
)
_WIDE_BLANK: Final = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_BLANKS: Final = re.compile(" {2,}")


def unwrap(text: str) -> tuple[str, list[Message]]:
    """Remove a formula, quotation marks or an apostrophe around a text.

    Spreadsheets add them.

    Args:
        text: text of a cell.

    Returns:
        The text, and each change as a clause that completes "it is read …".

    """
    if '"' in text or "'" in text:
        for pattern, change in _WRAPPINGS:
            if found := pattern.fullmatch(text):
                return found[1].replace('""', '"'), [message(f"plan.read_{change}")]
    return text, []


def clean_text(text: str) -> tuple[str, list[Message]]:
    """Normalize the characters and blanks of a text.

    Characters are composed (NFC), no-break and other wide blanks become spaces, blanks around the text are removed, and
    consecutive blanks become one.

    Args:
        text: text of a cell.

    Returns:
        The text, and each change as a clause that completes "it is read …".

    """
    if text.isascii() and text == text.strip() and "  " not in text:
        return text, []
    changes: list[Message] = []
    for repair, change in (
        (compose, "composed"),
        (lambda each: _WIDE_BLANK.sub(" ", each), "with_spaces"),
        (str.strip, "trimmed"),
        (lambda each: _BLANKS.sub(" ", each), "with_single_blanks"),
    ):
        if (repaired := repair(text)) != text:
            text = repaired
            changes.append(message(f"plan.read_{change}"))
    return text, changes


# ── Faults ────────────────────────────────────────────────────────────────────────────────────────────────────────────

# Error values in all languages of Excel: a hash, a word or a fraction, and a mark, as in #¡REF!, #BEZUG!, #ССЫЛКА! and
# #DEEL/0!; or words joined by underscores, as in #GETTING_DATA; or one of the few without a mark. "#12", "#4B" and
# "#S/N" are house numbers. (In Russian and Greek the fraction looks like H/Д and Δ/Y.)
_ERROR_VALUE: Final = re.compile(
    r"#[¡¿]?[^\W\d_][\w/.]{0,40} ?[!?]"
    r"|#[^\W\d_]{1,40}_[\w]{1,40}"
    r"|#(?:N/[ABDV]|NV|I/T|\u041d/\u0414|\u0394/\u03a5|YOK|HIÁNYZIK|NEDOSTUPNÝ|NA|ND|VALUE|REF|NAME|NUM|NULL|DIV/0|VALOR|NOMBRE|NULO)"
    r"|#ERR[0-9]{3}!"
    r"|(?:err|erro|error|erreur|errore|fehler|fejl|feil|fel|fout|virhe|błąd|chyba|hiba|ошибка) ?: ?5[0-9]{2}",
    re.IGNORECASE,
)
_TOO_NARROW: Final = re.compile("#+")
_LOST_DIGITS: Final = re.compile(r"[0-9](?:[.,][0-9]{1,20})?E\+[0-9]{1,3}")
_FLOAT: Final = re.compile(r"[0-9]{1,20}\.0")
_MISSING: Final = frozenset(
    {"nan", "NaN", "NAN", "None", "NONE", "NaT", "<NA>", "null", "NULL", "undefined", "#N/A N/A", "-nan", "-NaN"}
)
_ENTITY: Final = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")
_ESCAPE: Final = re.compile(r"\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}|(?:%[89A-Fa-f][0-9A-Fa-f]){2,8}")


def _read_as(encoding: str) -> str:
    """Return a regular expression's set of UTF-8 trailing bytes, read in an encoding."""
    characters = {bytes([byte]).decode(encoding, "ignore") for byte in range(0x80, 0xC0)}
    return re.escape("".join(sorted(characters)))


_LATIN: Final = f"{_read_as('latin-1')}{_read_as('cp1252')}"
# UTF-8 read as Windows-1252 or Latin-1, as MacRoman, and as a DOS code page. Leading bytes that are Spanish letters
# (É, Í, Ñ, Ó) are excluded: É” may end a quotation.
_MOJIBAKE: Final = re.compile(
    f"[ÃÂÌ][{_LATIN}]|â(?:€|\x80)[{_LATIN}]|â„¢|ï»¿"
    f"|[√¬][{_read_as('mac_roman')}]|Ã[ÅÉà]|\u201aÄ[{_read_as('mac_roman')}]"
    "|[\u2500-\u257f\u2580-\u259f]"
)
# Accented letters that were read in a wrong encoding, or could not be encoded: COMPA?IA, COMPA¥IA, COMPAÐIA, COMPA„IA,
# M…XICO. Between two letters, none of these characters has another meaning.
_GARBLED: Final = re.compile(r"(?<=[^\W\d_])[?¤¥¢£¡¿§¶¦¬…‡†‰ƒ„\u201a√≈∆◊∂∑∏∫¼½¾Ðð](?=[^\W\d_])")


def find_error_value(text: str) -> Message | None:
    """Return what an error value of a spreadsheet means (#N/D, #¡REF!, ####), or None.

    Args:
        text: text of a cell.

    """
    if _ERROR_VALUE.fullmatch(text):
        return message("plan.formula_error")
    if _TOO_NARROW.fullmatch(text):
        return message("plan.too_narrow")
    return None


def find_fault(text: str) -> Message | None:
    """Return why a text cannot be a name or an address, or None.

    The answer quotes only the faulty part of the text. Error values are left to `find_error_value`.

    Args:
        text: text of a cell, after `unwrap` and `clean_text`.

    """
    if text in _MISSING:
        return message("plan.missing_value", text=text)
    if _LOST_DIGITS.fullmatch(text):
        return message("plan.rounded_number", text=text)
    if _FLOAT.fullmatch(text):
        return message("plan.decimal", text=text)
    if text.startswith("="):
        return message("plan.formula")
    if text.startswith("'"):
        return message("plan.apostrophe")
    return _find_garbled(text)


def _find_garbled(text: str) -> Message | None:
    """Return the escape or the wrongly decoded characters that a text holds, or None."""
    if found := _ENTITY.search(text):
        meant = html.unescape(found[0])
        if meant != found[0]:
            return message("plan.html_code", code=found[0], meant=repr(meant))
    if found := _ESCAPE.search(text):
        return message("plan.escape", code=found[0])
    if text.isascii():
        found = _GARBLED.search(text) if "?" in text else None
    elif found := _MOJIBAKE.search(text):
        return message("plan.mojibake", characters=repr(found[0]))
    else:
        found = _GARBLED.search(text)
    if found:
        around = text[found.start() - 1 : found.end() + 1]
        return message("plan.garbled_letter", characters=repr(around))
    return None
