"""How much work something is, whatever the machine: how many calls it makes."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["called", "counted"]


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Count this thread's calls: of Python functions as "call", of built-in ones as "c_call"."""
    events: Counter[str] = Counter()
    sys.setprofile(lambda _, event, __: events.update((event,)))
    try:
        yield events
    finally:
        sys.setprofile(None)


def called(act: Callable[[], object]) -> int:
    """Return how many calls an act makes, of Python's functions and of built-in ones."""
    with counted() as events:
        act()
    return events["call"] + events["c_call"]
