"""What several processes share: protocols without a driver.

`facturaonline_async.postgres` implements them with PostgreSQL.
"""

from __future__ import annotations

from facturaonline_async._core.limits.quota import Lease, SharedQuota, Window
from facturaonline_async._core.once.states import Origin, StepState
from facturaonline_async._core.once.store import ANYWAY, Grant, Key, Pending, Result, Seen, Store, Subscription
from facturaonline_async._core.shared import Shared, shared_clock

__all__ = [
    "ANYWAY",
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
    "shared_clock",
]
