"""Texts about one value, which stands in a cell of a plan or in a field."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["ValueText"]


class ValueText(NamedTuple):
    """Text of one fault of a value, for a cell and for a field.

    Attributes:
        cell: clause without the name; a problem of a plan puts row and column before it.
        field: whole sentence with the parameter ``name``.

    """

    cell: str
    field: str
