"""Places for a journal, for tests of what every journal promises."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from attrs import asdict, frozen

from facturaonline_async.provision import Journal, JournalStore
from facturaonline_async.provision._journal.writer import SqliteJournalStore
from facturaonline_async.provision._steps import Step, StepState, split_key
from tests.journals import recorded

__all__ = ["KEYS", "Place", "run"]

KEYS = {"account": "fingerprint", "host": "https://example.com/api"}


@frozen
class Place:
    """A file, or a run in a database.

    Attributes:
        path: Path of the file, or ``""``.
        url: URL of the database, or ``""``.
        lease: Seconds of silence after which the run in the database may be taken over.

    """

    path: str = ""
    url: str = ""
    lease: float = 3.0

    @classmethod
    def of(cls, text: str) -> Place:
        """Return the place of a text from `told`."""
        return cls(**json.loads(text))

    @property
    def told(self) -> str:
        """The place as a text, for another process."""
        return json.dumps(asdict(self))

    @asynccontextmanager
    async def store(self) -> AsyncIterator[JournalStore]:
        """Give the store."""
        if self.path:
            yield SqliteJournalStore(self.path)
            return
        from facturaonline_async.postgres import Postgres  # noqa: PLC0415  # an extra

        async with Postgres(self.url) as pg:
            yield pg.journal("alta 2026-11", lease=self.lease)

    @asynccontextmanager
    async def opened(self, **more: str) -> AsyncIterator[Journal]:
        """Open the journal, and close it."""
        async with self.store() as store:
            journal = await store.open(**(KEYS | more))
            try:
                yield journal
            finally:
                await journal.aclose()

    def recorded(self) -> list[Step]:
        """Return the steps in the plan's order; no run is disturbed."""
        if self.path:
            return recorded(Path(self.path))
        rows = self._select("SELECT number, owner, state, kind, natural_key FROM facturaonline.steps ORDER BY seq")
        return [
            Step(number=number, owner=owner, state=StepState(state), kind=kind, natural_key=split_key(key))
            for number, owner, state, kind, key in rows
        ]

    def content(self) -> bytes:
        """Return everything that is stored."""
        if self.path:
            return b"".join(path.read_bytes() for path in sorted(Path(self.path).parent.iterdir()))
        tables = self._select("SELECT tablename FROM pg_tables WHERE schemaname = 'facturaonline' ORDER BY 1")
        rows = [self._select(f"SELECT t::text FROM facturaonline.{table} AS t ORDER BY 1") for (table,) in tables]  # noqa: S608
        return repr(rows).encode()

    def _select(self, statement: str) -> list[tuple[Any, ...]]:
        import psycopg  # noqa: PLC0415  # an extra

        with psycopg.connect(self.url) as connection:
            return connection.execute(statement.encode()).fetchall()

    def states(self) -> Counter[str]:
        """Count the steps by their state."""
        return Counter(str(step.state) for step in self.recorded())


def run(code: str, *arguments: object, **how: Any) -> subprocess.CompletedProcess[str]:
    """Run this in a process of its own."""
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **how)
