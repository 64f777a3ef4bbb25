"""Measurements, as ratios and figures of one run. Run them from the root.

All of them: ``python -m benchmarks``; one of them: ``python -m benchmarks.bench_calls``. They measure the plain
install, whatever else is there; ``--fast`` measures with the extra ``fast``.
"""

import os
import sys

PLAIN = "FACTURAONLINE_BENCH_PLAIN"
"""Set in the environment of processes that measure the plain install."""

if PLAIN in os.environ:
    sys.modules["msgspec"] = None  # type: ignore[assignment]  # as good as not installed
