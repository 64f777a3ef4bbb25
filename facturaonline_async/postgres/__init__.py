"""Quota, creates and journals that several processes share, in PostgreSQL.

It needs the extra ``postgres``. `Postgres` is what `facturaonline_async.SessionManager` and ``connect`` take as
``shared``; ``facturaonline postgres install`` makes its tables. `run_shard` and `audit_run` carry out a plan that is
divided among processes, in any engine that runs jobs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from facturaonline_async.events import OutageEvent
    from facturaonline_async.postgres._postgres import Postgres
    from facturaonline_async.postgres._quota import Share
    from facturaonline_async.postgres._runs import RunSummary
    from facturaonline_async.postgres._shard_audit import audit_run
    from facturaonline_async.postgres._shard_run import RunCancelledError, ShardReport, run_shard
else:
    from facturaonline_async._lazy import lazy_names

    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            ".events": ["OutageEvent"],
            "_postgres": ["Postgres"],
            "_quota": ["Share"],
            "_runs": ["RunSummary"],
            "_shard_audit": ["audit_run"],
            "_shard_run": ["RunCancelledError", "ShardReport", "run_shard"],
        },
    )

__all__ = [
    "OutageEvent",
    "Postgres",
    "RunCancelledError",
    "RunSummary",
    "ShardReport",
    "Share",
    "audit_run",
    "run_shard",
]
