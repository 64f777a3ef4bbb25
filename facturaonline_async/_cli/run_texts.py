"""Texts about a run: states, times, durations, and the next steps for the user."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Final

from facturaonline_async._cli.settings import current_settings
from facturaonline_async._messages import Message, message
from facturaonline_async._text import printable
from facturaonline_async.postgres._environment import is_database_named
from facturaonline_async.provision._journal.completeness import side_file
from facturaonline_async.provision._journal.progress import Reason, Status
from facturaonline_async.provision._journal.reader import RunInfo

__all__ = [
    "format_duration",
    "format_example",
    "format_moment",
    "format_rfcs",
    "format_run",
    "format_timestamp",
    "missing_row_headings",
    "next_steps",
    "state_name",
]

_NAMED: Final = 5
"""RFCs that a message names."""


def state_name(state: str) -> Message:
    """Return the word that people read for a state of a company or serie."""
    return message(f"cli.state_{state}")


def missing_row_headings() -> tuple[Message, ...]:
    """Return the headings of a table of missing rows."""
    return (
        message("cli.label_row"),
        message("cli.label_rfc"),
        message("cli.label_what"),
        message("cli.label_state"),
        message("cli.label_reason"),
    )


def format_timestamp(moment: float | None) -> str | None:
    """Return a time in ISO 8601 (UTC), for programs."""
    return None if moment is None else datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")


def format_moment(moment: float, zone: tzinfo | None = None) -> str:
    """Return a time for people, in local time or in the given zone."""
    return datetime.fromtimestamp(moment, UTC).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")


def format_duration(seconds: float) -> str:
    """Return a duration in seconds as a text with at most two units."""
    whole = max(0, round(seconds))
    for size, unit, smaller, name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit} {rest} {name}" if rest else f"{whole // size} {unit}"
    return f"{whole} s" if seconds >= 1 or not seconds else f"{seconds:.1f} s"


def format_example(reason: Reason) -> Message:
    """Return the company or serie that is the example of a reason."""
    if reason.is_empresa:
        return message("cli.example_empresa", row=reason.number, rfc=reason.rfc)
    return message(
        "cli.example_serie",
        row=reason.number,
        rfc=reason.rfc,
        letra=reason.letra,
        tipo_documento=reason.tipo_documento,
    )


def format_rfcs(rfcs: Sequence[str]) -> str:
    """Return the first five RFCs of a list, for a message."""
    return ", ".join([*rfcs[:_NAMED], *(["…"] if len(rfcs) > _NAMED else [])])


def format_run(status: Status, zone: tzinfo | None = None) -> Message:
    """Return one line: whether a run is at work, since when, or until when."""
    if not status.runs:
        return message("cli.run_not_begun")
    run = _format_last_run(status, status.runs[-1], zone)
    number = len(status.runs)
    if number == 1:
        return run
    return message("cli.run_and_earlier", run=run, count=number, worked=format_duration(status.worked))


def _format_last_run(status: Status, last: RunInfo, zone: tzinfo | None) -> Message:
    if status.is_running:
        began, worked = format_moment(last.began, zone), format_duration(status.now - last.began)
        return message("cli.run_at_work", began=began, worked=worked, pid=last.pid)
    end = status.ended or last.began
    ended = format_moment(end, zone)
    if status.is_without_wal:
        return message("cli.run_without_wal", pid=last.pid, ended=ended)
    if status.is_broken_off:
        return message("cli.run_killed", pid=last.pid, ended=ended)
    return message("cli.run_ended", ended=ended, worked=format_duration(end - last.began))


def next_steps(status: Status) -> list[Message]:
    """Return the next steps for the user, the most urgent first."""
    return list(_next_steps(status))


def _next_steps(status: Status) -> Iterator[Message]:
    rows = status.rows
    if status.is_without_wal and status.path is not None:
        yield message("cli.next_wal", journal=printable(status.path.name))
    if status.is_running:
        yield message("cli.next_at_work")
    elif status.left or status.unseen or status.unaudited or rows.get("failed") or rows.get("conflict"):
        yield message("cli.next_run", command=_provision_command(status))
    if (number := rows.get("intent")) and not status.is_running:
        yield message("cli.next_intent", count=number)
    if status.due and not status.is_running:
        number, seconds = rows["unknown"], status.due[1]
        if seconds:
            yield message("cli.next_unknown", count=number, time=format_duration(seconds))
        else:
            yield message("cli.next_unknown_at_once", count=number)
    yield from _steps_of_a_person(rows)
    if status.unseen:
        yield message("cli.next_unseen", count=status.unseen)
    if status.unaudited and not status.is_running:
        yield message("cli.next_unaudited", count=status.unaudited)
    if status.is_complete:
        yield message("cli.next_nothing")


def _steps_of_a_person(rows: Mapping[str, int]) -> Iterator[Message]:
    """Yield what a person must do before the next run, or in the panel."""
    if number := rows.get("failed"):
        yield message("cli.next_failed", count=number)
    if number := rows.get("conflict"):
        yield message("cli.next_conflict", count=number)
    if number := rows.get("unresolved"):
        yield message("cli.next_unresolved", count=number)


def _provision_command(status: Status) -> str:
    """Return the line for the shell that continues the run of a journal."""
    words = ["facturaonline provision PLAN --journal", shlex.quote(printable(status.name))]
    if status.path is not None and side_file(status.path.resolve(), ".emulator").exists():
        words.append("--emulator")
    if status.path is None and not is_database_named() and not current_settings().has_database:
        words += ["--database", "URL"]
    return " ".join(words)
