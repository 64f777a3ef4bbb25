"""Rounds: contenders take turns in one process, in reverse order every other time, so that drift meets all of them."""

from __future__ import annotations

import gc
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

__all__ = ["interleave", "ratios"]


async def interleave(batches: Mapping[str, Callable[[], Awaitable[int]]], rounds: int) -> dict[str, list[float]]:
    """Run each batch once in each round, after one that does not count; return seconds of CPU for a call.

    A batch returns the number of its calls. CPU is that of the whole process; servers run in others.
    """
    costs: dict[str, list[float]] = {name: [] for name in batches}
    for number in range(-1, rounds):
        for name in batches if number % 2 else reversed([*batches]):
            gc.collect()  # no batch pays for the garbage of another one
            began = time.process_time()
            calls = await batches[name]()
            cost = (time.process_time() - began) / calls
            if number >= 0:
                costs[name].append(cost)
    return costs


def ratios(costs: Sequence[float], base: Sequence[float]) -> list[float]:
    """Return the ratio in each round."""
    return [cost / other for cost, other in zip(costs, base, strict=True)]
