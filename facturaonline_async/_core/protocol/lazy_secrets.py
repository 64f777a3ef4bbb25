"""Secrets of a value, stored as texts until they are read.

A list of thousands of companies holds thousands of key pairs, and nearly none is ever read. As `Secret` objects they
would be half of all objects that the garbage collector tracks, and take a third of the time of reading the list.
"""

from __future__ import annotations

from typing import Any, Final

from attrs import fields

from facturaonline_async._secrets import Secret, hidden_slots

__all__ = ["SECRET_SLOTS", "KeepsSecrets", "LazySecret"]


class KeepsSecrets:
    """Base class of values with secrets, stored in no attribute (`hidden_slots`)."""

    # Two slots, because keys come in pairs. A tuple would be one more tracked object per value.
    __slots__ = ("_kept_1", "_kept_2")

    def __getstate__(self) -> dict[str, object]:
        """Return the attributes for copies, with `Secret` objects, which refuse pickling."""
        return {each.name: getattr(self, each.name) for each in fields(type(self))}  # type: ignore[arg-type]


SECRET_SLOTS: Final = hidden_slots(KeepsSecrets)


class LazySecret:
    """Descriptor that makes a `Secret` from the stored text on each access."""

    def __init__(self, slot: Any) -> None:
        self._slot = slot

    def __get__(self, value: KeepsSecrets | None, _: type[KeepsSecrets]) -> Secret | None:
        try:
            return None if value is None else Secret(self._slot.__get__(value))
        except AttributeError:
            return None
