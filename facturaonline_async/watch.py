"""Time-outs of any number of calls behind one timer.

aiohttp's own time-outs cost an eighth of a small call, for they set up a timer and a context for each. Nearly all calls
end in time, so here a call only notes until when it may take, and one timer looks when the earliest of them is over.
"""

from __future__ import annotations

import asyncio
import math

__all__ = ["Watch", "Watched"]


class Watched:
    """One task, and until when it may go on. Whoever watches moves `ends` as the work goes on."""

    __slots__ = ("_cancelling", "_is_over", "_task", "ends")

    def __init__(self, task: asyncio.Task[object], ends: float) -> None:
        self.ends: float = ends
        self._task = task
        self._cancelling = task.cancelling()
        self._is_over = False

    def end(self) -> None:
        """Cancel the task: its time is over."""
        self._is_over = True
        self._task.cancel()

    def is_over(self) -> bool:
        """Say, once a cancellation arrived, whether it was for time alone, and take it back if it was."""
        return self._is_over and self._task.uncancel() <= self._cancelling


class Watch:
    """Ends what takes too long."""

    def __init__(self) -> None:
        self._watched: set[Watched] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._looks_at = math.inf

    def begin(self, loop: asyncio.AbstractEventLoop, ends: float) -> Watched:
        """Watch the current task until `ends`, a moment of the loop's clock."""
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("calls are made from tasks")
        watched = Watched(task, ends)
        self._watched.add(watched)
        if ends < self._looks_at:
            self._look_at(loop, ends)
        return watched

    def leave(self, watched: Watched) -> None:
        """Watch it no more."""
        self._watched.discard(watched)

    def close(self) -> None:
        """Drop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_at(self, loop: asyncio.AbstractEventLoop, moment: float) -> None:
        self.close()
        self._looks_at = moment
        if moment < math.inf:
            self._timer = loop.call_at(moment, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for watched in [each for each in self._watched if each.ends <= now]:
            self._watched.discard(watched)
            watched.end()
        self._look_at(loop, min((each.ends for each in self._watched), default=math.inf))
