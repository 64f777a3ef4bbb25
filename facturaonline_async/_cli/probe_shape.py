"""Shape of an answer: names and JSON types of its fields, without any value.

A shape is the name of a type, such as ``"string"``; of several, if rows differ: ``"integer|string"``; an object of the
fields' shapes; or a list with the shape of all its elements. The word of a verdict is a shape of its own:
``"=success"``. A field that some rows lack has the type ``"absent"``, too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import reduce
from typing import Any, Final, TypeAlias

__all__ = ["Difference", "Shape", "compare", "shape_of", "word_of"]

Shape: TypeAlias = "str|dict[str,Shape]|list[Shape]"

#: Where shapes differ: the path of the field, what was expected there, and what was found.
Difference: TypeAlias = tuple[str, str, str]

_VERDICTS: Final = ("status", "response")
_WORD: Final = re.compile(r"[^\W\d_]{1,20}")
_NAME: Final = re.compile(r"[A-Za-z_]{1,40}|[0-9]")
_OTHER: Final = "<other>"
"""What stands for a name or a word that could be a value, such as a uid."""
_DEEPEST: Final = 8
_ABSENT: Final = "absent"
_NO_JSON: Final = "no_json"


def shape_of(body: bytes) -> Shape | None:
    """Return the shape of an answer's body, or None if it is not JSON.

    Args:
        body: the body; it may hold keys.

    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        return [_envelope(value[0])]  # the API may wrap an envelope
    return _envelope(value) if isinstance(value, dict) else _shape(value, _DEEPEST)


def _envelope(fields: dict[str, Any]) -> Shape:
    """Return the shape of an object, with the words of its verdict."""
    verdicts = {name: f"={word_of(fields[name])}" for name in _VERDICTS if isinstance(fields.get(name), str)}
    shape = _shape(fields, _DEEPEST)
    assert isinstance(shape, dict)  # noqa: S101  # as that of every object
    return {**shape, **verdicts}


def word_of(value: object) -> str:
    """Return a text if it is one word of letters, which identifies no person.

    Args:
        value: value of a verdict or of a serie's state.

    """
    return value if isinstance(value, str) and _WORD.fullmatch(value) else _OTHER


def _shape(value: object, depth: int) -> Shape:
    if isinstance(value, (dict, list)) and not depth:
        return "object" if isinstance(value, dict) else "array"
    if isinstance(value, dict):
        fields: dict[str, Shape] = {}
        for name, each in value.items():
            known, shape = name if _NAME.fullmatch(name) else _OTHER, _shape(each, depth - 1)
            fields[known] = _merge(fields[known], shape) if known in fields else shape
        return fields
    if isinstance(value, list):
        shapes = [_shape(each, depth - 1) for each in value]
        return [reduce(_merge, shapes)] if shapes else []
    if isinstance(value, bool):
        return "boolean"
    names: dict[type, str] = {str: "string", int: "integer", float: "number", type(None): "null"}
    return names[type(value)]


def _merge(one: Shape, other: Shape) -> Shape:
    """Return the shape of two values at the same place."""
    if isinstance(one, dict) and isinstance(other, dict):
        names = {**one, **other}
        return {name: _merge(one.get(name, _ABSENT), other.get(name, _ABSENT)) for name in names}
    if isinstance(one, list) and isinstance(other, list):
        return [_merge(one[0], other[0])] if one and other else one or other
    if isinstance(one, str) and isinstance(other, str):
        return "|".join(sorted({*one.split("|"), *other.split("|")}))
    if _ABSENT in (one, other):  # of an object or a list only the shape is kept
        return other if one == _ABSENT else one
    return _merge(_type_name(one), _type_name(other))


def _type_name(shape: Shape | None) -> str:
    if shape is None:
        return _NO_JSON
    if isinstance(shape, str):
        return shape
    return "object" if isinstance(shape, dict) else "array"


def compare(expected: Shape | None, found: Shape | None, path: str = "") -> Iterator[Difference]:
    """Yield where two shapes differ.

    An empty list fits every list, and one type fits several that have it.

    Args:
        expected: shape that is assumed; None: no JSON.
        found: shape of the answer.
        path: path of both in the answer.

    """
    if isinstance(expected, dict) and isinstance(found, dict):
        for name in {**expected, **found}:
            below = f"{path}.{name}" if path else name
            yield from compare(expected.get(name, _ABSENT), found.get(name, _ABSENT), below)
    elif isinstance(expected, list) and isinstance(found, list):
        if expected and found:
            yield from compare(expected[0], found[0], f"{path}[]")
    elif not _fits(expected, found):
        yield path, _type_name(expected), _type_name(found)


def _fits(expected: Shape | None, found: Shape | None) -> bool:
    return {*_type_name(found).split("|")} <= {*_type_name(expected).split("|")}
