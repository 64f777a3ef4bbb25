"""Texts from outside: Unicode forms, mojibake, loose matches, and what a terminal or a log may show. No I/O."""

from __future__ import annotations

import html
import os
import re
import unicodedata
from typing import Final, Literal

__all__ = [
    "TO_LATIN",
    "compose",
    "find_invisible",
    "fold",
    "is_latin",
    "letters",
    "normal_form",
    "plain_text",
    "printable",
    "printable_path",
    "repair_mojibake",
]

# ── Shown to people ───────────────────────────────────────────────────────────────────────────────────────────────────


def printable(text: str) -> str:
    """Return the text on one line, with a blank for each line break and U+FFFD for what cannot be seen.

    Escapes would drive a terminal, line breaks would forge lines of a log, and marks of direction would change how
    other characters are shown.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else " " if each.isspace() else "\ufffd" for each in text)


def printable_path(path: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> str:
    """Return a file's name likewise, with U+FFFD for bytes that are no UTF-8: on Linux a name may hold any."""
    try:
        return printable(os.fsencode(path).decode("utf-8", "replace"))
    except UnicodeEncodeError:  # no file has such a name
        return printable(str(path))


_TAG: Final = re.compile(r"<[^<>]*+>")


def plain_text(text: str) -> str:
    """Return what a server wrote as people should read it: no tags, no entities, no mojibake, single blanks."""
    text = repair_mojibake(text.encode("utf-8", "replace").decode())
    text = html.unescape(_TAG.sub(" ", text))
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())


# ── Loose matches ─────────────────────────────────────────────────────────────────────────────────────────────────────


def fold(text: str) -> str:
    """Return the text without case and accents, for loose matches."""
    return "".join(each for each in normal_form("NFKD", text.casefold()) if not unicodedata.combining(each))


def letters(text: str) -> str:
    """Return the letters and digits of a text, without case and accents."""
    return "".join(filter(str.isalnum, fold(text)))


# ── Invisible characters ──────────────────────────────────────────────────────────────────────────────────────────────

_INVISIBLE: Final = re.compile(
    "["
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"  # marks
    "\ue000-\uf8ff\U000f0000-\U0010ffff"  # private use: without a meaning outside of one system
    "\ufff0-\uffff"  # among them U+FFFD, which stands for what could not be decoded
    "]"
)


def find_invisible(text: str) -> str | None:
    """Return which invisible character a text holds, and where, or None.

    Invisible are zero-width characters, soft hyphens, bidirectional marks, variation selectors, characters of private
    use, and the replacement character.
    """
    found = None if text.isascii() else _INVISIBLE.search(text)
    if found is None:
        return None
    name = unicodedata.name(found[0], "no character").lower()
    return f"U+{ord(found[0]):04X} ({name}) at place {found.start() + 1}"


def is_latin(text: str) -> bool:
    """Whether all characters are of Latin-1: then they are composed, and the only invisible one is the soft hyphen."""
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True


def compose(text: str) -> str:
    """Return the text with composed characters (NFC): "Ñ" is one character then, as the SAT writes it."""
    return normal_form("NFC", text)


_SHORT: Final = 256
"""Characters up to which any text is composed quickly."""
_MOST_MARKS: Final = 30
"""Combining marks in a row, as many as the stream-safe format allows (Unicode Standard Annex #15)."""


def normal_form(form: Literal["NFC", "NFKD"], text: str) -> str:
    """Return the text in a Unicode normal form.

    A long text with more than 30 combining marks in a row is returned as it is: no language writes so, and to sort the
    marks takes time that grows with the square of their number.
    """
    if text.isascii() or (len(text) > _SHORT and _has_long_run(text)):
        return text
    return unicodedata.normalize(form, text)


def _has_long_run(text: str) -> bool:
    run = 0
    for character in text:
        run = run + 1 if unicodedata.combining(character) else 0
        if run > _MOST_MARKS:
            return True
    return False


# ── Mojibake ──────────────────────────────────────────────────────────────────────────────────────────────────────────

#: Windows-1252 as Latin-1, for `str.translate`: each character of the bytes 0x80 to 0x9F becomes the character of that
#: byte. Five of these bytes are none in Windows-1252; programs read them as Latin-1, so that both occur in one text.
TO_LATIN: Final = {
    ord(bytes((byte,)).decode("cp1252")): byte
    for byte in range(0x80, 0xA0)
    if byte not in {0x81, 0x8D, 0x8F, 0x90, 0x9D}
}

_MOST_ROUNDS: Final = 3


def repair_mojibake(text: str) -> str:
    """Undo UTF-8 that was read in an 8-bit encoding, once or several times ("AdministraciÃ³n").

    It counts as garbled if all of it, read as the bytes of Latin-1 or Windows-1252, is UTF-8: a text that people wrote
    is not.
    """
    for _ in range(_MOST_ROUNDS):
        if text.isascii():
            break
        try:
            text = text.translate(TO_LATIN).encode("latin-1").decode("utf-8")
        except UnicodeError:
            break
    return text
