"""Secrets that a value keeps aside, each as the text that it came as, until somebody asks for it.

A list of thousands of companies makes thousands of key pairs, nearly all of which nobody looks at. `Secret` objects for
them would be half of all objects that the garbage collector has to watch, and a third of the time that reading takes.
"""

from __future__ import annotations

from typing import Any, Final

from facturaonline_async.config import Secret, hidden_slots

__all__ = ["PLACES", "KeepsSecrets", "KeptSecret"]


class KeepsSecrets:
    """Base of values with secrets that answers give. What is kept is in no attribute: see `hidden_slots`."""

    # Two places, for keys come in pairs. A tuple of both would be one more object to watch for each value.
    __slots__ = ("_kept_1", "_kept_2")

    def __getstate__(self) -> dict[str, object]:
        """Return what copies are made of: secrets, not their texts. Pickling them raises."""
        kept = [name for name, each in vars(type(self)).items() if isinstance(each, KeptSecret)]
        return {name: getattr(self, name) for name in kept} | vars(self)


PLACES: Final = hidden_slots(KeepsSecrets)


class KeptSecret:
    """Stands in the class for an attribute that the instance's dict does not hold."""

    def __init__(self, place: Any) -> None:
        self._place = place

    def __get__(self, value: KeepsSecrets | None, _: type[KeepsSecrets]) -> Secret | None:
        try:
            return None if value is None else Secret(self._place.__get__(value))
        except AttributeError:
            return None
