"""The creates of one row's series: at most eight at a time, and what happens if one of them fails."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from facturaonline_async import Credentials, connect
from facturaonline_async._core.once.pending import PendingCreates
from facturaonline_async.provision import JournalError, PlanSerie
from facturaonline_async.provision._engine.recorder import Recorder
from facturaonline_async.provision._engine.row_progress import RowProgress
from facturaonline_async.provision._engine.series import SerieSteps
from facturaonline_async.provision._steps import Step

RFC = "AAA010101000"


class Creator:
    """Creator that runs a function for each step, and counts.

    Attributes:
        begun: steps whose create began.
        ended: steps whose create ended without an error.
        most: the most creates at a time.

    """

    def __init__(self, create: Callable[[Step], Awaitable[None]]) -> None:
        self._create = create
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.most = 0

    async def create(self, step: Step, _: object) -> None:
        self.begun.append(step.letra)
        self.most = max(self.most, len(self.begun) - len(self.ended))
        await self._create(step)
        self.ended.append(step.letra)


async def create_all(creator: Creator, letras: str) -> None:
    """Create series with these letras."""
    steps = SerieSteps(cast(Any, creator), Recorder(None, None), PendingCreates(), 1.0)
    keys = Credentials(api_key="a" * 32, secret_key="s" * 32)
    async with connect(keys, base_url="http://127.0.0.1:9") as client:
        series = [PlanSerie(letra=letra, tipo_documento="factura") for letra in letras]
        progress = RowProgress.of(cast(Any, SimpleNamespace(number=1, series=tuple(series))), RFC)
        await steps._create_all(progress, client, [*zip(series, progress.series, strict=True)])


async def test_a_row_creates_at_most_eight_series_at_a_time() -> None:
    creator = Creator(lambda _: asyncio.sleep(0.01))
    await create_all(creator, "ABCDEFGHIJKLMNOPQRST")
    assert (creator.most, sorted(creator.ended)) == (8, list("ABCDEFGHIJKLMNOPQRST"))


async def test_an_error_of_the_journal_cancels_the_other_series_of_the_row_and_is_raised_alone() -> None:
    async def fail(step: Step) -> None:
        await asyncio.sleep(0)
        if step.letra == "B":
            raise JournalError("full")
        await asyncio.Event().wait()

    creator = Creator(fail)
    with pytest.raises(JournalError, match=r"^full$") as caught:
        await create_all(creator, "ABCDEFGHIJ")
    assert caught.value.__cause__ is None
    assert (sorted(creator.begun), creator.ended) == (list("ABCDEFGH"), [])


async def test_a_create_that_something_else_cancels_does_not_count_as_done() -> None:
    async def cancel(step: Step) -> None:
        if step.letra == "B":
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await create_all(Creator(cancel), "ABC")
