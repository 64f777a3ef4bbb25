"""Rows that wait for a list or a retry: no step grows with their number."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, Final

import pytest
from attrs import define

from facturaonline_async import Empresa, ServerError
from facturaonline_async._core.once.pending import PendingCreates
from facturaonline_async._core.once.states import StepState
from facturaonline_async.provision._engine.recorder import Recorder
from facturaonline_async.provision._engine.row_progress import RowProgress
from facturaonline_async.provision._engine.waiting_rows import WaitingRows
from facturaonline_async.provision._plan.models import ValueRow
from tests.plans import nueva
from tests.steps import longest_step

pytestmark = pytest.mark.one_python

FEW: Final = 1_000
MANY: Final = 6_000
SETTLE: Final = 60.0


@define
class Account:
    """An account that lists nothing, or fails to.

    It takes the place of the service and of the companies' steps.
    """

    error: Exception | None = None
    is_refused: bool = False

    async def iterate(self, *, per_page: int) -> AsyncIterator[Empresa]:
        del per_page
        if self.error is not None:
            raise self.error
        nothing: list[Empresa] = []
        for empresa in nothing:
            yield empresa


def unknown(progress: RowProgress) -> None:
    """Let the company's create have no answer; lists are reliable after the settle time."""
    progress.empresa.state, progress.empresa.due = StepState.UNKNOWN, time.time() + SETTLE


def unsent(progress: RowProgress) -> None:
    """Let the company's create be refused by a busy server."""
    progress.empresa.reason = "busy"


@pytest.mark.parametrize(
    ("begin", "error", "is_over"),
    [
        pytest.param(unknown, None, lambda waiting, row: waiting._queue[row] == row.due, id="lists lack them"),
        pytest.param(unknown, ServerError("busy"), lambda waiting, row: waiting._queue[row] == row.due, id="no list"),
        pytest.param(unsent, None, lambda waiting, row: row in waiting.take_ready(), id="they are sent again"),
    ],
)
def test_no_step_grows_with_the_number_of_waiting_rows(
    begin: Callable[[RowProgress], None],
    error: Exception | None,
    is_over: Callable[[WaitingRows, RowProgress], bool],
) -> None:
    steps = {}
    for number in (FEW, MANY):
        value = ValueRow(nueva=nueva("EKU9003173C9"))
        rows = [RowProgress.of(value, f"EKU{each:06d}3C9") for each in range(number)]

        async def watch(rows: list[RowProgress] = rows) -> None:
            account: Any = Account(error)
            waiting = WaitingRows(account, account, Recorder(None, None), PendingCreates(), SETTLE)
            for progress in rows:
                begin(progress)
                assert waiting.put(progress)
                waiting._queue.put(progress, 0.0)  # all are due at once
                await asyncio.sleep(0)
            watching = asyncio.create_task(waiting.watch())
            while not is_over(waiting, rows[-1]) and not watching.done():  # noqa: ASYNC110  # there is no event for it
                await asyncio.sleep(0.01)
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching

        steps[number] = longest_step(watch)
    assert steps[MANY] < 1.5 * steps[FEW], steps
