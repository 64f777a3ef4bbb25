"""Delay queue of rows that wait for a list or a retry."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Iterable, Sequence
from operator import attrgetter

from attrs import define, field

from facturaonline_async._core.batches import in_batches
from facturaonline_async._core.once.pending import PendingCreates
from facturaonline_async._core.once.states import StepState
from facturaonline_async._messages import message
from facturaonline_async.empresas._service import EmpresaService
from facturaonline_async.errors import AuthenticationError, FacturaOnlineError, SharedUnavailableError
from facturaonline_async.provision._engine.delay_queue import DelayQueue
from facturaonline_async.provision._engine.empresas import EmpresaSteps
from facturaonline_async.provision._engine.inventory import list_companies
from facturaonline_async.provision._engine.reconcile import reconcile_empresa
from facturaonline_async.provision._engine.recorder import Recorder, describe
from facturaonline_async.provision._engine.row_progress import RowProgress

__all__ = ["WaitingRows"]

_MAX_FAILED_LISTS = 5
"""Maximum number of failed lists per row."""

_MAX_RETRIES = 6
"""Maximum number of retries of a row with unsent steps. They take about twice the settle time."""

_SENT = frozenset({StepState.UNKNOWN, StepState.UNRESOLVED})

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
"""Bounds of the pause before a row asks again for the service that processes share, in seconds."""

_EARLY_PART = 30
"""The first list is read after settle / 30: nearly every create that took effect is listed at once."""


@define
class WaitingRows:
    """Rows that wait, each until its next list or retry.

    Attributes:
        companies: handler of the companies' steps.
        empresas: service with the main keys.
        recorder: where each step is written.
        pending: pending creates of the session.
        settle: seconds after which lists certainly show a create that took effect.
        is_paused: whether the service that processes share was away when a row last needed it. No further row begins.

    """

    companies: EmpresaSteps
    empresas: EmpresaService
    recorder: Recorder
    pending: PendingCreates
    settle: float
    is_paused: bool = field(default=False, init=False)
    _ready: list[RowProgress] = field(factory=list, init=False)  # rows that can continue
    _has_news: asyncio.Event = field(factory=asyncio.Event, init=False)
    _queue: DelayQueue[RowProgress] = field(factory=DelayQueue, init=False)  # each until its next list or retry

    def take_ready(self) -> list[RowProgress]:
        """Remove the rows that can continue, and return them."""
        rows, self._ready = self._ready, []
        return rows

    async def wait(self) -> None:
        """Wait until a row is ready, or `notify` is called."""
        await self._has_news.wait()
        self._has_news.clear()

    def notify(self) -> None:
        """End the current `wait`, or the next one."""
        self._has_news.set()

    def put(self, progress: RowProgress) -> bool:
        """Queue a row if there is something to wait for; return whether it was queued."""
        now = self._queue.now()
        self.is_paused = progress.is_paused
        if progress.is_paused:
            return self._schedule(progress, now + _pause(progress))
        progress.pauses = 0
        if not (waiting := progress.waiting):
            return self._put_stalled(progress, now)
        if progress.failed_lists >= _MAX_FAILED_LISTS:
            return False
        if progress.own is None and progress.empresa.state is StepState.DONE:  # no keys to list with
            return False
        is_first = not progress.due
        # The wall clock may have been set since the journal's moment was written: wait by the loop's clock, at most
        # `settle`. A waiting row may have sent more meanwhile, which is due later.
        left = max(step.due for step in waiting) - time.time()
        progress.due = max(progress.due, now + min(max(left, 0.0), self.settle))
        if is_first:
            return self._schedule(progress, min(progress.due, now + self.settle / _EARLY_PART))
        return self._schedule(
            progress, now + 2.0 ** (progress.failed_lists - 1) if progress.failed_lists else progress.due
        )

    def _put_stalled(self, progress: RowProgress, now: float) -> bool:
        """Queue a row with unsent steps, with a pause that doubles each time."""
        if not progress.is_stalled or progress.retries >= _MAX_RETRIES or self.companies.is_refused:
            return progress.is_unread and self._put_unread(progress, now)
        return self._schedule_retry(progress, now, math.inf)

    def _put_unread(self, progress: RowProgress, now: float) -> bool:
        """Queue a row until a created step that could not be read must be readable."""
        progress.readable_by = progress.readable_by or now + self.settle
        if now >= progress.readable_by:
            return False
        return self._schedule_retry(progress, now, progress.readable_by)

    def _schedule_retry(self, progress: RowProgress, now: float, latest: float) -> bool:
        """Queue a row for twice the previous pause, but not beyond `latest`."""
        pause = self.settle / _EARLY_PART * 2.0**progress.retries
        progress.retries += 1
        return self._schedule(progress, min(now + pause, latest))

    def _schedule(self, progress: RowProgress, moment: float) -> bool:
        self._queue.put(progress, moment)
        return True

    def release(self) -> None:
        """Make all waiting rows ready; there will be no more lists."""
        self._ready.extend(sorted(self._queue, key=attrgetter("row.number")))
        self._queue.clear()
        self.notify()

    async def watch(self) -> None:
        """Resume rows and list companies as they become due, until cancelled."""
        while await self._queue.wait():
            due = self._queue.due()
            # Series are listed with their company's keys when their row is processed.
            self._resume([progress for progress in due if progress.empresa.state not in _SENT])
            if any(progress.empresa.state in _SENT for progress in due):
                await self._reconcile_companies()

    def _resume(self, rows: list[RowProgress]) -> None:
        rows = [progress for progress in rows if progress in self._queue]  # the others were released meanwhile
        for progress in rows:
            self._queue.remove(progress)
        self._ready.extend(rows)
        if rows:
            self.notify()

    async def _reconcile_companies(self) -> None:
        """List the companies once, and reconcile all waiting companies, due or not."""
        rows: dict[str, RowProgress] = {}
        for waiting in in_batches(list(self._queue)):
            rows |= {progress.empresa.rfc: progress for progress in waiting if progress.empresa.state in _SENT}
            await asyncio.sleep(0)
        started_at = self._queue.now()
        try:
            listed = await list_companies(self.empresas, rows)
        except FacturaOnlineError as error:
            self.companies.is_refused |= isinstance(error, AuthenticationError)
            for waiting in in_batches(rows.values()):
                self._postpone(waiting, started_at, error)
                await asyncio.sleep(0)
            return
        for batch in in_batches(rows.items()):
            for rfc, progress in batch:
                if progress in self._queue:  # not released while the list was read
                    await self._reconcile_company(progress, listed.get(rfc, ()), started_at)
            await asyncio.sleep(0)

    async def _reconcile_company(self, progress: RowProgress, uids: Sequence[str], started_at: float) -> None:
        """Reconcile the company of a waiting row with a list.

        Args:
            progress: the row.
            uids: uids of the companies with its RFC in the list.
            started_at: moment of the loop's clock when the list was requested.

        """
        step, was = progress.empresa, progress.empresa.state
        reconcile_empresa(step, progress.row, uids, is_due=started_at >= progress.due)
        progress.failed_lists = 0
        if step.state is not was:
            if step.state is StepState.PLANNED:
                self.companies.inventory.add(step.rfc, uids)
            if step.uid is not None:
                self.pending.see(self.companies.key(step), step.uid, self.settle)
            progress.due = 0.0
            await self.recorder.save(step)
        if step.state is not was or started_at >= progress.due:
            self._resume([progress])
        elif self._queue[progress] <= started_at:
            self._queue.put(progress, progress.due)

    def _postpone(self, waiting: Iterable[RowProgress], started_at: float, error: Exception) -> None:
        """Schedule the next list after a failed one, with a growing pause.

        Args:
            waiting: rows that waited when the list was requested. Those that are not due, or were released, are left.
            started_at: moment of the loop's clock when the list was requested.
            error: why it failed.

        """
        rows = [progress for progress in waiting if progress in self._queue and self._queue[progress] <= started_at]
        if isinstance(error, SharedUnavailableError):  # it says nothing about the API
            for progress in rows:
                self._queue.put(progress, self._queue.now() + _pause(progress))
            return
        for progress in rows:
            if self._queue[progress] < progress.due and not self.companies.is_refused:  # the early list failed
                self._queue.put(progress, progress.due)
                continue
            progress.failed_lists = _MAX_FAILED_LISTS if self.companies.is_refused else progress.failed_lists + 1
            progress.empresa.reason = message("run.companies_not_listed", error=describe(error))
            self._queue.put(progress, self._queue.now() + 2.0 ** (progress.failed_lists - 1))
        self._resume([progress for progress in rows if progress.failed_lists >= _MAX_FAILED_LISTS])


def _pause(progress: RowProgress) -> float:
    """Return the seconds until a row asks again for the service that processes share."""
    longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(progress.pauses, 10))
    progress.pauses += 1
    return random.uniform(longest / 2, longest)
