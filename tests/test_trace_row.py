"""The path of a plan row stays short enough to be read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.trace_row import trace

pytestmark = pytest.mark.slow


@pytest.mark.skipif("TESTS_TASK_FACTORY" in os.environ, reason="an eager task begins on the stack of another one")
async def test_a_plan_row_passes_at_most_eleven_coroutines_deep(tmp_path: Path) -> None:
    assert len((await trace(tmp_path))["run_row"].path) <= 11
