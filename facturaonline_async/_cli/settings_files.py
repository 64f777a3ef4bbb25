"""The files that may hold profiles."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import typer

__all__ = ["project_file", "user_file"]

_FILE: Final = "facturaonline.toml"


def user_file() -> Path:
    """Return the path of the user's file, which need not exist."""
    return Path(typer.get_app_dir("facturaonline")) / _FILE


def project_file() -> Path:
    """Return the path of the project's file, which need not exist."""
    return Path(_FILE).absolute()
