"""What people see: the progress of a run, and the table at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from facturaonline_async.provision import Report, RowOutcome, State

__all__ = ["counts", "progress", "report"]

_ROWS_SHOWN: Final = 50


def counts(found: Mapping[State, int]) -> dict[str, int]:
    """Return how many came to which state, all states named."""
    return {state.value: found.get(state, 0) for state in State}


class _Rate(ProgressColumn):
    """How many a second."""

    def render(self, task: Task) -> Text:
        """Return the rate of the last seconds."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f}/s", style="progress.data.speed")


@contextmanager
def progress(run: Report, *, quiet: bool) -> Iterator[Callable[[RowOutcome], None]]:
    """Show a bar for companies and one for series, and give a function that is told of each row's outcome."""
    if quiet:
        yield lambda _: None
        return
    bars = Progress(
        TextColumn("{task.description:<8}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[failed]}", style="red"),
        console=Console(stderr=True),
        expand=True,
    )
    with bars:
        empresas = bars.add_task("empresas", total=run.planned_empresas, failed="")
        series = bars.add_task("series", total=run.planned_series, failed="")

        def advance(outcome: RowOutcome) -> None:
            for task, found, done in (
                (empresas, run.empresas, 1),
                (series, run.series, len(outcome.series)),
            ):
                failed = found[State.FAILED]
                bars.update(task, advance=done, failed=f"{failed} failed" if failed else "")

        yield advance


def report(run: Report) -> None:
    """Print how many were created, adopted or failed, and each failure with its reason."""
    console = Console()
    table = Table(title=f"{'Complete' if run.is_complete else 'Not complete'} after {run.seconds:.1f} s")
    table.add_column("")
    for name in ("planned", *(state.value for state in State)):
        table.add_column(name, justify="right")
    for name, planned, found in (
        ("empresas", run.planned_empresas, run.empresas),
        ("series", run.planned_series, run.series),
    ):
        table.add_row(name, str(planned), *(str(number) for number in counts(found).values()))
    console.print(table)
    if run.failed:
        console.print(_failures(run))


def _failures(run: Report) -> Table:
    table = Table(title="What is not there")
    for name in ("row", "RFC", "what", "reason"):
        table.add_column(name, overflow="fold")
    for outcome in run.failed[:_ROWS_SHOWN]:
        if outcome.state is State.FAILED:
            table.add_row(str(outcome.number), outcome.rfc, "empresa", Text(outcome.reason))
            continue
        for serie in outcome.series:
            if serie.state is State.FAILED:
                what = f"serie {serie.letra}:{serie.tipo_documento}"
                table.add_row(str(outcome.number), outcome.rfc, Text(what), Text(serie.reason))
    if len(run.failed) > _ROWS_SHOWN:
        table.caption = f"and {len(run.failed) - _ROWS_SHOWN} rows more; --json shows all"
    return table
