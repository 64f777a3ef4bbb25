"""What a run writes, and what it writes together."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from facturaonline_async import Config, connect
from facturaonline_async._core.once.states import Origin, StepState
from facturaonline_async.provision._engine.recorder import Recorder, StepEvent
from facturaonline_async.provision._journal.writer import SqliteJournal
from facturaonline_async.provision._steps import Step
from facturaonline_async.testing import Emulator
from tests.provision.stage import run
from tests.provision.test_model import plan_of


class Journal:
    """Journal whose writes never end before `end` is called."""

    def __init__(self) -> None:
        self.saved: list[tuple[Step, ...]] = []
        self._futures: list[asyncio.Future[None]] = []

    def save(self, *steps: Step) -> asyncio.Future[None]:
        self.saved.append(steps)
        self._futures.append(asyncio.get_running_loop().create_future())
        return self._futures[-1]

    def end(self) -> None:
        for future in self._futures:
            future.set_result(None)


async def test_steps_that_belong_together_are_queued_together_and_reported_when_all_are_durable() -> None:
    journal, events = Journal(), list[StepEvent]()
    steps = [Step.of_serie(1, "AAA010101000", letra, "factura") for letra in "FPN"]
    saving = asyncio.create_task(Recorder(cast(Any, journal), events.append).save(*steps))
    await asyncio.sleep(0)
    assert (journal.saved, events) == ([tuple(steps)], [])
    journal.end()
    await saving
    assert [event.letra for event in events] == ["F", "P", "N"]


@pytest.mark.parametrize(("audit", "due"), [(True, 7.0), (False, 0.0)])
async def test_without_an_audit_no_step_is_written_as_waiting_for_one(audit: bool, due: float) -> None:  # noqa: FBT001
    journal = Journal()
    step = Step(number=1, owner="AAA010101000", state=StepState.DONE, origin=Origin.CREATED, uid="1", sends=1, due=7.0)
    Recorder(cast(Any, journal), None, audit).save_nowait(step)
    assert journal.saved[0][0].due == due


async def test_a_row_with_three_series_takes_eleven_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An intent and a result of each create, and the uids that the list of the series shows."""
    states: list[tuple[str, bool]] = []
    save = SqliteJournal.save

    def count(journal: SqliteJournal, *steps: Step) -> asyncio.Future[None]:
        states.extend((step.state, step.uid is not None) for step in steps)
        return save(journal, *steps)

    monkeypatch.setattr(SqliteJournal, "save", count)
    monkeypatch.setattr(SqliteJournal, "replace_baseline", None)  # nothing was there, so that there is none to write
    config = Config(rates=(), check_sello=False)
    async with (
        Emulator() as emulator,
        connect(emulator.credentials, base_url=emulator.base_url, config=config) as client,
    ):
        _, report = await run(client, plan_of([3]), journal=tmp_path / "j", audit=False)
    assert report.is_complete
    assert states == [
        *(("intent", False), ("done", True)),
        *[("intent", False)] * 3,
        *[("done", False)] * 3,
        *[("done", True)] * 3,
    ]
