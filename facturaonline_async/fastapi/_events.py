"""Progress of a run as server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Final

from fastapi.responses import StreamingResponse

from facturaonline_async.provision import Progress, ProgressSnapshot

__all__ = ["progress_events"]

_COMMENT: Final = ": the connection is open\n\n"


def progress_events(progress: Progress, *, every: float = 0.5, keep_alive: float = 15.0) -> StreamingResponse:
    """Answer with the progress of a run as server-sent events, until the run ends.

    ::

        @app.get("/jobs/{name}/events")
        async def events(name: str) -> StreamingResponse:
            return progress_events(jobs[name].progress)

    Each event has the name ``progress`` and `ProgressSnapshot.to_dict` as its data; the last one has the name ``end``.
    A browser's ``EventSource`` connects again after every end of a response: close it at ``end``. A client that comes
    late gets the figures of that moment; a client that goes away does not affect the run.

    A server waits for open responses at its shutdown: stop the runs, or set a time-out
    (``uvicorn --timeout-graceful-shutdown 5``).

    Args:
        progress: `Run.progress`, of a run in this event loop.
        every: minimum time between two events, in seconds. Default: 0.5.
        keep_alive: time in seconds after which a comment is sent if there is no event, so that proxies keep the
            connection and a lost client is noticed. Default: 15.

    """
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingResponse(_events(progress, every, keep_alive), headers=headers, media_type="text/event-stream")


async def _events(progress: Progress, every: float, keep_alive: float) -> AsyncIterator[str]:
    snapshots = progress.follow(every=every)
    following: asyncio.Future[ProgressSnapshot] | None = None
    try:
        while True:
            following = following or asyncio.ensure_future(_next(snapshots))
            await asyncio.wait({following}, timeout=keep_alive)
            if not following.done():
                yield _COMMENT
                continue
            snapshot, following = following.result(), None
            yield _event("end" if snapshot.is_last else "progress", snapshot.to_dict())
            if snapshot.is_last:
                return
    finally:
        if following is not None:
            following.cancel()


async def _next(snapshots: AsyncIterator[ProgressSnapshot]) -> ProgressSnapshot:
    return await anext(snapshots)


def _event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
