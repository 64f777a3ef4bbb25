"""Checks in a worker thread, so that tasks run between the steps of a check.

One check runs at a time: a check holds the GIL for most of its 1 to 2 ms. A second thread would add little throughput,
and would make the event loop wait for two. `cryptography` holds the GIL for a whole key derivation: a key with
1,000,000 iterations, where the SAT's have 2,048, stops the loop for 0.4 s for each password that is tried.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Final

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from facturaonline_async.sello._check_on_demand import check
from facturaonline_async.sello._models import Sello
from facturaonline_async.sello._report import CheckReport, Kind

__all__ = ["check_in_thread", "import_check"]

_CHECK: Final = "facturaonline_async.sello._check"
"""Module of the check. Its import takes 0.1 s, most of it for `cryptography`."""

_limiter: Final[RunVar[anyio.CapacityLimiter]] = RunVar("facturaonline_async.sello._check_in_thread")
"""One limiter for each event loop, shared by all of its sessions."""


async def check_in_thread(
    sello: Sello,
    *,
    rfc: str | None,
    kind: Kind | None,
    production: bool = False,
    limiter: anyio.CapacityLimiter | None = None,
) -> CheckReport:
    """Check a Sello in a worker thread, in FIFO order.

    A cancelled task ends at once; in a cancelled anyio scope, it ends with the check. A running check is not
    interrupted: the bounds on sizes and iterations in `facturaonline_async.sello.check` limit its time.

    Args:
        sello: certificate, key and password to check.
        rfc: see `facturaonline_async.sello.check`.
        kind: see `facturaonline_async.sello.check`.
        production: see `facturaonline_async.sello.check`.
        limiter: limits the concurrent checks; default: one check at a time in each event loop.

    Raises:
        InvalidInputError: an argument has a wrong type.

    """
    run_check = partial(check, sello, rfc=rfc, kind=kind, production=production)
    return await anyio.to_thread.run_sync(run_check, limiter=limiter or _default_limiter())


async def import_check() -> None:
    """Import what a check needs, in a worker thread.

    The first check then takes no longer than others.
    """
    await anyio.to_thread.run_sync(import_module, _CHECK)


def _default_limiter() -> anyio.CapacityLimiter:
    """Return the limiter of the running event loop."""
    if (limiter := _limiter.get(None)) is None:
        _limiter.set(limiter := anyio.CapacityLimiter(1))
    return limiter
