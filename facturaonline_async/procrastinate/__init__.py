"""Runs of a plan as jobs of procrastinate, a queue in PostgreSQL.

It needs the extra ``procrastinate``. `Worker` carries out the shards of runs, on any number of machines; `enqueue` adds
a run, and `cancel` ends one. ``facturaonline postgres install`` makes the tables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from facturaonline_async.procrastinate._enqueue import cancel, enqueue
    from facturaonline_async.procrastinate._plans import folder_plans
    from facturaonline_async.procrastinate._worker import Worker
else:
    from facturaonline_async._lazy import lazy_names

    __getattr__, __dir__ = lazy_names(
        __name__,
        {"_enqueue": ["cancel", "enqueue"], "_plans": ["folder_plans"], "_worker": ["Worker"]},
    )

__all__ = ["Worker", "cancel", "enqueue", "folder_plans"]
