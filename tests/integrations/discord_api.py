"""A local server with the part of Discord's API and gateway that a bot in these tests uses."""

from __future__ import annotations

import asyncio
import itertools
import json
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

__all__ = ["DiscordApi", "discord_api"]

_APPLICATION, _CHANNEL = "100", "200"
_BOT = {"id": _APPLICATION, "username": "bot", "discriminator": "0", "avatar": None, "bot": True, "global_name": None}
_OF_ITSELF = {"mfa_enabled": False, "locale": "es-ES", "verified": True, "email": None, "flags": 0, "premium_type": 0}
_PERSON = _BOT | {"id": "300", "username": "ana", "bot": False}
_IN_CHANNEL = {"id": _CHANNEL, "type": 1, "recipients": [_PERSON], "last_message_id": None, "flags": 0}
_IDENTIFY, _HEARTBEAT, _HELLO, _ACK = 2, 1, 10, 11


class DiscordApi:
    """One private channel: commands that a person uses, and the messages of the bot."""

    def __init__(self) -> None:
        self.url = ""
        self.commands: list[str] = []  #: commands that the bot has registered
        self.messages: dict[str, list[str]] = {}  #: texts of each message of the bot, by its id
        self._numbers = itertools.count(1000)
        self._answers: dict[str, str] = {}  # the message of each interaction, by its token
        self._gateway: _Gateway | None = None
        self._close_code: int | None = None
        self._changed = asyncio.Condition()

    # ── A person ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def use(self, command: str) -> None:
        """Use a slash command, once the bot is there."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._gateway is not None)
        assert self._gateway is not None
        await self._gateway.dispatch("INTERACTION_CREATE", self._interaction(command))

    async def shows(self, part: str) -> str:
        """Wait until a message of the bot holds this text, and return its id."""
        async with self._changed:
            while True:
                for number, texts in self.messages.items():
                    if part in texts[-1]:
                        return number
                await self._changed.wait()

    async def is_left_in_good_order(self) -> bool:
        """Wait until the bot has left, and return whether it closed its connection as it should."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._gateway is None)
        return self._close_code in {1000, 1001}

    def _interaction(self, command: str) -> dict[str, Any]:
        number = str(next(self._numbers))
        return {
            "id": number,
            "application_id": _APPLICATION,
            "type": 2,
            "data": {"id": "400", "name": command, "type": 1},
            "channel": _IN_CHANNEL,
            "channel_id": _CHANNEL,
            "user": _PERSON,
            "token": f"token{number}",
            "version": 1,
            "locale": "es-ES",
            "app_permissions": "0",
            "attachment_size_limit": 1024,
            "authorizing_integration_owners": {},
            "entitlements": [],
            "context": 1,
        }

    # ── The API ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request, or become the gateway."""
        path = request.match_info["path"]
        if path == "socket":
            return await self._serve_gateway(request)
        body: Any = await request.json() if request.can_read_body else None
        found = await self._result(request.method, path.split("/"), body)
        if found is None:
            found, status = {"message": f"not served: {request.method} {path}", "code": 0}, 404
        else:
            status = 200
        # discord.py reads a document only if its type has no charset.
        headers = {"Content-Type": "application/json"}
        return web.Response(body=json.dumps(found).encode(), status=status, headers=headers)

    async def _result(self, method: str, path: list[str], body: Any) -> Any:
        match method, path:
            case _, ["users", "@me"]:
                result: Any = _BOT | _OF_ITSELF
            case _, ["gateway", "bot"]:
                limit = {"total": 1000, "remaining": 1000, "reset_after": 0, "max_concurrency": 1}
                result = {"url": self.gateway, "shards": 1, "session_start_limit": limit}
            case _, ["oauth2", "applications", "@me"]:
                facts = {"name": "bot", "description": "", "icon": None, "bot_public": False, "verify_key": ""}
                more = {"bot_require_code_grant": False, "owner": _PERSON, "summary": "", "flags": 0}
                result = {"id": _APPLICATION, **facts, **more}
            case "PUT", ["applications", _, "commands"]:
                self.commands = [command["name"] for command in body]
                given = {
                    "id": "400",
                    "application_id": _APPLICATION,
                    "version": "1",
                    "default_member_permissions": None,
                }
                result = [given | command for command in body]
            case "POST", ["interactions", number, token, "callback"]:
                shown = await self._put(str(next(self._numbers)), (body.get("data") or {}).get("content", ""))
                self._answers[token] = shown["id"]
                interaction = {"id": number, "type": 2, "response_message_id": shown["id"]}
                result = {"interaction": interaction, "resource": {"type": body["type"], "message": shown}}
            case _, ["webhooks", _, token, "messages", "@original"]:
                result = await self._message(method, self._answers[token], body)
            case _, ["channels", _, "messages", number]:
                result = await self._message(method, number, body)
            case _:
                result = None
        return result

    async def _message(self, method: str, number: str, body: Any) -> dict[str, Any]:
        return await self._put(number, body["content"]) if method == "PATCH" else self._shown(number)

    async def _put(self, number: str, text: str) -> dict[str, Any]:
        async with self._changed:
            self.messages.setdefault(number, []).append(text)
            self._changed.notify_all()
        return self._shown(number)

    def _shown(self, number: str) -> dict[str, Any]:
        nothing: dict[str, Any] = {name: [] for name in ("embeds", "attachments", "mentions", "mention_roles")}
        facts = {"tts": False, "mention_everyone": False, "pinned": False, "type": 0, "flags": 0}
        moments = {"timestamp": "2026-11-01T00:00:00+00:00", "edited_timestamp": None}
        text = self.messages[number][-1]
        return {"id": number, "channel_id": _CHANNEL, "author": _BOT, "content": text, **nothing, **facts, **moments}

    # ── The gateway ───────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def gateway(self) -> str:
        """URL of the gateway."""
        return f"{self.url.replace('http', 'ws', 1)}/socket"

    async def _serve_gateway(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        gateway = _Gateway(socket, is_compressed="compress" in request.query)
        await gateway.send({"op": _HELLO, "d": {"heartbeat_interval": 40_000}})
        async for message in socket:
            match message.json()["op"]:
                case op if op == _HEARTBEAT:
                    await gateway.send({"op": _ACK})
                case op if op == _IDENTIFY:
                    ready = {
                        "v": 10,
                        "user": _BOT | _OF_ITSELF,
                        "guilds": [],
                        "session_id": "1",
                        "resume_gateway_url": self.gateway,
                    }
                    await gateway.dispatch(
                        "READY", ready | {"application": {"id": _APPLICATION, "flags": 0}, "shard": [0, 1]}
                    )
                    async with self._changed:
                        self._gateway = gateway
                        self._changed.notify_all()
        async with self._changed:
            self._gateway, self._close_code = None, socket.close_code
            self._changed.notify_all()
        return socket


class _Gateway:
    """A connection of the gateway, compressed as the bot wants it."""

    def __init__(self, socket: web.WebSocketResponse, *, is_compressed: bool) -> None:
        self._socket = socket
        self._compressor = zlib.compressobj() if is_compressed else None
        self._sequence = itertools.count(1)

    async def dispatch(self, name: str, data: Any) -> None:
        """Send an event."""
        await self.send({"op": 0, "t": name, "s": next(self._sequence), "d": data})

    async def send(self, payload: dict[str, Any]) -> None:
        """Send a payload."""
        if self._compressor is None:
            await self._socket.send_json(payload)
        else:
            data = self._compressor.compress(json.dumps(payload).encode())
            await self._socket.send_bytes(data + self._compressor.flush(zlib.Z_SYNC_FLUSH))


@asynccontextmanager
async def discord_api() -> AsyncIterator[DiscordApi]:
    """Serve the API and the gateway on loopback."""
    api = DiscordApi()
    app = web.Application()
    app.router.add_route("*", "/api/{path:.*}", api.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    api.url = f"http://127.0.0.1:{runner.addresses[0][1]}/api"
    try:
        yield api
    finally:
        await runner.cleanup()
