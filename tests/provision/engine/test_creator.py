"""What a run does when its journal fails."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from attrs import define

from facturaonline_async._core.once.keyed_lock import KeyedLock
from facturaonline_async._core.once.pending import PendingCreates
from facturaonline_async.provision import JournalError
from facturaonline_async.provision._engine.creator import Creator
from facturaonline_async.provision._engine.recorder import Recorder
from facturaonline_async.provision._journal.writer import SqliteJournal
from tests.core.once.stores import SETTLE, written
from tests.core.once.toy import Toy, ToyApi

pytestmark = pytest.mark.virtual_clock


@define
class ClosingApi(ToyApi):
    """API during whose create the journal is closed."""

    journal: SqliteJournal | None = None

    async def create(self, letra: str) -> str:
        """Create an object, and close the journal before the answer."""
        made = await super().create(letra)
        assert self.journal is not None
        await self.journal.aclose()
        return made


async def test_a_result_that_cannot_be_written_is_raised_and_ends_the_creates(tmp_path: Path) -> None:
    async with written(tmp_path) as (journal, steps):
        api = ClosingApi(journal=journal)
        creator = Creator(KeyedLock(), PendingCreates(), Recorder(journal, None), SETTLE, asyncio.Event())
        async with creator.subscribed():
            with pytest.raises(JournalError):
                await creator.create(steps[0], Toy(api, "A"))
            with pytest.raises(JournalError):
                await creator.create(steps[1], Toy(api, "B"))
    assert api.calls == ["create A"]
