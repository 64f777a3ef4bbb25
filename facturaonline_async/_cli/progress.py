"""Output of a run for people: progress bars, notices, warnings, final table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

from rich.progress import BarColumn, MofNCompleteColumn, Progress as Bars, TextColumn
from rich.table import Column
from rich.text import Text

from facturaonline_async._cli.consoles import new_console
from facturaonline_async._cli.run_texts import state_name
from facturaonline_async._cli.tables import MissingRows, States
from facturaonline_async._messages import message
from facturaonline_async.provision import PlanProblem, Progress, ProgressSnapshot, RowOutcome, RunReport, State

__all__ = ["bar", "preview_bar", "print_audit_wait", "print_notices", "print_report", "print_warnings", "run_bars"]

_ROWS_SHOWN: Final = 50
_CODE: Final = re.compile(r"\[\w+\]\Z")
_NARROW: Final = 80
"""Columns of a terminal below which there is no bar, but numbers."""
_APART: Final = 3
"""Maximum number of notices with one column and one reason that are printed in separate lines."""

_COLUMNS: Final = {"rate": "progress.data.speed", "eta": "progress.remaining", "wrong": "red"}
"""Styles of the columns behind the bars, by the fields that they show."""

_ALWAYS: Final = frozenset({State.CREATED, State.ADOPTED, State.FAILED, State.UNKNOWN})
"""States that the table shows even if nothing has them."""


@contextmanager
def run_bars(run: Progress, *, quiet: bool) -> Iterator[Callable[[], None]]:
    """Show bars for companies and series; yield a function that updates them.

    A bar counts what exists, as the final table does, and not what failed or was not tried.
    """
    if quiet:
        yield lambda: None
        return
    bars = bars_of(run.snapshot)
    with bars:

        def redraw() -> None:
            """Show the run's figures in both bars."""
            for task, fields in zip(bars.tasks, _fields(run.snapshot), strict=True):
                bars.update(task.id, **fields)

        try:
            yield redraw
        finally:
            redraw()


@contextmanager
def preview_bar() -> Iterator[Callable[[int, int], None]]:
    """Show a bar of the companies that a preview reads.

    It moves while the list is read. Yield a function that takes the number of companies that were read, and of all.
    """
    with _simple_bars() as bars:
        task = bars.add_task(message("cli.preview_reading"), total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


def bars_of(snapshot: ProgressSnapshot) -> Bars:
    """Return a bar for companies and a bar for series."""
    columns = [TextColumn(f"{{task.fields[{name}]}}", style=style) for name, style in _COLUMNS.items()]
    console = new_console(stderr=True)
    if console.width < _NARROW:  # the numbers are cut otherwise
        wrong = TextColumn("{task.fields[wrong]}", style="red", table_column=Column(overflow="fold"))
        bars = Bars(TextColumn("{task.description:<8}"), MofNCompleteColumn(), wrong, console=console)
    else:
        bar = BarColumn(bar_width=None)
        bars = Bars(
            TextColumn("{task.description:<8}"), bar, MofNCompleteColumn(), *columns, console=console, expand=True
        )
    for name, fields in zip(
        (message("cli.label_empresas"), message("cli.label_series")), _fields(snapshot), strict=True
    ):
        bars.add_task(name, **fields)
    return bars


def _fields(snapshot: ProgressSnapshot) -> Iterator[dict[str, Any]]:
    """Yield what the bar of the companies shows, and then that of the series."""
    eta = "" if snapshot.eta is None else str(timedelta(seconds=round(snapshot.eta)))
    rate = snapshot.rate
    for planned, found, speed in (
        (snapshot.planned_empresas, snapshot.empresas, rate and rate.empresas),
        (snapshot.planned_series, snapshot.series, rate and rate.series),
    ):
        yield {
            "total": planned,
            "completed": _there(found),
            "rate": "" if speed is None else f"{speed:.1f}/s",
            "eta": eta,
            "wrong": _wrong(found),
        }
        eta = ""  # it is the same for both


def print_audit_wait(seconds: float) -> None:
    """Print why a run with all rows done waits `seconds` longer."""
    new_console(stderr=True).print(message("cli.audit_wait", seconds=seconds), soft_wrap=True)


def _simple_bars() -> Bars:
    """Return bars that count, and disappear at their end."""
    console = new_console(stderr=True)
    bar = () if console.width < _NARROW else (BarColumn(),)
    return Bars(TextColumn("{task.description}"), *bar, MofNCompleteColumn(), console=console, transient=True)


@contextmanager
def bar(what: str, total: int, *, quiet: bool) -> Iterator[Callable[[], None]]:
    """Show a bar of `total` steps; yield a function that counts one step."""
    if quiet:
        yield lambda: None
        return
    with _simple_bars() as bars:
        task = bars.add_task(what, total=total)
        yield lambda: bars.advance(task)


def print_notices(found: Iterable[PlanProblem]) -> None:
    """Print the notices of a plan.

    Every cell that is sent changed is mentioned. Many cells with one column and one reason share a line.
    """
    groups: dict[tuple[str, str], list[PlanProblem]] = {}
    for notice in found:
        groups.setdefault((notice.column, notice.reason), []).append(notice)
    console = new_console(stderr=True)
    for (column, reason), group in groups.items():
        lines = [str(notice) for notice in group]
        if len(group) > _APART:
            rows = ", ".join(str(notice.row) for notice in group[:_APART])
            more = len(group) - _APART
            lines = [message("cli.many_notices_of_rows", rows=rows, count=more, reason=reason)]
            if column:
                lines = [message("cli.many_notices", rows=rows, count=more, column=column, reason=reason)]
        for line in lines:
            console.print(Text.assemble((message("cli.label_note"), "yellow"), f" {line}"), soft_wrap=True)


def print_warnings(found: Iterable[PlanProblem]) -> None:
    """Print one line for each cause: the number of its rows, and the first of them."""
    groups: dict[tuple[str, str], list[PlanProblem]] = {}
    for problem in sorted(found, key=lambda problem: problem.row):
        groups.setdefault((problem.column, _cause(problem)), []).append(problem)
    console = new_console(stderr=True)
    for group in sorted(groups.values(), key=len, reverse=True):
        line = str(group[0])
        if len(group) > 1:
            line = message("cli.many_warnings", count=len(group), example=line)
        console.print(Text.assemble((message("cli.label_warning"), "yellow"), f" {line}"), soft_wrap=True)


def _cause(problem: PlanProblem) -> str:
    """Return the code at the end of a finding's text, or the text if it has no code."""
    code = _CODE.search(problem.reason)
    return code[0] if code else problem.reason


def _there(found: Mapping[State, int]) -> int:
    return sum(number for state, number in found.items() if state.is_there)


def _wrong(found: Mapping[State, int]) -> str:
    return ", ".join(
        f"{number} {state_name(state.value)}" for state, number in found.items() if number and not state.is_there
    )


def print_report(run: RunReport, *, interrupted: bool = False) -> None:
    """Print the number of rows in each state, and each unfinished row with its reason."""
    console = new_console()
    if interrupted:
        title = message("cli.interrupted_after", seconds=run.seconds)
    else:
        title = message("cli.complete_after" if run.is_complete else "cli.incomplete_after", seconds=run.seconds)
    states = [state for state in State if state in _ALWAYS or run.empresas[state] or run.series[state]]
    parts = [
        (
            name,
            [
                (message("cli.label_planned"), str(planned)),
                *((state_name(state.value), _number(found[state], earlier[state])) for state in states),
            ],
        )
        for name, planned, found, earlier in (
            (message("cli.label_empresas"), run.planned_empresas, run.empresas, run.earlier_empresas),
            (message("cli.label_series"), run.planned_series, run.series, run.earlier_series),
        )
    ]
    console.print(States(title, parts))
    for finding in (run.audit or ())[:_ROWS_SHOWN]:
        console.print(Text.assemble((message("cli.label_audit"), "red"), f" {finding}"), soft_wrap=True)
    # After Ctrl-C, the table above counts the rows that were not tried; they are not listed.
    failed = [row for row in run.failed if not interrupted or any(_tried(row))]
    if failed:
        console.print(_failures(failed))


def _number(found: int, earlier: int) -> str:
    return message("cli.count_with_earlier", count=found, earlier=earlier) if earlier else str(found)


def _tried(row: RowOutcome) -> Iterator[bool]:
    """Yield for each missing part of a row whether it was tried."""
    for _, state, _ in _not_there(row):
        yield state is not State.NOT_TRIED


def _failures(failed: Iterable[RowOutcome]) -> MissingRows:
    """Return what is missing or uncertain, in the order of the rows."""
    rows = sorted(failed, key=lambda row: row.number)
    missing: list[tuple[int, str, str, str, str]] = []
    for row in rows[:_ROWS_SHOWN]:
        for what, state, reason in _not_there(row):
            name = state_name(state.value)
            missing.append((row.number, row.rfc, what, name, reason.removeprefix(f"{name}: ")))  # the state is shown
    more = len(rows) - _ROWS_SHOWN
    return MissingRows(missing, message("cli.missing_rows_left_out", count=more) if more > 0 else None)


def _not_there(row: RowOutcome) -> Iterator[tuple[str, State, str]]:
    """Yield the missing parts of a row: name, state and reason."""
    if not row.state.is_there or row.reason:
        yield message("cli.label_empresa"), row.state, row.reason
    if not row.state.is_there:
        return
    for serie in row.series:
        if not serie.state.is_there or serie.reason:
            what = message("cli.label_serie", letra=serie.letra, tipo_documento=serie.tipo_documento)
            yield what, serie.state, serie.reason
