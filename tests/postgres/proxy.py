"""A network before the server, which loses answers or stands still on demand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from attrs import define, field

__all__ = ["Proxy", "proxied"]


@define(eq=False)
class Proxy:
    """TCP proxy on loopback.

    Attributes:
        port: Its port.
        losses: Number of answers to lose next; the connection of each is closed.
        is_flowing: Cleared while no byte passes.

    """

    target: int
    port: int = 0
    losses: int = 0
    is_flowing: asyncio.Event = field(factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass the bytes of one connection on."""
        to_server = await asyncio.open_connection("127.0.0.1", self.target)
        ways = [
            asyncio.create_task(self._pass_on(reader, to_server[1], is_answer=False)),
            asyncio.create_task(self._pass_on(to_server[0], writer, is_answer=True)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            for each in (writer, to_server[1]):
                each.close()
                with suppress(OSError):
                    await each.wait_closed()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_answer: bool) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                await self.is_flowing.wait()
                if is_answer and self.losses:
                    self.losses -= 1
                    return
                writer.write(data)
                await writer.drain()


@asynccontextmanager
async def proxied(target: int) -> AsyncIterator[Proxy]:
    """Open a proxy before a port of loopback."""
    proxy = Proxy(target)
    proxy.is_flowing.set()
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        proxy.is_flowing.set()
        server.close()
