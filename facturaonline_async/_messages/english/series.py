"""Texts about series."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from facturaonline_async._messages.plural import Plural

__all__ = ["TEXTS"]

#: Text by code, in str.format's syntax.
TEXTS: Final[Mapping[str, str | Plural]] = {}
