"""Rows that wait until a look can tell what became of what they sent, while all others go on."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque

from attrs import define, field

from facturaonline_async.errors import AuthenticationError, FacturaOnlineError
from facturaonline_async.provision._engine.create import describe
from facturaonline_async.provision._engine.delay_queue import DelayQueue
from facturaonline_async.provision._engine.empresas import SEVERAL, EmpresaSteps
from facturaonline_async.provision._engine.inventory import list_companies
from facturaonline_async.provision._engine.reconcile import reconcile
from facturaonline_async.provision._engine.row import RowProgress
from facturaonline_async.provision._steps import StepState

__all__ = ["WaitingRows"]

_MOST_LOOKS = 5
"""A list that fails so often says nothing more in this run."""

_MOST_TRIES = 6
"""So often a row is tried again of which something was not sent: for about twice the settle time."""

_SENT = frozenset({StepState.UNKNOWN, StepState.UNRESOLVED})

_EARLY = 30
"""One look is made after this part of the settle time: nearly all that was done shows at once."""


@define
class WaitingRows:
    """Where rows wait, and who looks for them.

    Attributes:
        companies: brings companies about, and knows how to look for them.
        ready: rows that can go on.
        has_news: set when there are some, or when there is a problem.

    """

    companies: EmpresaSteps
    settle: float
    ready: deque[RowProgress] = field(factory=deque, init=False)
    has_news: asyncio.Event = field(factory=asyncio.Event, init=False)
    _parked: DelayQueue[RowProgress] = field(factory=DelayQueue, init=False)  # each until its next look

    def put(self, work: RowProgress) -> bool:
        """Let a row wait if there is something to wait for, and return whether it does."""
        now = self._parked.now()
        if not (waiting := work.waiting):
            return self._put_stalled(work, now)
        if work.looks >= _MOST_LOOKS:
            return False
        if work.own is None and work.empresa.phase is StepState.DONE:  # its series cannot be looked for
            return False
        is_first = not work.due
        # By a clock that nobody sets: the journal's moment may lie anywhere once somebody did. A row that waits may
        # have sent more meanwhile, which is due later.
        left = max(step.due for step in waiting) - time.time()
        work.due = max(work.due, now + min(max(left, 0.0), self.settle))
        if is_first:
            return self._park(work, min(work.due, now + self.settle / _EARLY))
        return self._park(work, now + 2.0 ** (work.looks - 1) if work.looks else work.due)

    def _put_stalled(self, work: RowProgress, now: float) -> bool:
        """Let a row wait, longer each time, of which something was not sent."""
        if not work.is_stalled or work.tries >= _MOST_TRIES or self.companies.is_refused:
            return work.is_unseen and self._put_unseen(work, now)
        return self._park_again(work, now, math.inf)

    def _put_unseen(self, work: RowProgress, now: float) -> bool:
        """Let a row wait of which something was created and could not be read: until it must be readable."""
        work.shows_by = work.shows_by or now + self.settle
        if now >= work.shows_by:
            return False
        return self._park_again(work, now, work.shows_by)

    def _park_again(self, work: RowProgress, now: float, latest: float) -> bool:
        """Let a row wait twice as long as the time before, but no longer than until `latest`."""
        pause = self.settle / _EARLY * 2.0**work.tries
        work.tries += 1
        return self._park(work, min(now + pause, latest))

    def _park(self, work: RowProgress, look_at: float) -> bool:
        self._parked.put(work, look_at)
        return True

    def release(self) -> None:
        """Let all go on as they are: there will be no more looks."""
        self.ready.extend(sorted(self._parked, key=lambda work: work.row.number))
        self._parked.clear()
        self.has_news.set()

    async def look(self) -> None:
        """Look whenever it is time, until cancelled."""
        while await self._parked.wait():
            timely = self._parked.due()
            # Series are looked for with their company's keys, by the row itself.
            self._go_on([work for work in timely if work.empresa.phase not in _SENT])
            if any(work.empresa.phase in _SENT for work in timely):
                await self._look_for_companies()

    def _go_on(self, works: list[RowProgress]) -> None:
        works = [work for work in works if work in self._parked]  # the others were released meanwhile
        for work in works:
            self._parked.remove(work)
        self.ready.extend(works)
        if works:
            self.has_news.set()

    async def _look_for_companies(self) -> None:
        """List once, and see what that tells of all companies that wait; early finds are welcome."""
        began = self._parked.now()
        works = {work.empresa.rfc: work for work in self._parked if work.empresa.phase in _SENT}
        client, sender = self.companies.account.client, self.companies.sender
        try:
            listed = await list_companies(client, works)
        except FacturaOnlineError as error:
            self.companies.is_refused |= isinstance(error, AuthenticationError)
            self._postpone(
                [work for work in works.values() if work in self._parked and self._parked[work] <= began], error
            )
            return
        for rfc, work in works.items():
            if work not in self._parked:  # released while the list was read
                continue
            step, was = work.empresa, work.empresa.phase
            reconcile(step, listed.get(rfc, ()), (), is_due=began >= work.due, several=SEVERAL)
            work.looks = 0
            if step.phase is not was:
                if step.uid is not None:
                    sender.engine.pending.see(self.companies.key(step), step.uid, self.settle)
                work.due = 0.0
                await sender.book.save(step)
            if step.phase is not was or began >= work.due:
                self._go_on([work])
            elif self._parked[work] <= began:
                self._parked.put(work, work.due)

    def _postpone(self, works: list[RowProgress], error: Exception) -> None:
        """Look again later, some times."""
        for work in works:
            if self._parked[work] < work.due and not self.companies.is_refused:  # it was an early look
                self._parked.put(work, work.due)
                continue
            work.looks = _MOST_LOOKS if self.companies.is_refused else work.looks + 1
            work.empresa.reason = f"it could not be looked for: {describe(error)}"
            self._parked.put(work, self._parked.now() + 2.0 ** (work.looks - 1))
        self._go_on([work for work in works if work.looks >= _MOST_LOOKS])
