"""English texts by area, which is the part of a code before its dot."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Final, TypeAlias

from facturaonline_async._messages.english import (
    calls,
    empresas,
    fastapi,
    findings,
    journal,
    plan,
    postgres,
    queue,
    run,
    sello,
    series,
    values,
)
from facturaonline_async._messages.plural import Plural
from facturaonline_async._messages.value_text import ValueText

__all__ = ["TEXTS", "all_texts"]

_Text: TypeAlias = str | Plural | ValueText

_ON_DEMAND: Final = ("cli", "doctor", "probe", "testing")
"""Areas of the command and of tests: modules of this package."""


class _Texts(dict[str, _Text]):
    """All texts by code.

    Those of the library are there from the beginning: an error may mean that nothing can be imported any more, because
    the process has no file descriptor left, or has become another user. The other areas are imported with their first
    text.
    """

    def __missing__(self, code: str) -> _Text:
        area = code.partition(".")[0]
        if area not in _ON_DEMAND:
            raise KeyError(code)
        texts: Mapping[str, _Text] = import_module(f"{__name__}.{area}").TEXTS
        self.update(texts)
        return texts[code]


#: All texts by code.
TEXTS: Final[Mapping[str, _Text]] = _Texts(
    {
        **values.TEXTS,
        **calls.TEXTS,
        **series.TEXTS,
        **empresas.TEXTS,
        **findings.TEXTS,
        **sello.TEXTS,
        **plan.TEXTS,
        **journal.TEXTS,
        **run.TEXTS,
        **postgres.TEXTS,
        **queue.TEXTS,
        **fastapi.TEXTS,
    }
)


def all_texts() -> Mapping[str, _Text]:
    """Return all texts by code, those of the command too."""
    areas = [import_module(f"{__name__}.{area}").TEXTS for area in _ON_DEMAND]
    return {**TEXTS, **{code: text for texts in areas for code, text in texts.items()}}
