"""Plugin for the runs of mutants: the tests that take least time come first, because most of them kill a mutant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pytest

__all__ = ["pytest_collection_modifyitems"]

_STATS: Final = Path("mutmut-stats.json")
"""Written by the first run of mutmut, in the folder of the mutants."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the tests by the time that each of them took in the first run."""
    seconds = json.loads(_STATS.read_text())["duration_by_test"] if _STATS.exists() else {}
    items.sort(key=lambda item: seconds.get(item.nodeid, 0.0))
