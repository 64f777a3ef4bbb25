"""The preview of a run: ``facturaonline plan preview``, and before ``provision``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from attrs import define, field
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress as Bars, TextColumn
from rich.style import Style
from rich.text import Text

from facturaonline_async._base_url import environment_of
from facturaonline_async._cli import interruption, output
from facturaonline_async._cli.client_command import check_environment, confirm_in_loop
from facturaonline_async._cli.database import DatabaseUrl
from facturaonline_async._cli.journals import run_in_database
from facturaonline_async._cli.plans import problem_values, read_plan
from facturaonline_async._cli.run_target import RunTarget
from facturaonline_async._cli.terminals import is_terminal
from facturaonline_async._core.redaction import redact
from facturaonline_async._messages import Message, message
from facturaonline_async._text import printable
from facturaonline_async.config import Config
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.provision import Existing, Plan, RunReport, State

if TYPE_CHECKING:
    from facturaonline_async.client import FacturaOnline
    from facturaonline_async.postgres import Postgres
    from facturaonline_async.provision import Action, Preview, PreviewRow
    from facturaonline_async.provision._preview import Previewer

__all__ = ["CompaniesMoved", "Question", "command", "print_preview", "refuse_moved", "warn_of_series"]

_ROWS: Final = 5
"""Rows that are shown of each kind, if the user gives no number."""

_NAMED: Final = 5
"""RFCs that a warning names."""

_DIFFERS: Final = 4
"""Exit code of --exit-code if something is to be done."""

_SIGNS: Final = {
    "create": ("+", "green"),
    "update": ("~", "yellow"),
    "complete": ("+", "green"),
    "unknown": ("?", "yellow"),
    "conflict": ("!", "red"),
    "refuse": ("!", "red"),
    "unreadable": ("!", "red"),
    "adopt": ("=", "dim"),
    "done": ("=", "dim"),
}
"""Sign and style of each action, in the order in which they are shown."""

_DANGER: Final = Style(bold=True, color="white", bgcolor="red")
_STYLES: Final[dict[str, Style]] = {"production": _DANGER, "unknown": _DANGER}
_COLUMNS: Final = {"csd": "cer/key/password", "fiel": "fielcer/fielkey/fielpassword"}
"""Columns of a plan, by the attributes that have other names."""


def command(
    plan: Annotated[
        Path,
        typer.Argument(
            metavar="PLAN",
            help="CSV file, workbook (.xlsx, .ods) or TOML file with one row per company.",
            show_default=False,
        ),
    ],
    sheet: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help='Sheet of the workbook. Default: "Empresas", or else the only one with a header.',
            show_default=False,
        ),
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Prefix of the API, as https://sandbox.facturaonline.com.mx/api; else FACTURAONLINE_BASE_URL.",
        ),
    ] = None,
    journal: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|pg:RUN",
            help="Journal of the run, which is only read: rows that are in it count as done.",
            show_default=False,
        ),
    ] = None,
    database: DatabaseUrl = None,
    existing: Annotated[
        Existing, typer.Option(help="Existing companies: keep them, change them to the values of the plan, or fail.")
    ] = "adopt",
    use_emulator: Annotated[
        bool, typer.Option("--emulator", help="Use an emulator in this process, as provision --emulator does.")
    ] = False,
    any_tipo: Annotated[
        bool, typer.Option("--any-tipo", help="Accept a tipo_documento that looks misspelt (such as facturas).")
    ] = False,
    rows: Annotated[int, typer.Option(min=0, help="How many rows of each kind are shown; --json shows all.")] = _ROWS,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 4 if there is something to do, and with 0 if not.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the preview as JSON.")] = False,
) -> None:
    """Show what "provision PLAN" would do, and send nothing but reads.

    It reads the companies of the account, and of those that are in the plan the series; with --existing update, it
    shows each attribute that would change. Attributes that reads do not show (certificates, passwords, códigos de
    régimen, delegación, teléfono) cannot be compared; an update sends them.

    Examples:
      facturaonline plan preview plan.xlsx
      facturaonline plan preview plan.xlsx --existing update --json
      facturaonline plan preview plan.xlsx --exit-code || echo "something to do"
    """
    if use_emulator and base_url:
        raise typer.BadParameter(message("cli.emulator_and_base_url"))
    run = None if journal is None else run_in_database(journal)
    if use_emulator and (database is not None or run is not None):
        raise typer.BadParameter(message("cli.emulator_and_database"))
    read = read_plan(plan, any_tipo=any_tipo, sheet=sheet, as_json=as_json)
    if not use_emulator:
        check_environment(base_url, or_emulator=True)
    target = RunTarget(
        config=Config(base_url=base_url),
        use_emulator=use_emulator,
        journal=None if run is not None else journal,
        run_name=run,
        database=database,
        as_json=as_json,
        is_read_only=True,
    )
    interrupted = message("cli.interrupted").then(message("cli.nothing_changed"))
    found = interruption.run(_preview(target, read, existing, None if as_json else rows), interrupted=interrupted)
    if as_json:
        values = found.to_dict() | {"notices": problem_values(read.notices)}
        output.print_json_rows(values, "rows", map(_redacted, values.pop("rows")))
    else:
        print_preview(found, Console(highlight=False, markup=False, soft_wrap=True), use_emulator=use_emulator)
    if exit_code and not found.is_settled:
        raise typer.Exit(_DIFFERS)


async def _preview(target: RunTarget, plan: Plan, existing: Existing, limit: int | None) -> Preview:
    """Return the preview of ``plan preview``.

    Args:
        target: where the run would take place.
        plan: the plan.
        existing: what the run would do with companies that exist.
        limit: maximum number of rows that are kept of each action; None: all.

    """
    async with target.open_shared() as pg, target.open_client(pg) as client:
        look = _Look.of(target, pg, client, plan, existing)
        await look.compare_journal()
        return await look.run(limit)


@define
class _Look:
    """One look at the journal and the account.

    Attributes:
        target: where the run takes place.
        pg: the open database, or None.
        client: client with the main keys.
        previewer: makes the preview.

    """

    target: RunTarget
    pg: Postgres | None
    client: FacturaOnline
    previewer: Previewer

    @classmethod
    def of(cls, target: RunTarget, pg: Postgres | None, client: FacturaOnline, plan: Plan, existing: Existing) -> _Look:
        """Prepare a look."""
        from facturaonline_async.provision._preview import Previewer  # noqa: PLC0415  # imports aiohttp

        return cls(target, pg, client, Previewer(client, plan, existing))

    async def compare_journal(self) -> bool:
        """Read the journal; return whether all of the plan was sent already."""
        async with self.target.open_view(self.pg, self.client) as view:
            return await self.previewer.compare_journal(view)

    async def run(self, limit: int | None) -> Preview:
        """Read the account, and return the preview."""
        with _bar() as on_progress:
            return await self.previewer.run(
                limit=limit, concurrency=self.target.config.concurrency, on_progress=on_progress
            )


@define
class Question:
    """What a person sees before a run, and is asked.

    A machine without --yes may go on only where nothing is real. Nobody is asked for an emulator, or if the journal
    says that all of the plan was sent already: then the run sends nothing that a person has not agreed to.

    Attributes:
        target: where the run takes place.
        plan: the plan.
        existing: what the run does with companies that exist.
        yes: value of --yes.

    """

    target: RunTarget
    plan: Plan
    existing: Existing
    yes: bool
    _has_terminal: bool = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._has_terminal = is_terminal(sys.stdin, sys.stderr)

    @property
    def needs_look(self) -> bool:
        """Whether the journal is read before the run, and perhaps the account.

        Raises:
            InvalidInputError: the base URL is not one.

        """
        if self.yes:
            return False
        if self.target.use_emulator:
            return self._has_terminal and not self.target.as_json
        host = self.target.config.base_url or Config(base_url=os.environ.get("FACTURAONLINE_BASE_URL")).base_url or ""
        return self._has_terminal or environment_of(host) not in {"sandbox", "local"}

    async def ask(self, pg: Postgres | None, client: FacturaOnline) -> Preview | None:
        """Show what the run would do, and ask.

        Args:
            pg: the open database, or None.
            client: the client of the run, so that its rate limits hold for both.

        Returns:
            The preview that the person agreed to, or in which there is nothing to do. None: nobody was asked.

        Raises:
            InvalidInputError: there is no terminal, and the host is a production host, or an unknown one.
            Exit: the answer is no.

        """
        from facturaonline_async.client import engine_of  # noqa: PLC0415  # imports aiohttp

        target, host = self.target, engine_of(client).config.base_url or ""
        console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
        if not self.needs_look:
            if self._has_terminal and not target.as_json:
                _print_host(console, host, use_emulator=target.use_emulator)
            return None
        look = _Look.of(target, pg, client, self.plan, self.existing)
        if await look.compare_journal():
            return None
        where = _environment_name(environment_of(host))
        if not self._has_terminal:
            raise InvalidInputError(message("cli.preview_without_terminal", environment=where, host=host), field="yes")
        found = await look.run(_ROWS)
        print_preview(found, console, use_emulator=target.use_emulator)
        if target.use_emulator:
            return None
        if not found.is_settled:
            question = message("cli.preview_question", environment=where, host=host)
            await confirm_in_loop(question, declined=message("cli.nothing_created"))
        return found


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    """Show a bar of the companies that are read; it moves while the list is read."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(message("cli.preview_reading"), total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


# ── What is shown ─────────────────────────────────────────────────────────────────────────────────────────────────────


def print_preview(found: Preview, console: Console, *, use_emulator: bool = False) -> None:
    """Print where a run would take place, and what it would do.

    Args:
        found: the preview.
        console: where to print; it neither wraps nor marks up texts.
        use_emulator: whether the host is an emulator in this process.

    """
    _print_host(console, found.base_url, use_emulator=use_emulator)
    console.print(_account(found))
    groups = _by_action(found.rows)
    for action, count in sorted(found.empresas.items(), key=lambda pair: [*_SIGNS, "not_tried"].index(pair[0].value)):
        if count:
            _print_group(console, action, count, groups.get(action, []), found)
    console.print()
    console.print(_summary(found))


def _print_host(console: Console, host: str, *, use_emulator: bool) -> None:
    """Print where a run takes place: kind of host, such as SANDBOX, and base URL."""
    environment = environment_of(host)
    name = message("cli.environment_emulator") if use_emulator else _environment_name(environment)
    style = _STYLES.get(environment, Style(bold=True))
    console.print(Text.assemble((f" {name} ", style), f" {printable(host)}"))


def _environment_name(environment: str) -> Message:
    return message(f"cli.environment_{environment}")


def _account(found: Preview) -> Message:
    if not found.account_rfc:
        return message("cli.preview_no_account")
    name = printable(redact(found.account_name))
    return message("cli.preview_account", rfc=printable(found.account_rfc), razon_social=name)


def _by_action(rows: Iterable[PreviewRow]) -> dict[Action, list[PreviewRow]]:
    groups: dict[Action, list[PreviewRow]] = {}
    for row in rows:
        groups.setdefault(row.action, []).append(row)
    return groups


def _print_group(console: Console, action: Action, count: int, rows: list[PreviewRow], found: Preview) -> None:
    """Print how many companies have an action, and the first of them."""
    sign, style = _SIGNS[action.value]
    heading = message(f"cli.action_{action.value}", what=message("cli.count_empresas", count=count))
    console.print()
    console.print(Text.assemble((sign, style), f" {heading}"))
    for row in rows:
        for line in _lines(row):
            console.print(f"    {printable(line)}")
    if more := found.left_out.get(action, 0):
        console.print(f"    {message('cli.preview_rows_left_out', count=more)}")


def _lines(row: PreviewRow) -> Iterator[str]:
    """Yield what is shown of a row: the first line names it."""
    new = [f"{serie.letra}:{serie.tipo_documento}" for serie in row.series if serie.action.value == "create"]
    place = message("cli.example_empresa", row=row.number, rfc=row.rfc)
    if row.reason:
        yield message("cli.preview_row", row=row.number, rfc=row.rfc, text=redact(row.reason))
    elif new:
        yield message("cli.preview_row_with_series", row=row.number, rfc=row.rfc, series=", ".join(new))
    else:
        yield place
    for change in row.changes:
        old = f"'{redact(change.old)}'" if change.old else message("cli.preview_empty")
        yield f"    {change.name}: {old} → '{redact(change.new)}'"
    if row.not_comparable:
        names = ", ".join(_COLUMNS.get(name, name) for name in row.not_comparable)
        yield f"    {message('cli.preview_not_comparable', names=names)}"
    for serie in row.series:
        if serie.reason:
            key = f"{serie.letra}:{serie.tipo_documento}"
            yield f"    {message('cli.failed_serie', serie=key, reason=redact(serie.reason))}"


def _summary(found: Preview) -> Message:
    if found.is_settled:
        return message("cli.preview_settled")
    of_empresas, of_series = (
        {action.value: count for action, count in each.items()} for each in (found.empresas, found.series)
    )
    empresas = message("cli.count_empresas", count=of_empresas["create"])
    series = message("cli.count_series", count=of_series["create"])
    if of_empresas["update"]:
        updated = message("cli.count_empresas", count=of_empresas["update"])
        text = message("cli.preview_summary_with_changes", empresas=empresas, series=series, updated=updated)
    else:
        text = message("cli.preview_summary", empresas=empresas, series=series)
    if not (of_empresas["unknown"] or of_series["unknown"]):
        return text
    empresas = message("cli.count_empresas", count=of_empresas["unknown"])
    series = message("cli.count_series", count=of_series["unknown"])
    return text.then(message("cli.preview_may_create", empresas=empresas, series=series))


def _redacted(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row's JSON values without texts that look secret."""
    changes = [
        {"name": each["name"], "old": redact(each["old"]), "new": redact(each["new"])} for each in row["changes"]
    ]
    return row | {"changes": changes, "reason": redact(row["reason"])}


@define
class CompaniesMoved(Exception):  # noqa: N818  # the command asks again
    """Companies of the plan have appeared or gone since a person agreed to the run.

    Attributes:
        appeared: RFCs of the companies that have appeared.
        gone: RFCs of those that have gone. One that was replaced by another is in both.

    """

    appeared: list[str]
    gone: list[str]

    def show(self) -> None:
        """Say which companies have moved."""
        if self.appeared:
            _warn(message("cli.preview_appeared", count=len(self.appeared), rfcs=_first(self.appeared)))
        if self.gone:
            _warn(message("cli.preview_gone", count=len(self.gone), rfcs=_first(self.gone)))


def refuse_moved(agreed: Preview, companies: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse a run whose companies are not those of the preview.

    Args:
        agreed: the preview that a person agreed to.
        companies: uids of the plan's companies that exist now, by RFC.

    Raises:
        CompaniesMoved: companies have appeared or gone.

    """
    from facturaonline_async.provision._preview import moved_since  # noqa: PLC0415  # imports aiohttp

    appeared, gone = moved_since(agreed, companies)
    if appeared or gone:
        raise CompaniesMoved(appeared, gone)


def warn_of_series(agreed: Preview, report: RunReport) -> None:
    """Say if a run created more series than the preview showed.

    They are read when their company's row begins, and not before all rows.

    Args:
        agreed: the preview that a person agreed to.
        report: totals of the run.

    """
    shown = sum(number for action, number in agreed.series.items() if action.value not in {"adopt", "done"})
    created = report.series[State.CREATED] - report.earlier_series[State.CREATED]
    if created > shown:
        _warn(message("cli.preview_more_series", count=created - shown))


def _first(rfcs: list[str]) -> str:
    return ", ".join([*rfcs[:_NAMED], *(["…"] if len(rfcs) > _NAMED else [])])


def _warn(text: Message) -> None:
    sys.stderr.write(f"{printable(message('cli.warning', text=text))}\n")
