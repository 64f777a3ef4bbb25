"""Preview of a run: what it would do, found by reads alone.

A preview reads what a run reads before it sends anything: the list of companies, and for each company of the plan that
exists its details and its series. It decides with the functions of the run (`comparison`, `series.apply_list`,
`resume.compare`), so that both say the same.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any, Final

from attrs import define, field, frozen

from facturaonline_async import bulk
from facturaonline_async._base_url import Environment, environment_of
from facturaonline_async._core.known_companies import normalize_rfc
from facturaonline_async._core.once.states import StepState
from facturaonline_async._messages import message
from facturaonline_async._validators import check_count
from facturaonline_async.client import FacturaOnline, engine_of
from facturaonline_async.empresas._models import Empresa
from facturaonline_async.empresas._service import get_with_keys
from facturaonline_async.errors import InvalidInputError, SharedUnavailableError
from facturaonline_async.provision._engine import resume
from facturaonline_async.provision._engine.comparison import (
    Action,
    AttributeChange,
    Comparison,
    changes_of,
    choose_action,
    compare,
    refusal,
)
from facturaonline_async.provision._engine.inventory import Inventory, several_companies
from facturaonline_async.provision._engine.reconcile import reconcile_empresa
from facturaonline_async.provision._engine.recorder import describe
from facturaonline_async.provision._engine.row_progress import RowProgress
from facturaonline_async.provision._engine.series import apply_list
from facturaonline_async.provision._engine.worker import Worker
from facturaonline_async.provision._journal.protocol import ReadableJournal
from facturaonline_async.provision._journal.view import open_view
from facturaonline_async.provision._plan.file_rows import FileRow, load_data
from facturaonline_async.provision._plan.models import EXISTING, Existing, PlanRow, must_exist
from facturaonline_async.provision._plan.plan import Plan
from facturaonline_async.provision._report import RunReport
from facturaonline_async.provision._run import survey
from facturaonline_async.provision._steps import Step
from facturaonline_async.series._models import by_key

__all__ = ["Preview", "PreviewRow", "PreviewSerie", "Previewer", "changed_since", "preview"]

_AT_ONCE: Final = 200
"""Rows without a read between two checkpoints of the event loop: about half a millisecond."""

_SETTLED: Final = frozenset({Action.ADOPT, Action.DONE})
"""Actions of what exists already, so that nothing is left to do."""

_WITH_SERIES: Final = frozenset({Action.ADOPT, Action.UPDATE, Action.DONE})
"""Actions of a company that exists, so that its series can be read."""

_OF_ALL_SERIES: Final = frozenset({Action.CREATE, Action.UNKNOWN})
"""Actions of a company that does not exist, or may not exist, which are those of its series, too."""


@frozen(kw_only=True)
class PreviewSerie:
    """What a run would do with one serie of a row.

    Attributes:
        letra: the serie's letter.
        tipo_documento: the serie's kind of document.
        action: what the run would do.
        uid: the serie's number in the API; None if it does not exist.
        reason: why it is a conflict, or could not be read; or ``""``.

    """

    letra: str
    tipo_documento: str
    action: Action
    uid: int | None = None
    reason: str = ""


@frozen(kw_only=True)
class PreviewRow:
    """What a run would do with one row: its company and its series.

    Attributes:
        number: number of the row, as a spreadsheet shows it.
        rfc: the company's RFC.
        action: what the run would do with the company.
        uid: the company's uid; None if it does not exist, or exists several times.
        reason: why it is a conflict, is refused, or could not be read; or ``""``.
        changes: attributes that an update changes.
        not_comparable: names of the attributes that an update sends although reads do not show them, such as "csd".
        series: what the run would do with its series.

    """

    number: int
    rfc: str
    action: Action
    uid: str | None = None
    reason: str = ""
    changes: tuple[AttributeChange, ...] = ()
    not_comparable: tuple[str, ...] = ()
    series: tuple[PreviewSerie, ...] = ()


@frozen(kw_only=True)
class Preview:
    """What a run of a plan would do.

    Attributes:
        base_url: base URL of the API.
        environment: "production", "sandbox", "local" (a loopback address) or "unknown" (another host).
        account_rfc: RFC of the account's main company; ``""`` if the API does not show it.
        account_name: its legal name, likewise.
        existing: what the run would do with companies that exist.
        planned_empresas: number of companies in the plan.
        planned_series: number of series in the plan.
        empresas: number of companies per `Action`, with an entry for every action.
        series: number of series per `Action`, likewise.
        rows: rows in the plan's order; of each action, no more than the ``limit`` of `preview`.
        left_out: number of rows that are not in `rows` per `Action`.

    """

    base_url: str
    environment: Environment
    account_rfc: str
    account_name: str
    existing: Existing
    planned_empresas: int
    planned_series: int
    empresas: Mapping[Action, int]
    series: Mapping[Action, int]
    rows: tuple[PreviewRow, ...]
    left_out: Mapping[Action, int]
    _baseline: Mapping[str, tuple[str, ...]] = field(factory=dict, alias="baseline", repr=False, eq=False)

    @property
    def is_settled(self) -> bool:
        """Whether a run would change nothing: everything in the plan exists."""
        return not any(
            number and action not in _SETTLED
            for counts in (self.empresas, self.series)
            for action, number in counts.items()
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the preview as JSON values."""
        return {
            "base_url": self.base_url,
            "environment": self.environment,
            "account": {"rfc": self.account_rfc, "razon_social": self.account_name} if self.account_rfc else None,
            "existing": self.existing,
            "settled": self.is_settled,
            "empresas": {"planned": self.planned_empresas} | _numbers(self.empresas),
            "series": {"planned": self.planned_series} | _numbers(self.series),
            "rows": [_row_values(row) for row in self.rows],
            "left_out": sum(self.left_out.values()),
        }


def _numbers(counts: Mapping[Action, int]) -> dict[str, int]:
    return {action.value: counts[action] for action in Action}


def _row_values(row: PreviewRow) -> dict[str, Any]:
    return {
        "number": row.number,
        "rfc": row.rfc,
        "action": row.action.value,
        "uid": row.uid,
        "reason": str(row.reason),
        "changes": [{"name": each.name, "old": each.old, "new": each.new} for each in row.changes],
        "not_comparable": list(row.not_comparable),
        "series": [
            {
                "letra": serie.letra,
                "tipo_documento": serie.tipo_documento,
                "action": serie.action.value,
                "uid": serie.uid,
                "reason": str(serie.reason),
            }
            for serie in row.series
        ],
    }


async def preview(
    client: FacturaOnline,
    plan: Plan,
    *,
    existing: Existing = "adopt",
    journal: str | os.PathLike[str] | None = None,
    limit: int | None = 100,
    concurrency: int = 32,
    on_progress: Callable[[int, int], None] | None = None,
) -> Preview:
    """Find out what `provision` would do with a plan; nothing is sent but reads.

    ::

        found = await preview(client, plan, existing="update")
        print(found.environment, found.empresas[Action.CREATE])
        for row in found.rows:
            print(row.number, row.rfc, row.action, row.changes)

    It reads the list of companies once. For each company of the plan that exists it reads the company, and its series
    if the plan gives it some; companies that an earlier run finished are not read. Certificates are not checked: see
    `validate`.

    **An update** (``existing="update"``) compares the plan's data with what the company's details show. A field that
    the API leaves out reads as ``""``. What details do not show (certificates and passwords, régimen codes, delegación,
    teléfono, settings of mail) cannot be compared. The run sends it with the update, and it is never among the changes.

    A preview is a promise of nothing: the account may change before the run, which reads it again.

    Args:
        client: client with the account's main keys.
        plan: the companies and series that should exist.
        existing: what the run would do with a company that exists; see `provision`.
        journal: path of the run's journal, which is only read: what earlier runs finished is `Action.DONE`. None, or a
            file that does not exist: no journal.
        limit: maximum number of rows that are kept of each action, beside the totals; None: all rows.
        concurrency: maximum number of companies that are read at a time. Default: 32.
        on_progress: called with the number of companies that were read, and of those to be read.

    Returns:
        The preview.

    Raises:
        InvalidInputError: an argument is invalid.
        PlanError: the plan changed a row that an earlier run sent or adopted, or may have sent, or its uid contradicts
            the journal.
        InvalidJournalError: the journal belongs to another account or host, is not a journal, or is damaged.
        JournalError: the journal cannot be read.
        FacturaOnlineError: the existing companies could not be listed. A company that cannot be read raises nothing: it
            is `Action.UNREADABLE`.

    """
    if existing not in EXISTING:
        raise InvalidInputError(message("run.invalid_existing", value=f"{existing!r:.40}"), field="existing")
    check_count("limit", limit)
    previewer = Previewer(client, plan, existing)
    if journal is not None:
        host = engine_of(client).config.base_url or ""
        async with open_view(journal, account=client.credentials.fingerprint, host=host) as view:
            await previewer.compare_journal(view)
    return await previewer.run(limit=limit, concurrency=concurrency, on_progress=on_progress)


@define(eq=False)
class Previewer:
    """Makes one preview: first `compare_journal` if there is a journal, then `run`.

    Attributes:
        client: client with the main keys.
        plan: the plan.
        existing: what the run would do with companies that exist.

    """

    client: FacturaOnline
    plan: Plan
    existing: Existing
    _inventory: Inventory = field(init=False)
    _closed: set[str] = field(factory=set, init=False)
    _open: dict[str, RowProgress] = field(factory=dict, init=False)
    _planned_series: int = field(default=0, init=False)
    _found: _Found = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._inventory = Inventory(self.client.empresas, self.client.credentials.fingerprint)

    async def compare_journal(self, view: ReadableJournal | None) -> bool:
        """Learn what earlier runs did; return whether they sent all of the plan.

        Args:
            view: the journal; None: there is none yet. It is read before this returns.

        Returns:
            True if a run would send nothing that earlier runs did not send already.

        Raises:
            PlanError: the plan changed a row that was sent, or may have been sent.

        """
        if view is None or await view.is_empty():
            return False
        report = RunReport(planned_empresas=0, planned_series=0)
        difference = resume.PlanDiff(view, self._inventory, report, 0.0, self.existing)

        async def keep(progress: RowProgress) -> None:
            """Keep a row that earlier runs began."""
            await resume.read_baseline(view, progress)
            for step in progress.steps:
                step.earlier = step.sends
            self._open[progress.empresa.rfc] = progress

        await resume.compare(difference, self.plan, keep)
        self._closed = difference.resumed.closed
        return difference.is_sent

    async def run(
        self, *, limit: int | None, concurrency: int, on_progress: Callable[[int, int], None] | None
    ) -> Preview:
        """Read the account, and return the preview; see `preview`.

        Args:
            limit: see `preview`.
            concurrency: see `preview`.
            on_progress: see `preview`.

        """
        engine = engine_of(self.client)
        engine.start()
        rfcs, planned_series = await survey(self.plan)
        await self._inventory.read(rfcs)
        found = self._found = _Found(limit)
        begun = (rfc for rfc, progress in self._open.items() if progress.empresa.state is not StepState.PLANNED)
        total, done = len((set(self._inventory.existing) | set(begun)) - self._closed), 0
        async with (
            Worker() as worker,
            bulk.stream(
                self._rows_to_read(),
                lambda progress: self._preview_row(progress, worker),
                concurrency=concurrency,
                ordered=True,
                catch=(),
            ) as outcomes,
        ):
            async for each in outcomes:
                found.add(each.result())
                done += 1
                if on_progress is not None:
                    on_progress(done, total)
        rfc, name = self._inventory.main or ("", "")
        base_url = engine.config.base_url or ""
        return Preview(
            base_url=base_url,
            environment=environment_of(base_url),
            account_rfc=rfc,
            account_name=name,
            existing=self.existing,
            planned_empresas=len(self.plan),
            planned_series=planned_series,
            empresas=found.empresas,
            series=found.series,
            rows=found.rows,
            left_out=found.left_out,
            baseline=self._inventory.existing,
        )

    async def _rows_to_read(self) -> AsyncGenerator[RowProgress, None]:
        """Yield the rows whose company exists; count the others."""
        for position, row in enumerate(self.plan, 1):
            rfc = normalize_rfc(row.rfc)
            begun = self._open.pop(rfc, None)
            if rfc in self._closed:
                self._found.add_unread(row, rfc, Action.DONE)
            elif self._inventory.uids(rfc) or (begun is not None and begun.empresa.state is not StepState.PLANNED):
                yield begun or RowProgress.of(row, rfc)
            elif must_exist(row) or (begun is not None and begun.empresa.uid is not None):
                progress = begun or RowProgress.of(row, rfc)
                reason = str(refusal(row, (), progress.empresa.uid))
                self._found.add(_unread_row(progress, Action.REFUSE, Action.NOT_TRIED, reason=reason))
            else:
                self._found.add_unread(row, rfc, Action.CREATE)
            if not position % _AT_ONCE:
                await asyncio.sleep(0)

    # ── One row ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _preview_row(self, progress: RowProgress, worker: Worker) -> PreviewRow:
        """Return what a run would do with a row that exists, or that earlier runs began."""
        action, uid, reason = self._choose(progress)
        if action not in _WITH_SERIES or uid is None:
            series_action = action if action in _OF_ALL_SERIES else Action.NOT_TRIED
            return _unread_row(progress, action, series_action, uid=uid, reason=reason)
        comparison, series = Comparison((), ()), _series_of(progress, Action.DONE)
        try:
            if action is not Action.DONE or progress.series:
                empresa = await self._read(progress, uid)
                if action is Action.UPDATE:
                    comparison = await _compare(progress, empresa, worker)
                    action = action if comparison.is_needed else Action.ADOPT
                series = await self._preview_series(progress, empresa)
        except SharedUnavailableError:
            raise
        except Exception as error:  # noqa: BLE001  # a faulty row must not stop the others: a run records it
            return _unread_row(progress, Action.UNREADABLE, Action.NOT_TRIED, uid=uid, reason=str(describe(error)))
        if action in _SETTLED and any(serie.action not in _SETTLED for serie in series):
            action = Action.COMPLETE
        return PreviewRow(
            number=progress.row.number,
            rfc=progress.empresa.rfc,
            action=action,
            uid=uid,
            changes=comparison.changes,
            not_comparable=comparison.not_comparable,
            series=series,
        )

    def _choose(self, progress: RowProgress) -> tuple[Action, str | None, str]:
        """Return what a run would do with a company: action, uid and reason."""
        step, uids = progress.empresa, self._inventory.uids(progress.empresa.rfc)
        was_done = step.state is StepState.DONE
        if step.state not in {StepState.DONE, StepState.PLANNED}:
            # A person may have resolved a conflict since. Of another step, a list proves no absence yet.
            is_due = step.state is StepState.CONFLICT
            reconcile_empresa(step, progress.row, uids, is_due=is_due)
        if step.state is StepState.DONE:
            return Action.DONE if was_done else Action.ADOPT, step.uid, ""
        if step.state is StepState.CONFLICT:
            return Action.CONFLICT, None, str(step.reason)
        if step.state is not StepState.PLANNED:
            return Action.UNKNOWN, step.uid, str(step.reason)
        action = choose_action(progress.row, uids, self.existing, step.uid)
        if action is Action.CONFLICT:
            return action, None, str(several_companies(uids))
        uid = uids[0] if uids else None
        if action is Action.REFUSE:
            return action, uid, str(refusal(progress.row, uids, step.uid))
        return action, uid, ""

    async def _read(self, progress: RowProgress, uid: str) -> Empresa:
        """Return the company with its own keys, as a run reads it.

        Raises:
            FacturaOnlineError: it cannot be read.

        """
        empresa = await get_with_keys(self.client.empresas, uid, rfc=progress.empresa.rfc)
        if empresa is None:
            raise InvalidInputError(message("run.company_not_readable_yet", uid=uid), uid=uid)
        return empresa

    async def _preview_series(self, progress: RowProgress, empresa: Empresa) -> tuple[PreviewSerie, ...]:
        """Return what a run would do with the series of a company that exists.

        Raises:
            FacturaOnlineError: its keys cannot be used, or its list cannot be read.

        """
        if not progress.series:
            return ()
        own = self.client.for_empresa(empresa)
        listed = by_key(await own.series.list())
        return tuple(
            _preview_serie(step, _apply(step, listed.get(step.serie_key, ()), progress)) for step in progress.series
        )


async def _compare(progress: RowProgress, empresa: Empresa, worker: Worker) -> Comparison:
    """Compare the plan's data with the company.

    Raises:
        InvalidInputError: a file of the row can no longer be read.

    """
    row = progress.row
    nueva = await (worker.call(row.read) if isinstance(row, FileRow) else load_data(row))
    return compare(changes_of(nueva), empresa)


def _apply(step: Step, listed: Sequence[Any], progress: RowProgress) -> Action:
    """Update a serie's step from a list as a run does; return what is left to do."""
    was_done = step.state is StepState.DONE
    is_due = step.state is StepState.CONFLICT  # a person may have resolved it since
    apply_list(step, listed, progress.baseline or {}, is_due=is_due)
    if step.state is StepState.DONE:
        return Action.DONE if was_done else Action.ADOPT
    if step.state is StepState.CONFLICT:
        return Action.CONFLICT
    return Action.CREATE if step.state is StepState.PLANNED else Action.UNKNOWN


def _preview_serie(step: Step, action: Action) -> PreviewSerie:
    letra, tipo_documento = step.serie_key
    return PreviewSerie(
        letra=letra,
        tipo_documento=tipo_documento,
        action=action,
        uid=int(step.uid) if step.uid else None,
        reason=str(step.reason) if action in {Action.CONFLICT, Action.UNKNOWN} else "",
    )


def _series_of(progress: RowProgress, action: Action) -> tuple[PreviewSerie, ...]:
    """Return the series of a row without a list.

    All have one action, except those that an earlier run finished.
    """
    return tuple(
        _preview_serie(step, Action.DONE if step.state is StepState.DONE else action) for step in progress.series
    )


def _unread_row(
    progress: RowProgress, action: Action, series: Action, *, uid: str | None = None, reason: str = ""
) -> PreviewRow:
    """Return what a run would do with a row whose company was not read."""
    return PreviewRow(
        number=progress.row.number,
        rfc=progress.empresa.rfc,
        action=action,
        uid=uid,
        reason=reason,
        series=_series_of(progress, series),
    )


@define(eq=False)
class _Found:
    """Totals of a preview, and the rows that are kept.

    Attributes:
        limit: maximum number of rows that are kept of each action; None: all.

    """

    limit: int | None
    empresas: Counter[Action] = field(factory=lambda: Counter(dict.fromkeys(Action, 0)), init=False)
    series: Counter[Action] = field(factory=lambda: Counter(dict.fromkeys(Action, 0)), init=False)
    left_out: Counter[Action] = field(factory=Counter, init=False)
    _rows: list[PreviewRow] = field(factory=list, init=False)

    def add(self, row: PreviewRow) -> None:
        """Count a row, and keep it if there are few with its action."""
        self.empresas[row.action] += 1
        for serie in row.series:
            self.series[serie.action] += 1
        if self.limit is not None and self.empresas[row.action] > self.limit:
            self.left_out[row.action] += 1
        else:
            self._rows.append(row)

    def add_unread(self, row: PlanRow, rfc: str, action: Action) -> None:
        """Count a row that is not read: its company and its series have one action."""
        if self.limit is None or self.empresas[action] < self.limit:
            self.add(_unread_row(RowProgress.of(row, rfc), action, action))
            return
        self.empresas[action] += 1
        self.series[action] += len(row.series)
        self.left_out[action] += 1

    @property
    def rows(self) -> tuple[PreviewRow, ...]:
        """The rows that are kept, in the plan's order."""
        return tuple(sorted(self._rows, key=lambda row: row.number))


def changed_since(before: Preview, companies: Mapping[str, tuple[str, ...]]) -> tuple[list[str], list[str]]:
    """Return RFCs whose companies have appeared, and have gone, since a preview.

    A company that was replaced by another one with its RFC counts as both.

    Args:
        before: the preview.
        companies: uids of the plan's companies that exist now, by RFC.

    """
    old = before._baseline  # noqa: SLF001  # not for users
    appeared = [rfc for rfc, uids in companies.items() if set(uids) - set(old.get(rfc, ()))]
    gone = [rfc for rfc, uids in old.items() if set(uids) - set(companies.get(rfc, ()))]
    return appeared, gone
