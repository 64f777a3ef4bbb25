"""Progress of a run as server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from fastapi.responses import StreamingResponse

from facturaonline_async.provision import Progress

__all__ = ["progress_events"]

_COMMENT: Final = ": the connection is open\n\n"


def progress_events(
    progress: Progress | AsyncIterator[Mapping[str, Any]], *, every: float = 0.5, keep_alive: float = 15.0
) -> StreamingResponse:
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
        progress: `Run.progress`, of a run in this event loop. For a run in another process: an iterator over figures as
            of `ProgressSnapshot.to_dict`, up to those with the phase "ended".
        every: minimum time between two events of a `Progress`, in seconds. Default: 0.5.
        keep_alive: time in seconds after which a comment is sent if there is no event, so that proxies keep the
            connection and a lost client is noticed. Default: 15.

    """
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingResponse(_events(progress, every, keep_alive), headers=headers, media_type="text/event-stream")


async def _events(
    progress: Progress | AsyncIterator[Mapping[str, Any]], every: float, keep_alive: float
) -> AsyncIterator[str]:
    figures = _figures(progress, every) if isinstance(progress, Progress) else progress
    following: asyncio.Future[Mapping[str, Any] | None] | None = None
    try:
        while True:
            following = following or asyncio.ensure_future(_next(figures))
            await asyncio.wait({following}, timeout=keep_alive)
            if not following.done():
                yield _COMMENT
                continue
            found, following = following.result(), None
            if found is None:
                return
            is_last = found["phase"] == "ended"
            yield _event("end" if is_last else "progress", found)
            if is_last:
                return
    finally:
        if following is not None:
            following.cancel()


async def _figures(progress: Progress, every: float) -> AsyncIterator[Mapping[str, Any]]:
    async for snapshot in progress.follow(every=every):
        yield snapshot.to_dict()


async def _next(figures: AsyncIterator[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    return await anext(figures, None)


def _event(name: str, data: Mapping[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
