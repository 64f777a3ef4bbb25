"""Forked children: what they return, and a server in a process of its own."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from tests.raw import Exchange, http, raw_server

T = TypeVar("T")


def fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the test runner may have threads
        return os.fork()


class Child:
    """A forked child that calls a function, and what that returned."""

    def __init__(self, function: Callable[[], object]) -> None:
        read, write = os.pipe()
        self.pid = fork()
        if not self.pid:
            try:
                result: object = function()
            except BaseException:  # noqa: BLE001  # the parent says it
                result = traceback.format_exc()
            with os.fdopen(write, "wb") as out:
                pickle.dump(result, out)
            os._exit(0)
        os.close(write)
        self._read = read

    def result(self) -> Any:
        with os.fdopen(self._read, "rb") as out:
            result = pickle.load(out)
        os.waitpid(self.pid, 0)
        return result


def in_child(function: Callable[[], T]) -> T:
    """Return what the function returns in a forked child."""
    result: T = Child(function).result()
    return result


@contextmanager
def served(*, first: bytes = b"") -> Iterator[str]:
    """Serve, in a process of its own, a serie whose letra is the number of the connection that it came over.

    `first` is the answer to the first request, if given.
    """
    read, write = os.pipe()
    pid = fork()
    if not pid:
        asyncio.run(_serve(write, first))
    os.close(write)
    try:
        with os.fdopen(read) as out:
            yield out.readline().strip()
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


async def _serve(write: int, first: bytes) -> None:
    numbers: dict[asyncio.StreamWriter, int] = {}

    async def handle(exchange: Exchange) -> None:
        number = numbers.setdefault(exchange.writer, len(numbers) + 1)
        row = b'{"SerieID": 7, "SerieName": "C%d", "SerieType": "factura", "SerieStatus": "Activa"}' % number
        answer = http(b'{"status": "success", "data": %b}' % row)
        await exchange.write(first if first and exchange.number == 1 else answer)

    async with raw_server(handle) as server:
        os.write(write, f"{server.base_url}\n".encode())
        await asyncio.Event().wait()
