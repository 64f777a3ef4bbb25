"""History of a journal: the state of every row and the throughput of every run."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterable, Sequence

from attrs import field, frozen

from facturaonline_async._core.once.states import StepState
from facturaonline_async._messages import message
from facturaonline_async._text import printable
from facturaonline_async.provision._journal.progress import THERE, JournalReader, Status, open_snapshot
from facturaonline_async.provision._journal.reader import read_steps, safe
from facturaonline_async.provision._steps import Step

__all__ = ["History", "HistoryEntry", "HistoryRow", "RunThroughput", "read_history", "throughput_of_runs"]

_MOST_BARS = 96
_INTERVALS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)


@frozen(kw_only=True)
class HistoryEntry:
    """State of a company or of one of its series.

    Attributes:
        letra: the serie's letter; ``""`` for the company.
        tipo_documento: the serie's kind of document; ``""`` for the company.
        state: one of `facturaonline_async.provision._journal.progress.STATES`.
        uid: identifier in the API, or None.
        reason: why it does not exist or was not read back; ``""`` if it exists, or a run is about to send it.
        changed: moment of its last change, or None.

    """

    letra: str
    tipo_documento: str
    state: str
    uid: str | None
    reason: str
    changed: float | None

    @property
    def ok(self) -> bool:
        """Whether it exists and was read back."""
        return self.state in THERE and not self.reason

    @property
    def label(self) -> str:
        """Label for people: "empresa", or letra:tipo_documento."""
        return f"{self.letra}:{self.tipo_documento}" if self.letra else "empresa"


@frozen(kw_only=True)
class HistoryRow:
    """State of one row of the plan.

    Attributes:
        number: number of the row.
        rfc: the company's RFC.
        empresa: the company; None if the journal does not have it.
        series: its series.

    """

    number: int
    rfc: str
    empresa: HistoryEntry | None
    series: tuple[HistoryEntry, ...]

    @property
    def entries(self) -> tuple[HistoryEntry, ...]:
        """The company (if the journal has it) and its series."""
        return (self.empresa, *self.series) if self.empresa else self.series

    @property
    def ok(self) -> bool:
        """Whether the company and all its series exist and were read back."""
        return all(entry.ok for entry in self.entries)

    @property
    def missing(self) -> list[HistoryEntry]:
        """The company if it does not exist, else everything of the row that is not `ok`."""
        if self.empresa is not None and self.empresa.state not in THERE:
            return [self.empresa]
        return [entry for entry in self.entries if not entry.ok]


@frozen(kw_only=True)
class RunThroughput:
    """Companies and series finished in each interval of a run.

    Attributes:
        began: moment of the run's begin.
        ended: moment of the run's end.
        interval: length of an interval in seconds; the last one may be shorter.
        empresas: companies finished in each interval.
        series: series finished in each interval.

    """

    began: float
    ended: float
    interval: int
    empresas: tuple[int, ...]
    series: tuple[int, ...]


@frozen(kw_only=True)
class History:
    """Contents of a journal at one moment.

    Attributes:
        status: the totals.
        rows: the state of every row.
        throughput: the throughput of every run.

    """

    status: Status
    rows: list[HistoryRow] = field(repr=False)
    throughput: list[RunThroughput] = field(repr=False)


def read_history(journal: str | os.PathLike[str] | JournalReader) -> History:
    """Read a whole journal, also while a run is writing it.

    Args:
        journal: the journal's file, or what reads a journal in a database.

    Raises:
        JournalError: the journal does not exist, is not one, has another version, is damaged, or cannot be read.

    """
    with open_snapshot(journal) as (status, connection):
        steps = [(step, changed) for step, _, changed in read_steps(connection)]
    done = [
        (changed, step.is_empresa) for step, changed in steps if step.state is StepState.DONE and changed is not None
    ]
    return History(status=status, rows=_rows(steps), throughput=throughput_of_runs(status.spans, done))


def _rows(steps: list[tuple[Step, float | None]]) -> list[HistoryRow]:
    """Group the steps by company."""
    grouped: dict[str, list[tuple[Step, float | None]]] = {}
    for step, changed in steps:
        grouped.setdefault(step.rfc, []).append((step, changed))
    texts: dict[str, str] = {"": ""}  # thousands of rows share a few reasons
    not_started, company_first = message("run.not_tried_not_started"), message("run.not_tried_company_first")
    rows = []
    for rfc, group in grouped.items():
        is_there = any(step.is_empresa and step.state is StepState.DONE for step, _ in group)
        entries = [
            _entry(step, changed, texts, not_started if step.is_empresa or is_there else company_first)
            for step, changed in group
        ]
        empresas = [entry for entry in entries if not entry.letra]
        rows.append(
            HistoryRow(
                number=group[0][0].number,
                rfc=printable(rfc),
                empresa=empresas[0] if empresas else None,
                series=tuple(entry for entry in entries if entry.letra),
            )
        )
    return rows


def _entry(step: Step, changed: float | None, texts: dict[str, str], not_tried: str) -> HistoryEntry:
    """Return the entry of a step; `not_tried` is its reason if it was not tried."""
    if (reason := texts.get(step.reason)) is None:
        reason = texts[step.reason] = safe(step.reason)
    if not reason and step.state is StepState.PLANNED:
        reason = not_tried
    return HistoryEntry(
        letra=printable(step.letra),
        tipo_documento=printable(step.tipo_documento),
        state=step.shown_state,
        uid=step.uid,
        reason=reason,
        changed=changed,
    )


def throughput_of_runs(spans: Sequence[tuple[float, float]], done: Iterable[tuple[float, bool]]) -> list[RunThroughput]:
    """Count the steps finished in each interval of each span.

    The length of an interval is round, such as 10 s or 5 min.

    Args:
        spans: begin and end of each run, ordered by begin.
        done: for each finished step, its moment and whether it is a company.

    """
    if not spans:
        return []
    whole = sum(end - began for began, end in spans)
    interval = next(
        (interval for interval in _INTERVALS if whole / interval <= _MOST_BARS), math.ceil(whole / _MOST_BARS)
    )
    counts: Counter[tuple[int, int, bool]] = Counter()
    for moment, is_empresa in done:
        # A moment between two runs (the clock was set) is counted for the earlier run.
        run = max((run for run, (began, _) in enumerate(spans) if began <= moment), default=0)
        counts[run, _interval(spans[run], moment, interval), is_empresa] += 1
    return [
        RunThroughput(
            began=began,
            ended=end,
            interval=interval,
            empresas=tuple(counts[run, each, True] for each in range(_intervals(began, end, interval))),
            series=tuple(counts[run, each, False] for each in range(_intervals(began, end, interval))),
        )
        for run, (began, end) in enumerate(spans)
    ]


def _intervals(began: float, end: float, interval: int) -> int:
    return max(1, -int(-(end - began) // interval))


def _interval(span: tuple[float, float], moment: float, interval: int) -> int:
    began, end = span
    return min(max(0, int((moment - began) // interval)), _intervals(began, end, interval) - 1)
