"""The machine and the versions that figures were measured with. No names of hosts, people or folders."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import sysconfig
from contextlib import suppress
from pathlib import Path
from typing import Final

__all__ = ["describe", "versions"]

_PACKAGES: Final = ("aiohttp", "anyio", "attrs", "cattrs", "msgspec", "multidict", "yarl")
_PEERS: Final = ("httpx", "openai", "stripe", "uvloop")


def describe() -> dict[str, str]:
    """Return the machine and the versions, by name."""
    return {
        "CPU": f"{_cpu()}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.machine()}",
        "event loop": os.environ.get("BENCH_LOOP", "asyncio"),
        **versions(),
        **_installed(_PEERS),
    }


def versions() -> dict[str, str]:
    """Return the versions that instruction counts depend on, by name."""
    options = sysconfig.get_config_var("CONFIG_ARGS") or ""
    build = "optimized" if "--enable-optimizations" in options else "not optimized"
    return {
        "Python": f"{platform.python_version()} ({platform.python_implementation()}, {build})",
        **_installed(_PACKAGES),
    }


def _cpu() -> str:
    with suppress(OSError):
        if found := re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE):
            return found[1]
    return platform.processor() or "unknown"


def _installed(names: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for name in names:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found
