"""Cancel a handler when its client goes away, which Starlette does not do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
from starlette.requests import ClientDisconnect, Request

__all__ = ["cancel_on_disconnect"]


@asynccontextmanager
async def cancel_on_disconnect(request: Request) -> AsyncIterator[None]:
    """Cancel the ``async with`` block when the client of the request disconnects.

    ::

        async with cancel_on_disconnect(request):
            empresa = await client.empresas.ensure(nueva)

    A waiting call gives its place in the queue free. A write that is cancelled in flight may have happened: use
    ``ensure``, which looks before it creates, when the client comes back.

    Args:
        request: the request. Its body must have been read before, as FastAPI does for declared parameters.

    Raises:
        ClientDisconnect: the client has disconnected, and the block was cancelled. `install_errors` answers it.

    """
    listener: asyncio.Task[None] | None = None
    try:
        with anyio.CancelScope() as scope:
            listener = asyncio.create_task(_listen(request, scope.cancel))
            yield
    finally:
        if listener is not None:
            listener.cancel()
            await asyncio.wait({listener})
    if scope.cancelled_caught:
        raise ClientDisconnect


async def _listen(request: Request, on_disconnect: Callable[[], None]) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    on_disconnect()
