"""The code of all pages runs, in both languages, and prints what they show."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from facturaonline_async.testing import emulator_in_thread
from tests.docs.pages import DOCS, ELSEWHERE, ROOT, Reader, blocks, matches, pages
from website.parts import generate

PAGES = pages()
CODE = {"python", "console"}
RUN = [
    page
    for page in PAGES
    if page.replace(".es.md", ".md") not in ELSEWHERE and any(block.language in CODE for block in blocks(page))
]


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN)
async def test_the_code_of_a_page_runs_and_prints_what_it_shows(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with emulator_in_thread() as emulator:
        reader = Reader(page, tmp_path, emulator)
        reader.prepare()
        monkeypatch.chdir(tmp_path)
        for name in (each for each in os.environ if each.startswith("FACTURAONLINE_")):
            monkeypatch.delenv(name)
        for name, value in reader.variables.items():
            if name.startswith("FACTURAONLINE_"):
                monkeypatch.setenv(name, value)
        assert await reader.read() == []


def outline(page: Path) -> dict[str, int | list[str]]:
    """Return what a page consists of, whatever its language."""
    text = generate(page.read_text(encoding="utf-8"), page.relative_to(DOCS).as_posix())
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return {
        "headings": re.findall(r"^#+ ", prose, re.MULTILINE),
        "rows of tables": len(re.findall(r"^\|", prose, re.MULTILINE)),
        "items of lists": len(re.findall(r"^(?:-|\d+\.) ", prose, re.MULTILINE)),
        "links": prose.count("]("),
        "code": re.findall(r"^```(\w*)", text, re.MULTILINE),
    }


@pytest.mark.parametrize("page", sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.es.md")))
def test_a_page_in_spanish_has_what_its_english_twin_has(page: str) -> None:
    spanish = DOCS / page
    assert outline(spanish) == outline(spanish.with_name(spanish.name.replace(".es.md", ".md")))


@pytest.mark.parametrize("page", ["docs/index.md", "docs/index.es.md", "docs/tutorial.md", "docs/tutorial.es.md"])
def test_a_page_that_installs_says_how_as_long_as_no_version_is_published(page: str) -> None:
    is_unreleased = "## 0.1.0 (unreleased)" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert ("PyPI" in (ROOT / page).read_text(encoding="utf-8")) is is_unreleased


@pytest.mark.parametrize("page", PAGES)
def test_a_file_of_a_page_is_used_by_a_later_block(page: str) -> None:
    found = blocks(page)
    unused = [
        block.title
        for number, block in enumerate(found)
        if block.title and not any(Path(block.title).stem in later.source for later in found[number + 1 :])
    ]
    assert unused == []


@pytest.mark.parametrize("page", PAGES)
def test_what_another_test_runs_is_named_there(page: str) -> None:
    named = {block.mark("by") for block in blocks(page)} - {""}
    missing = [test for test in named if not (ROOT / test).exists()]
    assert missing == []
    name = Path(page).name.replace(".es.md", ".md")
    assert [test for test in named if name not in (ROOT / test).read_text(encoding="utf-8")] == []


@pytest.mark.parametrize("page", PAGES)
def test_a_program_that_a_page_shows_is_run_by_a_test(page: str) -> None:
    shown = re.findall(r"<!-- generate: source (\S+) -->", (ROOT / page).read_text(encoding="utf-8"))
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests" / "integrations").glob("test_*.py"))
    assert [path for path in shown if not (ROOT / path).exists()] == []
    assert [path for path in shown if path.split("/")[1] not in tests] == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.endswith(".es.md")])
def test_a_page_in_spanish_has_the_blocks_of_the_english_one(page: str) -> None:
    english, spanish = blocks(page.replace(".es.md", ".md")), blocks(page)
    assert [(block.language, block.title, block.marks) for block in spanish] == [
        (block.language, block.title, block.marks) for block in english
    ]
    if page.replace(".es.md", ".md") in ELSEWHERE:
        assert [(block.source) for block in spanish] == [(block.source) for block in english]


def test_every_user_page_is_there_in_both_languages() -> None:
    english_only = ("docs/reference/", "docs/decisions/", "docs/changelog", "docs/contributing", "docs/performance")
    users = {page for page in PAGES if not page.startswith(english_only)}
    assert {page.replace(".es.md", ".md") for page in users if page.endswith(".es.md")} == {
        page for page in users if not page.endswith(".es.md")
    }


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("a\nb\n", "a\nb\n", True),
        ("a …\n", "a 12 s\n", True),
        ("a\n…\nz\n", "a\nb\nc\nz\n", True),
        ("a\n", "a\nb\n", False),
        ("a …\n", "b 12 s\n", False),
        ("a … s\n", "a 1\ns\n", False),
    ],
)
def test_dots_stand_for_anything_within_a_line(expected: str, printed: str, same: bool) -> None:  # noqa: FBT001
    assert matches(expected, printed) is same


@pytest.mark.parametrize(("page", "test"), ELSEWHERE.items())
def test_the_code_of_a_page_that_is_not_run_here_has_a_test_of_its_own(page: str, test: str) -> None:
    assert Path(page).name in (ROOT / test).read_text(encoding="utf-8")


def test_the_pages_name_tests_that_exist() -> None:
    text = "".join((ROOT / page).read_text(encoding="utf-8") for page in PAGES)
    named = set(re.findall(r"`(tests/[\w/]+\.py)(?:::\w+)?`", text))
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []
