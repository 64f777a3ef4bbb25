"""Checks in a thread, so that the event loop goes on. One at a time: a check holds the GIL for most of its 2 to 4 ms.

A second thread would check little more, and would make the event loop wait for two.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from facturaonline_async.sello import CheckReport, Kind, Sello, check

__all__ = ["check_in_thread"]

_limiter: Final[RunVar[anyio.CapacityLimiter]] = RunVar("facturaonline_async.sello._check_in_thread")
"""Each event loop has one, which all of its sessions share."""


async def check_in_thread(
    sello: Sello,
    *,
    rfc: str | None,
    kind: Kind | None,
    production: bool = False,
    limiter: anyio.CapacityLimiter | None = None,
) -> CheckReport:
    """Check a Sello in a thread, first come, first served.

    Cancelled, the call ends at once, or (in a cancelled scope of anyio) with the check. A check that has begun is not
    interrupted; what limits its time are the bounds on sizes and rounds in `facturaonline_async.sello.check`.

    Args:
        sello: what is checked.
        rfc: see `facturaonline_async.sello.check`.
        kind: see there.
        production: see there.
        limiter: bound on the checks that run at once; default: one at a time in each event loop.

    Raises:
        InvalidInputError: an argument is not what it should be.

    """
    work = partial(check, sello, rfc=rfc, kind=kind, production=production)
    return await anyio.to_thread.run_sync(work, limiter=limiter or _one_at_a_time())


def _one_at_a_time() -> anyio.CapacityLimiter:
    """Return the event loop's own limiter."""
    if (limiter := _limiter.get(None)) is None:
        _limiter.set(limiter := anyio.CapacityLimiter(1))
    return limiter
