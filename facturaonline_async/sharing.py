"""What several processes share: protocols without a driver.

`facturaonline_async.postgres` implements them with PostgreSQL.

**What a shared rate means.** All processes together keep it: no process has a rate of its own, for any length of
its window. A process on its own may use the calls of a window at once; processes that share get starts that are evenly
spaced, because a service that knew each start of an hour would have to store them all. `burst_of` says how many may
come at once: at most 4 of a short window, and a tenth of a window of a minute or longer. So ``Rate(1000, 3600)`` gives
100 calls at once and then one every 4 s. An application that needs more calls at once shares a shorter rate, or shares
no rate and keeps the calls in one process. `make_window` says by how much the delays of starts may differ before a
window holds more calls than its rate.
"""

from __future__ import annotations

from facturaonline_async._core.limits.quota import HORIZON, Lease, SharedQuota, Window, burst_of, make_window
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
    "make_window",
    "shared_clock",
]
