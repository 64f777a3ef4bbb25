"""Optional fields of a row: dates, flags, numbers, and those without an attribute.

None of them makes a row unreadable. A value that is no date, flag or number becomes None, and its text is kept among
the fields without an attribute.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Final, TypeAlias

from attrs import fields

from facturaonline_async._core.protocol.extra import make_extra

__all__ = ["OPTIONAL_READERS", "ReadOptional", "make_optional_reader", "no_optional_fields"]

_DATE_AND_TIME: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[ T][0-9:.]+Z?")
_FLAGS: Final[Mapping[object, bool]] = {"1": True, "0": False, 1: True, 0: False}
"""Flags as the API writes them; in Python, true and false are 1 and 0."""


def _read_count(value: object) -> int | None:
    """Return a whole number from 0 up; None for any other value."""
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _read_date_before_time(value: object) -> date | None:
    """Return the date of a text such as "2023-01-14 10:22:33", or None."""
    if not isinstance(value, str) or (found := _DATE_AND_TIME.fullmatch(value)) is None:
        return None
    try:
        return date.fromisoformat(found[1])
    except ValueError:  # a day that does not exist, such as "0000-00-00"
        return None


def _read_nothing(_: object) -> None:
    return None


ReadField: TypeAlias = Callable[[Any], object]
ReadOptional: TypeAlias = Callable[[dict[str, Any]], dict[str, object]]

#: By an attribute's type, the function that reads a whole value, and the one that reads a part of any other value. The
#: first one returns None or raises for a value that it cannot read.
OPTIONAL_READERS: Final[Mapping[object, tuple[ReadField, ReadField]]] = {
    date | None: (date.fromisoformat, _read_date_before_time),
    bool | None: (_FLAGS.get, _read_nothing),
    int | None: (_read_count, _read_nothing),
}


def no_optional_fields(_: dict[str, Any]) -> dict[str, object]:
    """Return no fields: the reader of a class that has none."""
    return {}


def make_optional_reader(cls: type, names: Mapping[str, str], extra: str) -> ReadOptional:
    """Return a function that reads the optional fields of a row, by attribute.

    It is `no_optional_fields` if the class has none.

    Args:
        cls: attrs class, with resolved types.
        names: Wire name by attribute, for the attributes in this answer.
        extra: Attribute for the fields that no attribute has; ``""`` ignores these fields.

    """
    given = [each for each in fields(cls) if each.alias in names and each.type in OPTIONAL_READERS]
    readers = [(names[each.alias], each.name, *OPTIONAL_READERS[each.type]) for each in given]
    known = frozenset(names.values())
    if not readers and not extra:
        return no_optional_fields

    def read(row: dict[str, Any]) -> dict[str, object]:
        """Return the optional fields that a row has, by attribute."""
        values: dict[str, object] = {}
        rest = [] if not extra or known.issuperset(row) else [wire for wire in row if wire not in known]
        for wire, name, read_whole, read_part in readers:
            if (value := row.get(wire)) is None or value == "":
                continue
            try:
                found = read_whole(value)
            except (TypeError, ValueError):
                found = None
            if found is None:
                found = read_part(value)
                rest.append(wire)
            values[name] = found
        if extra and rest and (facts := make_extra(row, rest)):
            values[extra] = facts
        return values

    return read
