"""Undo UTF-8 that was read in an 8-bit encoding, once or several times ("AdministraciÃ³n")."""

from __future__ import annotations

from typing import Final

__all__ = ["TO_LATIN", "repair"]

#: Windows-1252 as Latin-1, for `str.translate`: each character of the bytes 0x80 to 0x9F becomes the character of that
#: byte. Five of these bytes are none in Windows-1252; programs read them as Latin-1, so that both occur in one text.
TO_LATIN: Final = {
    ord(bytes((byte,)).decode("cp1252")): byte
    for byte in range(0x80, 0xA0)
    if byte not in {0x81, 0x8D, 0x8F, 0x90, 0x9D}
}

_MOST_ROUNDS: Final = 3


def repair(text: str) -> str:
    """Return the text as it was before; a text that is not garbled comes back unchanged.

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
