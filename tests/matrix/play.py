"""Plays one cell of the matrix, and says how it ended."""

from __future__ import annotations

import asyncio
import gc

from attrs import evolve, frozen

from facturaonline_async import AttemptEvent, Event, FacturaOnline, FacturaOnlineError, SessionManager
from tests.leaks import leaks
from tests.matrix.stage import KEYS, SECRETS, Operation
from tests.matrix.table import WARMED, Expected, Row


@frozen
class Played:
    """How a cell ended. All that follows `attempts` must be empty, or 0."""

    ended: Expected
    attempts: int
    seconds: float
    leaked: tuple[str, ...]
    strangers: int
    left: str


async def play(row: Row, operation: Operation) -> Played:
    """Call once where the fault is, and look at everything afterwards."""
    events: list[Event] = []
    error: FacturaOnlineError | None = None
    async with row.staging(operation) as stage:
        config = evolve(stage.config, base_url=stage.base_url, on_event=events.append)
        async with SessionManager(config) as session:
            client = FacturaOnline(session, KEYS)
            if row.number in WARMED:
                await client.series.get(8)
                events.clear()
                stage.between()
            if row.number == 62:
                await _unasked(session)
            warmed, looked = stage.requests(), stage.looks()
            began = asyncio.get_running_loop().time()
            try:
                await operation.call(client)
            except FacturaOnlineError as problem:
                error = problem
            seconds = asyncio.get_running_loop().time() - began
            left = _left(session)
        ended = Expected(
            None if error is None else type(error), stage.requests() - warmed, max(0, stage.looks() - looked)
        )
        strangers = stage.strangers()
    attempts = sum(isinstance(event, AttemptEvent) and event.endpoint == operation.endpoint for event in events)
    return Played(ended, attempts, seconds, tuple(leaks(error, SECRETS)) if error else (), strangers, left)


async def _unasked(session: SessionManager) -> None:
    """Wait until a kept connection holds an answer that nobody asked for."""
    http = session._engine.transport.http
    assert http is not None
    assert http.connector is not None
    while not any(protocol.should_close for kept in http.connector._conns.values() for protocol, _ in kept):  # noqa: ASYNC110  # it rings no bell
        await asyncio.sleep(0)


def _left(session: SessionManager) -> str:
    """Say what the call left behind: places in the gate, waiters, connections in use."""
    gc.collect()
    http = session._engine.transport.http
    used = len(http.connector._acquired) if http is not None and http.connector is not None else 0
    busy = "" if "0 waiting, 0 in flight" in repr(session) else repr(session)
    return busy + (f" {used} connections in use" if used else "")
