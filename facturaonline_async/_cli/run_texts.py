"""Texts about a run: states, times, durations, and the next steps for the user."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from typing import Final

from facturaonline_async._text import printable
from facturaonline_async.provision._journal.progress import Reason, Status
from facturaonline_async.provision._journal.seal import side_file

__all__ = [
    "format_duration",
    "format_example",
    "format_moment",
    "format_run",
    "format_timestamp",
    "next_steps",
    "state_name",
]

_STATE_NAMES: Final = {"intent": "in flight", "not_tried": "not tried"}


def state_name(state: str) -> str:
    """Return the word that people read for a state."""
    return _STATE_NAMES.get(state, state)


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


def format_example(reason: Reason) -> str:
    """Return the company or serie that is the example of a reason."""
    return f"row {reason.number}, {reason.rfc}" + (
        "" if reason.is_empresa else f", {reason.letra}:{reason.tipo_documento}"
    )


def format_run(status: Status, zone: tzinfo | None = None) -> str:
    """Return one line: whether a run is at work, since when, or until when."""
    if not status.runs:
        return "has not begun"
    last = status.runs[-1]
    number = len(status.runs)
    before = f"; {number} runs worked {format_duration(status.worked)}" if number > 1 else ""
    if status.is_running:
        began, worked = format_moment(last.began, zone), format_duration(status.now - last.began)
        return f"at work since {began} ({worked}), process {last.pid}{before}"
    ended = format_moment(status.ended or last.began, zone)
    if status.is_without_wal:
        return f"without its -wal: this is how far process {last.pid} was at {ended}, or later{before}"
    if status.is_broken_off:
        return f"killed: process {last.pid} no longer runs; it last wrote to the journal at {ended}{before}"
    return f"ended {ended} after {format_duration((status.ended or last.began) - last.began)}{before}"


def next_steps(status: Status) -> list[str]:
    """Return the next steps for the user, the most urgent first."""
    return list(_next_steps(status))


def _next_steps(status: Status) -> Iterator[str]:
    again = f"facturaonline provision PLAN --journal {shlex.quote(printable(str(status.path)))}"
    if side_file(status.path.resolve(), ".emulator").exists():
        again += " --emulator"
    rows = status.rows
    if status.is_without_wal:
        yield (
            f"The last changes are missing: the file {printable(status.path.name)}-wal is missing or empty. "
            "If this is a copy, copy both, or read the journal itself. A run with this journal waits for the settle "
            "time and looks for the missing rows before it creates anything."
        )
    if status.is_running:
        yield "Do not start another run. If this one is stopped (Ctrl-C) or killed, the same command continues it."
    elif status.left or status.unseen or status.unaudited or rows.get("failed") or rows.get("conflict"):
        yield f"To finish the rest, run: {again}. It creates nothing twice."
    if (number := rows.get("intent")) and not status.is_running:
        yield f"{_rows(number)} in flight when it stopped: the next run waits for the settle time and looks for each."
    if status.due and not status.is_running:
        when = f"in {format_duration(status.due[1])}" if status.due[1] else "at once"
        yield f"{_rows(rows['unknown'])} with an unknown outcome: the next run can look for all of them {when}."
    if number := rows.get("failed"):
        reason, row = ("reason", "row") if number == 1 else ("reasons", "rows")
        yield f"{_rows(number)} failed. Read the {reason} above, correct the {row} in the plan, and run again."
    if number := rows.get("conflict"):
        yield f"{_rows(number)} in conflict: the API has more than one match. Keep one, delete the others in the panel."
    if number := rows.get("unresolved"):
        yield (
            f"{_rows(number)} unresolved: the API accepted it with an answer that cannot be read. No run creates it "
            "again: look for it in the panel, then begin another journal."
        )
    if status.unseen:
        yield f"{_rows(status.unseen)} with something that could not be read yet: the next run reads it again."
    if status.unaudited and not status.is_running:
        verb, what = ("exists", "it") if status.unaudited == 1 else ("exist", "them")
        yield (
            f"{_rows(status.unaudited)} {verb}, but the run ended before it checked {what} for duplicates. The next "
            f"run checks {what}."
        )
    if status.is_complete:
        yield "Everything in the plan exists. You need to do nothing."


def _rows(number: int) -> str:
    return f"{number} row" if number == 1 else f"{number} rows"
