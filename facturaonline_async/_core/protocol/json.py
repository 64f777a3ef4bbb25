"""JSON, strictly: whole, or step by step where a long list would keep everybody else waiting. No I/O.

Strict means: UTF-8, no NaN, nothing behind the value. Everything that is not raises ValueError, or RecursionError for
nesting without end.

With the extra ``fast``, msgspec reads what it can, at half the cost. It takes less than the standard library does (no
half characters, no numbers past all bounds), and nothing else: what it refuses is read again, and decided upon, by the
standard library, so that answers mean the same with it and without.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator
from itertools import islice
from typing import Any, Final, NoReturn

__all__ = ["ConstantError", "decode", "decode_chunked", "decode_plainly"]

_STEP: Final = 1 << 17
"""Bytes read between two pauses: about half a millisecond, against which a turn of the event loop is nothing."""

_LIST: Final = re.compile(rb"\[[ \t\n\r]*(?=\{)")
_CUT: Final = re.compile(rb"\}[ \t\n\r]*,[ \t\n\r]*(?=\{)")
_AFTER: Final = re.compile(r"[ \t\n\r]*([,\]])[ \t\n\r]*")
_TRIES: Final = 8
_HERE: Final = b"NaN"


class ConstantError(ValueError):
    """NaN or an infinity, which are no JSON."""


def _no_constant(name: str) -> NoReturn:
    raise ConstantError(f"{name} is not JSON")


# A decoder of our own: json.loads builds one anew for each call with options.
_decoder: Final = json.JSONDecoder(parse_constant=_no_constant)


def decode_plainly(body: bytes) -> Any:
    """Return the value, by means of the standard library."""
    text = body.decode()
    if text[:1] in "{[":
        value, end = _decoder.raw_decode(text)
        if end == len(text):
            return value  # without looking for blanks around it: a sixth of a small answer's time
    return _decoder.decode(_without_mark(text))


def _without_mark(text: str) -> str:
    """Return the text without a byte order mark."""
    return text.removeprefix("\ufeff")


def _fastest() -> Callable[[bytes], Any]:
    """Return a function that does the same by means of msgspec, if it is there."""
    try:
        import msgspec  # noqa: PLC0415
    except ModuleNotFoundError:
        return decode_plainly
    read, refused = msgspec.json.Decoder().decode, (msgspec.MsgspecError, ValueError, RecursionError)

    def decode_fast(body: bytes) -> Any:
        try:
            return read(body)
        except refused:
            return decode_plainly(body)

    return decode_fast


#: Return the value, by the fastest means there are.
decode: Final = _fastest()


def decode_chunked(body: bytes, decode: Callable[[bytes], Any] = decode) -> Generator[None, None, Any]:
    """Return the value as a generator does, pausing within the first long list of objects that it holds.

    The list is cut between two objects, and read piece by piece. Then what is around it is read, with a mark in its
    place. If all of this succeeds, then so would the whole, with the same value: each piece is a whole list of values,
    and the mark was taken for a value. If any of it fails, then nothing is concluded, and the whole is read at once.
    """
    for start in islice(_LIST.finditer(body), _TRIES):
        try:
            rows, end = yield from _rows(body, start.end(), decode)
            return _around(body[: start.start()], rows, body[end:])
        except (ValueError, RecursionError):
            continue
    return decode(body)


def _rows(body: bytes, at: int, decode: Callable[[bytes], Any]) -> Generator[None, None, tuple[list[Any], int]]:
    """Return the elements of the list whose first one stands at `at`, and where the list ends."""
    rows: list[Any] = []
    begin, by_the_piece = at, True
    while True:
        cut = _CUT.search(body, at + _STEP)
        if cut and by_the_piece:
            try:
                rows += decode(b"[%b]" % body[at : cut.start() + 1])
            except ValueError:
                by_the_piece = False  # the cut was inside an element, or behind the list
            else:
                at = cut.end()
                yield
                continue
        text = body[at : cut.start() + 1 if cut else None].decode()
        some, used, is_last = _elements(text)
        rows += some
        at += len(text[:used].encode())
        if is_last and at - begin > _STEP:
            return rows, at
        if is_last or not some:
            raise ValueError("this is no long list")
        yield


def _elements(text: str) -> tuple[list[Any], int, bool]:
    """Return the whole elements at the beginning of a list's text, where they end, and whether the list does."""
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
    """Return the value that holds the rows between the two."""
    if _HERE in head or _HERE in tail:
        raise ValueError("the mark could be mistaken")
    marked: list[list[Any]] = []

    def at_the_mark(_: str) -> list[Any]:
        marked.append(rows)
        return rows

    value = json.JSONDecoder(parse_constant=at_the_mark).decode(_without_mark((head + _HERE + tail).decode()))
    if len(marked) != 1:
        raise ValueError("the mark was not taken for a value")
    return value
