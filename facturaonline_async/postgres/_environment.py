"""Variables of the environment that name a database; no driver is imported."""

from __future__ import annotations

import os
from typing import Final

__all__ = ["VARIABLE", "is_database_named"]

VARIABLE: Final = "FACTURAONLINE_DATABASE_URL"
"""Variable with the URL of the database that processes share."""

_OF_LIBPQ: Final = ("PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE")


def is_database_named() -> bool:
    """Return whether the environment names a database, also for libpq."""
    return any(os.environ.get(name) for name in (VARIABLE, *_OF_LIBPQ))
