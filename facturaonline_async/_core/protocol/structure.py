"""Conversion of JSON objects to attrs values, and of values to forms and JSON.

The only user of cattrs. No I/O. A list of thousands of companies is the largest input, so that the hook of a class has
a fast path for rows whose texts are texts: one `itemgetter` for all values, one ``"".join`` as their type check. It
takes half the time of cattrs, which reads any other row, and names the faulty field. Dates, flags and fields without
an attribute never make a row unreadable: ``optional_fields`` reads them.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from operator import itemgetter
from typing import Any, Final, TypeAlias, TypeVar, cast, get_args, get_origin

from attrs import NOTHING, fields, make_class, resolve_types
from cattrs import ClassValidationError, Converter
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from facturaonline_async._core.protocol.json import LongList, Rows
from facturaonline_async._core.protocol.lazy_secrets import SECRET_SLOTS, KeepsSecrets, LazySecret
from facturaonline_async._core.protocol.optional_fields import OPTIONAL_READERS, make_optional_reader
from facturaonline_async._messages import Message, message
from facturaonline_async._secrets import Secret

__all__ = ["StructureError", "make_form_writer", "make_json_writer", "make_reader"]

T = TypeVar("T")

Names: TypeAlias = Mapping[str, str]
"""Wire name by attribute."""
StructureHook: TypeAlias = Callable[[Any, Any], Any]
"""Function that converts decoded JSON into a value of a type, its second argument."""

_AMOUNT: Final = re.compile(r"-?[0-9]{1,18}(?:\.[0-9]{1,18})?")
_DIGITS: Final = 18
"""Upper bound for the digits of a whole number, and of an amount before and after its point.

1E999999999 would fill the memory.
"""


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
        if abs(value) < 10**_DIGITS:
            return value
        raise StructureError(message("calls.number_too_long", digits=_DIGITS))
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _DIGITS:
        return int(value)
    raise StructureError(message("calls.not_a_whole_number", found=_kind(value)))


def _amount(value: object, _: object = None) -> Decimal:
    """Return a number, or a text with one, with all its digits."""
    if isinstance(value, str) and _AMOUNT.fullmatch(value):
        return Decimal(value)
    if isinstance(value, (Decimal, int)) and not isinstance(value, bool):
        amount = Decimal(value)
        if amount.adjusted() < _DIGITS and cast("int", amount.as_tuple().exponent) >= -_DIGITS:
            return amount
    raise StructureError(message("calls.not_an_amount", found=_kind(value)))


def _secret(value: object, _: object = None) -> Secret | None:
    if value is None or isinstance(value, str):
        return None if value is None else Secret(value)
    raise StructureError(message("calls.not_a_text", found=_kind(value)))


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
        case list() | Rows() | LongList():
            return message("calls.json_list")
        case Decimal():
            return message("calls.json_fraction")
    return message("calls.json_whole_number")


# ── Reading ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def make_reader(
    cls: type[T], names: Names, *, extra: str = "", is_sparse: bool = False, nested: Mapping[type, Names] | None = None
) -> Callable[[object], T]:
    """Return a function that converts one JSON object into a `cls`.

    A text attribute without a default must not be empty. Attributes of the types ``date | None``, ``bool | None`` and
    ``int | None`` are None if the field is missing, empty or unreadable.

    Args:
        cls: attrs class with ``slots=False``. Attributes may be a ``str``, an ``int``, a `Decimal`, a nested class,
            ``tuple[C, ...]`` of these, and the types above; those of a `KeepsSecrets` also ``Secret | None``.
        names: Wire name by attribute, for the attributes in this answer. Other attributes keep their defaults.
        extra: Attribute for the `Extra` of the row: unknown fields, and texts of unreadable dates, flags and numbers.
            Fields whose names look secret are not in it. Default: unknown fields are ignored.
        is_sparse: Whether this answer usually lacks some texts. It decides only which rows are read quickly.
        nested: Wire name by attribute, for each nested class. They have ``slots=False``, too.

    Returns:
        The function. It raises `StructureError` for a row that it cannot read.

    """
    layouts: dict[Any, Names] = {**(nested or {}), cls: names}
    converter = Converter()
    converter.register_structure_hook(str, _text)
    converter.register_structure_hook(int, _whole_number)
    converter.register_structure_hook(Decimal, _amount)
    converter.register_structure_hook(Secret | None, _secret)

    def object_hook(kind: Any, its: Converter) -> StructureHook:
        """Return the hook of a class that has wire names."""
        is_outer = kind is cls
        return _object_hook(kind, layouts[kind], its, extra=extra if is_outer else "", is_sparse=is_sparse and is_outer)

    converter.register_structure_hook_factory(lambda kind: kind in layouts, object_hook)
    converter.register_structure_hook_factory(_is_tuple, _tuple_hook)
    return converter.get_structure_hook(cls)  # type: ignore[return-value]


def _object_hook(cls: type, names: Names, converter: Converter, *, extra: str, is_sparse: bool) -> StructureHook:
    """Return the hook of one class: a fast path, and cattrs for other rows."""
    resolve_types(cls)
    _prepare(cls, names)
    read_optional = make_optional_reader(cls, names, extra)
    given = {
        each: names[each.alias] for each in fields(cls) if each.alias in names and each.type not in OPTIONAL_READERS
    }
    required = [wire for each, wire in given.items() if each.type is str and each.default is NOTHING]
    overrides: dict[str, Any] = {each.name: override(omit=True) for each in fields(cls)}
    for each, wire in given.items():
        overrides[each.name] = override(rename=wire, struct_hook=_required_text if wire in required else None)

    @functools.cache  # made for the first row that the fast path does not read: it takes as long as all the rest
    def structure() -> StructureHook:
        return make_dict_structure_fn(cls, converter, **overrides)

    texts = {each.name: wire for each, wire in given.items() if each.type is str}
    secrets = [wire for each, wire in given.items() if each.type == Secret | None]
    others = [
        (each.name, wire, converter.get_structure_hook(each.type), each.type)
        for each, wire in given.items()
        if each.name not in texts and wire not in secrets
    ]
    pick, are_texts, end = _picker([*texts.values(), *secrets]), "".join, len(texts)
    # The fast path makes an instance of this class, which is not frozen, and changes its class: a third of the time of
    # the __init__ of a frozen class, and half the memory of a dict that is built first.
    open_class = make_class(cls.__name__, list(texts), bases=cls.__bases__, slots=False, eq=False, repr=False)
    defaults = {wire: each.default for each, wire in given.items() if each.type is str and each.default is not NOTHING}
    keeps = [(slot.__set__, wire) for slot, wire in zip(SECRET_SLOTS, secrets, strict=False)]
    no_more = len(names) if len(given) == len(names) else -1

    def read(row: Any, _: object = None) -> Any:
        """Return the value of one row."""
        try:
            values = pick(row)
            are_texts(values)
            made = open_class(*values[:end])
            for name, wire, hook, kind in others:
                setattr(made, name, hook(row[wire], kind))
            for wire in required:
                if not row[wire]:
                    raise KeyError  # noqa: TRY301  # read_by_field names it
        except (KeyError, TypeError, StructureError):  # the exceptions' texts hold no value
            if isinstance(row, dict) and len(full := defaults | row) > len(row):
                return read(full)  # it lacks texts
            return read_by_field(row)
        made.__class__ = cls
        for keep, wire in keeps:
            keep(made, row[wire])
        if len(row) != no_more:
            vars(made).update(read_optional(row))
        return made

    def read_by_field(row: object) -> Any:
        """Return the value, or raise an error that names the first faulty field."""
        if not isinstance(row, dict):
            raise StructureError(message("calls.not_an_object", found=_kind(row)))
        try:
            made: Any = structure()(row, cls)
        except ClassValidationError as problems:
            reason = _reason(problems, names)
        else:
            vars(made).update(read_optional(row))
            return made
        raise StructureError(reason)  # outside the except block: cattrs' errors hold the values

    def read_sparse(row: Any, _: object = None) -> Any:
        """Return the value of a row that lacks texts.

        An exception for each would take as long as the reading.
        """
        return read(defaults | row if isinstance(row, dict) else row)

    return read_sparse if is_sparse else read


def _picker(names: Iterable[str]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    """Return a function that returns the fields with these names as a tuple."""
    names = tuple(names)
    return itemgetter(*names) if len(names) > 1 else lambda row: tuple(row[name] for name in names)


def _is_tuple(kind: Any) -> bool:
    return get_origin(kind) is tuple


def _tuple_hook(kind: Any, converter: Converter) -> StructureHook:
    """Return the hook of a list; null is an empty one, as null is an empty text."""
    inner = get_args(kind)[0]
    read_inner = converter.get_structure_hook(inner)

    def read(value: Any, _: object) -> Any:
        """Return the values, or raise an error that names the first faulty row."""
        if not isinstance(value, (list, type(None))):
            raise StructureError(message("calls.not_a_list_field", found=_kind(value)))
        values: list[Any] = []
        try:
            values.extend(read_inner(each, inner) for each in value or ())
        except StructureError as problem:
            reason = message("calls.in_row", row=len(values), reason=problem.args[0])
        else:
            return tuple(values)
        raise StructureError(reason)

    return read


def _reason(problems: ClassValidationError, names: Names) -> Message:
    """Return the wire name of the first faulty field, and the reason."""
    problem, note = problems.group_exceptions()[0][0]
    wire = names[note.name.removeprefix("_")]
    if isinstance(problem, KeyError):
        return message("calls.field_missing", field=wire)
    return message("calls.in_field", field=wire, reason=problem.args[0])


def _prepare(cls: type, names: Names) -> None:
    """Put descriptors of secrets and defaults of missing fields on the class."""
    secrets = [each for each in fields(cls) if each.type == Secret | None]
    if secrets and not issubclass(cls, KeepsSecrets):
        raise TypeError(f"{cls.__name__} has secrets: derive it from KeepsSecrets")
    if len(secrets) > len(SECRET_SLOTS) or len({each.alias in names for each in secrets}) > 1:
        raise TypeError(f"{cls.__name__} has more than {len(SECRET_SLOTS)} secrets, or an answer has only some of them")
    for slot, each in zip(SECRET_SLOTS, secrets, strict=False):
        type.__setattr__(cls, each.name, LazySecret(slot))
    for each in fields(cls):
        if each.default is not NOTHING and each not in secrets:
            type.__setattr__(cls, each.name, each.default)


# ── Writing ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def make_form_writer(cls: type[T], names: Names) -> Callable[[T], dict[str, str]]:
    """Return a function that maps a value to form fields: wire name to text.

    Attributes that equal their defaults are left out.

    Args:
        cls: attrs class of the values.
        names: Wire name by attribute.

    """
    converter = Converter()
    converter.register_unstructure_hook(int, lambda value: str(int(value)))
    converter.register_unstructure_hook(bool, lambda value: "1" if value else "0")
    return _unstructure_hook(cls, names, converter)


def make_json_writer(
    cls: type[T], names: Names, *, nested: Mapping[type, Names] | None = None
) -> Callable[[T], dict[str, object]]:
    """Return a function that maps a value to a JSON object, by wire names.

    Attributes that equal their defaults are left out. Amounts are written as texts with all their digits, because many
    servers read a JSON number as a binary fraction.

    Args:
        cls: attrs class of the values.
        names: Wire name by attribute.
        nested: Wire name by attribute, for each nested class.

    """
    converter = Converter()
    converter.register_unstructure_hook(Decimal, lambda amount: format(amount, "f"))
    for each, its in (nested or {}).items():
        converter.register_unstructure_hook(each, _unstructure_hook(each, its, converter))
    return _unstructure_hook(cls, names, converter)


def _unstructure_hook(cls: type, names: Names, converter: Converter) -> Callable[[Any], dict[str, Any]]:
    resolve_types(cls)
    overrides: dict[str, Any] = {
        each.name: override(rename=names[each.alias]) if each.alias in names else override(omit=True)
        for each in fields(cls)
    }
    return make_dict_unstructure_fn(cls, converter, _cattrs_omit_if_default=True, **overrides)
