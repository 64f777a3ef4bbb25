"""The run: what the plan asks for and is not there is created, many companies at a time."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from attrs import define, field

from facturaonline_async import bulk
from facturaonline_async.client import FacturaOnline
from facturaonline_async.errors import (
    AuthenticationError,
    FacturaOnlineError,
    OutcomeUnknownError,
    UnreadableAnswerError,
)
from facturaonline_async.findings import Finding
from facturaonline_async.provision.checkers import checkers
from facturaonline_async.provision.plan import Plan
from facturaonline_async.provision.report import Report, RowOutcome, SerieOutcome, State
from facturaonline_async.provision.rows import PlanRow, PlanSerie
from facturaonline_async.resources.empresas.revision import CheckSello, review
from facturaonline_async.resources.empresas.values import Empresa, normalize_rfc
from facturaonline_async.resources.ensure import poll
from facturaonline_async.resources.series.values import Serie

__all__ = ["Run", "provision"]


@asynccontextmanager
async def provision(client: FacturaOnline, plan: Plan, *, concurrency: int = 32) -> AsyncIterator[Run]:
    """Make real what a plan asks for. Give the rows' outcomes as they settle.

    ::

        async with provision(client, plan) as run:
            async for outcome in run:
                print(outcome.rfc, outcome.state)
        print(run.report.is_complete)

    Before a company is created, its data and certificates are checked (`Config.check_sello`), in worker processes.
    Companies and series that exist are adopted and left as they are; where one of the plan's exists several times, its
    row fails, for a person to decide. A company's series are created with that company's own keys, as soon as it is
    readable. A row's failure is its outcome, and stops no other row; if the API refuses the main keys on the way, no
    further company is tried.

    Leaving the block, or cancelling, stops the rows under way: a write in flight may have happened, and may show up
    in the API's lists minutes later. What exists is listed once, at the beginning, so that a run that starts before
    then may create it again.

    Args:
        client: with the account's main keys.
        plan: what should exist.
        concurrency: rows worked on at once, at most.

    Raises:
        FacturaOnlineError: the companies that exist already could not be listed. Nothing was created.

    """
    clock = asyncio.get_running_loop().time
    began = clock()
    report = Report(planned_empresas=len(plan), planned_series=plan.series_count)
    wanted = {normalize_rfc(row.rfc) for row in plan}
    existing: defaultdict[str, list[str]] = defaultdict(list)
    owners: dict[str, str] = {}
    for empresa in await client.empresas.list():
        rfc = normalize_rfc(empresa.rfc)
        if rfc in wanted and empresa.uid not in existing[rfc]:
            existing[rfc].append(empresa.uid)
        if empresa.api_key and empresa.secret_key:
            owners[empresa.credentials.fingerprint] = empresa.uid
    async with checkers() as check_sello:
        worker = _Worker(client, dict(existing), owners, check_sello if client.session.config.check_sello else None)
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


class _RowError(FacturaOnlineError):
    """Why a row cannot be brought about; what was found is for a person to decide."""


@define
class _Worker:
    """Brings one row at a time to its end."""

    _client: FacturaOnline = field(alias="client")
    _existing: Mapping[str, Sequence[str]] = field(alias="existing")
    _owners: dict[str, str] = field(alias="owners")  # uids by their keys' fingerprints
    _check_sello: CheckSello | None = field(alias="check_sello")
    _refused: bool = field(default=False, init=False)

    async def row(self, row: PlanRow) -> RowOutcome:
        """Bring the company about, then its series. Nothing but cancellation is raised: a row is never lost."""
        try:
            empresa, state, warnings = await self._empresa(row)
        except Exception as error:  # noqa: BLE001  # a faulty row must not take the others with it
            state, reason = _judged(error)
            series = tuple(
                _not_there(wanted, State.FAILED, "not tried: its company comes first") for wanted in row.series
            )
            return RowOutcome(number=row.number, rfc=row.rfc, state=state, reason=reason, series=series)
        series = await self._series(empresa, row.series)
        return RowOutcome(
            number=row.number, rfc=row.rfc, state=state, uid=empresa.uid, series=series, warnings=warnings
        )

    async def _empresa(self, row: PlanRow) -> tuple[Empresa, State, tuple[Finding, ...]]:
        """Return the company, readable and with its own keys, and what is worth a warning."""
        if self._refused:
            raise _RowError("not tried: the API refused the main keys")
        rfc = normalize_rfc(row.rfc)
        uids = self._existing.get(rfc, ())
        if len(uids) > 1:
            raise _RowError(f"the account has {len(uids)} companies with this RFC: {', '.join(uids)}")
        warnings: tuple[Finding, ...] = ()
        try:
            if uids:
                empresa, state = await self._adopted(uids[0]), State.ADOPTED
            else:
                nueva = await row.load()
                production = self._client.session.config.is_production
                warnings = await review(nueva, self._check_sello, production=production)
                empresa = await self._client.empresas.ensure(nueva, is_new=True, is_checked=True)
                state = State.CREATED
            await self._check(empresa, rfc)
        except AuthenticationError:
            self._refused = True
            raise
        return empresa, state, warnings

    async def _adopted(self, uid: str) -> Empresa:
        """Read a company that was listed: one that was created a moment ago may not be readable yet."""
        problem = _RowError(f"the company exists (uid {uid}), but was not readable before the deadline")

        async def look() -> Empresa | None:
            empresa = await self._client.empresas.get(uid)
            return empresa if empresa.api_key and empresa.secret_key else None

        empresa = await poll(self._client.session, look, problem=problem)
        if empresa.uid != uid:
            raise _RowError(f"asked for the company {uid}, the API answered with {empresa.uid}")
        return empresa

    async def _check(self, empresa: Empresa, rfc: str) -> None:
        """Refuse another company's keys: series would be created in the wrong place."""
        if normalize_rfc(empresa.rfc) != rfc:
            raise _RowError(f"its uid {empresa.uid} belongs to a company with the RFC {empresa.rfc or '(none)'}")
        owner = self._owners.setdefault(empresa.credentials.fingerprint, empresa.uid)
        if owner != empresa.uid:
            raise _RowError(f"the API gave the keys of the company {owner} for it (uid {empresa.uid})")
        if empresa.credentials.fingerprint != self._client.credentials.fingerprint:
            return
        try:
            main = await self._client.empresas.current()
        except FacturaOnlineError as error:
            raise _RowError(f"whether it is the main company could not be seen: {error}") from None
        if normalize_rfc(main.rfc) != rfc:
            raise _RowError(f"the API gave the main company's keys for it (uid {empresa.uid})")

    async def _series(self, empresa: Empresa, wanted: tuple[PlanSerie, ...]) -> tuple[SerieOutcome, ...]:
        """Bring the company's series about, with its own keys, all at the same time."""
        if not wanted:
            return ()
        try:
            client = self._client.for_empresa(empresa)
            existing = _by_key(await client.series.list())
        except Exception as error:  # noqa: BLE001  # as above
            return tuple(_not_there(each, State.FAILED, _judged(error)[1]) for each in wanted)

        async def ensure(serie: PlanSerie) -> SerieOutcome:
            try:
                if (found := _the_one(existing.get(serie.key, []))) is not None:
                    return _there(serie, State.ADOPTED, found.uid)
                created = await client.series.ensure(
                    letra=serie.letra, tipo_documento=serie.tipo_documento, folio=serie.folio, is_new=True
                )
            except Exception as error:  # noqa: BLE001  # as above
                return _not_there(serie, *_judged(error))
            return _there(serie, State.CREATED, created.uid)

        return tuple(outcome.result() for outcome in await bulk.run(wanted, ensure, concurrency=len(wanted)))


def _by_key(series: list[Serie]) -> dict[tuple[str, str], list[Serie]]:
    found: defaultdict[tuple[str, str], list[Serie]] = defaultdict(list)
    for serie in series:
        found[serie.key].append(serie)
    return found


def _the_one(series: list[Serie]) -> Serie | None:
    """Return the serie to adopt, if there is one: of several, the only one that is active."""
    candidates = [serie for serie in series if serie.is_active] if len(series) > 1 else series
    if len(series) > 1 and len(candidates) != 1:
        uids = ", ".join(map(str, sorted(serie.uid for serie in series)))
        raise _RowError(f"the company has {len(series)} series of this kind: {uids}")
    return candidates[0] if candidates else None


def _judged(error: Exception) -> tuple[State, str]:
    """Return what is known of a create that failed, and why. The text of a stranger's error may hold anything."""
    if not isinstance(error, FacturaOnlineError):
        return State.FAILED, f"unexpected {type(error).__name__}"
    is_unknown = isinstance(error, (OutcomeUnknownError, UnreadableAnswerError))
    reason = " ".join([str(error), *getattr(error, "__notes__", ())])
    return State.UNKNOWN if is_unknown else State.FAILED, reason


def _there(serie: PlanSerie, state: State, uid: int) -> SerieOutcome:
    return SerieOutcome(letra=serie.letra, tipo_documento=serie.tipo_documento, state=state, uid=uid)


def _not_there(serie: PlanSerie, state: State, reason: str) -> SerieOutcome:
    return SerieOutcome(letra=serie.letra, tipo_documento=serie.tipo_documento, state=state, reason=reason)
