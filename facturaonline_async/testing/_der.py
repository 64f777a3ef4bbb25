"""DER encoder for certificates like the SAT's."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

__all__ = [
    "bits",
    "boolean",
    "explicit",
    "ia5",
    "integer",
    "null",
    "octets",
    "oid",
    "sequence",
    "set_of",
    "string",
    "text",
    "utc",
    "utf8",
]

_PRINTABLE: Final = re.compile(r"[A-Za-z0-9 '()+,\-./:=?]*")


def _tlv(tag: int, *contents: bytes) -> bytes:
    """Encode one element: tag, length and contents."""
    content = b"".join(contents)
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(size))) + size + content


def sequence(*items: bytes) -> bytes:
    """Encode a SEQUENCE.

    Args:
        *items: encoded elements.

    """
    return _tlv(0x30, *items)


def set_of(item: bytes) -> bytes:
    """Encode a SET of one element.

    Args:
        item: the encoded element.

    """
    return _tlv(0x31, item)


def explicit(number: int, item: bytes) -> bytes:
    """Encode an element with an explicit context tag.

    Args:
        number: number of the tag.
        item: the encoded element.

    """
    return _tlv(0xA0 | number, item)


def integer(value: int) -> bytes:
    """Encode a non-negative INTEGER.

    Args:
        value: integer from 0 up.

    """
    return _tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def boolean(value: bool) -> bytes:  # noqa: FBT001  # a value, not a switch
    """Encode a BOOLEAN.

    Args:
        value: the value.

    """
    return _tlv(0x01, b"\xff" if value else b"\x00")


def null() -> bytes:
    """Encode NULL."""
    return _tlv(0x05)


def octets(content: bytes) -> bytes:
    """Encode an OCTET STRING.

    Args:
        content: its bytes.

    """
    return _tlv(0x04, content)


def bits(content: bytes, unused: int = 0) -> bytes:
    """Encode a BIT STRING.

    Args:
        content: its bytes.
        unused: number of unused bits in the last byte.

    """
    return _tlv(0x03, bytes((unused,)), content)


def oid(dotted: str) -> bytes:
    """Encode an OBJECT IDENTIFIER.

    Args:
        dotted: its dotted form.

    """
    first, second, *others = (int(arc) for arc in dotted.split("."))
    content = bytearray()
    for arc in (40 * first + second, *others):
        groups = [arc & 0x7F]
        while arc := arc >> 7:  # seven bits at a time
            groups.append(0x80 | arc & 0x7F)
        content += bytes(reversed(groups))
    return _tlv(0x06, bytes(content))


def text(value: str) -> bytes:
    """Encode a text as the SAT does.

    The type is PrintableString, else T61String in Latin-1 (Ñ, &), else UTF8String.

    Args:
        value: the text.

    """
    if _PRINTABLE.fullmatch(value):
        return _tlv(0x13, value.encode("ascii"))
    try:
        return _tlv(0x14, value.encode("latin-1"))
    except UnicodeEncodeError:
        return utf8(value)


def string(tag: int, content: bytes) -> bytes:
    """Encode a string of any type, valid or not.

    Args:
        tag: tag of the string type.
        content: its bytes.

    """
    return _tlv(tag, content)


def utf8(value: str) -> bytes:
    """Encode a UTF8String.

    Args:
        value: the text.

    """
    return _tlv(0x0C, value.encode())


def ia5(value: str) -> bytes:
    """Encode an IA5String.

    Args:
        value: the text, in ASCII.

    """
    return _tlv(0x16, value.encode("ascii"))


def utc(moment: datetime) -> bytes:
    """Encode a time in whole seconds: UTCTime until 2049, GeneralizedTime from 2050.

    Args:
        moment: an aware datetime.

    """
    moment = moment.astimezone(UTC)
    if 1950 <= moment.year < 2050:
        return _tlv(0x17, moment.strftime("%y%m%d%H%M%SZ").encode("ascii"))
    return _tlv(0x18, moment.strftime("%Y%m%d%H%M%SZ").encode("ascii"))
