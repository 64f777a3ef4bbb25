"""DER decoder for certificates and for the encryption parameters of keys.

`cryptography` refuses some of the SAT's certificates: it fails to read a subject whose T61String has Ñ or accents, and
to load a file whose issuer has UTF-8 in a PrintableString (as the AC6 writes it). It also runs as many iterations as
the file of a key demands.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from attrs import define, field

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
VERSION: Final = 0xA0
EXTENSIONS: Final = 0xA3
BOOLEAN: Final = 0x01
UTC_TIME: Final = 0x17
GENERALIZED_TIME: Final = 0x18

#: Returns a byte, or a part as plain bytes: `SecretBytes` masks its parts, which takes a third of the time of a check.
_part: Final = bytes.__getitem__

_MAX_OID_BYTES: Final = 64
_MAX_TEXT_LENGTH: Final = 1000
"""Characters. X.520 allows 64 for a name; comparing texts may take quadratic time."""
_MAX_ATTRIBUTES: Final = 1000

_UNIVERSAL_STRING: Final = 0x1C
_BMP_STRING: Final = 0x1E
#: UTF8String, NumericString, PrintableString, T61String, VideotexString, IA5String, GraphicString, VisibleString,
#: GeneralString.
_BYTE_STRINGS: Final = frozenset({0x0C, 0x12, 0x13, 0x14, 0x15, 0x16, 0x19, 0x1A, 0x1B})
_STRINGS: Final = _BYTE_STRINGS | {_BMP_STRING, _UNIVERSAL_STRING}


class DerError(ValueError):
    """The bytes are not valid DER."""


class TruncatedError(DerError):
    """The bytes end before the length that their header declares."""


@define(eq=False)  # never changed; a frozen class takes three times as long to make, 140 times in each check
class Element:
    """One element: its tag and the position of its content.

    The repr hides the bytes, which may belong to a private key.

    Attributes:
        data: bytes that contain the element.
        tag: its tag, one byte.
        begin: index of the first byte of its content.
        end: index behind the last byte of its content.

    """

    data: bytes = field(repr=False)
    tag: int
    begin: int
    end: int

    @property
    def content(self) -> bytes:
        """The content, without tag and length."""
        return self.data[self.begin : self.end]

    @property
    def encoded(self) -> bytes:
        """The whole element in DER, with the shortest form of its length."""
        return encode(self.tag, self.content)

    def __iter__(self) -> Iterator[Element]:
        """Yield the nested elements.

        Raises:
            DerError: the content is not a sequence of well-formed elements.

        """
        at = self.begin
        while at < self.end:
            element = _read(self.data, at, self.end)
            yield element
            at = element.end


def encode(tag: int, *contents: bytes) -> bytes:
    """Encode an element.

    Args:
        tag: its tag, one byte.
        *contents: bytes that are joined to its content.

    """
    length = sum(map(len, contents))
    if length < 0x80:
        return bytes((tag, length)) + b"".join(contents)
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(size))) + size + b"".join(contents)


def first_element(data: bytes) -> Element:
    """Return the element at the start of the bytes.

    Args:
        data: an element, and possibly more.

    Raises:
        TruncatedError: the element is longer than the bytes.
        DerError: the bytes do not start with an element.

    """
    return _read(data, 0, len(data))


def _read(data: bytes, at: int, end: int) -> Element:
    if end - at < 2:
        raise TruncatedError
    tag, length = _part(data, at), _part(data, at + 1)
    begin = at + 2
    if tag & 0x1F == 0x1F or length in {0x80, 0xFF}:
        raise DerError("long tags and indefinite lengths are not supported")
    if length > 0x80:
        size = length & 0x7F
        if size > 4:
            raise DerError("the length has more than 4 bytes")
        if begin + size > end:
            raise TruncatedError
        length = int.from_bytes(_part(data, slice(begin, begin + size)), "big")
        begin += size
    if begin + length > end:
        raise TruncatedError
    return Element(data, tag, begin, begin + length)


def name_texts(name: Element) -> dict[str, str]:
    """Return the texts of a distinguished name by OID; for a repeated OID, the first.

    A text of any encoding is read, and cut after 1000 characters.

    Args:
        name: subject or issuer of a certificate.

    Raises:
        DerError: the element is not a distinguished name.

    """
    found: dict[str, str] = {}
    attributes = (pair for relative in islice(name, _MAX_ATTRIBUTES) for pair in relative)
    for pair in islice(attributes, _MAX_ATTRIBUTES):
        parts = list(islice(pair, 3))
        if len(parts) != 2:
            raise DerError("a name attribute must have a type and a value")
        identifier, value = parts
        if (text := _decode_string(value)) is not None:
            found.setdefault(dotted_oid(identifier), text[:_MAX_TEXT_LENGTH])
    return found


def _decode_string(element: Element) -> str | None:
    """Return the text of a string of any type, or None for another element.

    The SAT breaks the encodings of these types: its T61Strings are Latin-1, and its AC6 writes UTF-8 into
    PrintableStrings. So UTF-8 is tried first; Latin-1 text of a real name is never valid UTF-8 by chance.
    """
    if element.tag not in _STRINGS:
        return None
    content = _part(element.data, slice(element.begin, element.end))
    if element.tag == _BMP_STRING:
        return content.decode("utf-16-be", "replace")
    if element.tag == _UNIVERSAL_STRING:
        return content.decode("utf-32-be", "replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def integer(element: Element) -> int:
    """Return a signed integer of at most 72 bits.

    Args:
        element: an INTEGER.

    Raises:
        DerError: the element is not an INTEGER, or is longer.

    """
    if element.tag != INTEGER or not 1 <= element.end - element.begin <= 9:
        raise DerError("the element is not an integer, or is too large")
    return int.from_bytes(element.content, "big", signed=True)


def unsigned_integer(element: Element) -> int:
    """Return a non-negative integer of any size.

    Args:
        element: an INTEGER.

    Raises:
        DerError: the element is not an INTEGER, or is negative.

    """
    if element.tag != INTEGER or element.begin == element.end or element.data[element.begin] & 0x80:
        raise DerError("the element is not a non-negative integer")
    return int.from_bytes(element.content, "big")


def dotted_oid(element: Element) -> str:
    """Return an OBJECT IDENTIFIER in dotted form.

    Args:
        element: an OBJECT IDENTIFIER.

    Raises:
        DerError: the element is not an OBJECT IDENTIFIER, or is longer than 64 bytes.

    """
    if element.tag != OBJECT_IDENTIFIER or not 1 <= element.end - element.begin <= _MAX_OID_BYTES:
        raise DerError("the element is not an object identifier, or is too long")
    arcs: list[int] = []
    arc = 0
    for byte in _part(element.data, slice(element.begin, element.end)):
        arc = arc << 7 | byte & 0x7F
        if not byte & 0x80:
            arcs.append(arc)
            arc = 0
    if not arcs:
        raise DerError("the object identifier is incomplete")
    top = min(arcs[0] // 40, 2)
    return ".".join(map(str, (top, arcs[0] - 40 * top, *arcs[1:])))
