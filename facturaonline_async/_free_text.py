"""Repair and checks of names and addresses that people typed. No I/O.

Spreadsheets, scripts and other systems leave artifacts around and inside a text. The SAT compares a legal name
character by character, so that an artifact becomes part of the company's name. `unwrap` and `clean_text` repair
unambiguous artifacts and return each change in words. `find_fault` recognises all others, which a person must correct.
Values made in Python only use `compose` and `find_invisible` of ``_text``.
"""

from __future__ import annotations

import html
import re
from typing import Final

from facturaonline_async._text import compose

__all__ = ["clean_text", "find_fault", "is_error_value", "unwrap"]

# ── Repair ────────────────────────────────────────────────────────────────────────────────────────────────────────────

_WRAPPINGS: Final = (
    (re.compile(r'\s*+="((?:[^"]|"")*+)"\s*+'), 'without the formula ="…" around it'),
    (re.compile(r'\s++"((?:[^"]|"")*+)"\s*+'), "without the quotation marks after a blank"),
    (re.compile(r"\s*+'([0-9][0-9 ()+.-]*+)"), "without the apostrophe before it"),
)
_WIDE_BLANK: Final = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_BLANKS: Final = re.compile(" {2,}")


def unwrap(text: str) -> tuple[str, list[str]]:
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
                return found[1].replace('""', '"'), [change]
    return text, []


def clean_text(text: str) -> tuple[str, list[str]]:
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
    changes: list[str] = []
    for repair, description in (
        (compose, "with composed characters (NFC)"),
        (lambda each: _WIDE_BLANK.sub(" ", each), "with blanks in place of no-break blanks"),
        (str.strip, "without the blanks around it"),
        (lambda each: _BLANKS.sub(" ", each), "with single blanks"),
    ):
        if (repaired := repair(text)) != text:
            text = repaired
            changes.append(description)
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


def is_error_value(text: str) -> bool:
    """Return whether the text is an error value of a spreadsheet: #N/D, #¡REF!, ####.

    Args:
        text: text of a cell.

    """
    return bool(_ERROR_VALUE.fullmatch(text) or _TOO_NARROW.fullmatch(text))


def find_fault(text: str) -> str | None:
    """Return why a text cannot be a name or an address, or None.

    The answer quotes only the faulty part of the text.

    Args:
        text: text of a cell, after `unwrap` and `clean_text`.

    """
    if text in _MISSING:
        return f"{text} is a program's placeholder for a missing value: leave the cell empty, or give the text"
    if _ERROR_VALUE.fullmatch(text):
        return f"{text} is the error of a spreadsheet's formula: correct the formula, or give the text"
    if _TOO_NARROW.fullmatch(text):
        return f"{text[:20]} is what a spreadsheet shows in a column that is too narrow: give the text"
    if _LOST_DIGITS.fullmatch(text):
        return f"{text} is a long number that a spreadsheet rounded: format the column as text, and type it again"
    if _FLOAT.fullmatch(text):
        return f"{text} is a number that a program stored as a decimal: give it without .0"
    if text.startswith("="):
        return "begins with =, like a formula: give the formula's result"
    if text.startswith("'"):
        return "begins with an apostrophe, the text mark of spreadsheets: leave the apostrophe out"
    return _find_garbled(text)


def _find_garbled(text: str) -> str | None:
    """Return the escape or the wrongly decoded characters that a text holds, or None."""
    if found := _ENTITY.search(text):
        meant = html.unescape(found[0])
        if meant != found[0]:
            return f"holds {found[0]}, the HTML code of {meant!r}: write the character itself"
    if found := _ESCAPE.search(text):
        return f"holds {found[0]}, a program's code for another character: write the character itself"
    if text.isascii():
        found = _GARBLED.search(text) if "?" in text else None
    elif found := _MOJIBAKE.search(text):
        return f"holds {found[0]!r}, UTF-8 that was read in a wrong encoding: type the text anew"
    else:
        found = _GARBLED.search(text)
    if found:
        around = text[found.start() - 1 : found.end() + 1]
        return f"holds {around!r}, a letter that was read in a wrong encoding: write the right letter"
    return None
