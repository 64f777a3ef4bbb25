"""Quota, creates and journals that several processes share, in PostgreSQL.

It needs the extra ``postgres``. `Postgres` is what `facturaonline_async.SessionManager` and ``connect`` take as
``shared``; ``facturaonline postgres install`` makes its tables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from facturaonline_async.events import OutageEvent
    from facturaonline_async.postgres._postgres import Postgres
    from facturaonline_async.postgres._quota import Share
    from facturaonline_async.postgres._runs import RunSummary
else:
    from facturaonline_async._lazy import lazy_names

    __getattr__, __dir__ = lazy_names(
        __name__, {".events": ["OutageEvent"], "_postgres": ["Postgres"], "_quota": ["Share"], "_runs": ["RunSummary"]}
    )

__all__ = ["OutageEvent", "Postgres", "RunSummary", "Share"]
