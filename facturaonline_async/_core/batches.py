"""Batches of many items, so that a loop over them can let other tasks run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, TypeVar

__all__ = ["in_batches"]

T = TypeVar("T")

_SIZE: Final = 500
"""Items in a batch: about half a millisecond of plain work, compared to which a checkpoint is cheap."""


def in_batches(items: Iterable[T], size: int = _SIZE) -> Iterator[list[T]]:
    """Yield the items in lists, so that the caller can let other tasks run.

    ::

        for batch in in_batches(rows):
            total += sum(map(cost, batch))
            await asyncio.sleep(0)

    Args:
        items: The items. No other task may change the collection meanwhile.
        size: Number of items in a list.

    """
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
