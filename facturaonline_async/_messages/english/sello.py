"""Texts about certificates, keys and their passwords."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from facturaonline_async._messages.plural import Plural
from facturaonline_async._messages.value_text import ValueText

__all__ = ["TEXTS"]

#: Text by code, in str.format's syntax.
TEXTS: Final[Mapping[str, str | Plural | ValueText]] = {
    # Arguments of a check.
    "sello.not_a_kind_or_none": '{name} must be "csd", "fiel" or None, and was {value}.',
    # Files and base64 texts to read.
    "sello.file_unreadable": ValueText(
        cell="cannot be read: {reason}",
        field="{name}: {path} cannot be read: {reason}.",
    ),
    "sello.not_a_file": ValueText(
        cell="cannot be read: it is not a file",
        field="{name}: {path} cannot be read: it is not a file.",
    ),
    "sello.file_too_large": ValueText(
        cell="cannot be read: it is larger than {limit} bytes",
        field="{name}: {path} cannot be read: it is larger than {limit} bytes.",
    ),
    "sello.file_empty": ValueText(
        cell="cannot be read: it is empty",
        field="{name}: {path} cannot be read: it is empty.",
    ),
    "sello.not_text": "{name} must be base64 text, and was {kind}.",
    "sello.not_base64": "{name} is not base64 text, or is incomplete.",
    # Contents that cannot be sent.
    "sello.wrong_size": "{name} has {size} bytes, and must have 1 to {limit}.",
}
