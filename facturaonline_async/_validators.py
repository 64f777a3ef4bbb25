"""Validators for attrs fields. Each error names the field and its type or value.

Each function is a validator: attrs calls it with the instance, the attribute and the value.
"""

from __future__ import annotations

import math
import re
from typing import Any, Final

from attrs import Attribute

from facturaonline_async._text import find_invisible, is_latin
from facturaonline_async.errors import InvalidInputError

__all__ = [
    "count",
    "instance_of",
    "positive",
    "positive_int",
    "required_text",
    "seconds",
    "text",
    "type_name",
    "visible_ascii",
]

VISIBLE_ASCII: Final = re.compile(r"[\x21-\x7e]+")
_UNPRINTABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def type_name(value: object) -> str:
    """Return the name of a value's type with its article, such as "a str".

    Args:
        value: a value that may be secret.

    """
    return "None" if value is None else f"a {type(value).__name__}"


class instance_of:  # noqa: N801  # named as attrs' own validator: validator=instance_of(bytes)
    """Validator that accepts instances of some types, or None if that is allowed.

    Args:
        *types: accepted types.
        or_none: whether None is accepted, too.

    """

    def __init__(self, *types: type, or_none: bool = False) -> None:
        self._types = types
        self._or_none = or_none

    def __call__(self, _: object, attribute: Attribute[Any], value: object) -> None:
        """Raise `InvalidInputError` for a value of another type."""
        if isinstance(value, self._types) or (self._or_none and value is None):
            return
        names = " or ".join(each.__name__ for each in self._types)
        raise InvalidInputError(f"{attribute.name} must be {names}, and was {type_name(value)}.", field=attribute.name)


def positive(_: object, attribute: Attribute[Any], value: object) -> None:
    """Accept a finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise InvalidInputError(
            f"{attribute.name} must be a number above 0, and was {value!r:.40}.", field=attribute.name
        )


def positive_int(_: object, attribute: Attribute[Any], value: object) -> None:
    """Accept an integer above 0."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidInputError(
            f"{attribute.name} must be a whole number above 0, and was {value!r:.40}.", field=attribute.name
        )


def count(_: object, attribute: Attribute[Any], value: object) -> None:
    """Accept None or an integer from 0 up."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 10**9):
        raise InvalidInputError(
            f"{attribute.name} must be a whole number from 0 up, and was {type_name(value)}.", field=attribute.name
        )


def seconds(_: object, attribute: Attribute[Any], value: object) -> None:
    """Accept None or a finite number of seconds from 0 up."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if value is not None and not (is_number and 0 <= value < math.inf):  # type: ignore[operator]
        raise InvalidInputError(
            f"{attribute.name} must be None or a number of seconds from 0 up, and was {value!r:.40}.",
            field=attribute.name,
        )


def text(_: object, attribute: Attribute[Any], value: object) -> None:
    """Accept a text on one line, and None if the field's default is None."""
    if isinstance(value, str) and value.isprintable() and (value.isascii() or is_latin(value)):
        return  # true of nearly all texts; a search takes three times as long
    if value is None and attribute.default is None:
        return
    if not isinstance(value, str):
        raise InvalidInputError(f"{attribute.name} must be a text, and was {type_name(value)}.", field=attribute.name)
    one_line(attribute.name, value)


def one_line(name: str, value: str) -> None:
    """Refuse a text with line breaks, control characters or invisible characters.

    Args:
        name: name of the field, for the error.
        value: the text.

    Raises:
        InvalidInputError: the text holds such a character.

    """
    if found := _UNPRINTABLE.search(value):
        raise InvalidInputError(
            f"{name} holds the character U+{ord(found[0]):04X} at place {found.start() + 1}: "
            "the API takes no line breaks, tabs or control characters.",
            field=name,
        )
    if invisible := find_invisible(value):
        raise InvalidInputError(
            f"{name} holds the invisible character {invisible}: delete it, or type the text anew.", field=name
        )


def is_one_line(secret: str) -> bool:
    """Return whether a secret has text and no line breaks or control characters.

    It does not raise, because its frame would show the secret in the traceback.

    Args:
        secret: revealed text of a secret.

    """
    return bool(secret) and not _UNPRINTABLE.search(secret)


def required_text(instance: object, attribute: Attribute[Any], value: object) -> None:
    """Accept a text on one line that is not blank."""
    text(instance, attribute, value)
    if not isinstance(value, str) or not value.strip():
        raise InvalidInputError(f"{attribute.name} is required, and was empty.", field=attribute.name)


def visible_ascii(_: object, attribute: Attribute[Any], value: object) -> None:
    """Accept visible ASCII characters only, as an HTTP header needs."""
    if not isinstance(value, str) or not VISIBLE_ASCII.fullmatch(value):
        raise InvalidInputError(
            f"{attribute.name} must be visible ASCII, and not empty; it was {type_name(value)}.", field=attribute.name
        )
