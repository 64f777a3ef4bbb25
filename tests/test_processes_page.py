"""The page about several processes: its commands, and the tests that it names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.test_app import run

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs" / "processes.md").read_text(encoding="utf-8")
COMMANDS = [
    line.removeprefix("facturaonline ")
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("facturaonline ")
]


def has(path: Path, name: str) -> bool:
    return not name or f"def {name}(" in path.read_text(encoding="utf-8")


def test_the_page_names_tests_that_exist() -> None:
    named = re.findall(r"`(test_\w+\.py)(?:::(\w+))?`", PAGE)
    assert len(named) > 15
    assert [(file, name) for file, name in named if not any(has(path, name) for path in TESTS.rglob(file))] == []


@pytest.mark.parametrize("line", COMMANDS)
async def test_the_page_names_commands_and_options_that_exist(line: str) -> None:
    words = line.split()
    groups = {"postgres", "runs"}
    command = words[: 2 if words[0] in groups else 1]
    ran = await run(*command, "--help")
    assert ran.code == 0, ran.err
    assert [word for word in words if word.startswith("--") and word not in ran.out] == []
