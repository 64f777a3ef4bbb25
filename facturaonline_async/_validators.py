"""Validators for attrs fields. Each error names the field and its type or value.

Each function is a validator: attrs calls it with the instance, the attribute and the value.
"""

from __future__ import annotations

import math
import re
from typing import Any, Final

from attrs import Attribute

from facturaonline_async._messages import Message, message
from facturaonline_async._text import find_invisible, is_latin
from facturaonline_async.errors import InvalidInputError

__all__ = [
    "check_count",
    "check_seconds",
    "count",
    "find_unsendable",
    "instance_of",
    "is_one_line",
    "one_line",
    "positive",
    "positive_int",
    "required_text",
    "seconds",
    "text",
    "type_name",
    "visible_ascii",
]

VISIBLE_ASCII: Final = re.compile(r"[\x21-\x7e]+")
_UNPRINTABLE: Final = "[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]"  # compiled when it is used


def type_name(value: object) -> str:
    """Return the name of a value's type with its article, "a str" or "an int".

    Args:
        value: a value that may be secret.

    """
    if value is None:
        return "None"
    name = type(value).__name__
    if name[0] in "aeioAEIO":  # an initial u mostly sounds like "you": a UUID, a uint8
        return message("values.type_with_vowel", name=name)
    return message("values.type", name=name)


class instance_of:  # noqa: N801  # named as attrs' own validator: validator=instance_of(bytes)
    """Validator that accepts instances of a type, or None if that is allowed.

    Args:
        accepted: the type.
        or_none: whether None is accepted, too.

    """

    def __init__(self, accepted: type, *, or_none: bool = False) -> None:
        self._type = accepted
        self._or_none = or_none

    def __call__(self, _: object, attribute: Attribute[Any], value: object) -> None:
        """Raise `InvalidInputError` for a value of another type."""
        if isinstance(value, self._type) or (self._or_none and value is None):
            return
        name = attribute.name
        reason = message("values.wrong_type", name=name, wanted=self._type.__name__, kind=type_name(value))
        raise InvalidInputError(reason, field=name)


def positive(_: object, attribute: Attribute[Any], value: object) -> None:
    """Accept a finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        reason = message("values.not_positive", name=attribute.name, value=f"{value!r:.40}")
        raise InvalidInputError(reason, field=attribute.name)


def positive_int(_: object, attribute: Attribute[Any], value: object) -> None:
    """Accept an integer above 0."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        reason = message("values.not_positive_int", name=attribute.name, value=f"{value!r:.40}")
        raise InvalidInputError(reason, field=attribute.name)


def count(_: object, attribute: Attribute[Any], value: object) -> None:
    """Accept None or an integer from 0 up."""
    check_count(attribute.name, value)


def check_count(name: str, value: object) -> None:
    """Refuse all values but None and an integer from 0 up.

    Args:
        name: name of the field, for the error.
        value: the value.

    Raises:
        InvalidInputError: it is neither.

    """
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 10**9):
        raise InvalidInputError(message("values.not_count", name=name, kind=type_name(value)), field=name)


def seconds(_: object, attribute: Attribute[Any], value: object) -> None:
    """Accept None or a finite number of seconds from 0 up."""
    check_seconds(attribute.name, value)


def check_seconds(name: str, value: object) -> None:
    """Refuse all values but None and a finite number of seconds from 0 up.

    Args:
        name: name of the field, for the error.
        value: the value.

    Raises:
        InvalidInputError: it is neither.

    """
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if value is not None and not (is_number and 0 <= value < math.inf):  # type: ignore[operator]
        raise InvalidInputError(message("values.not_seconds", name=name, value=f"{value!r:.40}"), field=name)


def text(_: object, attribute: Attribute[Any], value: object) -> None:
    """Accept a text on one line, and None if the field's default is None."""
    if isinstance(value, str):
        if not value.isprintable() or not (value.isascii() or is_latin(value)):  # without the cost of a call
            one_line(attribute.name, value)
    elif value is not None or attribute.default is not None:
        reason = message("values.not_text", name=attribute.name, kind=type_name(value))
        raise InvalidInputError(reason, field=attribute.name)


def one_line(name: str, value: str) -> None:
    """Refuse a text with line breaks, control characters or invisible characters.

    Args:
        name: name of the field, for the error.
        value: the text.

    Raises:
        InvalidInputError: the text holds such a character.

    """
    if reason := find_unsendable(value, name):
        raise InvalidInputError(reason, field=name)


def find_unsendable(value: str, name: str = "") -> Message | None:
    """Return why the API does not take a text, or None.

    Args:
        value: the text.
        name: name of the field; ``""`` for a cell of a plan.

    """
    if value.isprintable() and (value.isascii() or is_latin(value)):
        return None  # true of nearly all texts; a search takes three times as long
    if found := re.search(_UNPRINTABLE, value):
        character, place = f"U+{ord(found[0]):04X}", found.start() + 1
        return message("values.control_character", name=name, character=character, place=place)
    if invisible := find_invisible(value):
        return message("values.invisible_character", name=name, character=invisible)
    return None


def is_one_line(secret: str) -> bool:
    """Return whether a secret has text and no line breaks or control characters.

    It does not raise, because its frame would show the secret in the traceback.

    Args:
        secret: revealed text of a secret.

    """
    return bool(secret) and not re.search(_UNPRINTABLE, secret)


def required_text(instance: object, attribute: Attribute[Any], value: object) -> None:
    """Accept a text on one line that is not blank."""
    text(instance, attribute, value)
    if not isinstance(value, str) or not value.strip():
        raise InvalidInputError(message("values.required", name=attribute.name), field=attribute.name)


def visible_ascii(_: object, attribute: Attribute[Any], value: object) -> None:
    """Accept visible ASCII characters only, as an HTTP header needs."""
    if not isinstance(value, str) or not VISIBLE_ASCII.fullmatch(value):
        reason = message("values.not_visible_ascii", name=attribute.name, kind=type_name(value))
        raise InvalidInputError(reason, field=attribute.name)
