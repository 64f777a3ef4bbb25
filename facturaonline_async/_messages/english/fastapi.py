"""Texts about FastAPI applications."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from facturaonline_async._messages.plural import Plural

__all__ = ["TEXTS"]

#: Text by code, in str.format's syntax.
TEXTS: Final[Mapping[str, str | Plural]] = {
    "fastapi.no_session": (
        "the application has no session: make it with FastAPI(lifespan=lifespan(config)), and run its lifespan, as "
        "servers do, and TestClient inside a with block"
    ),
}
