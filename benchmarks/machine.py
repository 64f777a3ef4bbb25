"""On what the figures were measured. No names of hosts, people or folders."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

__all__ = ["describe"]

_PACKAGES = ("aiohttp", "attrs", "cattrs", "msgspec", "anyio", "yarl", "multidict", "aiolimiter", "httpx", "requests")


def describe() -> dict[str, str]:
    """Return the machine and the versions, by name."""
    return {
        "CPU": f"{_cpu()}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.machine()}",
        "Python": f"{platform.python_version()} ({platform.python_implementation()})",
        "server": _version("nginx", "-v") or "asyncio Protocol",
        "valgrind": _version("valgrind", "--version") or "not installed",
    } | {name: version for name in _PACKAGES if (version := _installed(name))}


def _cpu() -> str:
    try:
        names = re.findall(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        names = []
    return names[0] if names else platform.processor() or "unknown"


def _version(program: str, option: str) -> str | None:
    if (path := shutil.which(program)) is None:
        return None
    done = subprocess.run([path, option], capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip().removeprefix("nginx version: ")


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
