"""How far a run has come, by its journal: while it works, after it, and after it was killed."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from attrs import evolve, field, frozen

from facturaonline_async._text import printable
from facturaonline_async.provision._journal.filelock import is_locked
from facturaonline_async.provision._journal.opening import JournalError
from facturaonline_async.provision._journal.reader import (
    RunInfo,
    is_without_wal,
    open_to_read,
    read_host,
    read_runs,
    safe,
)

__all__ = [
    "STATES",
    "THERE",
    "Reason",
    "Status",
    "Throughput",
    "alike",
    "open_snapshot",
    "read_progress",
    "read_status",
]

#: What a company or a serie can be, in the order in which people read it.
STATES: Final = ("created", "adopted", "updated", "not_tried", "intent", "unknown", "failed", "conflict", "unresolved")
#: What exists.
THERE: Final = frozenset(STATES[:3])

_MINUTE: Final = 60.0
_STATE: Final = "CASE phase WHEN 'done' THEN coalesce(how, 'created') WHEN 'planned' THEN 'not_tried' ELSE phase END"
_VARYING: Final = re.compile(r"\b(?:[0-9a-f]{10,}|[0-9]{4,})\b")


@frozen(kw_only=True)
class Throughput:
    """Companies and series done per second, over so many seconds."""

    seconds: float
    empresas: float
    series: float


@frozen(kw_only=True)
class Reason:
    """Why some are not there, or were not seen: how many, and the first of them.

    Attributes:
        state: one of `STATES`.
        is_empresa: whether they are companies, or series.
        count: how many.
        number, rfc, letra, tipo_documento: the first one of the plan.
        text: what is said of that one; others differ in RFCs and numbers only.
        group: what those that are counted here have in common; see `alike`.

    """

    state: str
    is_empresa: bool
    count: int
    number: int
    rfc: str
    letra: str
    tipo_documento: str
    text: str
    group: tuple[str, bool, str] = field(repr=False)


@frozen(kw_only=True)
class Status:
    """A journal in numbers, at one moment.

    Attributes:
        path, host: which journal, and where its companies are.
        began, last: moments of the journal's beginning, and of the last change of a company or a serie.
        now: moment of this look.
        sessions: when somebody worked with it, the first one first.
        is_running: whether somebody does now.
        is_without_wal: whether the file lacks what its last run wrote last, because its -wal is not there: a copy of
            the one file, mostly. What it shows is the state of an earlier moment.
        empresas, series: how many are in which of `STATES`; every state is there.
        rows: how many rows of the plan have something in which of `STATES`.
        unseen: how many rows have something that is there, and has a reason: the next run looks again.
        unaudited: how many rows have something that was created, and no last look has told yet that it is there once.
        waiting: series that were not tried, and whose company will not come about without a person.
        due: seconds until a look tells of the first and of the last of those that are unknown, or None.
        minute: the rate of the last minute, or of the run if it is shorter; None unless it is running.
        overall: the rate of all sessions together.
        eta: seconds that it may still take, or None: not running, or nothing was done in the last minute.
        reasons: why what is not there, or was not seen, is not, the most frequent first.

    """

    path: Path
    host: str
    began: float
    last: float | None
    now: float
    runs: tuple[RunInfo, ...]
    is_running: bool
    is_without_wal: bool
    empresas: Mapping[str, int]
    series: Mapping[str, int]
    rows: Mapping[str, int]
    unseen: int
    unaudited: int
    waiting: int
    due: tuple[float, float] | None
    minute: Throughput | None = None
    overall: Throughput | None = None
    eta: float | None = None
    reasons: tuple[Reason, ...] = field(default=(), repr=False)

    @property
    def is_complete(self) -> bool:
        """Whether all that was planned is there, and was seen; once, if that is looked at."""
        return not (self.unseen or self.unaudited) and all(
            state in THERE or not number for of in (self.empresas, self.series) for state, number in of.items()
        )

    @property
    def left(self) -> int:
        """How many companies and series a run has still to do. What failed is not tried again by the same run."""
        open_states = ("not_tried", "intent", "unknown")
        return sum(of[state] for of in (self.empresas, self.series) for state in open_states) - self.waiting

    @property
    def is_broken_off(self) -> bool:
        """Whether the last one who worked with it is gone without a word."""
        return not self.is_running and bool(self.runs) and self.runs[-1].ended is None

    @property
    def ended(self) -> float | None:
        """The moment of the last word of a run that is over."""
        if self.is_running or not self.runs:
            return None
        last = self.runs[-1]
        return last.ended if last.ended is not None else max(last.began, self.last or 0)

    @property
    def spans(self) -> list[tuple[float, float]]:
        """When somebody worked with it, from and to. Clocks may have been set back: none is shorter than nothing."""
        end = self.ended or self.now
        return [(each.began, max(each.began, each.ended or end)) for each in self.runs]

    @property
    def worked(self) -> float:
        """Seconds in which somebody worked with it."""
        return sum(end - began for began, end in self.spans)


def read_progress(path: str | os.PathLike[str]) -> Status:
    """Return how far a run has come. It is not disturbed: nobody waits, and none that starts is refused.

    Raises:
        JournalError: the journal is not there, is none, is another version's, or is damaged.

    """
    with open_snapshot(path) as (status, _):
        return status


@contextmanager
def open_snapshot(path: str | os.PathLike[str]) -> Iterator[tuple[Status, sqlite3.Connection]]:
    """Look, and keep the journal open to read more of the same moment. As with `open_to_read`, not for long."""
    seen = None
    while True:
        with open_to_read(path) as connection:
            status = read_status(connection, path)
            last = status.runs[-1] if status.runs else None
            is_over = last is None or last.ended is not None or last == seen
            if is_over or _is_locked(path):
                lacks = last is not None and last.ended is None and is_without_wal(path)
                yield (
                    _with_throughput(evolve(status, is_running=not is_over, is_without_wal=lacks), connection),
                    connection,
                )
                return
        # The lock is free, so that whoever had it has written its last word: if it still does not show, it was killed.
        seen = last


def _is_locked(path: str | os.PathLike[str]) -> bool:
    try:
        return is_locked(Path(f"{Path(path).resolve()}.lock"))
    except OSError as error:
        raise JournalError(f"{os.fspath(path)}.lock cannot be read: {error.strerror or error}.") from None


def _with_throughput(status: Status, connection: sqlite3.Connection) -> Status:
    """Add how fast it goes, and how long it may take."""
    done, _ = _done(connection, since=0)
    status = evolve(status, overall=_rate(done, status.worked) if status.worked else None)
    if not status.is_running or status.is_without_wal:
        return status
    began = status.runs[-1].began
    seconds = min(_MINUTE, max(status.now - began, 1.0))
    done, sent = _done(connection, since=max(began, status.now - _MINUTE))
    # What was there before is adopted quickly: as soon as something is created, only that tells how long it takes.
    pace = (sent or sum(done.values())) / seconds
    eta = max(status.left / pace, status.due[1] if status.due else 0.0) if status.left and pace else None
    return evolve(status, minute=_rate(done, seconds), eta=eta)


def read_status(connection: sqlite3.Connection, path: str | os.PathLike[str]) -> Status:
    """Return how many are how far. Whether it is running, and how fast, `look` adds: an open journal cannot tell."""
    now = time.time()
    host, began = read_host(connection)
    counts: dict[bool, Counter[str]] = {kind: Counter(dict.fromkeys(STATES, 0)) for kind in (True, False)}
    rows: Counter[str] = Counter()
    for is_empresa, state, number in connection.execute(
        f"SELECT letra = '', {_STATE} AS state, count(*) FROM things GROUP BY 1, 2"  # noqa: S608
    ):
        counts[bool(is_empresa)][state] += number
    for state, number in connection.execute(
        f"SELECT {_STATE} AS state, count(DISTINCT number) FROM things GROUP BY 1"  # noqa: S608
    ):
        rows[state] = number
    (unseen,) = connection.execute(
        "SELECT count(DISTINCT number) FROM things WHERE phase = 'done' AND reason <> ''"
    ).fetchone()
    (unaudited,) = connection.execute(
        "SELECT count(DISTINCT number) FROM things WHERE phase = 'done' AND due > 0 AND sends > 0 AND uid IS NOT NULL"
    ).fetchone()
    (last,) = connection.execute("SELECT max(changed) FROM things").fetchone()
    first_due, last_due = connection.execute("SELECT min(due), max(due) FROM things WHERE phase = 'unknown'").fetchone()
    return Status(
        path=Path(path),
        host=host,
        began=began,
        last=last,
        now=now,
        runs=tuple(read_runs(connection)),
        is_running=False,
        is_without_wal=False,
        empresas=counts[True],
        series=counts[False],
        rows=rows,
        unseen=unseen,
        unaudited=unaudited,
        waiting=_waiting(connection),
        due=None if first_due is None else (max(0.0, first_due - now), max(0.0, last_due - now)),
        reasons=_reasons(connection),
    )


def _waiting(connection: sqlite3.Connection) -> int:
    (number,) = connection.execute("""
        SELECT count(*) FROM things AS serie
        JOIN things AS empresa ON empresa.rfc = serie.rfc AND empresa.letra = '' AND empresa.tipo_documento = ''
        WHERE serie.letra <> '' AND serie.phase = 'planned'
            AND empresa.phase IN ('failed', 'conflict', 'unresolved')
    """).fetchone()
    return int(number)


def _done(connection: sqlite3.Connection, *, since: float) -> tuple[dict[bool, int], int]:
    """Return how many companies (True) and series are there since then, and how many of both were sent."""
    rows = connection.execute(
        "SELECT letra = '', count(*), count(began) FROM things WHERE phase = 'done' AND changed >= ? GROUP BY 1",
        (since,),
    ).fetchall()
    return {bool(kind): number for kind, number, _ in rows}, sum(sent for *_, sent in rows)


def _rate(done: Mapping[bool, int], seconds: float) -> Throughput:
    return Throughput(seconds=seconds, empresas=done.get(True, 0) / seconds, series=done.get(False, 0) / seconds)


def _reasons(connection: sqlite3.Connection) -> tuple[Reason, ...]:
    """Return the reasons, those taken together that differ in RFCs and long numbers only."""
    found: dict[tuple[str, bool, str], Reason] = {}
    # Where there is one min(), SQLite takes the other columns from its row.
    for state, is_empresa, count, number, rfc, letra, tipo_documento, text in connection.execute(f"""
        SELECT {_STATE} AS state, letra = '', count(*), min(number), rfc, letra, tipo_documento, reason
        FROM things WHERE reason <> ''
        GROUP BY 1, 2, replace(reason, rfc, '…') ORDER BY 4, 1, 2 DESC
    """):  # noqa: S608
        group = state, bool(is_empresa), alike(safe(text), rfc)
        if group in found:
            found[group] = evolve(found[group], count=found[group].count + count)
        else:
            found[group] = Reason(
                state=state,
                is_empresa=group[1],
                count=count,
                number=number,
                rfc=printable(rfc),
                letra=printable(letra),
                tipo_documento=printable(tipo_documento),
                text=safe(text),
                group=group,
            )
    return tuple(sorted(found.values(), key=lambda reason: -reason.count))


def alike(reason: str, rfc: str) -> str:
    """Return what a reason has in common with those of other companies: RFCs, uids and long numbers are left out."""
    return _VARYING.sub("…", reason.replace(rfc, "…"))
