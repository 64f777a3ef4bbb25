"""The command ``facturaonline report``: a run as a page, as text, or as JSON."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from facturaonline_async._cli import output, report_html, status
from facturaonline_async._cli.command_groups import single_command
from facturaonline_async._cli.consoles import new_console
from facturaonline_async._cli.database import DatabaseUrl
from facturaonline_async._cli.journals import JournalName, RunName, find_journal
from facturaonline_async._cli.output_path_checks import journal_files, same_file, unwritable
from facturaonline_async._cli.plan_options import SheetName
from facturaonline_async._cli.report_table import Only, Table, chosen_rows
from facturaonline_async._cli.run_texts import format_timestamp, state_name
from facturaonline_async._cli.tables import MissingRows
from facturaonline_async._messages import message
from facturaonline_async._private_files import publish_private
from facturaonline_async._text import printable, printable_path
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.provision._journal.errors import JournalError
from facturaonline_async.provision._journal.history import History, HistoryEntry, HistoryRow, read_history
from facturaonline_async.provision._journal.progress import JournalReader

__all__ = ["app", "command"]

_ROWS_SHOWN: Final = 50


def command(
    journal: JournalName = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the page to this file, and replace an earlier report.")
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a table of all companies and series to this file.")
    ] = None,
    xlsx: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the same table as a workbook.")] = None,
    only: Annotated[
        Only | None,
        typer.Option(help="Only what failed, or all that is missing, in --csv, --xlsx and --json."),
    ] = None,
    plan: Annotated[
        Path | None,
        typer.Option(
            metavar="PLAN",
            help="Write the rows of the run's plan in place of the table: first those that failed, with their reasons, "
            "to be corrected, and then all others. The file is a plan for the same journal, and holds what PLAN holds "
            "(mode 0600).",
        ),
    ] = None,
    sheet: SheetName = None,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE even if it is not a report.")] = False,
    in_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    run: RunName = None,
    database: DatabaseUrl = None,
) -> None:
    """Report on a run: rows in each state, speed, and the reasons of failures.

    With --html the report is one page that needs no network, with a chart and a table of all rows to search and filter.
    It contains RFCs, uids and reasons, but no keys and no passwords. The run may be at work: it is not disturbed.

    Examples:
      facturaonline report run.sqlite --html run.html
      facturaonline report run.sqlite --xlsx failed.xlsx --only failed
      facturaonline report run.sqlite --xlsx correct.xlsx --plan plan.xlsx

    The exit code is 0 even if rows are missing, and 2 if the journal cannot be read or FILE is not a report.
    """
    found = find_journal(journal, run, database)
    if html is not None:
        _refuse_others(html, found, force=force)
    tables = [Table(path, option, force) for path, option in ((csv, "--csv"), (xlsx, "--xlsx")) if path is not None]
    if not tables and not in_json and only is not None:
        raise InvalidInputError(message("cli.report_without_table", option="--only"), field="--only")
    if not tables and plan is not None:
        raise InvalidInputError(message("cli.report_without_table", option="--plan"), field="--plan")
    if plan is not None and only is not None:
        raise InvalidInputError(message("cli.report_whole_plan"), field="--only")
    _refuse_equal([*([html] if html is not None else ()), *(table.path for table in tables)])
    for table in tables:
        table.check(journal_files(found) if isinstance(found, Path) else [], plan)
    with _paused_garbage_collector():
        try:
            ledger = read_history(found)
        except JournalError as error:
            sys.stderr.write(f"{printable(str(error))}\n")
            raise typer.Exit(2) from None
        if html is not None:
            _write(html, report_html.render(ledger))
            sys.stderr.write(f"{message('cli.report_written', path=printable_path(html))}\n")
        for table in tables:
            text = table.write(ledger.rows, only) if plan is None else table.write_plan(ledger.rows, plan, sheet)
            sys.stderr.write(f"{text}\n")
        if in_json:
            rows = (_row(row, entries) for row, entries in chosen_rows(ledger.rows, only))
            output.print_json_rows(_as_json(ledger), "rows", rows)
        elif html is None and not tables:
            _show(ledger)


app: typer.Typer = single_command("report", command)


@contextmanager
def _paused_garbage_collector() -> Iterator[None]:
    """Pause the search for cycles of objects: a report has none.

    The search visits all objects of a large report again and again, which takes a third of the whole time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


# ── The file ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _refuse_others(path: Path, journal: Path | JournalReader, *, force: bool) -> None:
    """Refuse to replace the journal, or a file that is not a report."""
    if isinstance(journal, Path) and same_file(path, journal_files(journal)):
        raise InvalidInputError(message("cli.report_is_the_journal", path=printable_path(path)), field="--html")
    if not path.exists():
        return
    if path.is_file():
        if force:
            return
        with path.open("rb") as file:
            if report_html.MARK.encode() in file.read(4096):
                return
        raise InvalidInputError(message("cli.report_is_another_file", path=printable_path(path)), field="--html")
    raise InvalidInputError(message("cli.report_is_no_file", path=printable_path(path)), field="--html")


def _refuse_equal(paths: list[Path]) -> None:
    """Refuse two outputs with one file."""
    for place, path in enumerate(paths):
        if same_file(path, paths[:place]):
            raise InvalidInputError(message("cli.report_twice", path=printable_path(path)), field="--html")


def _write(path: Path, text: str) -> None:
    """Replace a file atomically: a reader sees the old file or the new one."""
    try:
        publish_private(path, text.encode(), replaces=True)
    except OSError as error:
        raise unwritable(path, error, option="--html") from None


# ── Text and JSON ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _show(ledger: History) -> None:
    console = new_console()
    console.print(status.render_status(ledger.status))
    rows = [row for row in ledger.rows if not row.ok]
    if not rows:
        return
    missing = [
        (row.number, row.rfc, entry.label, state_name(entry.state), entry.reason)
        for row in rows[:_ROWS_SHOWN]
        for entry in row.missing
    ]
    more = len(rows) - _ROWS_SHOWN
    caption = message("cli.missing_rows_left_out_of_report", count=more) if more > 0 else None
    console.print(MissingRows(missing, caption))


def _as_json(ledger: History) -> dict[str, Any]:
    return status.as_json(ledger.status) | {
        "throughput": [
            {
                "began": format_timestamp(each.began),
                "ended": format_timestamp(each.ended),
                "interval": each.interval,
                "empresas": each.empresas,
                "series": each.series,
            }
            for each in ledger.throughput
        ],
    }


def _row(row: HistoryRow, entries: Sequence[HistoryEntry]) -> dict[str, Any]:
    """Return a row with some of its entries; the company's stand in the row itself."""
    empresa = {} if row.empresa is None else _entry(row.empresa)
    return (
        {"row": row.number, "rfc": row.rfc, "ok": row.ok}
        | empresa
        | {
            "series": [
                {"letra": each.letra, "tipo_documento": each.tipo_documento} | _entry(each)
                for each in entries
                if each.letra
            ]
        }
    )


def _entry(entry: HistoryEntry) -> dict[str, Any]:
    return {
        "state": entry.state,
        "uid": entry.uid,
        "reason": entry.reason,
        "changed": format_timestamp(entry.changed),
    }
