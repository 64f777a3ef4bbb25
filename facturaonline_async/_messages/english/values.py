"""Texts about values and settings that a caller gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from facturaonline_async._messages.plural import Plural

__all__ = ["TEXTS"]

#: Text by code, in str.format's syntax.
TEXTS: Final[Mapping[str, str | Plural]] = {
    # Texts.
    "values.not_text": "{name} must be a text, and was {kind}.",
    "values.empty": "{name} is empty.",
    "values.password_not_one_line": "{name} is empty, or holds a line break or another control character.",
    # Numbers.
    "values.not_positive_int": "{name} must be a whole number above 0, and was {value}.",
    # The base URL, the keys and the uid of a call.
    "values.config_without_base_url": "Config.base_url is missing. Give SANDBOX or PRODUCTION.",
    "values.invalid_uid": "uid must be 1 to 64 letters, digits, '-' or '_', and was {value}.",
}
