"""Every fault in every operation: how it ends, how often it was sent, what it left behind, and what it shows."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Iterator

import pytest

from tests.matrix.play import play
from tests.matrix.stage import SECRETS, Operation
from tests.matrix.table import ROWS, UNREAD, Row, expected

pytestmark = pytest.mark.virtual_clock

CELLS = [(row, operation, code) for row in ROWS for operation, code in row.cells() if code != "-"]

#: Rows that are played by tests of their own, below; the numbers are those of the rows that belong to a journal.
APART = {28, 51, 54, 55, 56, 57, 58, 64, 65, 66}
ELSEWHERE = {52, 53, 59, 60, 61}


@pytest.fixture(scope="module", autouse=True)
def _no_old_garbage() -> Iterator[None]:
    """Let each cell's collection look at what that cell made, and not at all that was there before."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def test_every_row_of_the_fault_matrix_is_tested_in_all_five_operations() -> None:
    assert {row.number for row in ROWS} | APART | ELSEWHERE == set(range(1, 68))
    assert {len(row.codes) for row in ROWS} == {5}


@pytest.mark.parametrize(
    ("row", "operation", "code"), CELLS, ids=[f"{row.number}-{row.name}-{each.name}" for row, each, _ in CELLS]
)
async def test_each_fault_has_the_outcome_of_the_table_in_each_operation(
    row: Row, operation: Operation, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    before = asyncio.all_tasks()
    played = await play(row, operation)
    wanted = expected(row, operation, code)
    assert played.ended == wanted
    assert (played.leaked, played.strangers, played.left) == ((), 0, "")
    assert played.seconds < 4.5
    if row.number not in UNREAD:
        assert played.attempts == wanted.requests
    assert [
        record.getMessage() for record in caplog.records if any(each in record.getMessage() for each in SECRETS)
    ] == []
    await asyncio.sleep(0)
    assert [task for task in asyncio.all_tasks() - before if "facturaonline_async" in repr(task)] == []
