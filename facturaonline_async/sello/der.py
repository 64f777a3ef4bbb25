"""DER, as much of it as names and a key's wrapping need.

`cryptography` refuses the SAT's own names (T61String with Ñ or accents), and does what a wrapping asks for, however
much that is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from attrs import field, frozen

__all__ = ["DerError", "Element", "TruncatedError", "dotted", "first", "integer", "texts"]

INTEGER: Final = 0x02
BIT_STRING: Final = 0x03
OCTET_STRING: Final = 0x04
OBJECT_IDENTIFIER: Final = 0x06
SEQUENCE: Final = 0x30
SET: Final = 0x31
VERSION: Final = 0xA0
_LONGEST_IDENTIFIER: Final = 64

# T61String is Latin-1 wherever the SAT writes it, whatever T.61 says. The three last ones have no use there.
_ENCODINGS: Final = {
    0x0C: "utf-8",
    0x12: "latin-1",
    0x13: "latin-1",
    0x14: "latin-1",
    0x16: "latin-1",
    0x1A: "latin-1",
    0x1C: "utf-32-be",
    0x1E: "utf-16-be",
}


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


def first(data: bytes) -> Element:
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


def texts(name: Element) -> dict[str, str]:
    """Return a distinguished name's texts by their dotted identifiers; of several, the first.

    Raises:
        DerError: it is no name, or a text is not in the encoding that it claims.

    """
    found: dict[str, str] = {}
    for relative in name:
        for pair in relative:
            parts = list(pair)
            if len(parts) != 2:
                raise DerError("no name is made like this")
            identifier, value = parts
            if (encoding := _ENCODINGS.get(value.tag)) is not None:
                found.setdefault(dotted(identifier), _decoded(value.content, encoding))
    return found


def _decoded(content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        raise DerError(f"a text is not {encoding}") from None


def integer(element: Element) -> int:
    """Return a whole number of 64 bits at most.

    Raises:
        DerError: it is none, or a larger one.

    """
    if element.tag != INTEGER or not 1 <= element.end - element.begin <= 9:
        raise DerError("it is no number, or a very large one")
    return int.from_bytes(element.content, "big", signed=True)


def dotted(element: Element) -> str:
    """Return an identifier's numbers, with dots between.

    Raises:
        DerError: it is none.

    """
    if element.tag != OBJECT_IDENTIFIER or not 1 <= element.end - element.begin <= _LONGEST_IDENTIFIER:
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
