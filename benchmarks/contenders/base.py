"""Contender: somebody who can do the work."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, ClassVar, Self

from benchmarks.answers import UIDS
from benchmarks.server import Site

__all__ = ["Contender", "installed"]

_told: set[str] = set()


def installed(name: str) -> Any:
    """Return the module, or None after saying so: ``pip install --group bench`` brings them all."""
    try:
        return importlib.import_module(name)
    except ImportError:
        if name not in _told:
            print(f"SKIPPED: {name} is not installed (pip install --group bench)", file=sys.stderr)
            _told.add(name)
        return None


class Contender:
    """Does the work over a site's HTTP or HTTPS, some calls at once. Opened and closed by ``async with``.

    Connections are kept for a minute, so that those who wait for their turn in a benchmark need not make new ones.
    """

    name: ClassVar[str]
    needs: ClassVar[str] = "aiohttp"
    slow: ClassVar[bool] = False
    """Whether so much slower than the others that it is given fewer calls."""

    def __init__(self, site: Site, scheme: str, concurrency: int) -> None:
        self.site = site
        self.url = site.url(scheme)
        self.context = site.ssl_context if scheme == "https" else None
        self.concurrency = concurrency

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass

    async def get_serie(self, number: int) -> object:
        """Read one serie, whose uid is one of `UIDS`."""
        raise NotImplementedError

    async def create_serie(self, number: int) -> object:
        """Create one serie: JSON both ways."""
        raise NotImplementedError

    async def create_empresa(self, number: int) -> object:
        """Create one company, from its data and the bytes of its certificate and key."""
        raise NotImplementedError

    async def list_empresas(self, number: int) -> object:
        """Read the list of all companies."""
        raise NotImplementedError

    async def run(self, work: str, calls: int) -> int:
        """Do the work so many times, by as many workers as may work at once; return how often."""
        call: Callable[[int], Awaitable[object]] = getattr(self, work)
        numbers = iter(UIDS[:calls] if work == "get_serie" else range(calls))

        async def worker() -> None:
            for number in numbers:
                await call(number)

        if self.concurrency == 1:
            await worker()
        else:
            await asyncio.gather(*(worker() for _ in range(self.concurrency)))
        return calls
