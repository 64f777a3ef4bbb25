"""Change many series at once: those that a file names, or all others.

There is no journal. Each run first reads the series of the companies, and sends nothing for a serie that is paused,
active or gone already. A serie is named by its uid from then on, so that a call that is repeated changes nothing else.
So the same command completes an interrupted one. The outcome of a call without an answer is unknown, which the command
says.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import typer
from attrs import define, field, frozen

from facturaonline_async._base_url import is_for_tests
from facturaonline_async._cli import client_command, interruption, output, progress
from facturaonline_async._cli.consoles import new_console
from facturaonline_async._cli.language import dialogue_language
from facturaonline_async._cli.plans import read_plan
from facturaonline_async._cli.preview_output import environment_name, print_host
from facturaonline_async._cli.settings import current_settings
from facturaonline_async._cli.terminals import is_terminal
from facturaonline_async._core.known_companies import normalize_rfc
from facturaonline_async._core.redaction import redact
from facturaonline_async._messages import Message, message
from facturaonline_async._secrets import Secret
from facturaonline_async._text import printable
from facturaonline_async.config import Config
from facturaonline_async.errors import (
    FacturaOnlineError,
    InvalidInputError,
    NotFoundError,
    OutcomeUnknownError,
    UnreadableAnswerError,
)
from facturaonline_async.provision import ExistingRow, Plan
from facturaonline_async.provision._plan.models import required_uid
from facturaonline_async.series._tipo_documento import misspelling

if TYPE_CHECKING:
    from facturaonline_async.client import FacturaOnline
    from facturaonline_async.empresas._models import Empresa
    from facturaonline_async.provision._account import ListedEmpresa
    from facturaonline_async.series._models import Serie

__all__ = ["Verb", "change_named", "deactivate_others", "series_rows"]

Verb: TypeAlias = Literal["activate", "deactivate", "delete"]

_ROWS: Final = 5
"""Companies, and problems, that a preview shows."""
_CONCURRENCY: Final = 32
_UNKNOWN: Final = 3
"""Exit code after a write without an answer."""


@frozen
class _Change:
    """A serie to change.

    Attributes:
        number: number of the row.
        empresa: the serie's company, with its keys.
        serie: the serie, as a list showed it.

    """

    number: int
    empresa: Empresa
    serie: Serie

    @property
    def name(self) -> str:
        """The serie in a message."""
        return f"{self.empresa.rfc} {self.serie.letra}:{self.serie.tipo_documento} ({self.serie.uid})"


@frozen
class _Problem:
    """Why a row, or a serie, is not changed.

    Attributes:
        number: number of the row.
        rfc: RFC of the company.
        reason: the reason.

    """

    number: int
    rfc: str
    reason: str

    @property
    def text(self) -> str:
        """The problem in a message."""
        return redact(str(message("cli.preview_row", row=self.number, rfc=self.rfc, text=self.reason)))


@define
class _Found:
    """Series to change, and what cannot be changed.

    Attributes:
        changes: series to change, in the order of the rows.
        already: number of series that are in the wanted state.
        problems: what cannot be changed.

    """

    changes: list[_Change] = field(factory=list)
    already: int = 0
    problems: list[_Problem] = field(factory=list)


_Choose: TypeAlias = Callable[[_Found, ExistingRow, "ListedEmpresa"], None]


def series_rows(plan: Plan) -> Plan:
    """Return a plan with nothing but the series of another one.

    Its companies must exist. Rows without series are left out.

    Args:
        plan: the other plan.

    """
    return Plan.from_values(
        ExistingRow(rfc=row.rfc, series=row.series, uid=required_uid(row) or "", number=row.number)
        for row in plan
        if row.series
    )


@define
class _Job:
    """One change of many series.

    Attributes:
        verb: what is done with each serie.
        yes: value of --yes.
        as_json: value of --json.
        base_url: value of --base-url.
        database: value of --database.
        unchanged: what to say if nothing was changed after a no, or Ctrl-C.

    """

    verb: Verb
    yes: bool
    as_json: bool
    base_url: str | None
    database: Secret | None
    unchanged: Message = field(factory=partial(message, "cli.nothing_changed"))
    _stopped: bool = field(default=False, init=False)
    _begun: set[int] = field(factory=set, init=False)
    _done: int = field(default=0, init=False)
    _failed: list[_Problem] = field(factory=list, init=False)
    _unknown: list[_Change] = field(factory=list, init=False)

    def run(self, plan: Plan, choose: _Choose) -> None:
        """Read the series, ask, and change them.

        Args:
            plan: rows of companies that must exist.
            choose: finds the changes of a row.

        Raises:
            InvalidInputError: there is no terminal for the question. Nothing was read.
            Exit: not all that was asked for is done.

        """
        current_settings().find_account(self.base_url)  # before a question
        self._check_terminal()
        found = client_command.run(
            lambda client: self._find(client, plan, choose),
            base_url=self.base_url,
            database=self.database,
            unchanged=self.unchanged,
        )
        with dialogue_language():
            if not self.as_json or (found.changes and self._asks):
                self._print_preview(found)
            if found.changes:
                self._ask(found)
        if found.changes:
            client_command.run(
                lambda client: self._change_all(client, found.changes),
                base_url=self.base_url,
                database=self.database,
                maybe=message("cli.bulk_interrupted"),
            )
        self._report(found)
        if self._unknown:
            raise typer.Exit(_UNKNOWN)
        if self._stopped:
            raise typer.Exit(130)
        if self._failed or found.problems:
            raise typer.Exit(1)

    # ── Find ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _find(self, client: FacturaOnline, plan: Plan, choose: _Choose) -> _Found:
        from facturaonline_async import bulk  # noqa: PLC0415  # imports anyio
        from facturaonline_async.provision._account import list_account, list_series  # noqa: PLC0415  # imports aiohttp

        found = _Found()
        by_rfc: dict[str, list[Empresa]] = {}
        for empresa in await list_account(client):
            by_rfc.setdefault(normalize_rfc(empresa.rfc), []).append(empresa)
        rows: list[tuple[ExistingRow, Empresa]] = []
        for row in plan:
            assert isinstance(row, ExistingRow)  # noqa: S101  # `series_rows` makes no others
            companies = by_rfc.get(normalize_rfc(row.rfc), [])
            if (reason := _refusal(row, companies)) is None:
                rows.append((row, companies[0]))
            else:
                found.problems.append(_Problem(row.number, row.rfc, reason))
        read = partial(_read_pair, partial(list_series, client))
        with progress.bar(message("cli.label_series"), len(rows), quiet=self.as_json) as advance:
            async with bulk.stream(rows, read, concurrency=_CONCURRENCY, ordered=True) as outcomes:
                async for outcome in outcomes:
                    row, _ = outcome.item
                    listed = outcome.result()
                    if listed.series is None:
                        found.problems.append(_Problem(row.number, row.rfc, listed.reason))
                    else:
                        choose(found, row, listed)
                    advance()
        return found

    # ── Ask ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _host(self) -> str:
        """Base URL of the API."""
        return Config(base_url=current_settings().find_base_url(self.base_url)).base_url or ""

    def _check_terminal(self) -> None:
        """Refuse a script without --yes that deletes, or changes production."""
        host = self._host
        if self.yes or is_terminal(sys.stdin, sys.stderr):
            return
        if self.verb == "delete":
            client_command.confirm(yes=False)
        elif not is_for_tests(host):
            reason = message("cli.bulk_without_terminal", environment=environment_name(host), host=host)
            raise InvalidInputError(reason, field="yes")

    @property
    def _asks(self) -> bool:
        """Whether a person is asked; a script with a host for tests needs no confirmation."""
        return not self.yes and is_terminal(sys.stdin, sys.stderr)

    def _ask(self, found: _Found) -> None:
        """Ask for a confirmation of what the preview shows."""
        if not self._asks:
            return
        host = self._host
        series = message("cli.count_series", count=len(found.changes))
        question = message(
            f"cli.bulk_question_{self.verb}", series=series, environment=environment_name(host), host=host
        )
        client_command.confirm(yes=False, question=question, declined=message(self.unchanged.code))

    def _print_preview(self, found: _Found) -> None:
        console = new_console(stderr=True, soft_wrap=True)
        print_host(console, self._host)
        companies = [list(group) for _, group in groupby(found.changes, key=lambda change: change.number)]
        series = message("cli.count_series", count=len(found.changes))
        empresas = message("cli.count_empresas", count=len(companies))
        console.print(message(f"cli.bulk_to_{self.verb}", series=series, empresas=empresas))
        for changes in companies[:_ROWS]:
            keys = ", ".join(f"{each.serie.letra}:{each.serie.tipo_documento}" for each in changes)
            line = message("cli.preview_row", row=changes[0].number, rfc=changes[0].empresa.rfc, text=keys)
            console.print(f"    {printable(line)}")
        if (more := len(companies) - _ROWS) > 0:
            console.print(f"    {message('cli.preview_rows_left_out', count=more)}")
        if found.already:
            series = message("cli.count_series", count=found.already)
            console.print(message(f"cli.bulk_already_{self.verb}", series=series))
        if found.problems:
            console.print(message("cli.bulk_problems", count=len(found.problems)))
        for problem in islice(found.problems, _ROWS):
            console.print(f"    {printable(problem.text)}")
        if (more := len(found.problems) - _ROWS) > 0:
            console.print(f"    {message('cli.preview_rows_left_out', count=more)}")

    # ── Change ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _change_all(self, client: FacturaOnline, changes: Sequence[_Change]) -> None:
        from facturaonline_async import bulk  # noqa: PLC0415  # imports anyio

        try:
            with (
                interruption.interruptible(self._stop),
                progress.bar(message("cli.label_series"), len(changes), quiet=self.as_json) as advance,
            ):
                async with bulk.stream(
                    self._until_stopped(changes), partial(self._change, client), concurrency=_CONCURRENCY
                ) as outcomes:
                    async for outcome in outcomes:
                        self._count(outcome.item, outcome.error)
                        advance()
        except BaseException:
            # Calls in flight were cancelled: they may have been carried out.
            self._unknown += [change for change in changes if change.serie.uid in self._begun]
            self._print_unknown()
            raise

    def _stop(self) -> None:
        self._stopped = True

    def _until_stopped(self, changes: Iterable[_Change]) -> Iterator[_Change]:
        """Yield the changes until Ctrl-C is pressed."""
        for change in changes:
            if self._stopped:
                return
            self._begun.add(change.serie.uid)
            yield change

    async def _change(self, client: FacturaOnline, change: _Change) -> None:
        series = client.for_empresa(change.empresa).series
        calls: dict[Verb, Callable[[int], Awaitable[None]]] = {
            "activate": series.activate,
            "deactivate": series.deactivate,
            "delete": series.delete,
        }
        try:
            await calls[self.verb](change.serie.uid)
        except NotFoundError:
            if self.verb != "delete":  # a deleted serie is not found
                raise

    def _count(self, change: _Change, error: Exception | None) -> None:
        self._begun.discard(change.serie.uid)
        if error is None:
            self._done += 1
        elif isinstance(error, (OutcomeUnknownError, UnreadableAnswerError)):
            self._unknown.append(change)
        else:
            self._failed.append(_Problem(change.number, change.name, _reason(error)))

    # ── Report ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _report(self, found: _Found) -> None:
        left = len(found.changes) - self._done - len(self._failed) - len(self._unknown)
        if self.as_json:
            output.print_json(
                {
                    "action": self.verb,
                    "done": self._done,
                    "already": found.already,
                    "not_tried": left,
                    "failed": [_values(each) for each in self._failed],
                    "unknown": [change.name for change in self._unknown],
                    "problems": [_values(each) for each in found.problems],
                }
            )
            return
        series = message("cli.count_series", count=self._done)
        sys.stdout.write(f"{message(f'cli.bulk_done_{self.verb}', series=series)}\n")
        for problem in self._failed:
            sys.stderr.write(f"{printable(problem.text)}\n")
        self._print_unknown()
        if left and self._stopped:
            sys.stderr.write(f"{message('cli.bulk_interrupted')}\n")

    def _print_unknown(self) -> None:
        for change in self._unknown:
            sys.stderr.write(f"{printable(message('cli.bulk_unknown', serie=change.name))}\n")


async def _read_pair(
    read: Callable[[Empresa], Awaitable[ListedEmpresa]], pair: tuple[ExistingRow, Empresa]
) -> ListedEmpresa:
    return await read(pair[1])


def _refusal(row: ExistingRow, companies: Sequence[Empresa]) -> str | None:
    """Return why a row names no company, or None."""
    from facturaonline_async.provision._engine.comparison import (  # noqa: PLC0415  # imports aiohttp
        Action,
        choose_action,
        refusal,
    )
    from facturaonline_async.provision._engine.inventory import several_companies  # noqa: PLC0415  # as above

    uids = [empresa.uid for empresa in companies]
    action = choose_action(row, uids, "adopt")
    if action is Action.CONFLICT:
        return several_companies(uids)
    return refusal(row, uids) if action is Action.REFUSE else None


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, FacturaOnlineError) else type(error).__name__


def _values(problem: _Problem) -> dict[str, object]:
    return {"row": problem.number, "rfc": problem.rfc, "reason": redact(str(problem.reason))}


def _choose_named(verb: Verb, found: _Found, row: ExistingRow, listed: ListedEmpresa) -> None:
    """Choose the series that a row names, unless they are in the wanted state."""
    for wanted in row.series:
        same = [serie for serie in listed.series or () if serie.key == wanted.key]
        left = [serie for serie in same if verb == "delete" or serie.is_active is (verb == "deactivate")]
        others = [] if verb == "delete" else [serie for serie in same if not (serie.is_active or serie.is_paused)]
        if verb == "activate" and len(left) < len(same):
            left = others = []  # one of them is active: another active one would be a duplicate
        name = ":".join(wanted.key)
        if others:
            found.problems += [_unknown_estatus(row, serie) for serie in others]
        elif len(left) > 1:
            uids = ", ".join(map(str, sorted(serie.uid for serie in left)))
            reason = message("cli.bulk_several", serie=name, count=len(left), uids=uids)
            found.problems.append(_Problem(row.number, row.rfc, reason))
        elif left:
            found.changes.append(_Change(row.number, listed.empresa, left[0]))
        elif same or (verb == "delete" and not _is_misspelt(wanted.key, listed.series or ())):
            found.already += 1
        else:
            found.problems.append(_Problem(row.number, row.rfc, message("cli.bulk_missing", serie=name)))


def _unknown_estatus(row: ExistingRow, serie: Serie) -> _Problem:
    """Return why a serie that may be neither active nor paused is not changed."""
    name, seen = ":".join(serie.key), f"{serie.estatus!r:.60}"
    return _Problem(row.number, row.rfc, message("cli.bulk_estatus", serie=name, uid=serie.uid, estatus=seen))


def _is_misspelt(wanted: tuple[str, str], listed: Sequence[Serie]) -> bool:
    """Return whether a name that no serie has may mean one of these series.

    Then the serie still exists, and the name must not count as deleted.

    Args:
        wanted: letra and tipo_documento.
        listed: the company's series.

    """
    meant = _meant(*wanted)
    return any(_meant(*serie.key) == meant for serie in listed)


def _meant(letra: str, tipo_documento: str) -> tuple[str, str]:
    """Return a serie's name in one case, with the documented tipo it may mean."""
    found = misspelling(tipo_documento)
    return letra.casefold(), (tipo_documento if found is None else found.meant).casefold()


def _choose_others(found: _Found, row: ExistingRow, listed: ListedEmpresa) -> None:
    """Choose the active series that a row does not name."""
    named = {wanted.key for wanted in row.series}
    for serie in listed.series or ():
        if serie.key in named:
            continue
        if serie.is_active:
            found.changes.append(_Change(row.number, listed.empresa, serie))
        elif serie.is_paused:
            found.already += 1
        else:
            found.problems.append(_unknown_estatus(row, serie))


def change_named(
    verb: Verb,
    file: Path,
    *,
    sheet: str | None,
    yes: bool,
    as_json: bool,
    base_url: str | None,
    database: Secret | None,
) -> None:
    """Change the series that a file names.

    Args:
        verb: what is done with each serie.
        file: a plan, or a table with RFC and series.
        sheet: sheet of a workbook.
        yes: whether no confirmation is needed.
        as_json: whether the result is printed as JSON.
        base_url: value of --base-url.
        database: value of --database.

    Raises:
        PlanError: the file has faults. Nothing was sent.
        Exit: not all that was asked for is done.

    """
    # A misspelt tipo is accepted: nothing is created with it.
    plan = series_rows(read_plan(file, any_tipo=True, sheet=sheet, as_json=as_json))
    if not len(plan):
        raise InvalidInputError(message("cli.bulk_no_series"), field="from")
    job = _Job(verb, yes, as_json, base_url, database)
    job.run(plan, partial(_choose_named, verb))


def deactivate_others(plan: Plan, *, yes: bool, base_url: str | None, database: Secret | None) -> None:
    """Pause the active series of a plan's companies that the plan does not name.

    Args:
        plan: result of `series_rows`.
        yes: whether no confirmation is needed.
        base_url: value of --base-url.
        database: value of --database.

    Raises:
        Exit: not all of them are paused.

    """
    unchanged = message("cli.bulk_no_others_paused")
    job = _Job("deactivate", yes, as_json=False, base_url=base_url, database=database, unchanged=unchanged)
    job.run(plan, _choose_others)
