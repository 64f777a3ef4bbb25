"""History of a journal: the state of every row and the throughput of every run."""

from __future__ import annotations

import math
import os
import sqlite3
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import accumulate, pairwise

from attrs import define, field, frozen

from facturaonline_async._messages import message
from facturaonline_async._text import printable
from facturaonline_async.provision._journal.progress import SHOWN_STATE, THERE, JournalReader, Status, open_snapshot
from facturaonline_async.provision._journal.reader import safe
from facturaonline_async.provision._steps import State, split_key

__all__ = ["History", "HistoryEntry", "HistoryRow", "RunThroughput", "read_history", "throughput_of_runs"]

_MOST_BARS = 96
_INTERVALS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)


@define  # a frozen one takes four times as long to make, and there are half a million of them
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


@define
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
    empresa: HistoryEntry | None = None
    series: list[HistoryEntry] = field(factory=list)

    @property
    def entries(self) -> Sequence[HistoryEntry]:
        """The company (if the journal has it) and its series."""
        return [self.empresa, *self.series] if self.empresa else self.series

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
        rows = _read_rows(connection)
    empresas = [row.empresa for row in rows if row.empresa is not None]
    series = [entry for row in rows for entry in row.series]
    return History(
        status=status, rows=rows, throughput=throughput_of_runs(status.spans, _finished(empresas), _finished(series))
    )


def _read_rows(connection: sqlite3.Connection) -> list[HistoryRow]:
    """Read the state of every row, in the plan's order."""
    rows: dict[str, HistoryRow] = {}
    # Thousands of rows share a few keys and reasons.
    key_of, safe_text = cache(_printable_key), cache(safe)
    not_started, company_first = message("run.not_tried_not_started"), message("run.not_tried_company_first")
    # The step of a company is written before those of its series.
    for number, rfc, natural_key, state, uid, recorded, changed in connection.execute(
        f"SELECT number, owner, natural_key, {SHOWN_STATE}, uid, reason, changed FROM steps ORDER BY rowid"  # noqa: S608
    ):
        if (row := rows.get(rfc)) is None:
            row = rows[rfc] = HistoryRow(number, printable(rfc))
        reason = recorded and safe_text(recorded)
        if not reason and state == State.NOT_TRIED:
            is_next = not natural_key or (row.empresa is not None and row.empresa.state in THERE)
            reason = not_started if is_next else company_first
        if natural_key:
            row.series.append(HistoryEntry(*key_of(natural_key), state, uid, reason, changed))
        else:
            row.empresa = HistoryEntry("", "", state, uid, reason, changed)
    return sorted(rows.values(), key=lambda row: row.number)  # it takes no time if the plan was not reordered


def _printable_key(natural_key: str) -> tuple[str, str]:
    """Return letra and tipo_documento of a serie."""
    letra, tipo_documento = split_key(natural_key)
    return printable(letra), printable(tipo_documento)


def _finished(entries: Iterable[HistoryEntry]) -> list[float]:
    """Return when the companies or series that exist were finished."""
    return [entry.changed for entry in entries if entry.changed is not None and entry.state in THERE]


def throughput_of_runs(
    spans: Sequence[tuple[float, float]], empresas: Iterable[float], series: Iterable[float]
) -> list[RunThroughput]:
    """Count the companies and series finished in each interval of each span.

    The length of an interval is round, such as 10 s or 5 min. A moment between two runs is counted for the earlier one.

    Args:
        spans: begin and end of each run, in the order of the runs.
        empresas: moment of each finished company.
        series: moment of each finished serie.

    """
    if not spans:
        return []
    whole = sum(end - began for began, end in spans)
    interval = next(
        (interval for interval in _INTERVALS if whole / interval <= _MOST_BARS), math.ceil(whole / _MOST_BARS)
    )
    # After a clock was set back, a run may begin before an earlier one, which then has no moment after that.
    begins = list(accumulate(reversed([began for began, _ in spans[1:]]), min))[::-1]
    limits = zip([-math.inf, *begins], [*begins, math.inf], strict=True)
    moments = sorted(empresas), sorted(series)
    found = []
    for (began, end), (first, last) in zip(spans, limits, strict=True):
        inner = [began + number * interval for number in range(1, _intervals(began, end, interval))]
        edges = [first, *(min(max(first, edge), last) for edge in inner), last]
        counts = [_count_between(edges, each) for each in moments]
        found.append(RunThroughput(began=began, ended=end, interval=interval, empresas=counts[0], series=counts[1]))
    return found


def _count_between(edges: Sequence[float], moments: Sequence[float]) -> tuple[int, ...]:
    """Count the moments from each edge to the next one. Both are sorted."""
    places = [bisect_left(moments, edge) for edge in edges]
    return tuple(after - before for before, after in pairwise(places))


def _intervals(began: float, end: float, interval: int) -> int:
    return max(1, -int(-(end - began) // interval))
