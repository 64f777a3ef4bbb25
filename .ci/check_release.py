"""Say what is missing before a version can be released: ``python .ci/check_release.py v0.2.0``."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]

WITH_PLACEHOLDERS = (
    "SECURITY.md",
    "CODE_OF_CONDUCT.md",
    "docs/guides/security.es.md",
    ".github/ISSUE_TEMPLATE/config.yml",
    "pyproject.toml",
)
"""Files that name addresses which the project does not have before its first release."""


def missing(tag: str, root: Path = ROOT) -> list[str]:
    """Return what is to be done before the tag; nothing if the version is finished.

    Args:
        tag: Name of the tag.
        root: Folder of the project.

    """
    version = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    found = []
    if tag != f"v{version}":
        found.append(f"The tag is {tag}, and the version in pyproject.toml is {version}: the tag must be v{version}.")
    locked = re.search(r'name = "facturaonline-async"\nversion = "(.*)"', (root / "uv.lock").read_text("utf-8"))
    if locked is None or locked[1] != version:
        found.append(f"uv.lock has another version than {version}: run `uv lock`.")
    changelog = (root / "CHANGELOG.md").read_text("utf-8")
    if not re.search(rf"^## {re.escape(version)} \(\d{{4}}-\d\d-\d\d\)$", changelog, re.MULTILINE):
        found.append(f"CHANGELOG.md has no `## {version} (YYYY-MM-DD)`: run `towncrier build --version {version}`.")
    if "(unreleased)" in changelog:
        found.append("CHANGELOG.md has a section `(unreleased)`: move its lines into that of the version.")
    if fragments := sorted(path.name for path in (root / "changelog.d").glob("*.md") if path.name != "README.md"):
        found.append(f"changelog.d has {len(fragments)} fragments, such as {fragments[0]}: run `towncrier build`.")
    for name in WITH_PLACEHOLDERS:
        lines = (root / name).read_text("utf-8").splitlines()
        found += [f"{name}:{number} is a placeholder." for number, line in enumerate(lines, 1) if "PLACEHOLDER" in line]
    return found


def main() -> int:
    """Print what is missing, and return 1 if anything is."""
    if len(sys.argv) != 2:
        print("Usage: python .ci/check_release.py v0.2.0", file=sys.stderr)
        return 2
    found = missing(sys.argv[1])
    print("\n".join(found) or f"{sys.argv[1]} can be released.")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
