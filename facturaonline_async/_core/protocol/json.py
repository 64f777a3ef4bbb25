"""Strict JSON decoder that can decode long lists in chunks. No I/O.

Strict means UTF-8, no NaN, and nothing behind the value. Anything else raises ValueError, or RecursionError for
excessive nesting.

With the extra ``fast``, msgspec decodes at half the cost. It accepts a subset of the standard library's input (no lone
surrogates, no unbounded numbers). Input that it refuses is decoded by the standard library, so that the extra changes
no result.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator
from itertools import islice
from typing import Any, Final, NoReturn

__all__ = ["ConstantError", "decode", "decode_chunked", "decode_plainly"]

_CHUNK: Final = 1 << 17
"""Bytes decoded between two pauses: about half a millisecond, compared to which a pause is cheap."""

_LIST: Final = re.compile(rb"\[[ \t\n\r]*(?=\{)")
_CUT: Final = re.compile(rb"\}[ \t\n\r]*,[ \t\n\r]*(?=\{)")
_AFTER: Final = re.compile(r"[ \t\n\r]*([,\]])[ \t\n\r]*")
_MAX_TRIES: Final = 8
_MARK: Final = b"NaN"


class ConstantError(ValueError):
    """NaN or an infinity, which are not JSON."""


def _no_constant(name: str) -> NoReturn:
    raise ConstantError(name)


# Shared: json.loads with options builds a decoder for each call.
_decoder: Final = json.JSONDecoder(parse_constant=_no_constant)


def decode_plainly(body: bytes) -> Any:
    """Decode with the standard library."""
    text = body.decode()
    if text[:1] in "{[":
        value, end = _decoder.raw_decode(text)
        if end == len(text):
            return value  # skipping the search for blanks saves a sixth of a small answer's time
    return _decoder.decode(_without_mark(text))


def _without_mark(text: str) -> str:
    """Return the text without a byte order mark."""
    return text.removeprefix("\ufeff")


def _fastest_decoder() -> Callable[[bytes], Any]:
    """Return a decoder that uses msgspec if it is installed."""
    try:
        import msgspec  # noqa: PLC0415
    except ModuleNotFoundError:
        return decode_plainly
    read, refused = msgspec.json.Decoder().decode, (msgspec.MsgspecError, ValueError, RecursionError)

    def decode_fast(body: bytes) -> Any:
        """Decode with msgspec; let the plain decoder name the error."""
        try:
            return read(body)
        except refused:
            return decode_plainly(body)

    return decode_fast


#: Decode with the fastest decoder that is installed.
decode: Final = _fastest_decoder()


def decode_chunked(body: bytes, decode: Callable[[bytes], Any] = decode) -> Generator[None, None, Any]:
    """Decode as a generator that pauses within the first long list of objects.

    The list is cut between two objects and decoded in chunks. Then its surroundings are decoded with a mark in its
    place. If all of this succeeds, the whole would decode to the same value, because each chunk is a complete list and
    the mark was decoded as a value. If anything fails, the whole is decoded at once.

    Args:
        body: UTF-8 text.
        decode: Decoder of the chunks.

    """
    for start in islice(_LIST.finditer(body), _MAX_TRIES):
        try:
            rows, end = yield from _rows(body, start.end(), decode)
            return _around(body[: start.start()], rows, body[end:])
        except (ValueError, RecursionError):
            continue
    return decode(body)


def _rows(body: bytes, at: int, decode: Callable[[bytes], Any]) -> Generator[None, None, tuple[list[Any], int]]:
    """Return the elements of the list that begins at `at`, and the list's end."""
    rows: list[Any] = []
    begin, by_chunk = at, True
    while True:
        cut = _CUT.search(body, at + _CHUNK)
        if cut and by_chunk:
            try:
                rows += decode(b"[%b]" % body[at : cut.start() + 1])
            except ValueError:
                by_chunk = False  # the cut was inside an element or behind the list
            else:
                at = cut.end()
                yield
                continue
        text = body[at : cut.start() + 1 if cut else None].decode()
        some, used, is_last = _elements(text)
        rows += some
        at += len(text[:used].encode())
        if is_last and at - begin > _CHUNK:
            return rows, at
        if is_last or not some:
            raise ValueError  # it is no long list
        yield


def _elements(text: str) -> tuple[list[Any], int, bool]:
    """Return the first complete elements, their end, and whether the list ends."""
    found: list[Any] = []
    at = 0
    while True:
        try:
            element, end = _decoder.raw_decode(text, at)
        except ValueError:
            return found, at, False
        if (mark := _AFTER.match(text, end)) is None:
            return found, at, False
        found.append(element)
        if mark[1] == "]":
            return found, mark.end(1), True
        at = mark.end()


def _around(head: bytes, rows: list[Any], tail: bytes) -> Any:
    """Return the value that consists of `head`, the rows and `tail`."""
    if _MARK in head or _MARK in tail:
        raise ValueError  # the mark could be mistaken
    marked: list[list[Any]] = []

    def at_the_mark(_: str) -> list[Any]:
        """Return the rows in place of the mark."""
        marked.append(rows)
        return rows

    value = json.JSONDecoder(parse_constant=at_the_mark).decode(_without_mark((head + _MARK + tail).decode()))
    if len(marked) != 1:
        raise ValueError  # the mark was not taken for a value
    return value
