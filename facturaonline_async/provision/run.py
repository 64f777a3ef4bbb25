"""The run: what the plan asks for and is not there is created, many companies at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from attrs import define, field

from facturaonline_async import bulk
from facturaonline_async.client import FacturaOnline
from facturaonline_async.errors import AuthenticationError, FacturaOnlineError
from facturaonline_async.provision.plan import Plan
from facturaonline_async.provision.report import Report, RowOutcome, SerieOutcome, State
from facturaonline_async.provision.rows import PlanRow, PlanSerie
from facturaonline_async.resources.empresas.values import Empresa, normalize_rfc

__all__ = ["Run", "provision"]


@asynccontextmanager
async def provision(client: FacturaOnline, plan: Plan, *, concurrency: int = 32) -> AsyncIterator[Run]:
    """Make real what a plan asks for. Give the rows' outcomes as they settle.

    ::

        async with provision(client, plan) as run:
            async for outcome in run:
                print(outcome.rfc, outcome.state)
        print(run.report.is_complete)

    Companies and series that exist are adopted and left as they are. A company's series are created with that
    company's own keys, as soon as it is readable. A row's failure is its outcome, and stops no other row.

    Args:
        client: with the account's main keys.
        plan: what should exist.
        concurrency: rows worked on at once, at most.

    Raises:
        AuthenticationError: the main keys are wrong. Nothing was created.
        FacturaOnlineError: the companies that exist already could not be listed. Nothing was created.

    """
    clock = asyncio.get_running_loop().time
    began = clock()
    report = Report(planned_empresas=len(plan), planned_series=plan.series_count)
    existing: dict[str, Empresa] = {}
    for empresa in await client.empresas.list():
        existing.setdefault(normalize_rfc(empresa.rfc), empresa)
    worker = _Worker(client, {row.rfc: existing[row.rfc].uid for row in plan if row.rfc in existing})
    del existing
    async with bulk.stream(plan, worker.row, concurrency=concurrency) as outcomes:
        try:
            yield Run(report, outcomes)
        finally:
            report.seconds = clock() - began


@define
class Run:
    """A run under way: iterate over it for the outcomes, and look at `report` when it is done."""

    report: Report
    _outcomes: AsyncIterator[bulk.Outcome[PlanRow, RowOutcome]] = field(alias="outcomes")

    async def __aiter__(self) -> AsyncIterator[RowOutcome]:
        async for outcome in self._outcomes:
            row = outcome.result()
            self.report.add(row)
            yield row


@define
class _Worker:
    """Brings one row at a time to its end."""

    _client: FacturaOnline = field(alias="client")
    _existing: dict[str, str] = field(alias="existing")

    async def row(self, row: PlanRow) -> RowOutcome:
        """Bring the company about, then its series."""
        try:
            empresa, state = await self._empresa(row)
        except AuthenticationError:
            raise  # the main keys fail every row alike
        except FacturaOnlineError as error:
            series = tuple(_failed(wanted, "its company failed") for wanted in row.series)
            return RowOutcome(number=row.number, rfc=row.rfc, state=State.FAILED, reason=str(error), series=series)
        series = await self._series(empresa, row.series)
        return RowOutcome(number=row.number, rfc=row.rfc, state=state, uid=empresa.uid, series=series)

    async def _empresa(self, row: PlanRow) -> tuple[Empresa, State]:
        """Return the company, readable and with its keys."""
        if (uid := self._existing.get(normalize_rfc(row.rfc))) is not None:
            return await self._client.empresas.get(uid), State.ADOPTED
        return await self._client.empresas.ensure(await row.load()), State.CREATED

    async def _series(self, empresa: Empresa, wanted: tuple[PlanSerie, ...]) -> tuple[SerieOutcome, ...]:
        """Bring the company's series about, with its own keys, all at the same time."""
        if not wanted:
            return ()
        try:
            client = self._client.for_empresa(empresa)
            existing = {(serie.letra, serie.tipo_documento): serie.uid for serie in await client.series.list()}
        except FacturaOnlineError as error:
            return tuple(_failed(each, str(error)) for each in wanted)

        async def ensure(serie: PlanSerie) -> SerieOutcome:
            state, uid = State.ADOPTED, existing.get(serie.key)
            if uid is None:
                try:
                    created = await client.series.ensure(
                        letra=serie.letra, tipo_documento=serie.tipo_documento, folio=serie.folio
                    )
                except FacturaOnlineError as error:
                    return _failed(serie, str(error))
                state, uid = State.CREATED, created.uid
            return SerieOutcome(letra=serie.letra, tipo_documento=serie.tipo_documento, state=state, uid=uid)

        return tuple(outcome.result() for outcome in await bulk.run(wanted, ensure, concurrency=len(wanted)))


def _failed(serie: PlanSerie, reason: str) -> SerieOutcome:
    return SerieOutcome(letra=serie.letra, tipo_documento=serie.tipo_documento, state=State.FAILED, reason=reason)
