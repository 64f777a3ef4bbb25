"""Texts about series."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from facturaonline_async._messages.plural import Plural

__all__ = ["TEXTS"]

#: Text by code, in str.format's syntax.
TEXTS: Final[Mapping[str, str | Plural]] = {
    # Arguments of a call.
    "series.key_missing": "{name} must be a text, and not empty; it was {value}.",
    "series.folio_out_of_range": "folio must be a whole number from 1 to 999,999,999,999.",
    "series.misspelt_tipo": ("tipo_documento {value} is not documented: did you mean {meant}? Nothing was created."),
    # The API's answer is about another serie.
    "series.other_uid": "asked for the serie {uid}, the API answered with the serie {answered}",
    "series.other_key": (
        "asked for the serie {uid}, {key}, the API answered with the serie {answered}, {answered_key}"
    ),
    # The API's answer shows the serie, and not whether it is active.
    "series.unknown_estatus": (
        "the serie {uid} has the estatus {estatus}, and it is not known whether that means active or paused"
    ),
}
