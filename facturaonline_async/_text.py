"""Text functions: normal forms, mojibake, loose matches, printable text. No I/O."""

from __future__ import annotations

import os
import re
import unicodedata
from typing import Final, Literal

from facturaonline_async._messages import Message, message

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
    """Return the text on one line, without control and other invisible characters.

    A line break or another blank becomes a space; every other unprintable character becomes U+FFFD. Otherwise escape
    sequences would control a terminal, line breaks would forge log lines, and direction marks would reorder other text.

    Args:
        text: text from outside.

    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else " " if each.isspace() else "\ufffd" for each in text)


def printable_path(path: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> str:
    """Return a path as `printable` text, with U+FFFD for bytes that are not UTF-8.

    Args:
        path: path of a file; on Linux it may hold any bytes.

    """
    try:
        return printable(os.fsencode(path).decode("utf-8", "replace"))
    except UnicodeEncodeError:  # no file can have such a name
        return printable(str(path))


# Patterns of rare texts are compiled when they are used: to compile this module's would be 1 % of the package's import.
_TAG: Final = r"<[^<>]*+>"


def plain_text(text: str) -> str:
    """Return a server's text without tags, entities, mojibake and extra blanks.

    Args:
        text: text of a response, with or without HTML.

    """
    import html  # noqa: PLC0415  # a session has imported it; the command mostly does without its table of entities

    text = repair_mojibake(text.encode("utf-8", "replace").decode())
    text = html.unescape(re.sub(_TAG, " ", text))
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())


# ── Loose matches ─────────────────────────────────────────────────────────────────────────────────────────────────────


def fold(text: str) -> str:
    """Return the text without case and accents, for loose matches.

    Args:
        text: any text.

    """
    return "".join(each for each in normal_form("NFKD", text.casefold()) if not unicodedata.combining(each))


def letters(text: str) -> str:
    """Return the letters and digits of a text, without case and accents.

    Args:
        text: any text.

    """
    return "".join(filter(str.isalnum, fold(text)))


# ── Invisible characters ──────────────────────────────────────────────────────────────────────────────────────────────

_INVISIBLE: Final = (
    "["
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"  # marks
    "\ue000-\uf8ff\U000f0000-\U0010ffff"  # private use: without a meaning outside of one system
    "\ufff0-\uffff"  # among them U+FFFD, which replaces bytes that could not be decoded
    "]"
)


def find_invisible(text: str) -> Message | None:
    """Return a description of the first invisible character, or None.

    It has the code point, the name and the position.

    Invisible are zero-width characters, soft hyphens, bidirectional marks, variation selectors, private-use characters
    and the replacement character.

    Args:
        text: any text.

    """
    found = None if text.isascii() else re.search(_INVISIBLE, text)
    if found is None:
        return None
    return message(
        "values.character",
        code_point=f"U+{ord(found[0]):04X}",
        unicode_name=unicodedata.name(found[0], "no character").lower(),
        place=found.start() + 1,
    )


def is_latin(text: str) -> bool:
    """Return whether all characters are in Latin-1.

    Such a text is in NFC, and its only invisible character is the soft hyphen.

    Args:
        text: any text.

    """
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True


def compose(text: str) -> str:
    """Return the text with composed characters (NFC), such as "Ñ" in one character.

    Args:
        text: any text.

    """
    return normal_form("NFC", text)


_SHORT: Final = 256
"""Characters. Any text up to this length is normalized quickly."""
_MAX_MARKS: Final = 30
"""Limit of consecutive combining marks in the stream-safe format (Unicode Standard Annex #15)."""


def normal_form(form: Literal["NFC", "NFKD"], text: str) -> str:
    """Return the text in a Unicode normal form.

    A long text with more than 30 consecutive combining marks is returned unchanged: no language needs so many, and
    sorting them takes quadratic time.

    Args:
        form: name of the normal form.
        text: any text.

    """
    if text.isascii() or (len(text) > _SHORT and _has_long_run(text)):
        return text
    return unicodedata.normalize(form, text)


def _has_long_run(text: str) -> bool:
    run = 0
    for character in text:
        run = run + 1 if unicodedata.combining(character) else 0
        if run > _MAX_MARKS:
            return True
    return False


# ── Mojibake ──────────────────────────────────────────────────────────────────────────────────────────────────────────

#: Table for `str.translate` from Windows-1252 to Latin-1: each character of the bytes 0x80 to 0x9F becomes the Latin-1
#: character of that byte. Windows-1252 leaves five of these bytes undefined, and programs read them as Latin-1, so that
#: both encodings occur in one text.
TO_LATIN: Final = {
    ord(bytes((byte,)).decode("cp1252")): byte
    for byte in range(0x80, 0xA0)
    if byte not in {0x81, 0x8D, 0x8F, 0x90, 0x9D}
}

_MAX_ROUNDS: Final = 3


def repair_mojibake(text: str) -> str:
    """Repair UTF-8 that was read in an 8-bit encoding ("AdministraciÃ³n").

    Text that was garbled several times is repaired, too.

    The text is garbled if its bytes in Latin-1 or Windows-1252 are valid UTF-8, which is never so for text
    that a person wrote.

    Args:
        text: any text.

    """
    for _ in range(_MAX_ROUNDS):
        if text.isascii():
            break
        try:
            text = text.translate(TO_LATIN).encode("latin-1").decode("utf-8")
        except UnicodeError:
            break
    return text
