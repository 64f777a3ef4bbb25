"""Repair of binary files that were transferred or saved in text mode.

FTP in ASCII mode, a text editor or a text column of a database cause such damage.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from attrs import field, frozen

from facturaonline_async._messages import Message, message
from facturaonline_async._secrets import SecretBytes
from facturaonline_async._text import TO_LATIN

__all__ = ["Restoration", "describe_loss", "undo_text_mode"]

_REWRITTEN: Final = re.compile(rb"0(?:\xc2[\x81-\x83]|\xe2\x80\x9a|\xef\xbf\xbd)")
"""SEQUENCE, and the first byte of its length (0x81 to 0x83) in UTF-8, or replaced by U+FFFD."""
_CONTROLS: Final = bytes(set(range(0x20)) - set(b"\t\n\r\f\v") | {0x7F})
_MIN_LENGTH: Final = 64
_MIN_LINES: Final = 3
"""In random binary data, one line feed in 256 follows a carriage return."""


@frozen
class Restoration:
    """A possible original of a damaged file.

    Attributes:
        content: bytes of the possible original.
        damage: damage by the transfer, one sentence.

    """

    content: SecretBytes = field(repr=False)
    damage: Message


def undo_text_mode(content: bytes) -> Iterator[Restoration]:
    """Yield the possible originals of a file that was transferred in text mode.

    An original is confirmed if its length matches the length in its DER header.

    Args:
        content: bytes of the file.

    """
    if content[:1] != b"0":
        return
    has_line_ends = 0 < content.count(b"\n") == content.count(b"\r\n")
    if has_line_ends:
        yield Restoration(SecretBytes(content.replace(b"\r\n", b"\n")), message("findings.line_ends_inserted"))
    if not _REWRITTEN.match(content):
        return
    try:
        latin = SecretBytes(content.decode("utf-8").translate(TO_LATIN).encode("latin-1"))
    except UnicodeError:
        return
    yield Restoration(latin, message("findings.rewritten_as_utf8"))
    if has_line_ends:
        damage = message("findings.rewritten_as_utf8_and_line_ends_inserted")
        yield Restoration(SecretBytes(latin.replace(b"\r\n", b"\n")), damage)


def describe_loss(content: bytes) -> Message | None:
    """Return the irreparable damage by a transfer in text mode, one sentence.

    Args:
        content: bytes of the file.

    Returns:
        The damage, or None if there is none.

    """
    if content[:1] != b"0" or len(content) < _MIN_LENGTH:
        return None
    if _REWRITTEN.match(content):
        return message("findings.high_bytes_lost")
    if content.isascii():
        controls = len(content) - len(content.translate(None, _CONTROLS))
        is_utf16 = content.count(0) * 3 > len(content)
        is_lost = controls * 20 > len(content) and not is_utf16
        return message("findings.high_bytes_lost") if is_lost else None
    has_line_ends = _MIN_LINES <= content.count(b"\n") == content.count(b"\r\n")
    return message("findings.line_ends_inserted") if has_line_ends else None
