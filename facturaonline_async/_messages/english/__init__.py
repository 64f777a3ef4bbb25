"""English texts by area, which is the part of a code before its dot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from itertools import chain
from typing import Final, TypeAlias

from facturaonline_async._messages.english import calls
from facturaonline_async._messages.plural import Plural
from facturaonline_async._messages.value_text import ValueText

__all__ = ["TEXTS"]

_Text: TypeAlias = str | Plural | ValueText

_MODULES: Final = (
    "calls",
    "cli",
    "doctor",
    "empresas",
    "fastapi",
    "findings",
    "journal",
    "plan",
    "postgres",
    "probe",
    "queue",
    "run",
    "sello",
    "series",
    "testing",
    "values",
)
"""Modules of this package; each has the texts of one area."""

_ELSEWHERE: Final = {"remedy": "findings"}
"""Module of an area that has none of its own."""


class _Texts(Mapping[str, _Text]):
    """All texts by code; those of an area are imported with its first text.

    Those of calls are there from the beginning: the error of a call must not wait for an import. A program that sees no
    error needs none of the others.
    """

    def __init__(self) -> None:
        self._imported: dict[str, Mapping[str, _Text]] = {"calls": calls.TEXTS}

    def __getitem__(self, code: str) -> _Text:
        area = code.partition(".")[0]
        return self._texts_of(_ELSEWHERE.get(area, area))[code]

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(map(self._texts_of, _MODULES))

    def __len__(self) -> int:
        return sum(len(self._texts_of(module)) for module in _MODULES)

    def _texts_of(self, module: str) -> Mapping[str, _Text]:
        if module not in _MODULES:
            raise KeyError(module)
        if module not in self._imported:
            self._imported[module] = import_module(f"{__name__}.{module}").TEXTS
        return self._imported[module]


#: All texts by code.
TEXTS: Final[Mapping[str, _Text]] = _Texts()
