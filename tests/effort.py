"""How many examples hypothesis draws: a sixth of them in the quick run, and all in the full one."""

from __future__ import annotations

import os

from hypothesis import settings

__all__ = ["examples"]


def examples(number: int) -> settings:
    """Draw so many examples where ``HYPOTHESIS_PROFILE`` is ``full``, and else a sixth of them."""
    return settings(max_examples=number if os.environ.get("HYPOTHESIS_PROFILE") == "full" else max(20, number // 6))
