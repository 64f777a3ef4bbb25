"""Final audit: verify that everything that was created exists exactly once.

A server or a load balancer may execute a POST twice and answer it once. No response shows that; only a list does, read
after the settle time of the create. So the series of each company whose series were created are listed again with its
own keys, while the run continues. The list of all companies is read at the very end. The audit costs one call for each
company whose series this plan created, and the pages of one list.

A step that waits for its audit is DONE, and its `due` is the moment when lists must show it. `due` is 0 afterwards.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from attrs import define, field

from facturaonline_async import bulk
from facturaonline_async._core.once.states import StepState
from facturaonline_async._messages import Message, message
from facturaonline_async.errors import FacturaOnlineError, SharedUnavailableError
from facturaonline_async.provision._engine.delay_queue import DelayQueue, is_set_before
from facturaonline_async.provision._engine.inventory import Duplicate, Inventory
from facturaonline_async.provision._engine.recorder import Recorder, describe
from facturaonline_async.provision._engine.row_progress import RowProgress
from facturaonline_async.provision._engine.series import several_series
from facturaonline_async.provision._journal.errors import JournalError
from facturaonline_async.provision._steps import Step
from facturaonline_async.series._models import by_key
from facturaonline_async.series._service import SeriesService

__all__ = ["Audit"]

_CONCURRENCY: Final = 32
"""Companies listed at the same time: as many as become due during a list that takes 3 s."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0
"""Bounds of the pause before an incomplete list is read again, in seconds."""


@define(eq=False)
class _Company:
    """Company whose series wait for their audit.

    Attributes:
        rfc: the company's RFC.
        series: service with the company's own keys.
        steps: series that were created and not verified yet.
        until: moment of the loop's clock after which an incomplete list is not read again; 0 before the first list.
        pause: seconds until the next list.

    """

    rfc: str
    series: SeriesService
    steps: Sequence[Step]
    until: float = 0.0
    pause: float = _FIRST_PAUSE


@define(eq=False)
class Audit:
    """Audit of a run.

    It lists the series of each company after its settle time, and all companies at the end.

    Attributes:
        inventory: companies of the account, as the run knows them.
        recorder: where each step is written.
        settle: seconds after which lists certainly show a create that took effect.
        stopping: ends the waits when it is set.
        problems: differences found, as sentences.

    """

    inventory: Inventory
    recorder: Recorder
    settle: float
    stopping: asyncio.Event
    problems: list[Message] = field(factory=list, init=False)
    _waiting: DelayQueue[_Company] = field(factory=DelayQueue, init=False)

    @property
    def wait(self) -> float:
        """Seconds until the last list can be read."""
        return max(0.0, self._seconds(self.inventory.shows_at), self._waiting.last - self._waiting.now())

    def add(self, progress: RowProgress) -> None:
        """Add a row that has an outcome."""
        if progress.empresa.is_unaudited:
            self.inventory.shows_at = max(self.inventory.shows_at, progress.empresa.due)
        steps = [step for step in progress.series if step.is_unaudited]
        if progress.own is not None and steps:
            self.add_series(progress.empresa.rfc, progress.own.series, steps)

    def add_series(self, rfc: str, series: SeriesService, steps: Sequence[Step]) -> None:
        """Add created series of one company.

        Args:
            rfc: the company's RFC.
            series: service with the company's own keys.
            steps: the series.

        """
        seconds = max(self._seconds(step.due) for step in steps)
        self._waiting.put(_Company(rfc, series, steps), self._waiting.now() + seconds)

    async def run(self) -> None:
        """List the series of each company when it is due.

        It returns when `finish` was called and no company is left.

        Raises:
            JournalError: the journal could not be written.

        """
        while await self._waiting.wait():
            companies = self._waiting.due()
            for company in companies:
                self._waiting.remove(company)
            for each in await bulk.run(companies, self._list_series, concurrency=_CONCURRENCY, stop_on=(JournalError,)):
                each.result()

    async def finish(self, task: asyncio.Task[None]) -> list[str] | None:
        """Wait for the last series, list the companies, and return all differences.

        Args:
            task: the task that runs `run`.

        Returns:
            The differences as sentences; None if the run was stopped first.

        Raises:
            JournalError: the journal could not be written.

        """
        self._waiting.shutdown()
        if await self._is_stopped_first(task):
            return None
        task.result()
        found = await self._compare_companies()
        if found is None:
            return None
        differences = [*(_audited(each.rfc, each.text) if each.rfc else each.text for each in found), *self.problems]
        return [str(each) for each in differences]

    # ── Series ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _list_series(self, company: _Company) -> None:
        """List a company's series, and record which of them exist exactly once."""
        company.until = company.until or self._waiting.now() + self.settle
        try:
            listed = by_key(await company.series.list())
        except FacturaOnlineError as error:
            if not self._retry_later(company, company.steps, is_away=isinstance(error, SharedUnavailableError)):
                difference = message("run.audit_series_not_listed", error=describe(error))
                self.problems.append(_audited(company.rfc, difference))
            return
        missing, conflicts, verified = [], [], []
        for step in company.steps:
            uids = [str(serie.uid) for serie in listed.get(step.serie_key, ())]
            if len(uids) > 1:
                step.state, step.reason = StepState.CONFLICT, several_series(uids)
                several = message(
                    "run.audit_several_series", count=len(uids), serie=":".join(step.serie_key), uids=", ".join(uids)
                )
                self.problems.append(_audited(company.rfc, several))
                conflicts.append(step)
            elif step.uid in uids:
                step.due = 0.0
                verified.append(step)
            else:
                missing.append(step)
        await self.recorder.save(*conflicts)
        await self.recorder.write(*verified)
        if missing and not self._retry_later(company, missing):
            self.problems += [
                _audited(
                    company.rfc,
                    message("run.audit_serie_not_listed", serie=":".join(step.serie_key), uid=step.uid or ""),
                )
                for step in missing
            ]

    def _retry_later(self, company: _Company, steps: Sequence[Step], *, is_away: bool = False) -> bool:
        """Schedule another list of these series; return False if no time is left.

        While the service that processes share is away, there is time.
        """
        now = self._waiting.now()
        if is_away:
            company.until = max(company.until, now + company.pause)
        if now >= company.until:
            return False
        company.steps = steps
        self._waiting.put(company, min(now + company.pause, company.until))
        company.pause = min(2 * company.pause, _LONGEST_PAUSE)
        return True

    # ── Companies ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _compare_companies(self) -> list[Duplicate] | None:
        """Compare the list of companies with the inventory after the settle time.

        Return the differences, or None if the run was stopped first.
        """
        now = asyncio.get_running_loop().time
        if await is_set_before(self.stopping, now() + self._seconds(self.inventory.shows_at)):
            return None
        until, pause = now() + self.settle, _FIRST_PAUSE
        while True:
            try:
                found = await self.inventory.audit()
            except FacturaOnlineError as error:
                if isinstance(error, SharedUnavailableError):
                    until = max(until, now() + pause)  # it says nothing about the companies
                found = [Duplicate("", message("run.audit_companies_not_listed", error=describe(error)))]
            if not found or now() >= until:
                break
            if await is_set_before(self.stopping, min(now() + pause, until)):
                return None
            pause = min(2 * pause, _LONGEST_PAUSE)
        await self._record(found)
        return found

    async def _record(self, found: Sequence[Duplicate]) -> None:
        """Record in the journal which companies exist several times.

        If there are no differences, record that all companies exist exactly once.
        """
        journal = self.recorder.journal
        if journal is None:
            return
        if not found:
            await journal.end_audit()
        for each in found:
            if each.is_several:
                (step,) = [step for step in await journal.steps_of_row(each.rfc) if step.is_empresa]
                step.state, step.reason = StepState.CONFLICT, each.text
                await self.recorder.save(step)

    # ── Time ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _seconds(self, moment: float) -> float:
        """Return the seconds until a moment of the wall clock, at most `settle`.

        The bound is needed because the wall clock may be set.
        """
        return min(max(moment - time.time(), 0.0), self.settle)

    async def _is_stopped_first(self, task: asyncio.Task[None]) -> bool:
        """Wait for the task; return True if the run was stopped first."""
        stopping = asyncio.create_task(self.stopping.wait())
        try:
            await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
        return not task.done()


def _audited(rfc: str, difference: Message) -> Message:
    """Return a difference with the RFC of its company."""
    return message("run.audited", rfc=rfc, difference=difference)
