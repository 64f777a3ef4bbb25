"""Attributes of values whose dicts hold them under the API's names.

The fastest reader of a row makes the row itself the value's dict. To rename five fields of each row would add a third
to the time of reading it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import NOTHING, fields

__all__ = ["StoredAs", "store_under_wire_names"]


class StoredAs:
    """Descriptor of an attribute that an instance's dict may hold under its wire name.

    An entry under the attribute's own name comes first.

    Args:
        wire: Wire name.
        default: Value if the dict has neither name.

    """

    def __init__(self, wire: str, default: object) -> None:
        self.wire: Final = wire
        self._default = default

    def __get__(self, value: object, _: object) -> object:
        return self._default if value is None else vars(value).get(self.wire, self._default)


class _Hidden:
    """Descriptor that hides an entry of an instance's dict under its wire name."""

    def __init__(self, wire: str) -> None:
        self._wire = wire

    def __get__(self, value: object, owner: type) -> object:
        raise AttributeError(f"{owner.__name__} has no attribute {self._wire!r}", name=self._wire, obj=value)

    def __set__(self, value: object, _: object) -> None:
        self.__get__(value, type(value))  # with __set__ it comes before the instance's dict


def store_under_wire_names(cls: type, names: Mapping[str, str]) -> None:
    """Let instances of a class hold some attributes under their wire names.

    Args:
        cls: attrs class with ``slots=False``.
        names: Wire name by attribute. Equal names are left out.

    Raises:
        TypeError: A wire name is another attribute, or the attribute has another wire name already.

    """
    for each in fields(cls):
        wire = names.get(each.name, each.name)
        if wire == each.name:
            continue
        known, other = vars(cls).get(each.name), vars(cls).get(wire)
        if (isinstance(known, StoredAs) and known.wire != wire) or not isinstance(other, (_Hidden, type(None))):
            raise TypeError(f"{cls.__name__}.{each.name} cannot be stored as {wire}")
        type.__setattr__(cls, each.name, StoredAs(wire, None if each.default is NOTHING else each.default))
        type.__setattr__(cls, wire, _Hidden(wire))
