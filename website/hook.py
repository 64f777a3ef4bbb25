"""The hook of MkDocs that puts generated parts into pages."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from mkdocs.plugins import event_priority
from mkdocs.structure.files import File

sys.path.insert(0, str(Path(__file__).parents[1]))

from website.parts import PICTURES, ROOT, generate  # MkDocs loads this file by its path


def on_config(config: Any) -> Any:
    """Build again when a source of a generated part changes (``mkdocs serve``)."""
    config["watch"].extend(str(ROOT / name) for name in ("facturaonline_async", "CHANGELOG.md", "CONTRIBUTING.md"))
    return config


@event_priority(100)  # before the translations are sorted out
def on_files(files: Any, *, config: Any) -> Any:
    """Add the pictures of benchmarks."""
    for path in sorted((ROOT / "benchmarks" / "results").glob("*.svg")):
        files.append(File.generated(config, f"{PICTURES}/{path.name}", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: object) -> str:
    """Replace the marks of a page."""
    return generate(markdown, page.file.src_uri)
