"""The command ``facturaonline status``: the progress of a run, live or afterwards."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from facturaonline_async._cli import output
from facturaonline_async._cli.command_groups import single_command
from facturaonline_async._cli.consoles import new_console
from facturaonline_async._cli.database import DatabaseUrl
from facturaonline_async._cli.journals import JournalName, RunName, find_journal
from facturaonline_async._cli.run_texts import (
    format_duration,
    format_example,
    format_moment,
    format_run,
    format_timestamp,
    next_steps,
    state_name,
)
from facturaonline_async._cli.tables import Rows, facts, finding_lines
from facturaonline_async._messages import message
from facturaonline_async._text import printable
from facturaonline_async.provision._journal.errors import JournalError
from facturaonline_async.provision._journal.progress import (
    STATES,
    THERE,
    JournalReader,
    Status,
    read_progress,
)

__all__ = ["app", "as_json", "command", "readable", "render_status"]

_REASONS: Final = 5
_SECOND: Final = 1.0
_SHARE: Final = 0.1
"""Part of the time that --watch may spend on reading: a journal of 100,000 rows takes a second."""
_STYLES: Final = {
    "failed": "red",
    "conflict": "magenta",
    "unresolved": "magenta",
    "unknown": "yellow",
    "intent": "cyan",
}
_ALWAYS: Final = frozenset({"created", "adopted", "not_tried", "failed"})


def command(
    journal: JournalName = None,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Repeat until the run ends, every second or less often."),
    ] = False,
    in_json: Annotated[bool, typer.Option("--json", help="Print JSON; with --watch one line each time.")] = False,
    run: RunName = None,
    database: DatabaseUrl = None,
) -> None:
    """Show the progress of a run that is at work, has ended, or was killed.

    It reads only the journal, and does not slow or stop the run.

    The exit code is 0 even if rows are missing, 2 if the journal cannot be read, and 130 if you end --watch with
    Ctrl-C, which does not stop the run.
    """
    found = find_journal(journal, run, database)
    try:
        if watch:
            _watch(found, in_json=in_json)
            return
        status = readable(found)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if in_json:
        output.print_json(as_json(status))
    else:
        new_console().print(render_status(status))


app: typer.Typer = single_command("status", command)


def readable(journal: Path | JournalReader) -> Status:
    """Read a journal; exit with code 2 if that fails."""
    try:
        return read_progress(journal)
    except JournalError as error:
        sys.stderr.write(f"{printable(str(error))}\n")
        raise typer.Exit(2) from None


def _watch(journal: Path | JournalReader, *, in_json: bool) -> None:
    if in_json:
        for status in _statuses(journal):
            output.print_json(as_json(status), indent=None)
            sys.stdout.flush()
        return
    with Live(console=new_console(), auto_refresh=False, vertical_overflow="crop") as live:
        for status in _statuses(journal):
            live.update(render_status(status), refresh=True)


def _statuses(journal: Path | JournalReader) -> Iterator[Status]:
    """Yield the status every second until the run has ended.

    If that takes long, the pauses are longer.
    """
    is_running = True
    while is_running:
        began = time.monotonic()
        status = readable(journal)
        yield status
        if is_running := status.is_running:
            took = time.monotonic() - began
            time.sleep(max(_SECOND, took / _SHARE - took))


# ── For people ────────────────────────────────────────────────────────────────────────────────────────────────────────


def render_status(status: Status) -> RenderableType:
    """Return the status for people."""
    style = "red" if status.is_broken_off else "green" if status.is_running else ""
    pairs = (
        (message("cli.label_journal"), Text(printable(f"{status.name} ({status.host})"))),
        (message("cli.label_run"), Text(format_run(status), style)),
        (message("cli.label_rate"), Text(_rates(status))),
        (message("cli.label_left"), Text(_left(status))),
    )
    parts: list[RenderableType] = [facts(pairs), _counts(status)]
    if status.reasons:
        parts.append(_reasons(status))
    parts += [Text.assemble(("→ ", "bold"), step) for step in next_steps(status)]
    return Group(*parts)


def _rates(status: Status) -> str:
    parts = []
    if rate := status.minute:
        time = format_duration(rate.seconds)
        parts.append(message("cli.rate_lately", empresas=rate.empresas, series=rate.series, time=time))
    if rate := status.overall:
        parts.append(message("cli.rate_overall", empresas=rate.empresas, series=rate.series))
    return "; ".join(parts)


def _left(status: Status) -> str:
    parts = []
    if status.eta is not None:
        moment = format_moment(status.now + status.eta)
        parts.append(message("cli.time_left", time=format_duration(status.eta), moment=moment))
    if status.due and status.is_running:
        first, last = map(format_duration, status.due)
        parts.append(message("cli.unknown_rows_due", first=first, last=last))
    if status.waiting:
        parts.append(message("cli.series_waiting", count=status.waiting))
    return "; ".join(parts)


def _counts(status: Status) -> Table:
    table = Table()
    for name in ("", message("cli.label_empresas"), message("cli.label_series")):
        table.add_column(name, justify="right" if name else "left")
    for state in STATES:
        if state in _ALWAYS or status.empresas[state] or status.series[state]:
            style = _STYLES.get(state, "")
            cells = [
                Text(str(found[state]), style if found[state] else "dim") for found in (status.empresas, status.series)
            ]
            table.add_row(state_name(state), *cells)
    table.add_section()
    table.add_row(message("cli.label_all"), *(str(sum(found.values())) for found in (status.empresas, status.series)))
    return table


def _reasons(status: Status) -> Rows:
    headings = ("", message("cli.label_state"), message("cli.label_reason"), message("cli.label_example"))
    rows = [
        (
            f"{reason.count} x",
            Text(state_name(reason.state), _STYLES.get(reason.state, "")),
            finding_lines(reason.text),
            format_example(reason),
        )
        for reason in status.reasons[:_REASONS]
    ]
    more = len(status.reasons) - _REASONS
    caption = message("cli.reasons_left_out", count=more) if more > 0 else None
    return Rows(headings, rows, message("cli.label_why"), caption, has_box=False)


# ── For machines ──────────────────────────────────────────────────────────────────────────────────────────────────────


def as_json(status: Status) -> dict[str, Any]:
    """Return the status for programs.

    Times are in ISO 8601 (UTC), durations in seconds, rates per second.
    """
    return {
        "journal": status.name,
        "host": status.host,
        "began": format_timestamp(status.began),
        "ended": format_timestamp(status.ended),
        "now": format_timestamp(status.now),
        "running": status.is_running,
        "broken_off": status.is_broken_off,
        "without_wal": status.is_without_wal,
        "complete": status.is_complete,
        "runs": [
            {"pid": each.pid, "began": format_timestamp(each.began), "ended": format_timestamp(each.ended)}
            for each in status.runs
        ],
        "empresas": _numbers(status.empresas),
        "series": _numbers(status.series) | {"waiting": status.waiting},
        "unseen_rows": status.unseen,
        "unaudited_rows": status.unaudited,
        "unknown_due": {"first": round(status.due[0], 3), "last": round(status.due[1], 3)} if status.due else None,
        "rate": {
            name: rate and rate.to_dict() for name, rate in (("minute", status.minute), ("overall", status.overall))
        },
        "eta": None if status.eta is None else round(status.eta, 3),
        "reasons": [reason.to_dict() for reason in status.reasons],
        "next": next_steps(status),
    }


def _numbers(found: Any) -> dict[str, int]:
    return {
        "all": sum(found.values()),
        "there": sum(found[state] for state in THERE),
        **{state: found[state] for state in STATES},
    }
