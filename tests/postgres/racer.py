"""A process that begins many creates at once with others: ``python -m tests.postgres.racer URL COUNT MOMENT``."""

from __future__ import annotations

import asyncio
import os
import sys
import time

from facturaonline_async import SANDBOX, Config
from facturaonline_async.postgres import Postgres
from facturaonline_async.sharing import Key

__all__ = ["key"]


def key(number: int) -> Key:
    """Return one of the keys that all processes want."""
    return "series", "owner", str(number), "factura"


async def race(url: str, count: int, moment: float) -> list[int]:
    """Return the numbers of the keys whose create this process may send."""
    async with Postgres(url) as pg:
        store = pg.creates(Config(base_url=SANDBOX))
        seen = await store.look([key(number) for number in range(count)])
        await asyncio.sleep(moment - time.time())
        grants = await asyncio.gather(*(store.begin(each, os.urandom(8).hex()) for each in seen.values()))
    return [number for number, grant in enumerate(grants) if grant is not None]


if __name__ == "__main__":
    print(*asyncio.run(race(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))))  # noqa: T201
