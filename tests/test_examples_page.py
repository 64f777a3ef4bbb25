"""The page about the examples: it names all of them, and tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent
FOLDER = TESTS.parent / "examples"
PAGE = (TESTS.parent / "docs" / "examples.md").read_text(encoding="utf-8")
SERVICE = "fastapi_service/app.py"


def test_the_page_names_each_example() -> None:
    found = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.suffix in {".py", ".ipynb"}}
    named = re.findall(r"\]\(\.\./examples/(\S+)\)", PAGE)
    assert sorted(named) == sorted(found - {"fastapi_service/jobs.py"})


def test_the_page_names_tests_that_exist_and_speak_of_the_example() -> None:
    rows = re.findall(r"^\| \[\S+\]\(\.\./examples/(\S+)\) .* \| `(\S+)` \|$", PAGE, re.MULTILINE)
    assert len(rows) == 12
    missing = [
        (example, test)
        for example, test in rows
        if Path(example).parts[0].removesuffix(".py") not in (TESTS / test).read_text(encoding="utf-8")
    ]
    assert missing == []
    assert [name for name in re.findall(r"`tests/(\S+\.py)`", PAGE) if not (TESTS / name).is_file()] == []
    texts = [path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py")]
    assert [name for name in re.findall(r"`(test_\w+)`", PAGE) if not any(name in text for text in texts)] == []


def test_the_page_has_a_command_for_each_program() -> None:
    commands = PAGE.partition("## Run one")[2]
    names = [
        Path(name).name if name != SERVICE else "fastapi_service" for name in re.findall(r"examples/(\S+)\)", PAGE)
    ]
    assert [name for name in names if f"| {name} |" not in commands] == ["redis_quota.py"]  # it is a module
