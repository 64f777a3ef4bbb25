"""The files that may hold profiles."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import typer

__all__ = ["is_reachable", "project_file", "user_file"]

_FILE: Final = "facturaonline.toml"


def user_file() -> Path:
    """Return the path of the user's file, which need not exist."""
    return Path(typer.get_app_dir("facturaonline")) / _FILE


def project_file() -> Path:
    """Return the path of the project's file, which need not exist."""
    try:
        return Path(_FILE).absolute()
    except FileNotFoundError:  # the current folder has been deleted
        return Path(_FILE)


def is_reachable(path: Path) -> bool:
    """Return whether a file exists in a folder that can be searched.

    A service without a home of its own may have that of another user. No file there is meant for it.

    Args:
        path: path of the file.

    """
    try:
        return path.exists()
    except PermissionError:
        return False
