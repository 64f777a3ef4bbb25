"""Running a command's coroutine, and ending it by Ctrl-C."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

import typer

__all__ = ["run"]

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T], *, interrupted: str = "") -> T:
    """Run the coroutine; on Ctrl-C cancel it, say what that means, and leave with exit code 130."""
    try:
        return asyncio.run(main)
    except KeyboardInterrupt:
        sys.stderr.write(interrupted)
        raise typer.Exit(130) from None
