"""JSON, strictly: whole, or step by step where a long list would keep everybody else waiting. No I/O.

Strict means: UTF-8, no NaN, nothing behind the value. Everything that is not raises ValueError, or RecursionError for
nesting without end.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from typing import Any, Final, NoReturn

__all__ = ["ConstantError", "decode", "decode_in_steps"]

_STEP: Final = 1 << 15
"""Characters read between two pauses: about a third of a millisecond."""

_SPACE: Final = re.compile(r"[ \t\n\r]*")
_CUT: Final = re.compile(r"\}[ \t\n\r]*,[ \t\n\r]*(?=\{)")


class ConstantError(ValueError):
    """NaN or an infinity, which are no JSON."""


def _no_constant(name: str) -> NoReturn:
    raise ConstantError(f"{name} is not JSON")


# A decoder of our own: json.loads builds one anew for each call with options.
_decoder: Final = json.JSONDecoder(parse_constant=_no_constant)


def decode(body: bytes) -> Any:
    """Return the value."""
    return _decoder.decode(body.decode().removeprefix("\ufeff"))


def decode_in_steps(body: bytes) -> Generator[None, None, Any]:
    """Return the value as a generator does, pausing between the elements of its lists.

    Lists count that are the value, or stand in the object that it is; deeper ones are read in one go.
    """
    text = body.decode().removeprefix("\ufeff")
    at = _skip(text, 0)
    value: Any
    if text[at : at + 1] == "[":
        value, at = yield from _list(text, at)
    elif text[at : at + 1] == "{":
        value, at = yield from _object(text, at)
    else:
        value, at = _decoder.raw_decode(text, at)
    if _skip(text, at) != len(text):
        raise ValueError("there is something behind the value")
    return value


def _object(text: str, at: int) -> Generator[None, None, tuple[dict[str, Any], int]]:
    found: dict[str, Any] = {}
    at = _skip(text, at + 1)
    if text[at : at + 1] == "}":
        return found, at + 1
    while True:
        if text[at : at + 1] != '"':
            raise ValueError("a name was expected")
        name, at = _decoder.raw_decode(text, at)
        at = _skip(text, at)
        if text[at : at + 1] != ":":
            raise ValueError("a colon was expected")
        at = _skip(text, at + 1)
        if text[at : at + 1] == "[":
            found[name], at = yield from _list(text, at)
        else:
            found[name], at = _decoder.raw_decode(text, at)
        at, is_last = _after(text, at, "}")
        if is_last:
            return found, at


def _list(text: str, at: int) -> Generator[None, None, tuple[list[Any], int]]:
    found: list[Any] = []
    at = _skip(text, at + 1)
    if text[at : at + 1] == "]":
        return found, at + 1
    pause = at
    by_the_piece = True
    while True:
        # Most lists are of objects, and can be cut between two of them. If what is before the cut is a whole list of
        # values, then the cut was not inside one of them.
        if by_the_piece and (cut := _CUT.search(text, at + _STEP)) is not None:
            try:
                found += _decoder.decode(f"[{text[at : cut.start() + 1]}]")
            except ValueError:
                by_the_piece = False
            else:
                at = pause = cut.end()
                yield
                continue
        element, at = _decoder.raw_decode(text, at)
        found.append(element)
        if at - pause > _STEP:
            pause = at
            yield
        at, is_last = _after(text, at, "]")
        if is_last:
            return found, at


def _skip(text: str, at: int) -> int:
    """Return where the next thing begins."""
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _after(text: str, at: int, close: str) -> tuple[int, bool]:
    """Return where to go on behind an element, and whether it was the last one."""
    at = _skip(text, at)
    mark = text[at : at + 1]
    if mark == close:
        return at + 1, True
    if mark == ",":
        return _skip(text, at + 1), False
    raise ValueError(f"a comma or {close} was expected")
