"""A local server with the methods of Telegram's Bot API that a bot in these tests uses."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

__all__ = ["BotApi", "bot_api"]

_CHAT = {"id": 1, "type": "private", "first_name": "Ana"}


class BotApi:
    """Messages of one chat: what a person writes, and what the bot shows."""

    def __init__(self) -> None:
        self.url = ""
        self.messages: dict[int, list[str]] = {}  #: texts of each message of the bot, by its id
        self._updates: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._numbers = itertools.count(1)
        self._changed = asyncio.Condition()

    def write(self, text: str) -> None:
        """Write to the bot, as a person does."""
        command = {"type": "bot_command", "offset": 0, "length": len(text)}
        message = self._message(next(self._numbers), text) | {"from": _CHAT | {"is_bot": False}, "entities": [command]}
        self._updates.put_nowait({"update_id": next(self._numbers), "message": message})

    async def shows(self, part: str) -> int:
        """Wait until a message of the bot holds this text, and return its id."""
        async with self._changed:
            while True:
                for number, texts in self.messages.items():
                    if part in texts[-1]:
                        return number
                await self._changed.wait()

    def _message(self, number: int, text: str) -> dict[str, Any]:
        return {"message_id": number, "date": 1_700_000_000, "chat": _CHAT, "text": text}

    async def handle(self, request: web.Request) -> web.Response:
        """Answer a method of the Bot API."""
        form = await request.post()
        method = request.match_info["method"]
        return web.json_response({"ok": True, "result": await self._result(method, {**form})})

    async def _result(self, method: str, form: dict[str, Any]) -> Any:
        match method:
            case "getMe":
                return {"id": 2, "is_bot": True, "first_name": "Bot", "username": "test_bot"}
            case "getUpdates":
                try:
                    async with asyncio.timeout(float(form.get("timeout", 1))):
                        return [await self._updates.get()]
                except TimeoutError:
                    return []
            case "sendMessage" | "editMessageText":
                number = int(form.get("message_id") or next(self._numbers))
                async with self._changed:
                    self.messages.setdefault(number, []).append(str(form["text"]))
                    self._changed.notify_all()
                return self._message(number, str(form["text"]))
            case _:
                return True


@asynccontextmanager
async def bot_api() -> AsyncIterator[BotApi]:
    """Serve the Bot API on loopback."""
    api = BotApi()
    app = web.Application()
    app.router.add_route("*", "/bot{token}/{method}", api.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    api.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield api
    finally:
        await runner.cleanup()
