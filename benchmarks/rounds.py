"""Rounds: contenders in turn, in one process, the order reversed every other time, so that drift hits all alike."""

from __future__ import annotations

import gc
import time
from collections.abc import Awaitable, Callable, Mapping

from attrs import frozen

__all__ = ["Cost", "interleave", "ratios"]


@frozen
class Cost:
    """What one batch took, in seconds for each of its calls."""

    cpu: float
    wall: float


async def interleave(
    batches: Mapping[str, Callable[[], Awaitable[int]]], rounds: int, prepare: Callable[[], None] | None = None
) -> dict[str, list[Cost]]:
    """Run each batch once in each round, after one that does not count; batches return the number of their calls.

    `prepare` is called before each batch, at nobody's cost.

    CPU is that of the whole process, all of its threads; servers run in processes of their own.
    """
    costs: dict[str, list[Cost]] = {name: [] for name in batches}
    for number in range(-1, rounds):
        for name in batches if number % 2 else reversed(list(batches)):
            if prepare is not None:
                prepare()
            gc.collect()  # nobody pays for another's garbage
            wall, cpu = time.perf_counter(), time.process_time()
            calls = await batches[name]()
            cost = Cost((time.process_time() - cpu) / calls, (time.perf_counter() - wall) / calls)
            if number >= 0:
                costs[name].append(cost)
    return costs


def ratios(costs: list[Cost], base: list[Cost], measure: Callable[[Cost], float]) -> list[float]:
    """Return each round's ratio: both of its sides had the same weather."""
    return [measure(cost) / measure(other) for cost, other in zip(costs, base, strict=True)]
