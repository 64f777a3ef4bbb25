"""Task factories that applications set, for the whole suite: ``TESTS_TASK_FACTORY=eager pytest`` (Python 3.12+).

An eager task runs inside ``create_task`` until it first waits. Code that writes down a task after it was made, and
reads what it wrote inside the task, fails then.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from itertools import count
from typing import Any, Final

__all__ = ["FACTORIES", "CustomTask", "install"]

VARIABLE: Final = "TESTS_TASK_FACTORY"

_LATE: Final = 5
"""Tasks before the factory is set: a few of the test's own, and the first connections of its session."""


class CustomTask(asyncio.Task[Any]):
    """A subclass, as tracing tools make them."""


#: Makes a task factory: a new one for each loop.
FACTORIES: dict[str, Callable[[], Any]] = {}

if sys.version_info >= (3, 12):

    def _late() -> Any:
        """Make ordinary tasks first and eager ones later, as where the factory is set while a session is in use."""
        number, eager = count(), asyncio.create_eager_task_factory(CustomTask)

        def make(loop: asyncio.AbstractEventLoop, coroutine: Any, **more: Any) -> Any:
            if next(number) == _LATE:
                loop.set_task_factory(eager)
            return CustomTask(coroutine, loop=loop, **more)

        return make

    FACTORIES |= {
        "eager": lambda: asyncio.eager_task_factory,
        "custom": lambda: asyncio.create_eager_task_factory(CustomTask),
        "late": _late,
    }


def install() -> str | None:
    """Give every event loop of this process the factory that the environment names. Return its name."""
    name = os.environ.get(VARIABLE)
    if not name:
        return None
    make, begin = FACTORIES[name], asyncio.BaseEventLoop.__init__

    def begin_with_factory(loop: asyncio.BaseEventLoop) -> None:
        begin(loop)
        loop.set_task_factory(make())

    asyncio.BaseEventLoop.__init__ = begin_with_factory  # type: ignore[method-assign, assignment]
    return name
