"""Conversion of JSON objects to attrs values, and of values to form fields.

The only user of cattrs. No I/O. A list of thousands of companies is the largest input, so that a row of the expected
shape takes a fast path: one `itemgetter` for all values, one ``"".join`` as the type check of all texts. A row that
lacks fields, or has numbers or null instead of texts, is read field by field. Any other row is read by cattrs, which
converts it or names the field. Dates, flags and fields without an attribute never take cattrs: ``facts`` reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Any, Final, TypeVar

from attrs import NOTHING, fields, resolve_types
from cattrs import ClassValidationError, Converter
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from facturaonline_async._core.protocol.facts import FACT_READERS, ReadFacts, make_fact_reader, no_facts
from facturaonline_async._core.protocol.unread_secrets import PLACES, KeepsSecrets, KeptSecret
from facturaonline_async._core.protocol.wire_names import StoredAs, store_under_wire_names
from facturaonline_async._messages import Message, message
from facturaonline_async.config import Secret

__all__ = ["StructureError", "make_reader", "make_writer"]

T = TypeVar("T")


class StructureError(ValueError):
    """A row that cannot be read; the message never holds its values."""


def _text(value: object, _: object = None) -> str:
    """Return the text; null is "", and numbers and booleans are converted."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, int):
        return str(int(value))
    raise StructureError(message("calls.not_a_text", found=_kind(value)))


def _required_text(value: object, _: object = None) -> str:
    if text := _text(value):
        return text
    raise StructureError(message("calls.empty"))


def _whole_number(value: object, _: object = None) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 18:
        return int(value)
    raise StructureError(message("calls.not_a_whole_number", found=_kind(value)))


def _secret(value: object, _: object = None) -> Secret:
    return Secret(_text(value))


def _kind(value: object) -> Message:
    """Return the name of a JSON value's type."""
    match value:
        case None:
            return message("calls.json_null")
        case bool():
            return message("calls.json_boolean")
        case str():
            return message("calls.json_text")
        case dict():
            return message("calls.json_object")
        case list():
            return message("calls.json_list")
        case float():
            return message("calls.json_fraction")
    return message("calls.json_whole_number")


_converter: Final = Converter()
_converter.register_structure_hook(str, _text)
_converter.register_structure_hook(int, _whole_number)
_converter.register_structure_hook(Secret | None, _secret)

_to_texts: Final = Converter()
_to_texts.register_unstructure_hook(int, lambda value: str(int(value)))
_to_texts.register_unstructure_hook(bool, lambda value: "1" if value else "0")


def make_reader(
    cls: type[T], names: Mapping[str, str], *, required: Iterable[str] = (), extra: str = ""
) -> Callable[[object], T]:
    """Return a function that converts one JSON object into a `cls`.

    Args:
        cls: attrs class with ``str`` and ``int`` attributes and ``slots=False``; a `KeepsSecrets` may have
            ``Secret | None`` attributes, too. Attributes of the types ``date | None``, ``bool | None`` and
            ``int | None`` are None if the field is missing, empty or unreadable.
        names: Wire name by attribute, for the attributes in this answer. Other attributes keep their defaults.
        required: Text attributes that must not be empty.
        extra: Attribute for the `Extra` of the row: unknown fields, and texts of unreadable dates, flags and numbers.
            Fields whose names look secret are not in it. Default: unknown fields are ignored.

    Returns:
        The function. It raises `StructureError` for a row that it cannot read.

    """
    required = frozenset(required)
    resolve_types(cls)  # type: ignore[type-var]
    read_facts = make_fact_reader(cls, names, extra)
    return _with_fast_paths(cls, names, required, _cattrs_reader(cls, names, required, read_facts), read_facts)


def _cattrs_reader(
    cls: type[T], names: Mapping[str, str], required: frozenset[str], read_facts: ReadFacts
) -> Callable[[object], T]:
    """Return a reader that uses cattrs, which checks each field."""
    overrides: dict[str, Any] = {}
    for attribute in fields(cls):  # type: ignore[arg-type]
        if (wire := names.get(attribute.alias)) is None or attribute.type in FACT_READERS:
            overrides[attribute.name] = override(omit=True)
        elif attribute.name in required and attribute.type is str:
            overrides[attribute.name] = override(rename=wire, struct_hook=_required_text)
        else:
            overrides[attribute.name] = override(rename=wire)
    structure = make_dict_structure_fn(cls, _converter, **overrides)

    def read(row: object) -> T:
        """Return the value, or raise an error without the row's content."""
        if not isinstance(row, dict):
            raise StructureError(message("calls.not_an_object", found=_kind(row)))
        try:
            made = structure(row, cls)
        except ClassValidationError as problems:
            reason = _reason(problems, names)
        else:
            vars(made).update(read_facts(row))
            return made
        raise StructureError(reason)  # outside the except block: cattrs' errors hold the values

    return read


def _reason(problems: ClassValidationError, names: Mapping[str, str]) -> Message:
    """Return the wire name of the first faulty field, and the reason."""
    problem, note = problems.group_exceptions()[0][0]
    wire = names.get(note.name.removeprefix("_"), note.name)
    if isinstance(problem, KeyError):
        return message("calls.field_missing", field=wire)
    if isinstance(problem, StructureError):
        return message("calls.in_field", field=wire, reason=problem.args[0])
    return message("calls.field_unreadable", field=wire)


def _with_fast_paths(
    cls: type[T],
    names: Mapping[str, str],
    required: frozenset[str],
    read_with_cattrs: Callable[[object], T],
    read_facts: ReadFacts,
) -> Callable[[Any], T]:
    """Return a reader with fast paths for rows of the expected types."""
    given = [each for each in fields(cls) if each.alias in names]  # type: ignore[arg-type]
    secrets = tuple(names[each.alias] for each in given if each.type == Secret | None)
    plain = [each for each in given if names[each.alias] not in secrets and each.type not in FACT_READERS]
    slots = [(names[each.alias], each.name, each.type) for each in plain]
    has_texts_only = len(plain) + len(secrets) == len(given) > 1 and all(each.type is str for each in plain)
    _prepare(cls, names, {each.name: names[each.alias] for each in plain} if has_texts_only else {})
    must = tuple(each.name for each in given if each.name in required or each.default is NOTHING)
    # attrs' __init__ sets each attribute separately, at three times the cost.
    new, set_dict = cls.__new__, vars(cls)["__dict__"].__set__
    keeps = tuple((place.__set__, name) for place, name in zip(PLACES, secrets, strict=False))
    # An answer without secrets: None in the instance's dict is found at once; an empty slot raises AttributeError.
    absent = {each.name: None for each in fields(cls) if each.type == Secret | None and each not in given}  # type: ignore[arg-type]

    def read(row: Any) -> T:
        """Read field by field; missing fields keep the class's defaults."""
        if type(row) is not dict:
            return read_with_cattrs(row)
        inside: dict[str, object] = {**absent}
        for wire, name, kind in slots:
            if wire in row:
                value = row[wire]
                if type(value) is kind:
                    inside[name] = value
                elif kind is str and (value is None or type(value) is int):
                    inside[name] = _text(value)
                else:
                    return read_with_cattrs(row)
        for name in must:
            if not inside.get(name):
                return read_with_cattrs(row)
        for name in secrets:
            if type(row.get(name)) is not str:
                return read_with_cattrs(row)
        if read_facts is not no_facts:
            inside.update(read_facts(row))
        made = new(cls)
        for keep, name in keeps:
            keep(made, row[name])
        set_dict(made, inside)
        return made

    if not has_texts_only:
        return read
    texts, attributes = [wire for wire, _, _ in slots], [name for _, name, _ in slots]
    must_hold = [wire for wire, name, _ in slots if name in must]
    pick, are_texts = itemgetter(*texts, *secrets), "".join

    def read_whole(row: Any) -> T:
        """Read a row of texts in less than half the time.

        The row itself becomes the value's dict: `StoredAs` finds attributes with another name in it.
        """
        try:
            values = pick(row)
            are_texts(values)
        except (KeyError, TypeError):  # the exceptions' texts hold no value
            return read(row)
        for name in must_hold:
            if not row[name]:
                return read_with_cattrs(row)
        made = new(cls)
        for keep, name in keeps:
            keep(made, row.pop(name))
        # Without secrets: `values` may be longer than `attributes`.
        set_dict(made, row if len(row) == len(texts) else dict(zip(attributes, values)) | read_facts(row))  # noqa: B905
        return made

    return read_whole


def _prepare(cls: type, names: Mapping[str, str], stored: Mapping[str, str]) -> None:
    """Put descriptors of secrets and defaults of missing fields on the class.

    Args:
        cls: attrs class.
        names: Wire name by attribute.
        stored: Wire name by attribute, for the attributes that rows hold in a value's dict.

    """
    secrets = [each for each in fields(cls) if each.type == Secret | None]
    if secrets and not issubclass(cls, KeepsSecrets):
        raise TypeError(f"{cls.__name__} has secrets: derive it from KeepsSecrets")
    if len(secrets) > len(PLACES) or len({each.alias in names for each in secrets}) > 1:
        raise TypeError(f"{cls.__name__} has more than {len(PLACES)} secrets, or an answer has only some of them")
    for place, each in zip(PLACES, secrets, strict=False):
        type.__setattr__(cls, each.name, KeptSecret(place))
    for each in fields(cls):
        is_special = each in secrets or isinstance(vars(cls).get(each.name), StoredAs)
        if each.default is not NOTHING and not is_special:
            type.__setattr__(cls, each.name, each.default)
    store_under_wire_names(cls, stored)


def make_writer(cls: type[T], names: Mapping[str, str]) -> Callable[[T], dict[str, str]]:
    """Return a function that maps a value to form fields: wire name to text.

    Attributes that equal their defaults are left out.

    Args:
        cls: attrs class of the values.
        names: Wire name by attribute.

    """
    resolve_types(cls)  # type: ignore[type-var]
    overrides: dict[str, Any] = {
        attribute.name: override(rename=names[attribute.alias]) if attribute.alias in names else override(omit=True)
        for attribute in fields(cls)  # type: ignore[arg-type]
    }
    return make_dict_unstructure_fn(cls, _to_texts, _cattrs_omit_if_default=True, **overrides)
