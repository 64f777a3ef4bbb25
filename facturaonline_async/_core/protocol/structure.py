"""JSON rows to attrs values, and values to form fields. cattrs lives here. No I/O.

A list of thousands of companies is the largest thing that this library reads, so that a row of the expected shape
takes a short way: one `itemgetter` for all values, one ``"".join`` as the type check of all texts. A row that lacks
fields, or tells texts as numbers or null, is read field by field. Any other row takes the long way through cattrs,
which mends it or names the field.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Any, Final, TypeVar

from attrs import NOTHING, fields, resolve_types
from cattrs import ClassValidationError, Converter
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from facturaonline_async._core.protocol.lazy_secrets import PLACES, KeepsSecrets, KeptSecret
from facturaonline_async.config import Secret

__all__ = ["StructureError", "make_reader", "make_writer"]

T = TypeVar("T")


class StructureError(ValueError):
    """A row that cannot be read. Says which field and why, never what the field held."""


def _text(value: object, _: object = None) -> str:
    """Null and "" mean the same; numbers and booleans stand where texts are due."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, int):
        return str(int(value))
    raise StructureError(f"expected a text, not {_kind(value)}")


def _required_text(value: object, _: object = None) -> str:
    if text := _text(value):
        return text
    raise StructureError("is required, but empty")


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
    raise StructureError(f"expected a whole number, not {_kind(value)}")


def _secret(value: object, _: object = None) -> Secret:
    return Secret(_text(value))


def _kind(value: object) -> str:
    names = {type(None): "null", str: "this text", dict: "an object", list: "a list", float: "a fraction"}
    return names.get(type(value), f"a {type(value).__name__}")


_converter: Final = Converter()
_converter.register_structure_hook(str, _text)
_converter.register_structure_hook(int, _whole_number)
_converter.register_structure_hook(Secret | None, _secret)

_to_texts: Final = Converter()
_to_texts.register_unstructure_hook(int, lambda value: str(int(value)))
_to_texts.register_unstructure_hook(bool, lambda value: "1" if value else "0")


def make_reader(
    cls: type[T], names: Mapping[str, str], *, required: Iterable[str] = (), loose: Iterable[str] = ()
) -> Callable[[object], T]:
    """Return a function that reads one JSON object into a `cls`.

    Args:
        cls: an attrs class of ``str`` and ``int`` attributes, its instances with a dict (``slots=False``); with
            ``Secret | None`` attributes too, if it is a `KeepsSecrets`.
        names: attribute to name on the wire, for the attributes that this answer gives. Others keep their defaults.
        required: text attributes that must not be empty.
        loose: text attributes that take lists and objects as JSON text.

    The function raises `StructureError` for a row that it cannot read. Unknown fields are passed over.

    """
    required = frozenset(required)
    return _with_short_ways(cls, names, required, _long_way(cls, names, required, frozenset(loose)))


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
            raise StructureError(f"expected an object, not {_kind(row)}")
        try:
            return structure(row, cls)
        except ClassValidationError as problems:
            reason = _first_reason(problems, names)
        raise StructureError(reason)  # outside the except block: cattrs' errors carry the values

    return read


def _first_reason(problems: ClassValidationError, names: Mapping[str, str]) -> str:
    """Say which field is at fault, by its name on the wire, and why."""
    problem, note = problems.group_exceptions()[0][0]
    wire = names.get(note.name.removeprefix("_"), note.name)
    if isinstance(problem, KeyError):
        return f"{wire} is missing"
    return f"{wire}: {problem}" if isinstance(problem, StructureError) else f"{wire} cannot be read"


def _with_short_ways(
    cls: type[T], names: Mapping[str, str], required: frozenset[str], long_way: Callable[[object], T]
) -> Callable[[Any], T]:
    """Return a function with short ways for rows whose fields are of the right types."""
    _prepare(cls, names)
    given = [each for each in fields(cls) if each.alias in names]  # type: ignore[arg-type]
    secrets = tuple(names[each.alias] for each in given if each.type == Secret | None)
    slots = [(names[each.alias], each.name, each.type) for each in given if names[each.alias] not in secrets]
    must = tuple(each.name for each in given if each.name in required or each.default is NOTHING)
    # attrs' __init__ would set each attribute by itself, at three times the cost.
    new, set_dict = cls.__new__, vars(cls)["__dict__"].__set__
    keeps = tuple((place.__set__, name) for place, name in zip(PLACES, secrets, strict=False))
    # An answer without secrets: None in the instance's dict is found at once; an empty slot raises AttributeError.
    absent = {each.name: None for each in fields(cls) if each.type == Secret | None and each not in given}  # type: ignore[arg-type]

    def read(row: Any) -> T:
        """Read field by field. What a row leaves out is the class's."""
        if type(row) is not dict:
            return long_way(row)
        inside: dict[str, object] = {**absent}
        for wire, name, kind in slots:
            if wire in row:
                value = row[wire]
                if type(value) is kind:
                    inside[name] = value
                elif kind is str and (value is None or type(value) is int):
                    inside[name] = _text(value)
                else:
                    return long_way(row)
        for name in must:
            if not inside.get(name):
                return long_way(row)
        for name in secrets:
            if type(row.get(name)) is not str:
                return long_way(row)
        made = new(cls)
        for keep, name in keeps:
            keep(made, row[name])
        set_dict(made, inside)
        return made

    if len(slots) + len(secrets) < 2 or any(wire != name or kind is not str for wire, name, kind in slots):
        return read
    texts = [name for _, name, _ in slots]
    pick, are_texts = itemgetter(*texts, *secrets), "".join

    def read_whole(row: Any) -> T:
        """Do the same in less than half the time with a row of texts, which is used up: it becomes the value's dict."""
        try:
            values = pick(row)
            are_texts(values)
        except (KeyError, TypeError):  # none of their texts holds a value
            return read(row)
        for name in must:
            if not row[name]:
                return long_way(row)
        made = new(cls)
        for keep, name in keeps:
            keep(made, row.pop(name))
        set_dict(made, row if len(row) == len(texts) else dict(zip(texts, values)))  # noqa: B905  # without secrets
        return made

    return read_whole


def _prepare(cls: type, names: Mapping[str, str]) -> None:
    """Let the class have what its values' dicts may lack: secrets, and the defaults of what an answer leaves out."""
    secrets = [each for each in fields(cls) if each.type == Secret | None]
    if secrets and not issubclass(cls, KeepsSecrets):
        raise TypeError(f"{cls.__name__} has secrets: make it a KeepsSecrets")
    if len(secrets) > len(PLACES) or len({each.alias in names for each in secrets}) > 1:
        raise TypeError(f"{cls.__name__} has more secrets than can be kept, or an answer gives some of them only")
    for place, each in zip(PLACES, secrets, strict=False):
        type.__setattr__(cls, each.name, KeptSecret(place))
    for each in fields(cls):
        if each.default is not NOTHING and each not in secrets:
            type.__setattr__(cls, each.name, each.default)


def make_writer(cls: type[T], names: Mapping[str, str]) -> Callable[[T], dict[str, str]]:
    """Return a function that gives, by their names on the wire, the attributes that differ from their defaults.

    They come as the texts that forms are made of.
    """
    resolve_types(cls)  # type: ignore[type-var]
    overrides: dict[str, Any] = {
        attribute.name: override(rename=names[attribute.alias]) if attribute.alias in names else override(omit=True)
        for attribute in fields(cls)  # type: ignore[arg-type]
    }
    return make_dict_unstructure_fn(cls, _to_texts, _cattrs_omit_if_default=True, **overrides)
