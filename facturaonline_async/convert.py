"""JSON rows to attrs values, and values to form fields. cattrs lives here. No I/O.

A list of thousands of companies is the largest thing that this library reads, so that a row of the expected shape
takes a short way: one `itemgetter` for all values, one ``"".join`` as the type check of all texts. Any other row
(a null, an int for a text, a missing key) takes the long way through cattrs, which mends it or names the field.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Any, Final, TypeVar

from attrs import fields, resolve_types
from cattrs import ClassValidationError, Converter
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from facturaonline_async.config import Secret, secret_of

__all__ = ["RowError", "reader", "writer"]

T = TypeVar("T")


class RowError(ValueError):
    """A row that cannot be read. Says which field and why, never what the field held."""


def _text(value: object, _: object = None) -> str:
    """Null and "" mean the same; numbers and booleans stand where texts are due."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, int):
        return str(int(value))
    raise RowError(f"expected a text, not {_kind(value)}")


def _required_text(value: object, _: object = None) -> str:
    if text := _text(value):
        return text
    raise RowError("is required, but empty")


def _json_text(value: object, _: object = None) -> str:
    """Keep lists and objects as the JSON text that the same field holds in other answers; empty ones are ""."""
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False) if value else ""
    return _text(value)


def _whole_number(value: object, _: object = None) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 18:
        return int(value)
    raise RowError(f"expected a whole number, not {_kind(value)}")


def _secret(value: object, _: object = None) -> Secret:
    return Secret(_text(value))


def _kind(value: object) -> str:
    names = {type(None): "null", str: "this text", dict: "an object", list: "a list", float: "a fraction"}
    return names.get(type(value), f"a {type(value).__name__}")


_converter: Final = Converter()
_converter.register_structure_hook(str, _text)
_converter.register_structure_hook(int, _whole_number)
_converter.register_structure_hook(Secret | None, _secret)


def reader(
    cls: type[T], names: Mapping[str, str], *, required: Iterable[str] = (), loose: Iterable[str] = ()
) -> Callable[[object], T]:
    """Return a function that reads one JSON object into a `cls`.

    Args:
        cls: an attrs class of ``str``, ``int`` and ``Secret | None`` attributes.
        names: attribute to name on the wire, for the attributes that this answer gives. Others keep their defaults.
        required: text attributes that must not be empty.
        loose: text attributes that take lists and objects as JSON text.

    The function raises `RowError` for a row that it cannot read. Unknown fields are passed over.

    """
    required = frozenset(required)
    return _with_short_way(cls, names, required, _long_way(cls, names, required, frozenset(loose)))


def _long_way(
    cls: type[T], names: Mapping[str, str], required: frozenset[str], loose: frozenset[str]
) -> Callable[[object], T]:
    """Return cattrs' own function, which looks at each field by itself."""
    resolve_types(cls)  # type: ignore[type-var]
    overrides: dict[str, Any] = {}
    for attribute in fields(cls):  # type: ignore[arg-type]
        if (wire := names.get(attribute.alias)) is None:
            overrides[attribute.name] = override(omit=True)
        elif attribute.name in required and attribute.type is str:
            overrides[attribute.name] = override(rename=wire, struct_hook=_required_text)
        elif attribute.name in loose:
            overrides[attribute.name] = override(rename=wire, struct_hook=_json_text)
        else:
            overrides[attribute.name] = override(rename=wire)
    structure = make_dict_structure_fn(cls, _converter, **overrides)

    def read(row: object) -> T:
        if not isinstance(row, dict):
            raise RowError(f"expected an object, not {_kind(row)}")
        try:
            return structure(row, cls)
        except ClassValidationError as problems:
            reason = _first_reason(problems, names)
        raise RowError(reason)  # outside the except block: cattrs' errors carry the values

    return read


def _first_reason(problems: ClassValidationError, names: Mapping[str, str]) -> str:
    """Say which field is at fault, by its name on the wire, and why."""
    problem, note = problems.group_exceptions()[0][0]
    wire = names.get(note.name.removeprefix("_"), note.name)
    if isinstance(problem, KeyError):
        return f"{wire} is missing"
    return f"{wire}: {problem}" if isinstance(problem, RowError) else f"{wire} cannot be read"


def _with_short_way(
    cls: type[T], names: Mapping[str, str], required: frozenset[str], long_way: Callable[[object], T]
) -> Callable[[Any], T]:
    """Return a function with a short way for rows that hold every field, each of the right type."""
    attributes = fields(cls)  # type: ignore[arg-type]
    rank = {str: 0, Secret | None: 1, int: 2}
    given = sorted((each for each in attributes if each.alias in names), key=lambda each: rank[each.type])
    pick = itemgetter(*(names[each.alias] for each in given))
    slots = [each.name for each in given]
    texts = slice(sum(rank[each.type] < 2 for each in given))
    secrets = [each.name for each in given if rank[each.type] == 1]
    numbers = [each.name for each in given if rank[each.type] == 2]
    must = [each.name for each in given if each.name in required]
    for each in attributes:
        if each.alias not in names:  # what this answer never gives, the class has for all of its values
            type.__setattr__(cls, each.name, each.default)
    is_plain = not numbers and all(names[each.alias] == each.name for each in given)
    size = len(slots) if is_plain else -1
    are_texts, new, set_attribute = "".join, cls.__new__, object.__setattr__

    def read(row: Any) -> T:
        try:
            values = pick(row)
            are_texts(values[texts])
            # A row that holds nothing else becomes the value's own dict: it is ours alone.
            inside = row if len(row) == size else dict(zip(slots, values))  # noqa: B905  # as many as were picked
            for name in numbers:
                if type(inside[name]) is not int:
                    return long_way(row)
            for name in must:
                if not inside[name]:
                    return long_way(row)
        except (KeyError, TypeError):  # none of their texts holds a value
            return long_way(row)
        for name in secrets:
            inside[name] = secret_of(inside[name])
        value = new(cls)
        # attrs' __init__ would set each attribute by itself, at three times the cost.
        set_attribute(value, "__dict__", inside)
        return value

    return read


def writer(cls: type[T], names: Mapping[str, str]) -> Callable[[T], dict[str, Any]]:
    """Return a function that gives attributes by their names on the wire, where they differ from their defaults."""
    resolve_types(cls)  # type: ignore[type-var]
    overrides: dict[str, Any] = {
        attribute.name: override(rename=names[attribute.alias]) if attribute.alias in names else override(omit=True)
        for attribute in fields(cls)  # type: ignore[arg-type]
    }
    return make_dict_unstructure_fn(cls, _converter, _cattrs_omit_if_default=True, **overrides)
