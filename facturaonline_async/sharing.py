"""What several processes share: protocols without a driver.

`facturaonline_async.postgres` implements them with PostgreSQL.
"""

from __future__ import annotations

from facturaonline_async._core.limits.quota import HORIZON, Lease, SharedQuota, Window, burst_of
from facturaonline_async._core.once.states import Origin, StepState
from facturaonline_async._core.once.store import ANYWAY, Grant, Key, Pending, Result, Seen, Store, Subscription
from facturaonline_async._core.shared import Shared, grace_of, shared_clock

__all__ = [
    "ANYWAY",
    "HORIZON",
    "Grant",
    "Key",
    "Lease",
    "Origin",
    "Pending",
    "Result",
    "Seen",
    "Shared",
    "SharedQuota",
    "StepState",
    "Store",
    "Subscription",
    "Window",
    "burst_of",
    "grace_of",
    "shared_clock",
]
