"""DER, as much of it as a certificate and a key's wrapping need.

`cryptography` refuses the SAT's own certificates: T61String with Ñ or accents when the subject is read, PrintableString
with UTF-8 in the issuer (so the AC6 writes it) when the file is loaded. And it does what a key's wrapping asks for,
however much that is.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from attrs import field, frozen

__all__ = [
    "DerError",
    "Element",
    "TruncatedError",
    "dotted_oid",
    "encode",
    "first_element",
    "integer",
    "name_texts",
    "unsigned_integer",
]

INTEGER: Final = 0x02
BIT_STRING: Final = 0x03
OCTET_STRING: Final = 0x04
OBJECT_IDENTIFIER: Final = 0x06
SEQUENCE: Final = 0x30
SET: Final = 0x31
VERSION: Final = 0xA0
EXTENSIONS: Final = 0xA3
BOOLEAN: Final = 0x01
UTC_TIME: Final = 0x17
GENERALIZED_TIME: Final = 0x18

_MAX_OID_BYTES: Final = 64
_MAX_TEXT_LENGTH: Final = 1000
"""Characters. X.520 allows 64 for a name; the work of comparing texts may grow with the square of their length."""
_MAX_ATTRIBUTES: Final = 1000

_UNIVERSAL_STRING: Final = 0x1C
_BMP_STRING: Final = 0x1E
#: UTF8String, NumericString, PrintableString, T61String, VideotexString, IA5String, GraphicString, VisibleString,
#: GeneralString.
_BYTE_STRINGS: Final = frozenset({0x0C, 0x12, 0x13, 0x14, 0x15, 0x16, 0x19, 0x1A, 0x1B})


class DerError(ValueError):
    """These bytes are not DER."""


class TruncatedError(DerError):
    """The bytes break off before the end that their length announces."""


@frozen
class Element:
    """One element: its tag, and where its content is. The bytes may be a key's, and do not show."""

    data: bytes = field(repr=False)
    tag: int
    begin: int
    end: int

    @property
    def content(self) -> bytes:
        """The bytes without tag and length."""
        return self.data[self.begin : self.end]

    @property
    def encoded(self) -> bytes:
        """The bytes with tag and length, which comes in DER's shortest form."""
        return encode(self.tag, self.content)

    def __iter__(self) -> Iterator[Element]:
        """Give the elements within.

        Raises:
            DerError: there are none, or they are not well formed.

        """
        at = self.begin
        while at < self.end:
            element = _read(self.data, at, self.end)
            yield element
            at = element.end


def encode(tag: int, *contents: bytes) -> bytes:
    """Return an element's bytes."""
    length = sum(map(len, contents))
    if length < 0x80:
        return bytes((tag, length)) + b"".join(contents)
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(size))) + size + b"".join(contents)


def first_element(data: bytes) -> Element:
    """Return the element that the bytes begin with.

    Raises:
        TruncatedError: it is longer than the bytes.
        DerError: there is none.

    """
    return _read(data, 0, len(data))


def _read(data: bytes, at: int, end: int) -> Element:
    if end - at < 2:
        raise TruncatedError
    tag, length = data[at], data[at + 1]
    begin = at + 2
    if tag & 0x1F == 0x1F or length in {0x80, 0xFF}:
        raise DerError("long tags and indefinite lengths are not for DER")
    if length > 0x80:
        size = length & 0x7F
        if size > 4:
            raise DerError("nothing is that long")
        if begin + size > end:
            raise TruncatedError
        length = int.from_bytes(data[begin : begin + size], "big")
        begin += size
    if begin + length > end:
        raise TruncatedError
    return Element(data, tag, begin, begin + length)


def name_texts(name: Element) -> dict[str, str]:
    """Return a distinguished name's texts by their dotted identifiers; of several, the first.

    A text is read whatever its bytes are, and cut after 1000 characters.

    Raises:
        DerError: it is no name.

    """
    found: dict[str, str] = {}
    attributes = (pair for relative in islice(name, _MAX_ATTRIBUTES) for pair in relative)
    for pair in islice(attributes, _MAX_ATTRIBUTES):
        parts = list(islice(pair, 3))
        if len(parts) != 2:
            raise DerError("no name is made like this")
        identifier, value = parts
        if (text := _decode_string(value)) is not None:
            found.setdefault(dotted_oid(identifier), text[:_MAX_TEXT_LENGTH])
    return found


def _decode_string(element: Element) -> str | None:
    """Return a string of whatever type, or None for another element.

    Names do not keep to the encoding of their type: T61String is Latin-1 wherever the SAT writes it, and its AC6 writes
    UTF-8 into PrintableStrings. Latin-1 letters are UTF-8 by chance only in texts that nobody writes.
    """
    if element.tag == _BMP_STRING:
        return element.content.decode("utf-16-be", "replace")
    if element.tag == _UNIVERSAL_STRING:
        return element.content.decode("utf-32-be", "replace")
    if element.tag not in _BYTE_STRINGS:
        return None
    try:
        return element.content.decode("utf-8")
    except UnicodeDecodeError:
        return element.content.decode("latin-1")


def integer(element: Element) -> int:
    """Return a whole number of 64 bits at most.

    Raises:
        DerError: it is none, or a larger one.

    """
    if element.tag != INTEGER or not 1 <= element.end - element.begin <= 9:
        raise DerError("it is no number, or a very large one")
    return int.from_bytes(element.content, "big", signed=True)


def unsigned_integer(element: Element) -> int:
    """Return a whole number from 0 up, of any size.

    Raises:
        DerError: it is none.

    """
    if element.tag != INTEGER or element.begin == element.end or element.data[element.begin] & 0x80:
        raise DerError("it is no number from 0 up")
    return int.from_bytes(element.content, "big")


def dotted_oid(element: Element) -> str:
    """Return an identifier's numbers, with dots between.

    Raises:
        DerError: it is none.

    """
    if element.tag != OBJECT_IDENTIFIER or not 1 <= element.end - element.begin <= _MAX_OID_BYTES:
        raise DerError("it is no identifier, or a very long one")
    arcs: list[int] = []
    arc = 0
    for byte in element.content:
        arc = arc << 7 | byte & 0x7F
        if not byte & 0x80:
            arcs.append(arc)
            arc = 0
    if not arcs:
        raise DerError("an identifier breaks off")
    top = min(arcs[0] // 40, 2)
    return ".".join(map(str, (top, arcs[0] - 40 * top, *arcs[1:])))
