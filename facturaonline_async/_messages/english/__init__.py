"""English texts by area, which is the part of a code before its dot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from facturaonline_async._messages.english import (
    calls,
    cli,
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
    testing,
    values,
)
from facturaonline_async._messages.plural import Plural
from facturaonline_async._messages.value_text import ValueText

__all__ = ["TEXTS"]

#: All texts by code.
TEXTS: Final[Mapping[str, str | Plural | ValueText]] = {
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
    **cli.TEXTS,
    **testing.TEXTS,
}
