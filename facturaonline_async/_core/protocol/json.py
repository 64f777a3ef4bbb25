"""Strict JSON decoder that leaves long lists for later, row by row. No I/O.

Strict means UTF-8, no NaN, and nothing behind the value. Of duplicate keys the last one counts. Fractions become
`Decimal`, with all their digits. One odd value does not make the answer unreadable: a number out of range is None, and
half of a surrogate pair is U+FFFD.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any, Final, TypeVar

import msgspec

__all__ = ["LONG", "JsonError", "LongList", "Rows", "decode", "find_rows", "looks_truncated"]

T = TypeVar("T")

_STEP: Final = 1 << 17
"""Bytes decoded at once: about a third of a millisecond, compared to which a pause is cheap."""

LONG: Final = 1 << 20
"""Bytes above which the syntax of a text is checked in steps of as many: about a millisecond each."""

_BOM: Final = b"\xef\xbb\xbf"
_OBJECT: Final = re.compile(rb"[ \t\n\r]*\{")
_LIST: Final = re.compile(rb"[ \t\n\r]*\[[ \t\n\r]*(?=\{)")
_OTHER_LIST: Final = re.compile(rb"[ \t\n\r]*\[[ \t\n\r]*(?![{\] \t\n\r])")
_TEXT: Final = rb'"(?:[^"\\]++|\\.)*+"'
_NAME: Final = rb"[ \t\n\r]*" + _TEXT + rb"[ \t\n\r]*:[ \t\n\r]*"
#: Start of an object up to its first list, which begins with an object; only texts and numbers stand before it.
_HEAD: Final = re.compile(
    rb"(?:\xef\xbb\xbf)?[ \t\n\r]*\{(?:"
    + _NAME
    + rb"(?:"
    + _TEXT
    + rb"|[-+.\w]++)[ \t\n\r]*,)*+"
    + _NAME
    + rb"(?P<list>\[)[ \t\n\r]*(?=\{)",
    re.DOTALL,
)
_WRONG_CUTS: Final = 8
"""Cuts that are tried one after the other before the whole text is checked at once."""
_PLACE_OF_ROWS: Final = b"[" + b" " * 61 + b"]"
_ROWS_STAND_HERE: Final = msgspec.Raw(_PLACE_OF_ROWS)
_EMPTY_LIST: Final = msgspec.Raw(b"[]")
_CUT: Final = re.compile(rb"\}[ \t\n\r]*,[ \t\n\r]*(?=\{)")
_CONSTANT: Final = re.compile(rb"[\[:,][ \t\n\r]*-?(?:NaN|Infinity)")


class JsonError(ValueError):
    """A text is not strict JSON, or is nested too deeply.

    The message holds nothing of the text, but the frames do: catch it, and raise another error after the block.
    """


# Half of a surrogate pair is valid JSON, and msgspec refuses it.
_ODD: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


def _fraction(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent of twenty digits
        return None


_read: Final = msgspec.json.Decoder(float_hook=_fraction).decode
_check_syntax: Final = msgspec.json.Decoder(msgspec.Raw).decode
_split_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_split_list: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


def _strict(read: Callable[[Any], T], text: Any) -> T:
    """Read the text, if need be without halves of surrogate pairs."""
    try:
        return read(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        is_odd = _ODD.search(text) is not None
    if is_odd:
        with suppress(msgspec.MsgspecError, ValueError, RecursionError):
            return read(_STRING.sub(_without_halves, bytes(text)))
    raise JsonError


def _without_halves(string: re.Match[bytes]) -> bytes:
    """Return a string with U+FFFD for each half of a surrogate pair."""
    return _ESCAPE.sub(_without_half, string[0])


def _without_half(escape: re.Match[bytes]) -> bytes:
    return rb"\ufffd" if escape["half"] else escape[0]


_decode_row: Final = partial(_strict, _read)


class LongList:
    """Long list that does not begin with an object; it is never decoded.

    No answer has one, and decoding it at once would stall the event loop. Its syntax was checked.

    Args:
        text: JSON text of the list.

    """

    __slots__ = ("_text",)

    def __init__(self, text: Any) -> None:
        self._text = text


class Rows:
    """Long list of objects, decoded while it is iterated over.

    Its syntax was checked. What remains to be refused is a text that is not UTF-8.

    Args:
        text: JSON text of the list.
        at: Index of the first object.

    """

    __slots__ = ("_at", "_text")

    def __init__(self, text: Any, at: int) -> None:
        self._text = text
        self._at = at

    def __iter__(self) -> Iterator[Iterable[Any]]:
        """Yield the rows in batches of about `_STEP` bytes.

        The text is cut between two objects. If the piece is a complete list, the cut was not within an object or a
        string. If it is none, the decoder cuts the rest apart, which takes a quarter of the time of decoding it.

        Raises:
            JsonError: A row is not strict JSON.

        """
        view, at = memoryview(self._text), self._at
        while True:
            cut = _CUT.search(self._text, at + _STEP)
            piece = (view[at : cut.start() + 1], b"]") if cut else (view[at:],)
            try:
                yield _strict(_read, b"".join((b"[", *piece)))
            except JsonError:
                break
            if cut is None:
                return
            at = cut.end()
        rows = _strict(_split_list, b"".join((b"[", view[at:])))
        at_once = max(1, _STEP * len(rows) // (len(view) - at))
        for start in range(0, len(rows), at_once):
            yield map(_decode_row, rows[start : start + at_once])  # a faulty row is refused after those before it


def decode(body: bytes, rows: slice | None = None) -> Any:
    """Decode a JSON text, except for long lists.

    These become `Rows` if they begin with an object, else a `LongList`. They are found where answers have them: at the
    top, in an object, and in an object in a list of one.

    Args:
        body: UTF-8 text, with or without a byte order mark.
        rows: Place of a list that `find_rows` has found; it is not read again.

    Raises:
        JsonError: The text is not strict JSON.

    """
    if rows is not None:
        around = body[: rows.start], body[rows.stop :]
        if not any(_PLACE_OF_ROWS in part for part in around):
            found = memoryview(body)[rows]
            return _strict(partial(_decode_members, rows=found), _PLACE_OF_ROWS.join(around).removeprefix(_BOM))
    body = body.removeprefix(_BOM)
    return _strict(_read if len(body) <= _STEP else _decode_long, body)


def find_rows(body: bytes) -> Iterator[slice | None]:
    """Find the long list of objects in an object, and check its syntax step by step.

    A text of 50 MB takes 40 ms to check; between two steps other tasks can run.

    Args:
        body: UTF-8 text, with or without a byte order mark.

    Yields:
        None after each step, and at the end the list's place. None at the end says that there is none, or that
        `decode` must look at the whole text, because it is not JSON or an unusual one.

    """
    head = _HEAD.match(body)
    if head is None:
        return
    view, at, wrong = memoryview(body), head.end(), 0
    cut = _CUT.search(body, at + LONG)
    while cut:
        if _is_json(b"".join((b"[", view[at : cut.start() + 1], b"]"))):
            at, wrong = cut.end(), 0
            cut = _CUT.search(body, at + LONG)
        elif wrong < _WRONG_CUTS:  # within a string, or between objects of an object
            wrong += 1
            cut = _CUT.search(body, cut.end())
        else:
            return
        yield None
    # The last objects end where the decoder says that their list ends.
    try:
        rest = _split_object(b"".join((b'{"":[', view[at:])))
        end = at + len(memoryview(rest[""])) - 1
        is_only = _split_object(b"".join((b'{"":[]', view[end:])))[""] == _EMPTY_LIST  # no other member is named ""
    except (msgspec.MsgspecError, ValueError, RecursionError, KeyError):
        return
    if is_only and end - head.start("list") > _STEP:
        yield slice(head.start("list"), end)


def _is_json(text: bytes) -> bool:
    try:
        _check_syntax(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return True


def _decode_long(text: Any) -> Any:
    if start := _LIST.match(text):
        rows = _split_list(text)
        return Rows(text, start.end()) if len(rows) > 1 else [_decode_members(rows[0])]
    if _OTHER_LIST.match(text):
        return LongList(_check_syntax(text))
    return _decode_members(text) if _OBJECT.match(text) else _read(text)


def _decode_members(text: Any, rows: memoryview | None = None) -> Any:
    """Decode an object whose long members may be `Rows` or a `LongList`.

    Args:
        text: The object.
        rows: List of objects that stands where the text has `_PLACE_OF_ROWS`.

    """
    members: dict[str, Any] = dict(_split_object(text))
    for name, member in members.items():
        if rows is not None and member == _ROWS_STAND_HERE:
            member = rows  # noqa: PLW2901
        if len(member) <= _STEP:
            members[name] = _read(member)
        elif start := _LIST.match(member):
            members[name] = Rows(member, start.end())
        else:
            members[name] = LongList(member) if _OTHER_LIST.match(member) else _read(member)
    return members


def looks_truncated(body: bytes) -> bool:
    """Return whether a body that cannot be decoded is worth a second attempt.

    An empty one, another encoding and NaN are not: the server means them.

    Args:
        body: A body that `decode` refused.

    """
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return bool(body.strip()) and not _CONSTANT.search(body)
