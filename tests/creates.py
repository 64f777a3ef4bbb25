"""Creates with a pause between the start that the limiter grants and the first byte."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from facturaonline_async import FacturaOnline
from facturaonline_async.series._service import desired_serie

__all__ = ["create_after"]


async def create_after(client: FacturaOnline, letra: str, record: Callable[[], Awaitable[None]]) -> None:
    """Create a serie; await `record` before its first byte."""
    desired = desired_serie(client.series, letra=letra, tipo_documento="factura", folio=None)
    async for attempt in await desired.attempts():
        async with attempt:
            await record()
            await attempt.send()
