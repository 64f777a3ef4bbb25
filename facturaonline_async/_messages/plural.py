"""Texts that depend on a count."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Plural"]


class Plural(NamedTuple):
    """Singular and plural of one text.

    Attributes:
        one: text for a count of 1.
        other: text for every other count.

    """

    one: str
    other: str
