"""DER, as much of it as a certificate of the SAT needs."""

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
    """Return one element: its tag, its length, its contents."""
    content = b"".join(contents)
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(size))) + size + content


def sequence(*items: bytes) -> bytes:
    """Return a SEQUENCE."""
    return _tlv(0x30, *items)


def set_of(item: bytes) -> bytes:
    """Return a SET of one item."""
    return _tlv(0x31, item)


def explicit(number: int, item: bytes) -> bytes:
    """Return an item under the context tag of this number."""
    return _tlv(0xA0 | number, item)


def integer(value: int) -> bytes:
    """Return an INTEGER from 0 up."""
    return _tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def boolean(value: bool) -> bytes:  # noqa: FBT001  # it is the value itself, not a switch
    """Return a BOOLEAN."""
    return _tlv(0x01, b"\xff" if value else b"\x00")


def null() -> bytes:
    """Return NULL."""
    return _tlv(0x05)


def octets(content: bytes) -> bytes:
    """Return an OCTET STRING."""
    return _tlv(0x04, content)


def bits(content: bytes, unused: int = 0) -> bytes:
    """Return a BIT STRING whose last byte has this many unused bits."""
    return _tlv(0x03, bytes((unused,)), content)


def oid(dotted: str) -> bytes:
    """Return an OBJECT IDENTIFIER."""
    first, second, *others = (int(arc) for arc in dotted.split("."))
    content = bytearray()
    for arc in (40 * first + second, *others):
        groups = [arc & 0x7F]
        while arc := arc >> 7:  # the arc is taken apart, seven bits at a time
            groups.append(0x80 | arc & 0x7F)
        content += bytes(reversed(groups))
    return _tlv(0x06, bytes(content))


def text(value: str) -> bytes:
    """Return a text as the SAT writes it: PrintableString, else T61String in Latin-1 (Ñ, &), else UTF8String."""
    if _PRINTABLE.fullmatch(value):
        return _tlv(0x13, value.encode("ascii"))
    try:
        return _tlv(0x14, value.encode("latin-1"))
    except UnicodeEncodeError:
        return utf8(value)


def string(tag: int, content: bytes) -> bytes:
    """Return a string of the type that this tag names, whatever its bytes are."""
    return _tlv(tag, content)


def utf8(value: str) -> bytes:
    """Return a UTF8String."""
    return _tlv(0x0C, value.encode())


def ia5(value: str) -> bytes:
    """Return an IA5String."""
    return _tlv(0x16, value.encode("ascii"))


def utc(moment: datetime) -> bytes:
    """Return a time, in whole seconds: UTCTime until 2049, GeneralizedTime from 2050."""
    moment = moment.astimezone(UTC)
    if 1950 <= moment.year < 2050:
        return _tlv(0x17, moment.strftime("%y%m%d%H%M%SZ").encode("ascii"))
    return _tlv(0x18, moment.strftime("%Y%m%d%H%M%SZ").encode("ascii"))
