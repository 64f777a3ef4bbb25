"""A version is released only when its metadata, its changelog and the project's addresses are finished."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def checked(root: Path, tag: str) -> tuple[int, list[str]]:
    """Run the check of a copy of the project, and return its exit code and its lines."""
    command = [sys.executable, str(root / ".ci" / "check_release.py"), tag]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """Return the parts of a project whose version 1.2.0 can be released."""
    for name in (".ci/check_release.py", ".github/ISSUE_TEMPLATE/config.yml", "changelog.d/README.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / ".github/ISSUE_TEMPLATE/config.yml").write_text("blank_issues_enabled: false\n", "utf-8")
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.0"\n', "utf-8")
    (tmp_path / "uv.lock").write_text('[[package]]\nname = "facturaonline-async"\nversion = "1.2.0"\n', "utf-8")
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## 1.2.0 (2027-01-02)\n", "utf-8")
    (tmp_path / "SECURITY.md").write_text("Report it to the form.\n", "utf-8")
    (tmp_path / "CODE_OF_CONDUCT.md").write_text("Report it to the form.\n", "utf-8")
    (tmp_path / "docs" / "guides").mkdir(parents=True)
    (tmp_path / "docs" / "guides" / "security.es.md").write_text("Use el formulario.\n", "utf-8")
    return tmp_path


def test_a_finished_version_can_be_released(finished: Path) -> None:
    assert checked(finished, "v1.2.0") == (0, ["v1.2.0 can be released."])


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("uv.lock", "", "uv.lock has another version than 1.2.0: run `uv lock`."),
        (
            "uv.lock",
            '[[package]]\nname = "facturaonline-async"\nversion = "1.1.0"\n',
            "uv.lock has another version than 1.2.0: run `uv lock`.",
        ),
        (
            "CHANGELOG.md",
            "## 1.1.0 (2026-01-02)",
            "CHANGELOG.md has no `## 1.2.0 (YYYY-MM-DD)`: run `towncrier build --version 1.2.0`.",
        ),
        (
            "CHANGELOG.md",
            "## 1.2.0 (2027-01-02)\n## 0.1.0 (unreleased)",
            "CHANGELOG.md has a section `(unreleased)`: move its lines into that of the version.",
        ),
        (
            "changelog.d/+a.added.md",
            "New.",
            "changelog.d has 1 fragments, such as +a.added.md: run `towncrier build`.",
        ),
        ("SECURITY.md", "Write to\n(PLACEHOLDER: an address)", "SECURITY.md:2 is a placeholder."),
    ],
)
def test_what_is_not_finished_is_named(finished: Path, name: str, text: str, line: str) -> None:
    (finished / name).write_text(text, "utf-8")

    assert checked(finished, "v1.2.0") == (1, [line])


def test_the_tag_must_be_the_version(finished: Path) -> None:
    assert checked(finished, "1.2.0") == (
        1,
        ["The tag is 1.2.0, and the version in pyproject.toml is 1.2.0: the tag must be v1.2.0."],
    )


def test_the_check_reads_the_files_of_this_project() -> None:
    """Each of the formats that the check looks for is the one that the project has."""
    code, lines = checked(ROOT, "v0")

    assert (code, [line for line in lines if line.startswith("uv.lock")]) == (1, [])


def test_every_placeholder_of_the_project_is_seen_by_the_check_and_by_readers() -> None:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob(".github/**/*.*"), ROOT / "pyproject.toml"]
    texts = {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in pages}
    names = {name for name, text in texts.items() if re.search("PLACEHOLDER[ :]", text)} - {"CONTRIBUTING.md"}
    _, lines = checked(ROOT, "v0")

    assert names == {line.partition(":")[0] for line in lines if line.endswith(" is a placeholder.")}
    assert [name for name, text in texts.items() if re.search("<!--[^>]*PLACEHOLDER", text)] == []
