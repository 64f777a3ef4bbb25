"""A real browser without a window, driven over its DevTools protocol: for pages that people look at."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from attrs import define, field

#: They speak the DevTools protocol. Firefox does not any more.
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "chrome-headless-shell")
#: Path of a browser that is none of these.
VARIABLE = "BROWSER_FOR_TESTS"


def found() -> str:
    """Return the path of a browser, or skip the test and say what it needs."""
    given = os.environ.get(VARIABLE)
    path = given or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"NO BROWSER: the page was not opened. Install one of {', '.join(NAMES)}, or set {VARIABLE}.")
    return path


@define
class Tab:
    """A page that is open."""

    _socket: aiohttp.ClientWebSocketResponse = field(alias="socket")
    #: What the page wrote to its console, what was thrown in it, and what its policy refused.
    complaints: list[str] = field(factory=list)
    #: Addresses that the page asked for.
    requests: list[str] = field(factory=list)
    _numbers: itertools.count[int] = field(factory=itertools.count, init=False)

    async def command(self, method: str, **params: Any) -> Any:
        """Send a command, and return what it answers."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": params})
        while (told := await self._heard()).get("id") != number:
            pass
        assert "error" not in told, told
        return told["result"]

    async def _heard(self) -> dict[str, Any]:
        told: dict[str, Any] = await self._socket.receive_json()
        match told.get("method"):
            case "Runtime.consoleAPICalled" | "Runtime.exceptionThrown" | "Log.entryAdded":
                self.complaints.append(str(told["params"]))
            case "Network.requestWillBeSent":
                self.requests.append(told["params"]["request"]["url"])
        return told

    async def open(self, url: str) -> None:
        """Open an address, and wait until it is loaded."""
        for room in ("Page", "Runtime", "Log", "Network"):
            await self.command(f"{room}.enable")
        await self.command("Page.navigate", url=url)
        while (await self._heard()).get("method") != "Page.loadEventFired":
            pass

    async def ask(self, expression: str) -> Any:
        """Return the value of an expression in the page; a promise's value, if it is one."""
        told = await self.command("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    async def type(self, selector: str, text: str) -> None:
        """Type into a field what it shall hold, as somebody at a keyboard does."""
        await self.ask(f"document.querySelector({selector!r}).focus()")
        await self.ask(f"document.querySelector({selector!r}).select()")
        if text:
            await self.command("Input.insertText", text=text)
        else:
            for kind in ("keyDown", "keyUp"):
                await self.command(
                    "Input.dispatchKeyEvent", type=kind, key="Delete", code="Delete", windowsVirtualKeyCode=46
                )

    async def click(self, selector: str) -> None:
        """Click on the middle of an element, where it is."""
        x, y = await self.ask(
            f"(() => {{ const element = document.querySelector({selector!r}); "
            "element.scrollIntoView({block: 'center'}); const box = element.getBoundingClientRect(); "
            "return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            await self.command("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)


@asynccontextmanager
async def browser(profile: Path, *more: str) -> AsyncIterator[Tab]:
    """Start a browser with a profile of its own, and give its tab; it is gone afterwards."""
    process = await asyncio.create_subprocess_exec(
        found(), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
        "--remote-debugging-port=0", f"--user-data-dir={profile}", *more, "about:blank",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        while not (line := re.search(rb"ws://127\.0\.0\.1:([0-9]+)/", await process.stderr.readline())):
            assert not process.stderr.at_eof(), "the browser ended before it began"
        drain = asyncio.create_task(process.stderr.read())
        async with aiohttp.ClientSession(f"http://127.0.0.1:{line[1].decode()}") as session:
            async with session.get("/json/list") as answer:
                (tab,) = [each for each in await answer.json(content_type=None) if each["type"] == "page"]
            async with session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                yield Tab(socket=socket)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its helpers, too
        await process.wait()
    await drain
