"""The short form of ``nox -s crash``: the real command, killed a few times under random faults."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def test_a_command_killed_at_random_creates_nothing_twice() -> None:
    command = [sys.executable, "-m", "tests.crash", "--short"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    sys.stdout.write(ended.stdout)
    assert ended.returncode == 0, ended.stdout + ended.stderr
