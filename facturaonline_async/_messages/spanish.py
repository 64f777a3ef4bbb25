"""Read the Spanish texts."""

from __future__ import annotations

import tomllib
from importlib.resources import files

from facturaonline_async._messages.plural import Plural
from facturaonline_async._messages.value_text import ValueText

__all__ = ["read_texts"]


def read_texts() -> dict[str, str | Plural | ValueText]:
    """Return the texts by code."""
    content = files("facturaonline_async._messages").joinpath("spanish.toml").read_text("utf-8")
    tables: dict[str, dict[str, str | dict[str, str]]] = tomllib.loads(content)
    return {f"{area}.{name}": _text(text) for area, table in tables.items() for name, text in table.items()}


def _text(text: str | dict[str, str]) -> str | Plural | ValueText:
    if isinstance(text, str):
        return text
    return Plural(**text) if "one" in text else ValueText(**text)
