"""The page of examples in Spanish has the programs, tests and commands of the English one."""

from __future__ import annotations

import re

from tests.docs.pages import DOCS


def codes(page: str) -> list[list[str]]:
    """Return the code in each row of the tables."""
    rows = re.findall(r"^\| (?!program|--).*$", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE)
    return [re.findall(r"`[^`]+`|\]\([^)]+\)", row) for row in rows]


def test_the_page_in_spanish_has_the_same_programs_tests_and_commands() -> None:
    assert len(codes("examples.md")) > 20
    assert codes("examples.es.md") == codes("examples.md")
