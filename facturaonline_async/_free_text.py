"""Rules for names and addresses: what is mended in them, and what is no such text at all. No I/O.

Spreadsheets, scripts and other systems leave marks around a text and inside of it. The SAT compares a legal name
character by character, so that a mark which is sent becomes part of the company's name. `unwrap` and `mend` undo what
has one meaning only, and return each change in words. `find_fault` recognises the rest, which a person must correct.
Values that are made in Python only use `compose` and `find_invisible` of ``_text``: the rules here are for typed texts.
"""

from __future__ import annotations

import html
import re
from typing import Final

from facturaonline_async._text import compose

__all__ = ["find_fault", "is_error_value", "mend", "unwrap"]

# ── What is mended ────────────────────────────────────────────────────────────────────────────────────────────────────

_WRAPPINGS: Final = (
    (re.compile(r'\s*+="((?:[^"]|"")*+)"\s*+'), 'without the formula ="…" around it'),
    (re.compile(r'\s++"((?:[^"]|"")*+)"\s*+'), "without the quotation marks after a blank"),
    (re.compile(r"\s*+'([0-9][0-9 ()+.-]*+)"), "without the apostrophe before it"),
)
_WIDE_BLANK: Final = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_BLANKS: Final = re.compile(" {2,}")


def unwrap(text: str) -> tuple[str, list[str]]:
    """Return the text without what a spreadsheet wrote around it, and what was left out, to complete "it is read …"."""
    if '"' in text or "'" in text:
        for form, what in _WRAPPINGS:
            if found := form.fullmatch(text):
                return found[1].replace('""', '"'), [what]
    return text, []


def mend(text: str) -> tuple[str, list[str]]:
    """Return the text as it is certainly meant, and each change, to complete "it is read …".

    Characters are composed (NFC), no-break and other wide blanks become blanks, blanks around the text are left out,
    and several in a row become one.
    """
    if text.isascii() and text == text.strip() and "  " not in text:
        return text, []
    changes: list[str] = []
    for change, how in (
        (compose, "with composed characters (NFC)"),
        (lambda each: _WIDE_BLANK.sub(" ", each), "with blanks in place of no-break blanks"),
        (str.strip, "without the blanks around it"),
        (lambda each: _BLANKS.sub(" ", each), "with single blanks"),
    ):
        if (changed := change(text)) != text:
            text = changed
            changes.append(how)
    return text, changes


# ── What is no text ───────────────────────────────────────────────────────────────────────────────────────────────────

# Of every language of Excel: a hash, a word or a fraction, and a mark, as in #¡REF!, #BEZUG!, #ССЫЛКА! and #DEEL/0!; or
# words joined by underscores, as in #GETTING_DATA; or one of the few that have no mark. "#12", "#4B" and "#S/N" are
# numbers of houses. (In Russian and Greek the fraction looks like H/Д and Δ/Y.)
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
    """Return the characters that the trailing bytes of UTF-8 become in another encoding, for a regular expression."""
    characters = {bytes([byte]).decode(encoding, "ignore") for byte in range(0x80, 0xC0)}
    return re.escape("".join(sorted(characters)))


_LATIN: Final = f"{_read_as('latin-1')}{_read_as('cp1252')}"
# UTF-8 read as Windows-1252 or Latin-1, as MacRoman, and as a DOS code page. Leading bytes of UTF-8 that are letters of
# Spanish (É, Í, Ñ, Ó) are left out: É” is the end of a quotation.
_MOJIBAKE: Final = re.compile(
    f"[ÃÂÌ][{_LATIN}]|â(?:€|\x80)[{_LATIN}]|â„¢|ï»¿"
    f"|[√¬][{_read_as('mac_roman')}]|Ã[ÅÉà]|\u201aÄ[{_read_as('mac_roman')}]"
    "|[\u2500-\u257f\u2580-\u259f]"
)
# What letters with accents become where one encoding was read as another, or could not be written: COMPA?IA, COMPA¥IA,
# COMPAÐIA, COMPA„IA, M…XICO. Between letters none of them has another meaning.
_GARBLED: Final = re.compile(r"(?<=[^\W\d_])[?¤¥¢£¡¿§¶¦¬…‡†‰ƒ„\u201a√≈∆◊∂∑∏∫¼½¾Ðð](?=[^\W\d_])")


def is_error_value(text: str) -> bool:
    """Whether a spreadsheet shows this in place of a value: #N/D, #¡REF!, ####. No column has such a value."""
    return bool(_ERROR_VALUE.fullmatch(text) or _TOO_NARROW.fullmatch(text))


def find_fault(text: str) -> str | None:
    """Return why this is no name and no address, or None. Of the text no more is shown than what is wrong in it."""
    if text in _MISSING:
        return f"{text} is what programs write where there is no value: leave the cell empty, or give the text"
    if _ERROR_VALUE.fullmatch(text):
        return f"{text} is the error of a spreadsheet's formula: mend the formula, or give the text"
    if _TOO_NARROW.fullmatch(text):
        return f"{text[:20]} is what a spreadsheet shows in a column that is too narrow: give the text"
    if _LOST_DIGITS.fullmatch(text):
        return f"{text} is what a spreadsheet makes of a long number: format the column as text, and type it anew"
    if _FLOAT.fullmatch(text):
        return f"{text} is what programs make of a number where others have no value: give it without .0"
    if text.startswith("="):
        return "begins with =, as formulas do: give the text that the formula results in"
    if text.startswith("'"):
        return "begins with an apostrophe, by which spreadsheets mark a text: leave the apostrophe out"
    return _find_garbled(text)


def _find_garbled(text: str) -> str | None:
    """Return which characters inside of a text stand for others."""
    if found := _ENTITY.search(text):
        meant = html.unescape(found[0])
        if meant != found[0]:
            return f"holds {found[0]}, which HTML writes for {meant!r}: write the character itself"
    if found := _ESCAPE.search(text):
        return f"holds {found[0]}, by which programs write another character: write the character itself"
    if text.isascii():
        found = _GARBLED.search(text) if "?" in text else None
    elif found := _MOJIBAKE.search(text):
        return f"holds {found[0]!r}, which is UTF-8 that was read in another encoding: type the text anew"
    else:
        found = _GARBLED.search(text)
    if found:
        around = text[found.start() - 1 : found.end() + 1]
        return f"holds {around!r}, as texts do that were read in a wrong encoding: write the letter that is meant"
    return None
