"""What is public is written down: a change of it is seen, and never happens by accident."""

from __future__ import annotations

import difflib

from tests.public_api import RECORDED, lines


def test_the_public_names_parameters_and_options_are_the_recorded_ones() -> None:
    """After a change on purpose: `python -m tests.public_api`, and a fragment for the changelog.

    A line that goes away, or gets a parameter without a default, breaks programs of users: docs/stability.md says what
    must come before that.
    """
    recorded = RECORDED.read_text("utf-8").splitlines()
    changed = [line for line in difflib.unified_diff(recorded, lines(), lineterm="", n=0) if not line.startswith("@@")]

    assert changed == [], "see the docstring of this test"
    assert len(recorded) > 1000
