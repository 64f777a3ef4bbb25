"""Audit a run whose plan is divided into shards: everything exists exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import cast

from attrs import frozen

from facturaonline_async import bulk
from facturaonline_async._core.once.states import StepState
from facturaonline_async._messages import message
from facturaonline_async.client import FacturaOnline, engine_of
from facturaonline_async.errors import FacturaOnlineError
from facturaonline_async.postgres._postgres import Postgres, check_run
from facturaonline_async.postgres._shard_run import in_run
from facturaonline_async.postgres._shards import ShardJournal
from facturaonline_async.provision._engine.audit import Audit
from facturaonline_async.provision._engine.background import in_background
from facturaonline_async.provision._engine.inventory import Inventory
from facturaonline_async.provision._engine.recorder import Recorder, describe
from facturaonline_async.provision._journal.errors import JournalError
from facturaonline_async.provision._journal.protocol import Journal
from facturaonline_async.provision._plan.plan import Plan, shard_of
from facturaonline_async.provision._steps import Step

__all__ = ["audit_run"]

_PAGE = 1000
_CONCURRENCY = 32
"""Companies whose keys are read at the same time."""


async def audit_run(
    client: FacturaOnline,
    plan: Plan,
    database: Postgres,
    *,
    run: str,
    count: int,
    lease: float = 30.0,
    settle: float | None = None,
    stopping: asyncio.Event | None = None,
) -> list[str] | None:
    """Verify that everything that the shards of a run created exists exactly once.

    Call it when `run_shard` has finished the last shard. It waits until the settle time after the last create is over,
    and lists the series of each new company, and all companies once. What exists several times is recorded as a
    conflict in the journal. A second call has nothing left to do.

    Args:
        client: see `run_shard`.
        plan: the whole plan.
        database: see `run_shard`.
        run: name of the run.
        count: number of shards.
        lease: see `run_shard`.
        settle: see `run_shard`.
        stopping: when it is set, the audit ends without a result. None: it is not stopped.

    Returns:
        Differences as sentences; an empty list: everything exists exactly once. None: the audit was stopped, or a shard
        is not finished.

    Raises:
        JournalInUseError: a process has a shard of the run.
        JournalError: see `run_shard`.
        FacturaOnlineError: see `run_shard`.

    """
    check_run(run, lease)
    joined = await in_run(client, plan, database, run=run, count=count)
    state = await joined.state()
    if state.is_audited:
        return []
    if state.left:
        return None
    settle = engine_of(client).config.settle if settle is None else settle
    stopping = asyncio.Event() if stopping is None else stopping
    async with AsyncExitStack() as stack:
        journals = [await stack.enter_async_context(await joined.take(shard, lease)) for shard in range(count)]
        inventory = Inventory(client.empresas, client.credentials.fingerprint)
        recorder = Recorder(cast("Journal", _Journals(journals)), None)
        audit = Audit(inventory, recorder, settle, stopping)
        created: list[_Created] = []
        for journal in journals:
            created += [each async for each in _created(journal, inventory)]
        differences: list[str] | None = []
        if created or inventory.shows_at:
            await inventory.expect_main()
            differences = await _audit(client, audit, created)
        if differences == []:
            await joined.end_audit()
        return differences


@frozen
class _Created:
    """Company with series that wait for the audit."""

    rfc: str
    uid: str
    steps: Sequence[Step]


async def _created(journal: ShardJournal, inventory: Inventory) -> AsyncIterator[_Created]:
    """Add the companies of a shard to the inventory.

    Yield those with series that wait for the audit.
    """
    after, is_first = 0, True
    while after or is_first:
        rfcs, after = await journal.owners(after, _PAGE)
        is_first = False
        for rfc, steps in (await journal.steps_of_rows([rfc for rfc in rfcs if rfc not in inventory.done])).items():
            empresa = next(step for step in steps if step.is_empresa)
            if empresa.state is not StepState.DONE or empresa.uid is None:
                continue
            inventory.done[rfc] = empresa.uid
            if empresa.is_unaudited:
                inventory.shows_at = max(inventory.shows_at, empresa.due)
            if series := [step for step in steps if step.is_unaudited and not step.is_empresa]:
                yield _Created(rfc, empresa.uid, series)


async def _audit(client: FacturaOnline, audit: Audit, created: Sequence[_Created]) -> list[str] | None:
    """List the series of each company, and all companies.

    Return the differences, or None if the audit was stopped.
    """

    async def connect(company: _Created) -> None:
        empresa = await client.empresas.get_verified(company.uid, rfc=company.rfc)
        audit.add_series(company.rfc, client.for_empresa(empresa).series, company.steps)

    async with in_background(audit.run()) as task:
        async with bulk.stream(created, connect, concurrency=_CONCURRENCY, stop_on=(JournalError,)) as outcomes:
            async for each in outcomes:
                if audit.stopping.is_set():
                    return None
                if isinstance(each.error, FacturaOnlineError):
                    problem = message("run.audit_series_not_listed", error=describe(each.error))
                    audit.problems.append(message("run.audited", rfc=each.item.rfc, difference=problem))
                else:
                    each.result()
        return await audit.finish(task)


@frozen
class _Journals:
    """The journals of all shards, as one for an audit."""

    journals: Sequence[ShardJournal]

    @property
    def lease(self) -> float | None:
        """See `Journal.lease`."""
        return self.journals[0].lease

    def save(self, *steps: Step) -> asyncio.Future[None]:
        """Write steps of one company into the journal of its shard; see `Journal.save`."""
        return self._of(steps[0].owner).save(*steps)

    async def steps_of_row(self, rfc: str) -> list[Step]:
        """Return the steps of a company; see `Journal.steps_of_row`."""
        return await self._of(rfc).steps_of_row(rfc)

    async def end_audit(self) -> None:
        """Record that every company exists exactly once; see `Journal.end_audit`."""
        for journal in self.journals:
            await journal.end_audit()

    def _of(self, rfc: str) -> ShardJournal:
        return self.journals[shard_of(rfc, len(self.journals))]
