"""Plans that each worker reads from a folder."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import anyio.to_thread

from facturaonline_async._messages import message
from facturaonline_async._text import printable_path
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.provision import Plan
from facturaonline_async.provision._plan.plan import PLAN_SUFFIXES

__all__ = ["folder_plans"]

_NAMES: Final = tuple(f"{name}{suffix}" for name in ("{run}", "{run}/plan") for suffix in PLAN_SUFFIXES)


def folder_plans(folder: str | os.PathLike[str], *, any_tipo: bool = False) -> Callable[[str], Awaitable[Plan]]:
    """Return a function that reads the plan of a run from a folder.

    It is for `Worker` as ``plans``, where each machine has the folder. The plan of the run ``alta`` is ``alta.csv`` or
    ``alta/plan.csv``, or a workbook or a TOML file of such a name. See `Plan.from_file` for the ends of the names, and
    for the extra that workbooks need.

    Args:
        folder: the folder.
        any_tipo: see `Plan.from_file`.

    """
    root = Path(folder)

    async def read(run: str) -> Plan:
        """Read the plan of a run.

        Args:
            run: name of the run.

        Raises:
            InvalidInputError: there is no such file, or the name of the run is none of a file.
            PlanError: the plan has problems.

        """
        return await anyio.to_thread.run_sync(lambda: Plan.from_file(_find(root, run), any_tipo=any_tipo))

    return read


def _find(root: Path, run: str) -> Path:
    is_name = run not in {"", ".", ".."} and not set(run) & set("/\\:\0")  # it must stay in the folder
    found = [path for name in _NAMES if (path := root / name.format(run=run)).is_file()] if is_name else []
    if not found:
        raise InvalidInputError(message("queue.no_plan", run=f"{run!r:.200}", folder=printable_path(root)), field="run")
    return found[0]
