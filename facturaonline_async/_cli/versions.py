"""Versions of what takes part in a call."""

from __future__ import annotations

import platform
from importlib.metadata import version

__all__ = ["read_versions"]


def read_versions() -> dict[str, str]:
    """Return the versions of the package, of Python and of aiohttp, and the system."""
    return {
        "package": version("facturaonline-async"),
        "python": platform.python_version(),
        "aiohttp": version("aiohttp"),
        "system": platform.system(),
    }
